"""Texture: how rough the skin is, as contrast at the scales of pores, bumps and fine lines."""

from itertools import pairwise

import numpy as np

from bentos.skin.findings import Graded
from bentos.skin.measure.filters import box_mean, downsample, gaussian, masked_gaussian
from bentos.skin.measure.pigmentation import DENSITY
from bentos.skin.measure.surface import ENOUGH, STEP, Curve, Map, Surface, eroded, grade, ramp, surroundings

SIGMAS = (1.0, 2.0, 4.0)  # crop px; differences of neighbours are the bands
SMOOTH = 4.0  # map px, over which contrast is taken
START, FULL = 0.5, 6.0
LIGHTNESS_MIN = 25.0
BROAD = 12.0
HAIR = 14.0
LIMIT = 10.0
CURVE = Curve(0.05, 0.44)


def texture(surface: Surface) -> tuple[Graded, Map]:
    """How rough the skin is, and where.

    Returns:
        The grade; a zone that shows too little skin takes the whole face's value.
        float32 (256, 256), 0..1, 0 outside the skin.
    """
    where = eroded(surface.skin & (surface.lab[..., 0] > LIGHTNESS_MIN), 9)
    nothing = np.zeros(where.shape, np.float32)
    if np.count_nonzero(where) < ENOUGH:
        return grade(nothing, where, surface, CURVE), nothing
    density = DENSITY[surface.pixels[..., 0]]
    levels = [gaussian(density, sigma) for sigma in SIGMAS]
    coarse = downsample(levels[-1], STEP)
    hair = coarse - surroundings(coarse, where, BROAD) > HAIR
    where &= ~(box_mean(hair.astype(np.float32), 9) > 0)
    if np.count_nonzero(where) < ENOUGH:
        return grade(nothing, where, surface, CURVE), nothing
    energy = np.zeros_like(density)
    for fine, broad in pairwise(levels):
        energy += np.square(np.clip(fine - broad, -LIMIT, LIMIT))
    contrast = np.sqrt(masked_gaussian(downsample(energy, STEP), where, SMOOTH))
    degree = ramp(contrast, START, FULL) * where
    return grade(degree, where, surface, CURVE), degree
