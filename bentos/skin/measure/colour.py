"""sRGB → CIELAB, and the individual typology angle."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bentos.skin.photo.colour import LINEAR as LINEAR

WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65, 2° observer (ASTM E308)
TO_XYZ = np.array(  # linear sRGB → XYZ (IEC 61966-2-1), D65
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
KNEE = 0.008856  # below it CIELAB's cube root is a straight line (CIE 15)
SLOPE, OFFSET = 7.787, 16.0 / 116.0

_FROM_LINEAR = (TO_XYZ / np.array(WHITE)[:, None]).T.astype(np.float32)


def srgb_to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB under D65, 2° observer (CIE 15; IEC 61966-2-1 for sRGB).

    Args:
        pixels: uint8 (…, 3), sRGB.

    Returns:
        float32 (…, 3): L* 0..100, a*, b*.

    Raises:
        TypeError: the pixels are not uint8.
    """
    if pixels.dtype != np.uint8:
        raise TypeError(f"pixels must be uint8, not {pixels.dtype}")
    xyz = LINEAR[pixels].reshape(-1, 3) @ _FROM_LINEAR
    root = np.cbrt(xyz)
    dark = xyz < KNEE
    if dark.any():
        root = np.where(dark, np.float32(SLOPE) * xyz + np.float32(OFFSET), root)
    x, y, z = root.T
    lab: NDArray[np.float32] = np.empty_like(root)
    lab[:, 0] = np.float32(116.0) * y - np.float32(16.0)
    lab[:, 1] = np.float32(500.0) * (x - y)
    lab[:, 2] = np.float32(200.0) * (y - z)
    return lab.reshape(pixels.shape)


def reduced_lab(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """CIELAB of the means of `factor` × `factor` squares.

    Args:
        pixels: uint8 (height, width, 3), sRGB.
        factor: whole, from 1. Means are taken in sRGB, whose steps are nearly even to the eye.

    Returns:
        float32 (⌈height / factor⌉, ⌈width / factor⌉, 3), as `srgb_to_lab`.
    """
    if factor == 1:
        return srgb_to_lab(pixels)
    return srgb_to_lab(np.asarray(Image.fromarray(pixels).reduce(factor)))


def ita_degrees(lightness: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Individual typology angle, arctan((L* - 50) / b*), in degrees (Chardon, Cretois and Hourseau, 1991).

    Args:
        lightness: L*.
        b: b*, positive on skin.

    Returns:
        float64, shape of the arguments, -180 to 180; arctan2 keeps it defined where b* is 0.
    """
    light = np.asarray(lightness, dtype=np.float64) - 50.0
    return np.asarray(np.degrees(np.arctan2(light, np.asarray(b, dtype=np.float64))))
