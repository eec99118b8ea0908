"""Prepares a crop for the measurements: colour, skin and zones; and grades their maps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import COLOUR_ZONES, Graded
from bentos.skin.measure.colour import LINEAR, reduced_lab
from bentos.skin.measure.filters import box_mean, downsample, gaussian, local_max, masked_gaussian, upsample
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.zones import FaceMasks

STEP = 2  # crop pixels per map pixel; colour, unlike texture, has no detail below that
SIZE = CROP_SIZE // STEP
MIN_SKIN_PIXELS = 200  # map pixels of skin (0.3 %); with fewer, every score is 0
ENOUGH_IN_ZONE = 60  # map pixels
PLANE_STEP = 4  # map px; planes are fitted to means of such squares
# A hundred times the optical density, -log10 of reflectance, by 8-bit code: 30 is half the light. The floor keeps the
# noise of the dark from having more weight than the light.
DENSITY = (-100 * np.log10(LINEAR + 0.01)).astype(np.float32)
DARKER = 14.0  # density above the face's median from which skin may be hair or shade; melasma reaches about 10
UNEVEN, UNEVEN_LIMIT = 2.0, 10.0  # mean contrast of neighbours there; and the maximum of one pixel
GROWTH_STEPS = 24  # px at 128; from the border of the skin inwards
BORDER = 11  # px; side of the square that must be skin
RIDGE_PENALTY = 0.1  # of the weight, in units of sigma²
ENOUGH_OF_ZONE = 0.2  # share of the zone that must show skin

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Surface:
    """A crop, prepared for the measurements.

    Attributes:
        pixels: uint8 (512, 512, 3), sRGB.
        density: float32 (512, 512), optical density of the red channel, DENSITY.
        lab: float32 (256, 256, 3), CIELAB.
        skin: bool (256, 256), of the face alone: ears and neck, which are often redder and darker, and skin under
            hair or shade are left out.
        inner: bool (256, 256), skin that is not near its border, where hair, brows and lips would be measured too.
        zones: COLOUR_ZONES → bool (256, 256), the whole zone, skin or not.
    """

    pixels: NDArray[np.uint8]
    density: Map
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


def prepare(crop: Crop, skin: Mask, masks: FaceMasks) -> Surface:
    """The surface of a crop.

    Args:
        crop: the crop.
        skin: bool (512, 512), of the crop.
        masks: of the crop.
    """
    density = DENSITY[crop.pixels[..., 0]]
    coarse = halved(skin & masks.wide_oval)
    if np.count_nonzero(coarse) < MIN_SKIN_PIXELS:  # key points that miss the face
        coarse = halved(skin)
    clear = coarse & ~_hair_and_shade(downsample(density, 2 * STEP), coarse)
    if np.count_nonzero(clear) >= MIN_SKIN_PIXELS:
        coarse = clear
    return Surface(
        pixels=crop.pixels,
        density=density,
        lab=reduced_lab(crop.pixels, STEP),
        skin=coarse,
        inner=eroded(coarse, BORDER),
        zones={name: masks.zones[name][::STEP, ::STEP] for name in COLOUR_ZONES},
    )


def _hair_and_shade(density: Map, skin: Mask) -> Mask:
    """Fringes, beards, brows and the shaded rim, which have the colour of skin: dark, uneven, and at its border.

    Args:
        density: float32 (128, 128).
        skin: bool (256, 256).

    Returns:
        bool (256, 256).
    """
    cover = downsample(skin.astype(np.float32), 2)
    known = cover > 0.5
    if np.count_nonzero(known) < MIN_SKIN_PIXELS // 4:
        return np.zeros_like(skin)
    level = masked_gaussian(density, known, 2.5)
    uneven = masked_gaussian(np.minimum(np.abs(density - gaussian(density, 1.5)), UNEVEN_LIMIT), known, 2.5)
    suspect = known & (level > np.median(density[known]) + DARKER) & (uneven > UNEVEN)
    region = suspect & (box_mean(known.astype(np.float32), 5) < 0.999)
    for _ in range(GROWTH_STEPS):
        region = (local_max(region.astype(np.float32), 3) > 0) & suspect
    return np.asarray(region.repeat(2, axis=0).repeat(2, axis=1))


def grade(degree: Map, where: Mask, surface: Surface, curve: Curve) -> Graded:
    """Score of a map: its mean over the skin, whole and by zone, on the curve.

    A zone that shows too little skin takes the whole face's value; without skin at all everything is 0.

    Args:
        degree: float32 (256, 256), 0 (not at all) to 1.
        where: bool (256, 256), the pixels that count.
        surface: of the crop.
        curve: raw measure → 0..1.
    """
    if np.count_nonzero(where) < MIN_SKIN_PIXELS:
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
    share: Map = np.clip((values - np.float32(start)) / np.float32(full - start), 0, 1)
    return share


def surroundings(image: Map, weight: Mask | Map, sigma: float) -> Map:
    """The value expected at each pixel from its surroundings: a plane fitted to them, weighted by a Gaussian.

    A plane, not a mean, so that the expectation is not one-sided where skin ends or light falls off (normalised
    convolution of first order; Knutsson and Westin, CVPR 1993).

    Args:
        image: float32 (256, 256).
        weight: (256, 256), 0 (ignored) to 1.
        sigma: map px, from PLANE_STEP on.
    """
    mass = downsample(weight.astype(np.float32), PLANE_STEP)
    value = downsample(image * weight, PLANE_STEP)
    side = np.arange(mass.shape[0], dtype=np.float32) * (PLANE_STEP / sigma)
    x, y = side[None, :], side[:, None]
    moments = np.stack(
        [mass, mass * x, mass * y, mass * x * x, mass * x * y, mass * y * y, value, value * x, value * y]
    )
    w, wx, wy, wxx, wxy, wyy, v, vx, vy = gaussian(moments, sigma / PLANE_STEP).astype(np.float64)
    # Moments about each pixel itself, so that the plane's height there is the intercept; the ridge on the slopes keeps
    # the fit a mean where there is little to fit.
    wxx, wxy, wyy = wxx - 2 * x * wx + x * x * w, wxy - x * wy - y * wx + x * y * w, wyy - 2 * y * wy + y * y * w
    wx, wy, vx, vy = wx - x * w, wy - y * w, vx - x * v, vy - y * v
    wxx, wyy, w = wxx + RIDGE_PENALTY * w, wyy + RIDGE_PENALTY * w, w + 1e-9
    minor = wxx * wyy - wxy * wxy
    above = v * minor - wx * (vx * wyy - wxy * vy) + wy * (vx * wxy - wxx * vy)
    below = w * minor - wx * (wx * wyy - wxy * wy) + wy * (wx * wxy - wxx * wy)
    near = w > 1e-3
    height = np.where(near, above / np.where(near, below, 1.0), 0.0)
    return upsample(height.astype(np.float32), PLANE_STEP, image.shape)


def halved(mask: Mask) -> Mask:
    """(512, 512) → (256, 256): True where all four pixels are True."""
    rows = mask[::STEP] & mask[1::STEP]
    return rows[:, ::STEP] & rows[:, 1::STEP]


def eroded(mask: Mask, width: int) -> Mask:
    """Pixels whose `width` × `width` square is all in the mask; `width` is odd."""
    full: Mask = box_mean(mask.astype(np.float32), width) > 1 - 0.5 / width**2
    return full
