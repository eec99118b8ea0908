"""Reads the labelled photos: lesion boxes and severity (ACNE04), wrinkle boxes by zone, and the tiles of mosaics."""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import WRINKLE_ZONES

DATA = Path("../shared/data")  # from the project's root; --data names another folder
WRINKLE_CLASSES = {
    "forehead": "forehead",
    "crows_feet": "crows_feet",
    "frown_line": "frown",
    "gummy_smile": "nasolabial",
}
ACNE_NAME = re.compile(r"levle(?P<severity>[0-3])_(?P<photo>\d+)_")
MOSAIC_SIZE = (640, 640)  # px; only files of this size are mosaics
SEAM_MARGIN = 40  # px from the border; no seam is searched there
SEAM_STEP = 10.0  # least mean grey step across a seam; both seams must reach it
SEAM_RATIO = 2.0  # least ratio of a seam's step to the 98th percentile of all columns' (rows') steps


@dataclass(frozen=True, slots=True)
class AcnePhoto:
    """An acne photo with its labels.

    Attributes:
        path: of the file.
        photo: name of the original photo; all variants of one photo share it.
        severity: 0..3, mild to very severe (Hayashi et al. 2008), as the dermatologists judged it.
        boxes: float64 (n, 4), the lesions: x, y, width, height in px of the photo.
    """

    path: Path
    photo: str
    severity: int
    boxes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WrinklePhoto:
    """A wrinkle photo, or a mosaic of photos, with its labels.

    Attributes:
        path: of the file.
        boxes: WRINKLE_ZONES → float64 (n, 4), x, y, width, height as fractions of the photo.
    """

    path: Path
    boxes: dict[str, NDArray[np.float64]]


def acne_photos(folder: Path) -> list[AcnePhoto]:
    """Read the labels of one ACNE04 split, sorted by file name.

    Args:
        folder: holds the photos and `_annotations.csv`.

    Raises:
        FileNotFoundError: the folder or its annotations are missing.
        ValueError: a file name contains no severity.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / "_annotations.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["filename"]].append([x0, y0, x1 - x0, y1 - y0])
    photos = []
    for path in sorted(folder.glob("*.jpg")):
        name = ACNE_NAME.match(path.name)
        if name is None:
            raise ValueError(
                f"{path.name} does not begin with levle0_ … levle3_ and a number, so its severity is unknown"
            )
        rows = np.array(boxes.get(path.name, []), dtype=np.float64).reshape(-1, 4)
        photos.append(AcnePhoto(path, f"{name['severity']}_{name['photo']}", int(name["severity"]), rows))
    return photos


def wrinkle_photos(folder: Path) -> list[WrinklePhoto]:
    """Read the labels of one wrinkle split, sorted by file name.

    Args:
        folder: holds `images` and `labels`; its parent folder holds `classes.txt`, the names of the classes.

    Raises:
        FileNotFoundError: a folder, `classes.txt` or the labels of a photo are missing.
    """
    classes = (folder.parent / "classes.txt").read_text().split()
    photos = []
    for path in sorted((folder / "images").iterdir()):
        boxes: dict[str, list[list[float]]] = {zone: [] for zone in WRINKLE_ZONES}
        for line in (folder / "labels" / f"{path.stem}.txt").read_text().splitlines():
            number, *values = line.split()
            zone = WRINKLE_CLASSES.get(classes[int(number)])
            if zone is not None:
                x, y, width, height = map(float, values)
                boxes[zone].append([x - width / 2, y - height / 2, width, height])
        photos.append(WrinklePhoto(path, {zone: np.array(rows).reshape(-1, 4) for zone, rows in boxes.items()}))
    return photos


@dataclass(frozen=True, slots=True)
class LondonFace:
    """A face of the Face Research Lab London Set, labelled by eye.

    Attributes:
        path: of the photo.
        split: "fit" or "check".
        lesions: the likeliest number; `least` and `most` bound it.
        monk: skin tone by eye on the Monk scale, 1..10, ±1.
        ethnicity: as the person said.
        beard, hair_forehead: 0 (none) to 2 (covers the skin).
    """

    path: Path
    split: str
    lesions: int
    least: int
    most: int
    monk: int
    ethnicity: str
    beard: int
    hair_forehead: int


def london_faces(folder: Path) -> list[LondonFace]:
    """Read the labels of the London faces, sorted by file name.

    Args:
        folder: holds `faces`, `labels.csv` and `info.csv`.

    Raises:
        FileNotFoundError: the folder or its tables are missing.
        KeyError, ValueError: a table lacks a column or holds another value.
    """
    with (folder / "info.csv").open(newline="") as file:
        people = {row["face_id"]: row for row in csv.DictReader(file)}
    with (folder / "labels.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    return [
        LondonFace(
            path=folder / "faces" / row["file"],
            split=row["split"],
            lesions=int(row["lesions"]),
            least=int(row["lesions_min"]),
            most=int(row["lesions_max"]),
            monk=int(row["monk"]),
            ethnicity=people[row["file"].partition("_")[0]]["face_eth"],
            beard=int(row["beard"]),
            hair_forehead=int(row["hair_forehead"]),
        )
        for row in rows
    ]


def tiles(pixels: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """Find the photos of which a mosaic is made.

    A mosaic is four photos that meet in a cross: the grey value jumps along one whole column and one whole row.

    Args:
        pixels: uint8 (height, width, 3).

    Returns:
        (x0, y0, x1, y1) of each photo in px, half-open; the whole image where it is a single photo.
    """
    height, width = pixels.shape[:2]
    if (width, height) != MOSAIC_SIZE:
        return [(0, 0, width, height)]
    grey = pixels.astype(np.float32).mean(axis=2)
    x, along_x = _seam(grey)
    y, along_y = _seam(grey.T)
    if not (along_x and along_y):
        return [(0, 0, width, height)]
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _seam(grey: NDArray[np.float32]) -> tuple[int, bool]:
    """Return the column before which the grey value jumps most, and whether the jump is large enough for a seam."""
    steps = np.abs(np.diff(grey, axis=1))
    # A busy texture has steps in all columns, a seam in one: subtract the steps of the neighbouring columns.
    mean = steps.mean(axis=0)
    beside = np.maximum(np.roll(mean, 2), np.roll(mean, -2))
    excess = mean - beside
    inner = excess[SEAM_MARGIN:-SEAM_MARGIN]
    best = int(inner.argmax())
    return best + SEAM_MARGIN + 1, bool(inner[best] > SEAM_STEP and inner[best] > SEAM_RATIO * np.percentile(inner, 98))


def boxes_in(
    boxes: NDArray[np.float64], region: tuple[float, float, float, float], share: float = 0.5
) -> NDArray[np.float64]:
    """Select the boxes of which at least `share` lies in a region.

    Args:
        boxes: (n, 4), x, y, width, height.
        region: x0, y0, x1, y1, in the same unit.
        share: 0..1, of a box's area.

    Returns:
        float64 (m, 4), cut to the region and relative to its upper left corner.
    """
    low = np.maximum(boxes[:, :2], region[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], region[2:])
    size = np.maximum(high - low, 0)
    inside = size.prod(axis=1) >= share * np.maximum(boxes[:, 2:].prod(axis=1), 1e-12)
    cut = np.concatenate([low - np.asarray(region[:2]), size], axis=1)
    return np.asarray(cut[inside], dtype=np.float64)
