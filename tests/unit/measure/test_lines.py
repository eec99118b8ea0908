"""Wrinkles on a NASA portrait with lines painted in."""

from dataclasses import replace

import numpy as np
import pytest

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure import lines
from bentos.skin.measure.pose import face_coordinates, roll
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.face_parts import EYES, raster
from bentos.skin.photo.skin import face_mask, shown_mask
from bentos.skin.photo.view import FaceView, view_of
from tests import drawing


@pytest.fixture(scope="module")
def portrait() -> Crop:
    return drawing.portrait_crop()


def find_wrinkles(crop: Crop) -> lines.Wrinkles:
    return lines.find(bare_view(crop))


def bare_view(crop: Crop) -> FaceView:
    """The view of the crop, had she no fringe."""
    view = view_of(crop)
    if view.parts is None:
        return view
    return replace(view, skin=face_mask(view.parts) & shown_mask(crop), unseen={})


def chances(crop: Crop) -> dict[str, float]:
    return {zone: chance for zone, chance in find_wrinkles(crop).zones.items() if chance is not None}


def furrowed(crop: Crop, zone: str) -> Crop:
    """The crop with five dark lines across a zone, level with the eyes."""
    assert crop.landmarks is not None
    parts = drawing.parts_of(crop.landmarks)
    outline = parts.zones[zone]
    top, bottom = outline[:, 1].min(), outline[:, 1].max()
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    level = y - (x - outline[:, 0].mean()) * np.tan(roll(parts))
    depth = sum(np.exp(-0.5 * ((level - at) / 1.8) ** 2) for at in np.linspace(top, bottom, 7)[1:-1])
    inside = raster([(outline, 0.0)], CROP_SIZE)
    pixels = crop.pixels * (1 - 0.35 * np.where(inside, depth, 0))[..., None]
    return replace(crop, pixels=pixels.astype(np.uint8))


def mirrored(crop: Crop) -> Crop:
    faces = drawing.reader().read(drawing.photo_of(np.ascontiguousarray(crop.pixels[:, ::-1])))
    assert faces.landmarks is not None
    x0, y0, x1, y1 = crop.valid
    pixels = np.ascontiguousarray(crop.pixels[:, ::-1])
    return Crop(pixels, crop.to_photo, (CROP_SIZE - x1, y0, CROP_SIZE - x0, y1), faces.landmarks.points)


def test_every_zone_has_a_chance_between_0_and_1(portrait: Crop) -> None:
    wrinkles = find_wrinkles(portrait)
    assert tuple(wrinkles.zones) == WRINKLE_ZONES
    assert all(chance is not None and 0 <= chance <= 1 for chance in wrinkles.zones.values())


def test_lines_on_the_forehead_raise_the_foreheads_chance_most(portrait: Crop) -> None:
    before, after = chances(portrait), chances(furrowed(portrait, "forehead"))
    rise = {zone: after[zone] - before[zone] for zone in WRINKLE_ZONES}
    assert rise["forehead"] > 0.1
    assert max(rise, key=lambda zone: rise[zone]) == "forehead"


def test_a_painted_line_shows_in_the_map(portrait: Crop) -> None:
    assert portrait.landmarks is not None
    forehead = drawing.parts_of(portrait.landmarks).zones["forehead"]
    inside = raster([(forehead, 0.0)], lines.GRID, lines.GRID / CROP_SIZE)
    before, after = (find_wrinkles(c).wrinkle_map[inside].mean() for c in (portrait, furrowed(portrait, "forehead")))
    assert after > 1.5 * before


def test_a_zone_that_is_not_seen_has_no_chance(portrait: Crop) -> None:
    view = view_of(portrait)
    hidden = replace(view, unseen={"forehead": "covered", "crows_feet_left": "turned_away"})
    zones = lines.find(hidden).zones
    assert zones["forehead"] is None
    assert zones["crows_feet"] is not None  # by its other side


def test_the_mirror_image_is_judged_much_alike(portrait: Crop) -> None:
    there, back = chances(portrait), chances(mirrored(portrait))
    assert all(abs(there[zone] - back[zone]) < 0.15 for zone in WRINKLE_ZONES)


def test_falling_and_rising_lines_change_places_on_the_other_side(portrait: Crop) -> None:
    where, rows = lines.place_features(bare_view(portrait))
    other, mirror_rows = lines.place_features(bare_view(mirrored(portrait)))
    both = where & other[:, ::-1]
    maps, mirror_maps = (np.zeros((*where.shape, rows.shape[1]), np.float32) for _ in range(2))
    maps[where], mirror_maps[other] = rows, mirror_rows
    energies = slice(0, 4)  # of the finest scale
    difference = np.abs(maps[both] - mirror_maps[:, ::-1][both])[:, energies]
    assert np.quantile(difference, 0.95) < 0.15


def test_without_landmarks_no_zone_has_a_chance(portrait: Crop) -> None:
    assert find_wrinkles(replace(portrait, landmarks=None)).zones == dict.fromkeys(WRINKLE_ZONES)


def test_a_crop_that_shows_nothing_has_no_wrinkles(portrait: Crop) -> None:
    nothing = find_wrinkles(replace(portrait, valid=(0, 0, 3, 3)))
    assert nothing.zones == dict.fromkeys(WRINKLE_ZONES)
    assert not nothing.wrinkle_map.any()


def test_face_coordinates_put_the_eyes_at_half_a_unit_from_the_middle(portrait: Crop) -> None:
    assert portrait.landmarks is not None
    across, along = face_coordinates(drawing.parts_of(portrait.landmarks), CROP_SIZE)
    for eye, x in zip(EYES, (-0.5, 0.5), strict=True):
        column, row = portrait.landmarks[list(eye), :2].mean(axis=0).astype(int)
        assert across[row, column] == pytest.approx(x, abs=0.15)
        assert along[row, column] == pytest.approx(0, abs=0.15)
