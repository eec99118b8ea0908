"""Shine: the share of light that the skin's surface mirrors instead of colouring it.

Light from the surface keeps the lamp's colour, light from below it takes the skin's (Shafer, Using color to separate
reflection components, 1985). A highlight is therefore brighter and paler than the skin around it.
"""

import numpy as np

from bentos.skin.findings import Graded
from bentos.skin.measure.filters import gaussian
from bentos.skin.measure.surface import ENOUGH, Curve, Map, Surface, grade, ramp, surroundings

BROAD = 28.0
BRIGHTER = (4.0, 18.0)  # L* above the face's median where a highlight begins and where it is full
PALER = (0.05, 0.5)  # loss of chroma, as a share of the face's median, where it begins and where it is full
COLOURLESS = 4.0  # chroma at L* 65 below which a photo is black and white, and paleness says nothing
SMOOTH = 1.0  # px
CURVE = Curve(0.039, 0.166)


def shine(surface: Surface) -> tuple[Graded, Map]:
    """How much the skin shines, and where.

    Returns:
        The grade; a zone that shows too little skin takes the whole face's value.
        float32 (256, 256), 0..1, 0 outside the skin.
    """
    lightness, a, b = gaussian(np.ascontiguousarray(np.moveaxis(surface.lab, -1, 0)), SMOOTH)
    skin = surface.skin
    if np.count_nonzero(skin) < ENOUGH:
        return grade(np.zeros_like(a), skin, surface, CURVE), np.zeros_like(a)
    chroma = np.hypot(a, b) * (np.float32(81) / (np.maximum(lightness, 15) + 16))
    usual = float(np.median(chroma[skin]))
    brighter = ramp(lightness - surroundings(lightness, skin, BROAD), *BRIGHTER)
    paler = ramp(1 - chroma / max(usual, COLOURLESS), *PALER) if usual > COLOURLESS else np.full_like(a, 0.5)
    degree = np.sqrt(brighter * paler) * skin
    return grade(degree, skin, surface, CURVE), degree
