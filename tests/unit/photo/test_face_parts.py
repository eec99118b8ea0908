"""Zones, features and outline: on the right side, turned with the head, where wrinkles are labelled."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.skin.findings import WRINKLE_PARTS
from bentos.skin.photo.crop import CROP_SIZE, points_to_crop
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_parts import ZONES, face_parts, raster
from bentos.skin.photo.landmarks import POINTS
from tests.drawing import face_landmarks, parts_of, reader

ROOT = Path(__file__).resolve().parents[3]
WRINKLES = ROOT / "../shared/data/wrinkles/valid"
LABELLED = {2: "crows_feet", 3: "forehead", 4: "frown", 5: "nasolabial"}  # rows of classes.txt


def _rolled(landmarks: NDArray[np.float32], degrees: float, scale: float = 1.0) -> NDArray[np.float64]:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    turned = landmarks.astype(np.float64) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, scale]])
    return np.asarray(turned)


def _area(outline: NDArray[np.float64]) -> float:
    x, y = outline.T
    return float(abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2)


def test_all_zones_of_a_face_from_the_front_lie_in_their_order() -> None:
    landmarks = face_landmarks()
    parts = parts_of(landmarks)
    centres = {name: outline.mean(axis=0) for name, outline in parts.zones.items()}
    assert tuple(centres) == ZONES
    (right_eye, _), (left_eye, _), *_ = ((outline.mean(axis=0), rim) for outline, rim in parts.features)
    mouth = landmarks[[61, 291], 1].mean()
    assert centres["forehead"][1] < centres["frown"][1] < right_eye[1] < centres["nose"][1] < mouth < centres["chin"][1]
    for zone in ("crows_feet", "nasolabial", "cheek"):
        assert centres[f"{zone}_right"][0] < 256 < centres[f"{zone}_left"][0]  # the person's right is the image's left
    assert centres["crows_feet_right"][0] < right_eye[0]
    assert centres["crows_feet_left"][0] > left_eye[0]
    assert min(parts.facing.values()) > 0.5


@pytest.mark.parametrize("roll", [-90, -30, 15, 180])
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_parts_turn_and_scale_with_the_head(roll: float, scale: float) -> None:
    upright, turned = parts_of(face_landmarks()), parts_of(_rolled(face_landmarks(), roll, scale))
    for name in ZONES:
        assert _area(turned.zones[name]) == pytest.approx(_area(upright.zones[name]) * scale**2, rel=1e-3)
        assert turned.facing[name] == pytest.approx(upright.facing[name], abs=1e-3)
    assert turned.unit == pytest.approx(upright.unit * scale, rel=1e-3)
    lean = np.degrees(np.arctan2(turned.axes[1, 0], turned.axes[0, 0]))
    assert abs((lean - roll + 180) % 360 - 180) < 0.5


def test_a_head_turned_to_the_images_right_shows_more_of_its_right_cheek() -> None:
    zones = parts_of(face_landmarks(yaw=30)).zones
    assert _area(zones["cheek_right"]) > 2 * _area(zones["cheek_left"])


@pytest.mark.parametrize(("yaw", "hidden", "shown"), [(60, "left", "right"), (-60, "right", "left")])
def test_zones_turned_away_do_not_face_the_camera(yaw: float, hidden: str, shown: str) -> None:
    facing = parts_of(face_landmarks(yaw=yaw)).facing
    for zone in ("cheek", "crows_feet"):
        assert facing[f"{zone}_{hidden}"] < 0 < 0.9 < facing[f"{zone}_{shown}"]


def test_features_lie_on_eyes_lips_brows_and_nostrils_but_not_on_skin() -> None:
    landmarks = face_landmarks()
    parts = parts_of(landmarks)
    left_out = raster(parts.features, CROP_SIZE)
    for index in (459, 159, 386, 13, 14, 105, 334):  # nostril, eyes, lips, brows
        x, y = landmarks[index, :2].astype(int)
        assert left_out[y, x], index
    for name in ("forehead", "cheek_left", "cheek_right", "chin", "nose"):
        zone = raster([(parts.zones[name], 0.0)], CROP_SIZE)
        assert (left_out & zone).sum() < 0.12 * zone.sum(), name


@pytest.mark.parametrize("yaw", [-45, 0, 45])
def test_the_outline_holds_the_face(yaw: float) -> None:
    landmarks = face_landmarks(yaw=yaw)
    parts = parts_of(landmarks)
    inside = raster([(parts.outline, 1.0)], CROP_SIZE)
    rim = raster([(parts.outline, 5.0)], CROP_SIZE)
    for x, y in landmarks[:, :2].astype(int):
        assert rim[y, x]
    for name, outline in parts.zones.items():
        mask = raster([(outline, 0.0)], CROP_SIZE)
        assert (mask & ~inside).sum() < 0.01 * mask.sum(), name


def test_the_outline_reaches_above_the_mesh_where_the_forehead_is() -> None:
    landmarks = face_landmarks()
    assert parts_of(landmarks).outline[:, 1].min() < landmarks[:, 1].min() - 20


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((POINTS, 3)),
        np.full((POINTS, 3), 250.0),
        np.full((POINTS, 3), np.nan),
        np.full((POINTS, 3), np.inf),
        np.full((POINTS, 3), 1e12),
        np.linspace(0, 500, POINTS)[:, None] * (1.0, 0.0, 0.0),
    ],
    ids=["origin", "one point", "nan", "infinite", "far away", "one line"],
)
def test_landmarks_that_make_no_face_give_no_parts(landmarks: NDArray[np.float64]) -> None:
    assert face_parts(landmarks) is None


def test_masks_have_the_area_of_their_outlines_at_every_size() -> None:
    parts = parts_of(face_landmarks())
    for name, outline in parts.zones.items():
        for size in (128, 256, 512):
            mask = raster([(outline, 0.0)], size, size / CROP_SIZE)
            assert mask.shape == (size, size)
            expected = _area(outline) * (size / CROP_SIZE) ** 2
            assert mask.sum() == pytest.approx(expected, rel=0.25, abs=20), (name, size)
            assert not mask.flags.writeable


def test_labelled_wrinkles_lie_in_their_zones() -> None:
    paths = sorted((WRINKLES / "images").glob("*.jpg"))
    if not paths:
        pytest.skip("shared/data/wrinkles is not here")
    hits: dict[str, list[bool]] = {name: [] for name in LABELLED.values()}
    for path in paths:
        photo = decode(path.read_bytes())
        crop = reader().read(photo).crop
        if crop.landmarks is None:
            continue
        parts = parts_of(crop.landmarks)
        masks = {name: raster([(outline, 0.0)], CROP_SIZE) for name, outline in parts.zones.items()}
        for line in (WRINKLES / "labels" / f"{path.stem}.txt").read_text().splitlines():
            kind, x, y, *_ = (float(value) for value in line.split())
            column, row = points_to_crop(crop, [(x * photo.width, y * photo.height)])[0].astype(int)
            if kind in LABELLED and 0 <= column < CROP_SIZE and 0 <= row < CROP_SIZE:
                name = LABELLED[int(kind)]
                hits[name].append(any(masks[part][row, column] for part in WRINKLE_PARTS[name]))
    shares = {name: float(np.mean(inside)) for name, inside in hits.items()}
    assert min(shares.values()) > 0.85, shares
