"""Landmarks lie where people placed them by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.skin.photo.decode import decode
from bentos.skin.photo.landmarks import OVAL
from tests.drawing import reader

LONDON = Path(__file__).resolve().parents[3] / "../shared/data/london"
PUPILS, MOUTH_CORNERS, CHIN, JAW = (0, 1), (87, 93), 129, range(125, 134)  # points of a .tem file
MESH_CORNERS, MESH_CHIN = (61, 291), 152


def by_hand(path: Path) -> NDArray[np.float64]:
    """The points of a .tem file, (n, 2)."""
    count, *lines = path.read_text().splitlines()
    return np.array([line.split() for line in lines[: int(count)]], dtype=np.float64)


def distance_to_outline(point: NDArray[np.float64], outline: NDArray[np.float64]) -> float:
    along = np.roll(outline, -1, axis=0) - outline
    share = np.clip(((point - outline) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return float(np.linalg.norm(outline + share[:, None] * along - point, axis=1).min())


def test_the_landmarks_are_as_exact_as_the_hand_placed_points_allow() -> None:
    if not LONDON.is_dir():
        pytest.skip("shared/data/london is not here")
    with (LONDON / "labels.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "check"]
    corners, chin, jaw = [], [], []
    for name in names:
        landmarks = reader().read(decode((LONDON / "faces" / name).read_bytes())).landmarks
        assert landmarks is not None
        points, placed = (
            landmarks.points[:, :2].astype(np.float64),
            by_hand((LONDON / "faces" / name).with_suffix(".tem")),
        )
        unit = float(np.linalg.norm(placed[PUPILS[0]] - placed[PUPILS[1]]))
        mouth = points[list(MESH_CORNERS)]
        corners += [np.linalg.norm(mouth - placed[index], axis=1).min() / unit for index in MOUTH_CORNERS]
        chin.append(np.linalg.norm(points[MESH_CHIN] - placed[CHIN]) / unit)
        jaw += [distance_to_outline(placed[index], points[list(OVAL)]) / unit for index in JAW]
    assert np.median(corners) <= 0.05
    assert np.median(jaw) <= 0.05
    assert np.median(chin) <= 0.07
