"""Pigmentation: patches browner and darker than the skin around them.

Melanin darkens all channels, blue most; blood hardly darkens red (Takiwaki, Measurement of skin color, 1998). The
optical density of the red channel is therefore an index of melanin that lesions and flushes do not affect. Shading
affects it too, but changes slowly over the face, or is as narrow as a wrinkle: a band of scales in between is kept.
"""

import numpy as np

from bentos.skin.filters import downsample, masked_gaussian
from bentos.skin.findings import Graded
from bentos.skin.measure.surface import (
    DENSITY,
    MIN_SKIN_PIXELS,
    STEP,
    Curve,
    Surface,
    grade,
    ramp,
    surroundings,
    unmeasured,
)

FINE, BROAD = 2.5, 11.0  # px; patches between pores and the shape of the face
START, FULL = 1.5, 9.0  # density above that of the surroundings: a patch counts from the first, fully from the second
# Increase of blue's density beyond red's, over red's increase. Melanin absorbs as wavelength^-3.33 (Jacques, Skin
# optics, Oregon Medical Laser Center News, 1998), about 1.5 of it; shade makes 0, and up to 0.7 where gloss ends.
BROWNER = (0.7, 1.4)
GLOSS = 6.0  # density below that of the surroundings from which a pixel is a highlight
SHADE = 0.05  # weight of a dark patch that is not brown; black and white photos have no other
CURVE = Curve(0.0019, 0.046)  # 5th and 99th percentile of 493 faces of ACNE04 and wrinkles train; the 95th is shade


def pigmentation(surface: Surface) -> Graded:
    """Pigmented patches."""
    where = surface.inner
    if np.count_nonzero(where) < MIN_SKIN_PIXELS:
        return unmeasured()
    red = downsample(surface.density, STEP)
    brown = downsample(DENSITY[surface.pixels[..., 2]], STEP) - red
    dark = masked_gaussian(red, where, FINE)
    # Skin between highlights looks dark, so pixels much brighter than their surroundings do not count as surroundings.
    dull = where & (dark > surroundings(red, where, BROAD) - GLOSS)
    darker = dark - surroundings(red, dull, BROAD)
    browner = masked_gaussian(brown, where, FINE) - surroundings(brown, dull, BROAD)
    pigment = ramp(browner / np.maximum(darker, START), *BROWNER)
    degree = ramp(darker, START, FULL) * (SHADE + (1 - SHADE) * pigment) * where
    return grade(degree, where, surface, CURVE)
