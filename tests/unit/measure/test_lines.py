"""Wrinkles on a NASA portrait with lines painted in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure import lines
from bentos.skin.measure.pose import USUAL, face_coordinates, pose, roll
from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop, cut
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face import FaceDetector

ASTRONAUT = Path(__file__).resolve().parents[2] / "photos" / "astronaut.png"


@pytest.fixture(scope="module")
def portrait() -> Crop:
    photo = decode(ASTRONAUT.read_bytes())
    return cut(photo, FaceDetector().detect(photo)[0])


def find_wrinkles(crop: Crop) -> lines.Wrinkles:
    return lines.find(crop, zones.face_masks(crop))


def furrowed(crop: Crop, zone: str) -> Crop:
    """The crop with five dark lines across a zone, level with the eyes."""
    assert crop.keypoints is not None
    outline = zones.polygons(crop.keypoints)[zone]
    top, bottom = outline[:, 1].min(), outline[:, 1].max()
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    level = y - (x - outline[:, 0].mean()) * np.tan(roll(crop))
    depth = sum(np.exp(-0.5 * ((level - at) / 1.8) ** 2) for at in np.linspace(top, bottom, 7)[1:-1])
    inside = zones.face_masks(crop).zones[zone]
    pixels = crop.pixels * (1 - 0.35 * np.where(inside, depth, 0))[..., None]
    return replace(crop, pixels=pixels.astype(np.uint8))


def mirrored(crop: Crop) -> Crop:
    assert crop.keypoints is not None
    keypoints = crop.keypoints[[1, 0, 2, 3, 5, 4]]
    keypoints[:, 0] = CROP_SIZE - keypoints[:, 0]
    x0, y0, x1, y1 = crop.valid
    pixels = np.ascontiguousarray(crop.pixels[:, ::-1])
    return Crop(pixels, crop.to_photo, (CROP_SIZE - x1, y0, CROP_SIZE - x0, y1), keypoints)


def test_every_zone_has_a_chance_between_0_and_1(portrait: Crop) -> None:
    wrinkles = find_wrinkles(portrait)
    assert tuple(wrinkles.zones) == WRINKLE_ZONES
    assert all(0 <= chance <= 1 for chance in wrinkles.zones.values())
    assert wrinkles.confidence is not None
    assert 0.5 <= wrinkles.confidence <= 1


def test_lines_on_the_forehead_raise_the_foreheads_chance_most(portrait: Crop) -> None:
    before, after = find_wrinkles(portrait).zones, find_wrinkles(furrowed(portrait, "forehead")).zones
    rise = {zone: after[zone] - before[zone] for zone in WRINKLE_ZONES}
    assert rise["forehead"] > 0.1
    assert max(rise, key=lambda zone: rise[zone]) == "forehead"


def test_a_painted_line_shows_in_the_response_of_its_zone(portrait: Crop) -> None:
    inside = lines._at_cells(zones.face_masks(portrait).zones["forehead"])
    before, after = (
        lines.response(crop, zones.face_masks(crop))["forehead"][inside]
        for crop in (portrait, furrowed(portrait, "forehead"))
    )
    assert after.mean() > 1.5 * before.mean()


def test_the_mirror_image_is_judged_much_alike(portrait: Crop) -> None:
    there, back = find_wrinkles(portrait).zones, find_wrinkles(mirrored(portrait)).zones
    assert all(abs(there[zone] - back[zone]) < 0.15 for zone in WRINKLE_ZONES)


def test_falling_and_rising_lines_change_places_on_the_other_side(portrait: Crop) -> None:
    where, rows = lines.place_features(portrait, zones.face_masks(portrait))
    other, mirror_rows = lines.place_features(mirrored(portrait), zones.face_masks(mirrored(portrait)))
    both = where & other[:, ::-1]
    maps, mirror_maps = (np.zeros((*where.shape, rows.shape[1]), np.float32) for _ in range(2))
    maps[where], mirror_maps[other] = rows, mirror_rows
    energies = slice(0, 4)  # of the finest scale
    difference = np.abs(maps[both] - mirror_maps[:, ::-1][both])[:, energies]
    assert np.quantile(difference, 0.95) < 0.15


def test_without_key_points_no_confidence_is_claimed(portrait: Crop) -> None:
    assert find_wrinkles(replace(portrait, keypoints=None)).confidence is None


def test_a_crop_that_shows_nothing_has_no_wrinkles(portrait: Crop) -> None:
    nothing = find_wrinkles(replace(portrait, valid=(0, 0, 3, 3)))
    assert nothing == lines.Wrinkles(dict.fromkeys(WRINKLE_ZONES, 0.0), None)


def test_face_coordinates_put_the_eyes_at_half_a_unit_from_the_middle(portrait: Crop) -> None:
    assert portrait.keypoints is not None
    across, along = face_coordinates(portrait, CROP_SIZE)
    for point, x in zip(portrait.keypoints[:2], (-0.5, 0.5), strict=True):
        column, row = point.astype(int)
        assert across[row, column] == pytest.approx(x, abs=0.15)
        assert along[row, column] == pytest.approx(0, abs=0.15)


def test_key_points_on_one_spot_fall_back_to_the_usual_pose(portrait: Crop) -> None:
    collapsed = replace(portrait, keypoints=np.full((6, 2), 100, np.float32))
    np.testing.assert_array_equal(pose(collapsed), USUAL)
    assert all(np.isfinite(list(find_wrinkles(collapsed).zones.values())))
