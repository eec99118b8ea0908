"""Pigmentation: patches browner and darker than the skin around them.

Melanin darkens all channels, blue most; blood hardly darkens red (Takiwaki, Measurement of skin color, 1998). The
optical density of the red channel is therefore an index of melanin that lesions and flushes leave alone. Shading moves
it too, but changes slowly over the face, or is as narrow as a wrinkle: a band of scales in between is kept.
"""

import numpy as np

from bentos.skin.findings import Graded
from bentos.skin.measure.colour import LINEAR
from bentos.skin.measure.filters import downsample, masked_gaussian
from bentos.skin.measure.surface import ENOUGH, STEP, Curve, Map, Surface, grade, ramp, surroundings

FLOOR = 0.01  # linear reflectance added, so that the dark does not weigh more than the light
DENSITY = (-100 * np.log10(LINEAR + FLOOR)).astype(np.float32)  # by 8-bit code; 30 is half the light
FINE, BROAD = 2.5, 11.0  # px; patches between pores and the shape of the face
START, FULL = 1.5, 9.0
BROWN = (0.1, 0.5)
SHADE = 0.2
CURVE = Curve(0.023, 0.12)


def pigmentation(surface: Surface) -> tuple[Graded, Map]:
    """How patchy the pigment is, and where.

    Returns:
        The grade; a zone that shows too little skin takes the whole face's value.
        float32 (256, 256), 0..1, 0 outside the skin.
    """
    where = surface.inner
    red, blue = downsample(DENSITY[surface.pixels[..., ::2]].transpose(2, 0, 1), STEP)
    if np.count_nonzero(where) < ENOUGH:
        return grade(np.zeros_like(red), where, surface, CURVE), np.zeros_like(red)
    darker = masked_gaussian(red, where, FINE) - surroundings(red, where, BROAD)
    browner = masked_gaussian(blue - red, where, FINE) - surroundings(blue - red, where, BROAD)
    brown = ramp(browner / np.maximum(darker, START), *BROWN)
    degree = ramp(darker, START, FULL) * (SHADE + (1 - SHADE) * brown) * where
    return grade(degree, where, surface, CURVE), degree
