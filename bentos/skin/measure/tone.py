"""Skin tone: the individual typology angle of well-lit skin."""

import numpy as np

from bentos.skin.findings import Tone
from bentos.skin.measure.colour import ita_degrees
from bentos.skin.measure.surface import MIN_SKIN_PIXELS, Map, Mask

CUT_OFFS = (55.0, 41.0, 28.0, 10.0, -30.0)  # degrees; Chardon et al. 1991, Del Bino and Bernerd, Br J Dermatol 2013
GROUPS = ("very_light", "light", "intermediate", "tan", "brown", "dark")
DARK, BRIGHT = 30.0, 90.0  # percentiles of L*: shadow below, highlights above
COLOURLESS = 3.0  # b* below which the photo is black and white or lit in blue, and the angle means nothing
CLIPPED = 97.0  # L* from which the sensor is saturated


def tone(lab: Map, skin: Mask, exposure: float = 1.0) -> Tone | None:
    """Typology angle and group of the skin, by the uncalibrated colours of the photo.

    A photo that is too dim or too bright, by the whites of the eyes, is corrected: XYZ are multiplied, so that L* + 16,
    a* and b* are by the cube root (CIE 15, above the knee).

    Args:
        lab: float32 (height, width, 3), CIELAB.
        skin: bool (height, width).
        exposure: what linear light is multiplied by.

    Returns:
        None where the photo shows too little skin, or no colour.
    """
    colours = lab[skin & (lab[..., 0] < CLIPPED)]
    if len(colours) < MIN_SKIN_PIXELS:
        return None
    lightness = colours[:, 0]
    low, high = np.percentile(lightness, (DARK, BRIGHT))
    lit = colours[(lightness >= low) & (lightness <= high)]
    yellow = float(np.median(lit[:, 2]))
    if yellow < COLOURLESS:
        return None
    root = exposure ** (1 / 3)
    angle = float(ita_degrees((np.median(lit[:, 0]) + 16) * root - 16, yellow * root))
    return Tone(angle, group_of(angle))


def group_of(angle: float) -> str:
    """Group of a typology angle in degrees; a limit belongs to the darker group."""
    return GROUPS[sum(angle <= limit for limit in CUT_OFFS)]
