"""Texture rises with drawn pores and lines, and hardly with colour."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentos.skin.measure.texture import texture
from tests import drawing
from tests.unit.measure.faces import painted, surface_of

PLAIN = texture(surface_of(drawing.portrait_crop()))[0].score


def drawn_score(draw: Callable[..., Any], strength: float) -> float:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength)
    return texture(surface_of(crop))[0].score


@pytest.mark.parametrize("draw", [drawing.roughness, drawing.wrinkles])
def test_rougher_skin_scores_higher(draw: Callable[..., Any]) -> None:
    scores = [PLAIN, *(drawn_score(draw, strength) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 2)


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush, drawing.shine])
def test_colour_leaves_texture_alone(draw: Callable[..., Any]) -> None:
    assert drawn_score(draw, 1.0) == pytest.approx(PLAIN, abs=4)


def test_patches_count_by_their_borders_only() -> None:
    assert drawn_score(drawing.patches, 1.0) == pytest.approx(PLAIN, abs=10)


def test_a_rough_chin_is_told_from_the_cheeks() -> None:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.roughness, strength=2.0, zones=("chin",))
    before = texture(surface_of(drawing.portrait_crop()))[0].zones
    after = texture(surface_of(crop))[0].zones

    assert after["chin"] > before["chin"] + 0.3
    assert after["cheek_left"] == pytest.approx(before["cheek_left"], abs=0.1)


def test_smooth_skin_has_no_texture() -> None:
    crop = drawing.portrait_crop()
    smooth = np.full_like(crop.pixels, (205, 160, 135))

    assert texture(surface_of(painted(smooth, crop.keypoints)))[0].score == 0
