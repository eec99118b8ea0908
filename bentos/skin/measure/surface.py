"""What every measurement looks at: the crop's colour, skin and zones; and how a map becomes a score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import COLOUR_ZONES, Graded
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.filters import box_mean
from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop

STEP = 2  # crop pixels per map pixel; colour, unlike texture, has no detail below that
SIZE = CROP_SIZE // STEP
ENOUGH = 200  # map pixels of skin (0.3 %) without which nothing is said
ENOUGH_IN_ZONE = 60  # map pixels
ENOUGH_OF_ZONE = 0.2  # share of the zone that must show skin

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Surface:
    """A crop made ready to be measured.

    Attributes:
        pixels: uint8 (512, 512, 3), sRGB.
        lab: float32 (256, 256, 3), CIELAB.
        skin: bool (256, 256).
        inner: bool (256, 256), skin away from its borders, where hair, brows and lips would be measured too.
        zones: COLOUR_ZONES → bool (256, 256), what the zone shows, skin or not.
    """

    pixels: NDArray[np.uint8]
    lab: Map
    skin: Mask
    inner: Mask
    zones: dict[str, Mask]


@dataclass(frozen=True, slots=True)
class Curve:
    """Raw measure → 0..1, smooth, rising and saturating: a Weibull distribution through two points.

    Attributes:
        low: raw measure that scores 0.05.
        high: raw measure that scores 0.85.
    """

    low: float
    high: float

    def __call__(self, raw: float) -> float:
        """0..1 for a raw measure from 0."""
        at_low, at_high = -np.log(1 - 0.05), -np.log(1 - 0.85)
        shape = np.log(at_high / at_low) / np.log(self.high / self.low)
        return float(-np.expm1(-at_high * (max(raw, 0.0) / self.high) ** shape))


def prepare(crop: Crop, skin: Mask) -> Surface:
    """Colour and masks of a crop, at the size of the maps.

    Args:
        crop: the crop.
        skin: bool (512, 512), from `photo.skin.skin_mask`.
    """
    marks = zones.masks(crop)
    coarse = halved(skin)
    return Surface(
        pixels=crop.pixels,
        lab=reduced_lab(crop.pixels, STEP),
        skin=coarse,
        inner=eroded(coarse, 7),
        zones={name: marks[name][::STEP, ::STEP] for name in COLOUR_ZONES},
    )


def grade(degree: Map, where: Mask, surface: Surface, curve: Curve) -> Graded:
    """Score of a map: its mean over the skin, whole and by zone, on the curve.

    A zone that shows too little skin takes the whole face's value; without skin at all everything is 0.

    Args:
        degree: float32 (256, 256), 0 (not at all) to 1.
        where: bool (256, 256), the pixels that count.
        surface: of the crop.
        curve: raw measure → 0..1.
    """
    seen = int(np.count_nonzero(where))
    if seen < ENOUGH:
        return Graded(0.0, dict.fromkeys(COLOUR_ZONES, 0.0))
    whole = curve(float(degree[where].mean()))
    values = {}
    for name, zone in surface.zones.items():
        pixels = degree[zone & where]
        enough = max(ENOUGH_IN_ZONE, ENOUGH_OF_ZONE * np.count_nonzero(zone))
        values[name] = curve(float(pixels.mean())) if pixels.size >= enough else whole
    return Graded(100.0 * whole, values)


def ramp(values: Map, start: float, full: float) -> Map:
    """0 up to `start`, 1 from `full` on, straight between."""
    return np.clip((values - np.float32(start)) / np.float32(full - start), 0, 1, dtype=np.float32)


def halved(mask: Mask) -> Mask:
    """(512, 512) → (256, 256): True where all four pixels are."""
    rows = mask[::STEP] & mask[1::STEP]
    return rows[:, ::STEP] & rows[:, 1::STEP]


def eroded(mask: Mask, width: int) -> Mask:
    """Pixels whose `width` × `width` square is all in the mask; `width` is odd."""
    return box_mean(mask.astype(np.float32), width) > 1 - 0.5 / width**2
