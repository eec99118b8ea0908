"""Prepares a crop for the measurements: colour, skin and zones; and grades their maps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bentos.skin.filters import box_mean, downsample, gaussian, upsample
from bentos.skin.findings import COLOUR_ZONES, Graded, grey_map
from bentos.skin.measure.colour import LINEAR, reduced_lab
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.view import FaceView

STEP = 2  # crop pixels per map pixel; colour, unlike texture, has no detail below that
SIZE = CROP_SIZE // STEP
MIN_SKIN_PIXELS = 200  # map pixels of skin (0.3 %); with fewer, nothing is measured
ENOUGH_IN_ZONE = 20  # map pixels
PLANE_STEP = 4  # map px; planes are fitted to means of such squares
# Only the skin and its surroundings are filtered: a third of most crops. What is beyond has no weight, or lies beyond
# the reach of the filters that know no weights.
WINDOW_MARGIN = 8  # map px
WINDOW_STEP = 32  # map px; few sizes, so that the filters' matrices are made once
# A hundred times the optical density, -log10 of reflectance, by 8-bit code: 30 is half the light. The floor keeps the
# noise of the dark from having more weight than the light.
DENSITY = (-100 * np.log10(LINEAR + 0.01)).astype(np.float32)
BORDER = 11  # px; side of the square that must be skin
RIDGE_PENALTY = 0.1  # of the weight, in units of sigma²

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Surface:
    """The window of a crop that holds its skin, prepared for the measurements.

    The window is h × w map pixels, 2h × 2w pixels of the crop.

    Attributes:
        window: rows and columns of the window in a map of the whole crop, (256, 256).
        pixels: uint8 (2h, 2w, 3), sRGB.
        density: float32 (2h, 2w), optical density of the red channel, DENSITY.
        lab: float32 (h, w, 3), CIELAB.
        skin: bool (h, w), of the face alone: ears and neck, which are often redder and darker, are left out.
        inner: bool (h, w), skin that is not near its border, where hair, brows and lips would be measured too.
        zones: bool (h, w) of each of COLOUR_ZONES that is seen, the whole zone, skin or not; empty without a face.
        judged: bool (h, w), where scores are measured: the zones, or everything without a face.
    """

    window: tuple[slice, slice]
    pixels: NDArray[np.uint8]
    density: Map
    lab: Map
    skin: Mask
    inner: Mask
    zones: dict[str, Mask]
    judged: Mask


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


def prepare(view: FaceView) -> Surface:
    """The surface of a crop."""
    window = _window(view.skin)
    rows, columns = (slice(STEP * span.start, STEP * span.stop) for span in window)
    pixels, skin = np.ascontiguousarray(view.crop.pixels[rows, columns]), view.skin[window]
    zones = {}
    if view.parts is not None:
        seen = [name for name in COLOUR_ZONES if name not in view.unseen]
        zones = {name: raster([(view.parts.zones[name], 0.0)], SIZE, 1 / STEP)[window] for name in seen}
    return Surface(
        window=window,
        pixels=pixels,
        density=DENSITY[pixels[..., 0]],
        lab=reduced_lab(pixels, STEP),
        skin=skin,
        inner=eroded(skin, BORDER),
        zones=zones,
        judged=np.logical_or.reduce([*zones.values(), np.full(skin.shape, view.parts is None)]),
    )


def _window(skin: Mask) -> tuple[slice, slice]:
    """The rows and columns with skin and WINDOW_MARGIN around it, widened to multiples of WINDOW_STEP."""
    return _span(np.asarray(skin.any(axis=1))), _span(np.asarray(skin.any(axis=0)))


def _span(has_skin: Mask) -> slice:
    places = np.flatnonzero(has_skin)
    if not len(places):
        return slice(0, WINDOW_STEP)
    low, high = max(int(places[0]) - WINDOW_MARGIN, 0), min(int(places[-1]) + 1 + WINDOW_MARGIN, SIZE)
    low -= low % PLANE_STEP  # so that squares lie where they would lie in the whole crop
    length = min(-(-(high - low) // WINDOW_STEP) * WINDOW_STEP, SIZE)
    low = min(low, SIZE - length)
    return slice(low, low + length)


def unmeasured() -> Graded:
    """What is not judged."""
    return Graded(None, dict.fromkeys(COLOUR_ZONES), np.zeros((SIZE // 2, SIZE // 2), np.uint8))


def grade(degree: Map, where: Mask, surface: Surface, curve: Curve) -> Graded:
    """Score of a map: its mean over the zones that are seen, and over each of them, on the curve.

    Args:
        degree: float32 (h, w) of the surface's window, 0 (not at all) to 1.
        where: bool (h, w), the pixels that count.
        surface: of the crop.
        curve: raw measure → 0..1.
    """
    judged = where & surface.judged
    if np.count_nonzero(judged) < MIN_SKIN_PIXELS:
        return unmeasured()
    values: dict[str, float | None] = dict.fromkeys(COLOUR_ZONES)
    for name, zone in surface.zones.items():
        pixels = degree[zone & where]
        values[name] = curve(float(pixels.mean())) if pixels.size >= ENOUGH_IN_ZONE else None
    heat = np.zeros((SIZE // 2, SIZE // 2), np.uint8)
    rows, columns = (slice(span.start // 2, span.stop // 2) for span in surface.window)
    heat[rows, columns] = grey_map(downsample(degree, 2))
    return Graded(100.0 * curve(float(degree[judged].mean())), values, heat)


def ramp(values: Map, start: float, full: float) -> Map:
    """0 up to `start`, 1 from `full` on, straight between."""
    share: Map = np.clip((values - np.float32(start)) / np.float32(full - start), 0, 1)
    return share


def surroundings(image: Map, weight: Mask | Map, sigma: float) -> Map:
    """The value expected at each pixel from its surroundings: a plane fitted to them, weighted by a Gaussian.

    A plane, not a mean, so that the expectation is not one-sided where skin ends or light falls off (normalised
    convolution of first order; Knutsson and Westin, CVPR 1993).

    Args:
        image: float32 (h, w).
        weight: (h, w), 0 (ignored) to 1.
        sigma: map px, from PLANE_STEP on.
    """
    mass = downsample(weight.astype(np.float32), PLANE_STEP)
    value = downsample(image * weight, PLANE_STEP)
    height, width = (np.arange(length, dtype=np.float32) * (PLANE_STEP / sigma) for length in mass.shape)
    x, y = width[None, :], height[:, None]
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
    level = np.where(near, above / np.where(near, below, 1.0), 0.0)
    return upsample(level.astype(np.float32), PLANE_STEP, (image.shape[0], image.shape[1]))


def eroded(mask: Mask, width: int) -> Mask:
    """Pixels whose `width` × `width` square is all in the mask; `width` is odd."""
    full: Mask = box_mean(mask.astype(np.float32), width) > 1 - 0.5 / width**2
    return full
