"""Pigmentation rises with brown patches, not with blood, gloss or fine texture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentos.skin.measure.pigmentation import pigmentation
from bentos.skin.measure.surface import BORDER, eroded
from bentos.skin.photo.crop import Crop
from tests import drawing
from tests.unit.measure.faces import heat_of, surface_of


def score_of(crop: Crop) -> float:
    score = pigmentation(surface_of(crop)).score
    assert score is not None
    return score


def zones_of(crop: Crop) -> dict[str, float]:
    return {name: value for name, value in pigmentation(surface_of(crop)).zones.items() if value is not None}


PLAIN = score_of(drawing.portrait_crop())


def drawn_score(draw: Callable[..., Any], strength: float, seed: int | None = None) -> float:
    options = {} if seed is None else {"seed": seed}
    crop, _ = drawing.redrawn(drawing.portrait_crop(), draw, strength=strength, **options)
    return score_of(crop)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_darker_patches_score_higher(seed: int) -> None:
    scores = [PLAIN, *(drawn_score(drawing.patches, strength, seed) for strength in (0.5, 1.0, 2.0))]

    assert all(np.diff(scores) > 0.5)
    assert scores[-1] > PLAIN + 10


@pytest.mark.parametrize("draw", [drawing.lesions, drawing.flush, drawing.wrinkles, drawing.shine, drawing.roughness])
def test_what_is_not_brown_leaves_pigmentation_alone(draw: Callable[..., Any]) -> None:
    brown = drawn_score(drawing.patches, 1.0) - PLAIN

    assert abs(drawn_score(draw, 1.0) - PLAIN) < (0.6 if draw is drawing.flush else 0.4) * brown


def test_the_map_shows_the_patches() -> None:
    crop, drawn = drawing.redrawn(drawing.portrait_crop(), drawing.patches, strength=2.0, seed=1)
    inner = eroded(drawing.portrait_view().skin, BORDER)
    gain = heat_of(pigmentation(surface_of(crop))) - heat_of(pigmentation(surface_of(drawing.portrait_crop())))
    centres = ((drawn.boxes[:, :2] + drawn.boxes[:, 2:] / 2) / 2).astype(int)
    gains = [gain[y, x] for x, y in centres if inner[y, x]]

    assert len(gains) >= 2
    assert sorted(gains)[1] > 0.25  # one lies in the shade of the other side


def test_patches_on_the_cheeks_are_told_from_the_chin() -> None:
    crop, _ = drawing.redrawn(drawing.portrait_crop(), drawing.patches, strength=2.0)
    before = zones_of(drawing.portrait_crop())
    after = zones_of(crop)

    assert after["cheek_right"] > before["cheek_right"] + 0.1
    assert after["chin"] == pytest.approx(before["chin"], abs=0.1)
