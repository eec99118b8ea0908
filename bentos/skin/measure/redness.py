"""Redness: how much redder a face is than its own calm skin, or than the calm skin of other faces.

For one colour under stronger or weaker light X, Y and Z keep their ratios, so that a* and b* are in proportion to
L* + 16: they are compared after scaling to one lightness. Melanin, warm light and the absence of gloss raise a* and b*
together; blood raises a* alone (Stamatas et al., Pigment Cell Research, 2004). Redness is a* beyond what goes with b*.
"""

import numpy as np

from bentos.skin.filters import gaussian
from bentos.skin.findings import Graded
from bentos.skin.measure.surface import MIN_SKIN_PIXELS, Curve, Surface, grade, ramp, unmeasured

REFERENCE_LIGHTNESS = 65.0  # L* to which a* and b* are scaled
LIGHTNESS_MIN = 15.0  # below it a* is noise
# a* per b* is the face's own, within limits: a wholly red face must not be its own reference.
SLOPES = (0.5, 0.7)
CALM_PERCENTILE = 30.0  # of the face's redness: its calm skin, as long as a flush leaves that share free
# Ninetieth percentile of that over 565 training faces: a higher value is red, however even it is.
CALM_LIMIT = 6.8
START, FULL = 3.0, 14.0  # excess: it counts from the first, fully from the second
SHADOW = (-40.0, -15.0)  # L* from the face's median; between them redness fades out, because shadows are reddish
PALE = 0.7  # of the face's b*: skin that is paler and brighter than the median is gloss, and does not count
SMOOTH = 1.0  # px; JPEG keeps colour at half resolution
CURVE = Curve(0.0135, 0.278)  # 5th and 95th percentile of 535 faces of ACNE04 train and wrinkles train


def redness(surface: Surface) -> Graded:
    """Redness of the skin."""
    skin, lightness = surface.skin, surface.lab[..., 0]
    if np.count_nonzero(skin) < MIN_SKIN_PIXELS:
        return unmeasured()
    scale = np.float32(REFERENCE_LIGHTNESS + 16) / (np.maximum(lightness, np.float32(LIGHTNESS_MIN)) + np.float32(16))
    a, b = gaussian(np.stack([surface.lab[..., 1] * scale, surface.lab[..., 2] * scale]), SMOOTH)
    usual_light, usual_a, usual_b = (float(np.median(channel[skin])) for channel in (lightness, a, b))
    slope = float(np.clip(usual_a / usual_b, *SLOPES)) if usual_b > 1 else SLOPES[1]
    index = a - np.float32(slope) * b
    matte = skin & ~((lightness > usual_light) & (b < PALE * usual_b))
    if not matte.any():
        matte = skin
    calm = min(float(np.percentile(index[matte], CALM_PERCENTILE)), CALM_LIMIT)
    lit = ramp(lightness - np.float32(usual_light), *SHADOW)
    degree = ramp(index - np.float32(calm), START, FULL) * lit * matte
    return grade(degree, skin, surface, CURVE)
