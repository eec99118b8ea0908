"""Tone: groups by the typology angle, of patches drawn from CIELAB."""

import numpy as np
import pytest

from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.tone import group_of, tone
from tests import drawing
from tests.unit.measure.faces import flat, surface_of

EVERYWHERE = np.ones((256, 256), dtype=bool)


def patch(angle: float, b: float = 18.0) -> np.ndarray:
    """CIELAB, as read back from 8-bit sRGB, of skin with this typology angle."""
    return reduced_lab(flat(50 + b * np.tan(np.radians(angle)), 11.0, b), 2)


@pytest.mark.parametrize(
    ("angle", "group"),
    [(62, "very_light"), (48, "light"), (35, "intermediate"), (19, "tan"), (-10, "brown"), (-45, "dark")],
)
def test_each_group_is_recognised(angle: float, group: str) -> None:
    result = tone(patch(angle), EVERYWHERE)

    assert result is not None
    assert result.group == group
    assert result.ita_degrees == pytest.approx(angle, abs=1.5)


@pytest.mark.parametrize(
    ("limit", "above", "below"),
    [
        (55, "very_light", "light"),
        (41, "light", "intermediate"),
        (28, "intermediate", "tan"),
        (10, "tan", "brown"),
        (-30, "brown", "dark"),
    ],
)
def test_the_cut_offs_are_those_of_the_literature(limit: float, above: str, below: str) -> None:
    assert group_of(limit + 0.01) == above
    assert group_of(limit) == below


def test_shadow_and_highlights_do_not_decide() -> None:
    lab = patch(35)
    lab[:140] *= np.linspace(0.3, 0.7, 140, dtype=np.float32)[:, None, None]  # more than half the face
    lab[240:] = (99, 0, 2)

    result = tone(lab, EVERYWHERE)

    assert result is not None
    assert result.ita_degrees == pytest.approx(35, abs=3)


def test_only_skin_counts() -> None:
    lab = patch(35)
    lab[:, 128:] = patch(-45)[:, 128:]
    left = EVERYWHERE.copy()
    left[:, 128:] = False

    result = tone(lab, left)

    assert result is not None
    assert result.group == "intermediate"


def test_too_little_skin_has_no_tone() -> None:
    few = np.zeros((256, 256), dtype=bool)
    few[:10, :19] = True

    assert tone(patch(35), few) is None


def test_a_photo_without_colour_has_no_tone() -> None:
    assert tone(reduced_lab(flat(60, 0, 0), 2), EVERYWHERE) is None


def test_the_portrait_is_of_light_skin() -> None:
    surface = surface_of(drawing.portrait_crop())

    result = tone(surface.lab, surface.skin)

    assert result is not None
    assert result.group in ("very_light", "light")
