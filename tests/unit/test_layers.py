"""Outlines and heat maps in pixels of the photo: inside it, where they belong, however the photo was turned."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from bentos.skin.findings import COLOUR_ZONES, WRINKLE_ZONES, Graded, LesionsAndWrinkles, Measured
from bentos.skin.layers import MAP_SIZE, clip, data_url, heat_maps, outlines
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.photo.view import FaceView, view_of
from tests import drawing
from tests.service.expect import grey_of

CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")


def area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon.reshape(-1, 2).T
    return abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2


# --- outlines -------------------------------------------------------------------------------------------------------


def test_a_polygon_inside_stays_as_it_is() -> None:
    square = np.array([(1.0, 2.0), (5.0, 2.0), (5.0, 6.0), (1.0, 6.0)])
    np.testing.assert_array_equal(clip(square, 10, 10), square)


def test_a_polygon_is_cut_at_every_edge() -> None:
    large = np.array([(-5.0, -5.0), (20.0, -5.0), (20.0, 20.0), (-5.0, 20.0)])
    assert area(clip(large, 10, 8)) == pytest.approx(80)
    half = np.array([(5.0, 2.0), (15.0, 2.0), (15.0, 6.0), (5.0, 6.0)])
    assert area(clip(half, 10, 8)) == pytest.approx(20)
    assert len(clip(half + 100, 10, 8)) == 0


@given(arrays.arrays(np.float64, (7, 2), elements=st.floats(-1e6, 1e6)))
def test_whatever_is_cut_lies_inside(polygon: NDArray[np.float64]) -> None:
    inside = clip(polygon, 100, 60)
    assert (inside >= 0).all()
    assert (inside <= (100, 60)).all()


def test_outlines_of_a_face_lie_where_it_is() -> None:
    drawn = outlines(replace(drawing.portrait_view(), unseen={}), 512, 512)
    assert set(drawn) == {*ZONES, "face"}
    middles = {name: np.mean(polygon or [], axis=0) for name, polygon in drawn.items()}
    assert middles["cheek_right"][0] < middles["nose"][0] < middles["cheek_left"][0]
    assert middles["forehead"][1] < middles["nose"][1] < middles["chin"][1]
    x, y, width, height = drawing.portrait_faces().faces[0].box
    assert np.abs(middles["face"] - (x + width / 2, y + height / 2)).max() < 0.2 * width


def test_without_landmarks_there_are_no_outlines() -> None:
    view = drawing.portrait_view()
    assert set(outlines(replace(view, parts=None), 512, 512).values()) == {None}


# --- heat maps ------------------------------------------------------------------------------------------------------


def findings(heat: NDArray[np.uint8], wrinkles: NDArray[np.uint8]) -> tuple[Measured, LesionsAndWrinkles]:
    graded = Graded(50.0, dict.fromkeys(COLOUR_ZONES, 0.5), heat)
    learned = LesionsAndWrinkles([], 0.5, 1, "mild", None, dict.fromkeys(WRINKLE_ZONES, 0.5), heat, wrinkles)
    return Measured(graded, graded, graded, graded, None), learned


def all_skin(crop: Crop) -> FaceView:
    return FaceView(crop, None, np.ones((256, 256), np.bool_), dict.fromkeys(ZONES, "turned_away"), {})


def spot(size: int, x: float, y: float) -> NDArray[np.uint8]:
    """A bright square, 1/8 of the side wide, about a place in shares of the side."""
    heat = np.zeros((size, size), np.uint8)
    low_y, low_x = round((y - 1 / 16) * size), round((x - 1 / 16) * size)
    heat[low_y : low_y + size // 8, low_x : low_x + size // 8] = 255
    return heat


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_map_lies_on_the_photo_however_it_was_turned(degrees: int) -> None:
    upright, _, _ = drawing.portrait(512)
    photo = decode(drawing.png(np.rot90(upright, degrees // 90)))
    faces = drawing.reader().read(photo)
    assert faces.turned_degrees == degrees
    view = view_of(faces.crop)
    assert view.parts is not None
    nose = view.parts.zones["nose"].mean(axis=0) / 512
    measured, learned = findings(spot(128, *nose), spot(64, *nose))
    maps = heat_maps(view, measured, learned, CONCERNS, degrees)
    x, y, width, _ = maps.box
    outline = outlines(view, photo.width, photo.height)["nose"]
    assert outline is not None
    for name, heat in maps.pictures.items():
        assert heat is not None
        rows, columns = np.nonzero(heat > 100)
        scale = width / heat.shape[1]
        place = (x + scale * (columns.mean() + 0.5), y + scale * (rows.mean() + 0.5))
        assert np.abs(place - np.mean(outline, axis=0)).max() < 4, name


def test_a_map_shows_the_photo_and_no_padding() -> None:
    crop = replace(drawing.portrait_crop(), valid=(100, 0, 401, 512), to_photo=np.array([[2.0, 0, -200], [0, 2.0, 0]]))
    heat = np.zeros((128, 128), np.uint8)
    heat[:, 25:100] = 255
    measured, learned = findings(heat, np.zeros((64, 64), np.uint8))
    maps = heat_maps(all_skin(crop), measured, learned, CONCERNS, 0)
    assert maps.box == (0.0, 0.0, 602.0, 1024.0)
    redness = maps.pictures["redness"]
    assert redness is not None
    assert redness.shape == (MAP_SIZE, 75)
    assert redness.min() > 150


def test_what_is_no_skin_has_no_heat() -> None:
    everything = np.full((128, 128), 255, np.uint8)
    measured, learned = findings(everything, np.full((64, 64), 255, np.uint8))
    view = drawing.portrait_view()
    for name, heat in heat_maps(view, measured, learned, CONCERNS, 0).pictures.items():
        assert heat is not None
        assert heat[0, 0] == 0, name
        assert 0.1 < (heat > 0).mean() < 0.7, name


def test_a_concern_that_is_not_judged_has_no_map() -> None:
    measured, learned = findings(spot(128, 0.5, 0.5), spot(64, 0.5, 0.5))
    pictures = heat_maps(drawing.portrait_view(), measured, learned, ("acne", "shine"), 0).pictures
    assert [name for name in CONCERNS if pictures[name] is not None] == ["acne", "shine"]


def test_a_data_url_holds_the_same_grey_picture() -> None:
    heat = np.arange(256, dtype=np.uint8).reshape(8, 32)
    np.testing.assert_array_equal(grey_of(data_url(heat)), heat)
    np.testing.assert_array_equal(grey_of(data_url(np.rot90(heat))), np.rot90(heat))
