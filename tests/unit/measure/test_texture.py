"""Texture rises with drawn pores and lines, and hardly with colour."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bentos.skin.measure.surface import prepare
from bentos.skin.measure.texture import texture
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.face_parts import raster
from tests import drawing
from tests.unit.measure.faces import painted, surface_of


def score_of(crop: Crop) -> float:
    score = texture(surface_of(crop)).score
    assert score is not None
    return score


def zones_of(crop: Crop) -> dict[str, float]:
    return {name: value for name, value in texture(surface_of(crop)).zones.items() if value is not None}


PLAIN = score_of(drawing.portrait_crop())


def drawn_score(draw: Callable[..., Any], strength: float) -> float:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength)
    return score_of(crop)


def test_rougher_skin_scores_higher() -> None:
    scores = [PLAIN, *(drawn_score(drawing.roughness, strength) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 2)


def test_wrinkles_on_the_forehead_are_texture() -> None:
    scores = []
    for strength in (0.0, 1.0, 2.0):
        crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.wrinkles, strength=strength)
        view = drawing.portrait_view()
        assert view.parts is not None
        skin = view.skin | raster([(view.parts.zones["forehead"], 0.0)], 256, 0.5)  # had she no fringe
        scores.append(texture(prepare(replace(view, crop=crop, skin=skin, unseen={}))).zones["forehead"] or 0.0)

    assert all(np.diff(scores) > 0.01)


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush, drawing.shine])
def test_colour_leaves_texture_alone(draw: Callable[..., Any]) -> None:
    assert drawn_score(draw, 1.0) == pytest.approx(PLAIN, abs=4)


def test_patches_count_by_their_borders_only() -> None:
    assert drawn_score(drawing.patches, 1.0) == pytest.approx(PLAIN, abs=10)


def test_a_rough_chin_is_told_from_the_cheeks() -> None:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.roughness, strength=2.0, zones=("chin",))
    before = zones_of(drawing.portrait_crop())
    after = zones_of(crop)

    assert after["chin"] > before["chin"] + 0.3
    assert after["cheek_left"] == pytest.approx(before["cheek_left"], abs=0.1)


def test_smooth_skin_has_no_texture() -> None:
    crop = drawing.portrait_crop()
    smooth = np.full_like(crop.pixels, (205, 160, 135))

    assert score_of(painted(smooth, crop.landmarks)) == 0
