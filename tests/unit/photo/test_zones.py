"""Zones and features: on the right side, turned with the head, where wrinkles are labelled."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.photo.crop import CROP_SIZE, Crop, cut, points_to_crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import FaceDetector
from bentos.skin.photo.zones import KEYPOINTS, ZONES, face_masks, polygons

ROOT = Path(__file__).resolve().parents[3]
WRINKLES = ROOT / "../shared/data/wrinkles/valid"
LABELLED = {2: "crows_feet", 3: "forehead", 4: "frown", 5: "nasolabial"}  # rows of classes.txt


def _seen(yaw: float = 0.0, roll: float = 0.0, pitch: float = 0.0, scale: float = 100.0) -> NDArray[np.float64]:
    """The shape's key points, turned (degrees; yaw > 0 looks to the image's right) and put into the crop."""
    yaw, roll, pitch = np.radians([yaw, roll, pitch])
    turn_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    flat = (KEYPOINTS @ turn_y.T @ turn_x.T)[:, :2] * scale
    turn_z = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return flat @ turn_z.T + (256, 240)


def _crop(keypoints: NDArray[np.float64] | None, valid: tuple[int, int, int, int] = (0, 0, 512, 512)) -> Crop:
    points = None if keypoints is None else keypoints.astype(np.float32)
    return Crop(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8), np.eye(2, 3), valid, points)


def _centres(keypoints: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {name: outline.mean(axis=0) for name, outline in polygons(keypoints).items()}


def test_all_zones_of_a_face_from_the_front_are_seen_in_their_order() -> None:
    centres = _centres(_seen())
    assert tuple(centres) == ZONES
    right_eye, left_eye, _, mouth, *_ = _seen()
    assert centres["forehead"][1] < centres["frown"][1] < right_eye[1] < centres["nose"][1] < mouth[1]
    assert mouth[1] < centres["chin"][1]
    for zone in ("crows_feet", "nasolabial", "cheek"):
        assert centres[f"{zone}_right"][0] < 256 < centres[f"{zone}_left"][0]  # the person's right is the image's left
    assert centres["crows_feet_right"][0] < right_eye[0]
    assert centres["crows_feet_left"][0] > left_eye[0]


@pytest.mark.parametrize("roll", [-90, -30, 15, 180])
@pytest.mark.parametrize("scale", [3.0, 100.0])
def test_zones_turn_shift_and_scale_with_the_head(roll: float, scale: float) -> None:
    upright, turned = polygons(_seen()), polygons(_seen(roll=roll, scale=scale))
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for name in ZONES:
        expected = (upright[name] - (256, 240)) @ turn.T * scale / 100 + (256, 240)
        np.testing.assert_allclose(turned[name], expected, atol=1e-6)


def _area(outline: NDArray[np.float64]) -> float:
    x, y = outline.T
    return float(abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2)


def test_a_head_turned_to_the_images_right_shows_more_of_its_right_cheek() -> None:
    zones = polygons(_seen(yaw=30))
    assert _area(zones["cheek_right"]) > 2 * _area(zones["cheek_left"])


@pytest.mark.parametrize(("yaw", "hidden", "shown"), [(60, "left", "right"), (-60, "right", "left")])
def test_zones_turned_away_are_left_out_and_their_masks_are_empty(yaw: float, hidden: str, shown: str) -> None:
    zones, zone_masks = polygons(_seen(yaw=yaw)), face_masks(_crop(_seen(yaw=yaw))).zones
    for zone in ("cheek", "crows_feet"):
        assert f"{zone}_{hidden}" not in zones
        assert not zone_masks[f"{zone}_{hidden}"].any()
        assert zone_masks[f"{zone}_{shown}"].sum() > 1000
    assert {"forehead", "nose", "chin"} <= set(zones)


def test_masks_have_the_area_of_their_outlines_and_end_with_the_photo() -> None:
    whole, zones = face_masks(_crop(_seen())).zones, polygons(_seen())
    assert tuple(whole) == ZONES
    for name in ZONES:
        assert whole[name].shape == (CROP_SIZE, CROP_SIZE)
        assert whole[name].dtype == np.bool_
        assert whole[name].sum() == pytest.approx(_area(zones[name]), rel=0.06)
    cut_off = face_masks(_crop(_seen(), valid=(0, 0, 512, 200))).zones
    assert not cut_off["forehead"][200:].any()
    assert not cut_off["chin"].any()
    np.testing.assert_array_equal(cut_off["forehead"][:200], whole["forehead"][:200])


def test_without_key_points_every_zone_is_the_whole_photo_and_nothing_is_left_out() -> None:
    crop = _crop(None, valid=(10, 20, 500, 400))
    shown = np.zeros((CROP_SIZE, CROP_SIZE), dtype=np.bool_)
    shown[20:400, 10:500] = True
    for mask in face_masks(crop).zones.values():
        np.testing.assert_array_equal(mask, shown)
    assert not face_masks(crop).features.any()


def test_features_lie_on_eyes_lips_brows_and_nostrils_but_not_on_skin() -> None:
    keypoints = _seen()
    left_out = face_masks(_crop(keypoints)).features
    brow = (keypoints[0] + (0, -33)).round().astype(int)
    under_nose = (keypoints[2] + (-11, 13)).round().astype(int)
    for x, y in [*keypoints[[0, 1, 3]].round().astype(int), brow, under_nose]:
        assert left_out[y, x]
    for name in ("forehead", "cheek_left", "cheek_right", "chin", "nose"):
        zone = face_masks(_crop(keypoints)).zones[name]
        assert (left_out & zone).sum() < 0.12 * zone.sum(), name


def test_the_oval_holds_every_zone_of_a_face_from_the_front() -> None:
    inside = face_masks(_crop(_seen())).oval
    for name, mask in face_masks(_crop(_seen())).zones.items():
        assert (mask & inside).sum() > 0.94 * mask.sum(), name


@pytest.mark.parametrize("yaw", [-80, -45, 45, 80])
def test_the_oval_of_a_turned_head_reaches_from_the_profile_to_the_ear(yaw: float) -> None:
    keypoints = _seen(yaw=yaw)
    inside = face_masks(_crop(keypoints)).oval
    near_ear = keypoints[4 if yaw > 0 else 5]
    for point in (keypoints[2], keypoints[3], 0.85 * near_ear + 0.15 * keypoints[2], keypoints[2:].mean(axis=0)):
        x, y = (0.92 * point + 0.08 * keypoints.mean(axis=0)).round().astype(int)
        assert inside[y, x]


@pytest.mark.parametrize(
    "keypoints",
    [
        np.zeros((6, 2)),
        np.full((6, 2), 250.0),
        np.full((6, 2), np.nan),
        np.full((6, 2), np.inf),
        np.stack([np.linspace(0, 500, 6), np.full(6, 256.0)], 1),
        np.array([(1e9, 0), (-1e9, 0), (0, 1e9), (0, 2e9), (1e9, 1e9), (-1e9, 1e9)]),
    ],
    ids=["origin", "one point", "nan", "infinite", "one line", "far away"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_key_points_that_make_no_face_do_no_harm(keypoints: NDArray[np.float64]) -> None:
    crop = _crop(keypoints)
    assert set(face_masks(crop).zones) == set(ZONES)
    assert face_masks(crop).features.shape == (CROP_SIZE, CROP_SIZE)
    assert face_masks(crop).oval.shape == (CROP_SIZE, CROP_SIZE)


def test_labelled_wrinkles_lie_in_their_zones() -> None:
    paths = sorted((WRINKLES / "images").glob("*.jpg"))
    if not paths:
        pytest.skip("shared/data/wrinkles is not here")
    detector = FaceDetector()
    hits: dict[str, list[bool]] = {name: [] for name in LABELLED.values()}
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        height, width = pixels.shape[:2]
        photo = Photo(pixels, width, height, "JPEG")
        crop = cut(photo, detector.detect(photo)[0])
        zone_masks = face_masks(crop).zones
        for line in (WRINKLES / "labels" / f"{path.stem}.txt").read_text().splitlines():
            kind, x, y, *_ = (float(value) for value in line.split())
            column, row = points_to_crop(crop, [(x * width, y * height)])[0].astype(int)
            if kind in LABELLED and 0 <= column < CROP_SIZE and 0 <= row < CROP_SIZE:
                name = LABELLED[int(kind)]
                hits[name].append(any(zone_masks[zone][row, column] for zone in ZONES if zone.startswith(name)))
    shares = {name: float(np.mean(inside)) for name, inside in hits.items()}
    assert min(shares.values()) > 0.85, shares
