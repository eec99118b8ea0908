"""Shine rises with drawn highlights, not with blood, pigment or texture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bentos.skin.measure.shine import shine
from bentos.skin.photo.crop import Crop
from tests import drawing
from tests.unit.measure.faces import heat_of, painted, surface_of


def score_of(crop: Crop) -> float:
    score = shine(surface_of(crop)).score
    assert score is not None
    return score


PLAIN = score_of(drawing.portrait_crop())


def drawn_score(draw: Callable[..., Any], strength: float) -> float:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength)
    return score_of(crop)


def test_more_gloss_scores_higher() -> None:
    scores = [PLAIN, *(drawn_score(drawing.shine, strength) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 1)
    assert scores[-1] > PLAIN + 8


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush, drawing.patches, drawing.wrinkles, drawing.roughness])
def test_what_does_not_glisten_leaves_shine_alone(draw: Callable[..., Any]) -> None:
    assert PLAIN - 20 < drawn_score(draw, 1.0) < PLAIN + 4  # lesions and flushes cover highlights


def test_the_map_shows_the_highlight_on_the_cheek() -> None:
    crop, drawn = drawing.redrawn(drawing.portrait_crop(), drawing.shine, strength=2.0)
    gain = heat_of(shine(surface_of(crop))) - heat_of(shine(surface_of(drawing.portrait_crop())))
    x, y, width, height = drawn.boxes[4] / 2

    assert gain[int(y + height / 2), int(x + width / 2)] > 0.3


def test_a_matte_and_even_face_does_not_shine() -> None:
    crop = drawing.portrait_crop()
    even = np.full_like(crop.pixels, (205, 160, 135))

    assert score_of(painted(even, crop.landmarks)) == 0


def test_a_black_and_white_photo_has_no_shine() -> None:
    crop = drawing.portrait_crop()
    grey = np.asarray(Image.fromarray(crop.pixels).convert("L").convert("RGB"))

    assert shine(surface_of(painted(grey, crop.landmarks))).score is None
