"""Redness rises with drawn lesions and flushes, not with light, tone, gloss, pigment or texture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bentos.skin.measure.redness import redness
from bentos.skin.photo.crop import Crop
from tests import drawing
from tests.unit.measure.faces import heat_of, painted, surface_of


def score_of(crop: Crop) -> float:
    score = redness(surface_of(crop)).score
    assert score is not None
    return score


def zones_of(crop: Crop) -> dict[str, float]:
    return {name: value for name, value in redness(surface_of(crop)).zones.items() if value is not None}


PLAIN = score_of(drawing.portrait_crop())


def drawn_score(draw: Callable[..., Any], strength: float) -> float:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength)
    return score_of(crop)


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush])
def test_more_red_scores_higher(draw: Callable[..., Any]) -> None:
    scores = [PLAIN, *(drawn_score(draw, strength) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 2)  # a strong flush comes near to 100


def test_more_lesions_score_higher() -> None:
    scores = []
    for count in (3, 6, 12):
        crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.lesions, count=count)
        scores.append(score_of(crop))

    assert PLAIN < scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("draw", [drawing.patches, drawing.wrinkles, drawing.shine, drawing.roughness])
def test_what_is_not_red_leaves_redness_alone(draw: Callable[..., Any]) -> None:
    assert drawn_score(draw, 1.0) == pytest.approx(PLAIN, abs=3)


def test_flushed_cheeks_are_told_from_the_chin() -> None:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.flush)
    before = zones_of(drawing.portrait_crop())
    after = zones_of(crop)

    assert after["cheek_left"] > before["cheek_left"] + 0.3
    assert after["cheek_right"] > before["cheek_right"] + 0.3
    assert after["chin"] <= before["chin"]  # the flush raises what counts as calm, if it changes the chin at all


def test_the_map_shows_where_the_lesions_are() -> None:
    crop, drawn = drawing.redrawn(drawing.portrait_crop(), drawing.lesions, strength=1.5)
    skin = drawing.portrait_view().skin
    heat = heat_of(redness(surface_of(crop)))
    before = heat_of(redness(surface_of(drawing.portrait_crop())))
    centres = ((drawn.boxes[:, :2] + drawn.boxes[:, 2:] / 2) / 2).astype(int)
    visible = [(x, y) for x, y in centres if skin[y - 3 : y + 4, x - 3 : x + 4].all()]

    assert len(visible) >= 6
    for x, y in visible:
        around = np.s_[y - 5 : y + 6, x - 5 : x + 6]
        assert heat[around].max() > max(0.3, before[around].max())


@pytest.mark.parametrize("exposure", [0.6, 0.8])
def test_dimmer_light_is_not_redder_skin(exposure: float) -> None:
    crop = drawing.portrait_crop()
    linear = drawing._linear(crop.pixels)
    dimmed = painted(drawing._bytes(linear * exposure), crop.landmarks)

    assert score_of(dimmed) == pytest.approx(PLAIN, abs=10)


def test_a_wholly_red_face_is_red_though_nothing_in_it_is_redder() -> None:
    crop = drawing.portrait_crop()
    light = drawing._linear(crop.pixels)
    red = painted(drawing._bytes(light * 10.0 ** -(2 * drawing.BLOOD)), crop.landmarks)

    assert score_of(red) > PLAIN + 30


def test_a_black_and_white_photo_has_no_redness() -> None:
    crop = drawing.portrait_crop()
    grey = np.asarray(Image.fromarray(crop.pixels).convert("L").convert("RGB"))

    graded = redness(surface_of(painted(grey, crop.landmarks)))

    assert graded.score == 0  # the view of such a photo has a reason, so it is not asked
    assert graded.heat.max() == 0
