"""Texture: how rough the skin is, as contrast at the scales of pores, bumps and fine lines."""

import numpy as np

from bentos.skin.findings import Graded
from bentos.skin.measure.filters import downsample, gaussian
from bentos.skin.measure.pigmentation import DENSITY
from bentos.skin.measure.surface import ENOUGH, STEP, Curve, Map, Surface, eroded, grade, ramp

SIGMAS = (1.0, 2.0, 4.0)  # crop px; differences of neighbours are the bands
SMOOTH = 4.0  # map px, over which contrast is taken
START, FULL = 0.5, 6.0
CURVE = Curve(0.05, 0.4)


def texture(surface: Surface) -> tuple[Graded, Map]:
    """How rough the skin is, and where.

    Returns:
        The grade; a zone that shows too little skin takes the whole face's value.
        float32 (256, 256), 0..1, 0 outside the skin.
    """
    where = eroded(surface.skin, 11)
    if np.count_nonzero(where) < ENOUGH:
        nothing = np.zeros(where.shape, np.float32)
        return grade(nothing, where, surface, CURVE), nothing
    density = DENSITY[surface.pixels[..., 0]]
    levels = [gaussian(density, sigma) for sigma in SIGMAS]
    energy = sum(np.square(np.clip(fine - coarse, -10, 10)) for fine, coarse in zip(levels, levels[1:], strict=False))
    contrast = np.sqrt(gaussian(downsample(energy, STEP), SMOOTH))
    degree = ramp(contrast, START, FULL) * where
    return grade(degree, where, surface, CURVE), degree
