"""Pigmentation rises with brown patches, not with blood, gloss or fine texture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentos.skin.measure.pigmentation import pigmentation
from tests import drawing
from tests.unit.measure.faces import surface_of

PLAIN = pigmentation(surface_of(drawing.portrait_crop()))[0].score


def drawn_score(draw: Callable[..., Any], strength: float, seed: int | None = None) -> float:
    options = {} if seed is None else {"seed": seed}
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength, **options)
    return pigmentation(surface_of(crop))[0].score


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_darker_patches_score_higher(seed: int) -> None:
    scores = [PLAIN, *(drawn_score(drawing.patches, strength, seed) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 0.5)
    assert scores[-1] > PLAIN + 10


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush, drawing.wrinkles, drawing.shine, drawing.roughness])
def test_what_is_not_brown_leaves_pigmentation_alone(draw: Callable[..., Any]) -> None:
    assert drawn_score(draw, 1.0) == pytest.approx(PLAIN, abs=6)


def test_the_map_shows_the_patches() -> None:
    crop, drawn = drawing.redrawn(drawing.portrait_crop(), drawing.patches, strength=2.0, seed=1)
    surface = surface_of(crop)
    gain = pigmentation(surface)[1] - pigmentation(surface_of(drawing.portrait_crop()))[1]
    centres = ((drawn.boxes[:, :2] + drawn.boxes[:, 2:] / 2) / 2).astype(int)
    gains = [gain[y, x] for x, y in centres if surface.inner[y, x]]

    assert len(gains) >= 2
    assert min(gains) > 0.1


def test_patches_on_the_cheeks_are_told_from_the_chin() -> None:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.patches, strength=2.0)
    before = pigmentation(surface_of(drawing.portrait_crop()))[0].zones
    after = pigmentation(surface_of(crop))[0].zones

    assert after["cheek_right"] > before["cheek_right"] + 0.1
    assert after["chin"] == pytest.approx(before["chin"], abs=0.1)
