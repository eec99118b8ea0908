"""Texture: the roughness of the skin, as contrast at the scales of pores, bumps and fine lines.

Contrast is that of the red channel's optical density: a ratio of light, so that bright and dim skin are alike, and
hardly affected by blood, so that redness is not counted again.
"""

from itertools import pairwise

import numpy as np

from bentos.skin.filters import box_mean, downsample, gaussian, masked_gaussian
from bentos.skin.findings import Graded
from bentos.skin.measure.surface import (
    MIN_SKIN_PIXELS,
    STEP,
    Curve,
    Surface,
    eroded,
    grade,
    ramp,
    surroundings,
    unmeasured,
)

SIGMAS = (1.0, 2.0, 4.0)  # crop px; differences of neighbours are the bands
SMOOTH = 4.0  # map px, over which contrast is taken
START, FULL = 0.5, 6.0  # contrast, as a hundredth of optical density, it counts from the first, fully from the second
LIMIT = 10.0  # the maximum of one pixel: a stray hair is no texture
LIGHTNESS_MIN = 25.0  # L*; contrast in the dark is the camera's noise
BROAD, HAIR = 12.0, 14.0  # map px, and density above that of surroundings of such width from which a pixel shows hair
MARGIN = 9  # map px; the square around a pixel that must be free of hair and borders
CURVE = Curve(0.0456, 0.427)  # 5th and 95th percentile of 535 faces of ACNE04 train and wrinkles train


def texture(surface: Surface) -> Graded:
    """Roughness of the skin."""
    where = eroded(surface.skin & (surface.lab[..., 0] > LIGHTNESS_MIN), MARGIN)
    if np.count_nonzero(where) < MIN_SKIN_PIXELS:
        return unmeasured()
    levels = [gaussian(surface.density, sigma) for sigma in SIGMAS]
    coarse = downsample(levels[-1], STEP)
    hair = coarse - surroundings(coarse, where, BROAD) > HAIR
    clear = where & ~(box_mean(hair.astype(np.float32), MARGIN) > 0)
    if np.count_nonzero(clear) >= MIN_SKIN_PIXELS:
        where = clear
    energy = np.zeros_like(surface.density)
    for fine, broad in pairwise(levels):
        energy += np.square(np.clip(fine - broad, -LIMIT, LIMIT))
    contrast = np.sqrt(masked_gaussian(downsample(energy, STEP), where, SMOOTH))
    degree = ramp(contrast, START, FULL) * where
    return grade(degree, where, surface, CURVE)
