"""Redness: how much redder than itself, or than any skin of its tone, a face is.

a* falls and rises with the light: for one colour under stronger or weaker light X, Y and Z keep their ratios, so that
a* is in proportion to L* + 16. a* / (L* + 16), scaled to a reference lightness, is therefore what is compared.
"""

import numpy as np

from bentos.skin.findings import Graded
from bentos.skin.measure.filters import gaussian
from bentos.skin.measure.surface import ENOUGH, Curve, Map, Surface, grade, ramp

REFERENCE_LIGHTNESS = 65.0  # L* to which a* and b* are scaled
LIGHTNESS_MIN = 15.0  # below it a* is noise
CALM_PERCENTILE = 30.0  # of the face's own a*: its calm skin, as long as a flush spares that much of it
# Redder than nine in ten faces of that yellowness: no calm skin, whatever the rest of the face looks like.
PER_B = 0.6
CALM_LIMIT = 6.8
START, FULL = 3.0, 14.0  # excess of a* where it begins to count and where it counts full
SHADOW = (-40.0, -15.0)
SMOOTH = 1.0  # px; JPEG keeps colour at half resolution
CURVE = Curve(0.015, 0.31)


def redness(surface: Surface) -> tuple[Graded, Map]:
    """How red the skin is, and where.

    Returns:
        The grade; a zone that shows too little skin takes the whole face's value.
        float32 (256, 256), 0..1, 0 outside the skin.
    """
    light = np.maximum(surface.lab[..., 0], np.float32(LIGHTNESS_MIN)) + np.float32(16)
    scale = np.float32(REFERENCE_LIGHTNESS + 16) / light
    a, b = gaussian(np.stack([surface.lab[..., 1] * scale, surface.lab[..., 2] * scale]), SMOOTH)
    skin = surface.skin
    if np.count_nonzero(skin) < ENOUGH:
        return grade(np.zeros_like(a), skin, surface, CURVE), np.zeros_like(a)
    index = a - np.float32(PER_B) * b
    calm = min(float(np.percentile(index[skin], CALM_PERCENTILE)), CALM_LIMIT)
    lit = ramp(surface.lab[..., 0] - np.float32(np.median(surface.lab[..., 0][skin])), *SHADOW)
    degree = ramp(index - np.float32(calm), START, FULL) * lit * skin
    return grade(degree, skin, surface, CURVE), degree
