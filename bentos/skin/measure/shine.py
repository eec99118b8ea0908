"""Shine: specular reflection of the lamp on the skin.

Light from the surface keeps the lamp's colour, light from below it takes the skin's (Shafer, Using color to separate
reflection components, 1985). A highlight is therefore brighter and less yellow than the skin around it. b* is scaled
to one lightness, as in `redness`, so that strong light alone is no shine; and chroma is b* alone, which blood hardly
affects.
"""

import numpy as np

from bentos.skin.filters import gaussian
from bentos.skin.findings import Graded
from bentos.skin.measure.surface import MIN_SKIN_PIXELS, Curve, Surface, grade, ramp, surroundings, unmeasured

BROAD = 28.0  # px; wider than a highlight, narrower than the face
BRIGHTER = (1.0, 8.0)  # L* above the surroundings: a highlight from the first, a full one from the second
PALER = (0.1, 0.6)  # loss of b*, as a share of the face's usual: shine from the first, fully from the second
USUAL = 60.0  # percentile of b* taken as usual: the median of a shiny face is pale already
COLOURLESS = 4.0  # b* below which a photo is black and white, and paleness means nothing
LIGHTNESS_MIN = 15.0  # below it b* is noise
SMOOTH = 1.0  # px
CURVE = Curve(0.0336, 0.238)  # 5th and 95th percentile of 528 faces of ACNE04 train and wrinkles train


def shine(surface: Surface) -> Graded:
    """Shine of the skin."""
    skin = surface.skin
    if np.count_nonzero(skin) < MIN_SKIN_PIXELS:
        return unmeasured()
    lightness, b = gaussian(np.ascontiguousarray(np.moveaxis(surface.lab[..., ::2], -1, 0)), SMOOTH)
    excess = lightness - surroundings(lightness, skin, BROAD)
    yellow = b * (np.float32(81) / (np.maximum(lightness, np.float32(LIGHTNESS_MIN)) + np.float32(16)))
    usual = float(np.percentile(yellow[skin], USUAL))
    if usual <= COLOURLESS:
        return unmeasured()
    degree = ramp(excess, *BRIGHTER) * ramp(1 - yellow / np.float32(usual), *PALER) * skin
    return grade(degree, skin, surface, CURVE)
