"""Image filters in numpy: Gaussians, means, maxima, ridges, and changes of size; float32 on (…, height, width).

Every separable linear filter here is a banded matrix per axis, multiplied block by block: BLAS does a 512×512 Gaussian
in about a millisecond, and a wide one costs hardly more than a narrow one. The matrices are cached per size.
Borders repeat the outermost pixel (scipy's mode "nearest").
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]

TRUNCATE = 3.0  # Gaussians are cut at this many sigmas; .3 % of their mass lies beyond
COARSE_SIGMA = 8.0  # px; wider Gaussians are applied at a reduced size, without visible loss
BLOCK = 16  # rows multiplied at a time; small enough to skip the zeros, large enough for BLAS


class Band:
    """A banded linear map from `columns` samples to `rows` samples, applied along one axis.

    Args:
        matrix: float64 (rows, columns).
    """

    def __init__(self, matrix: NDArray[np.float64]) -> None:
        self.rows = len(matrix)
        self._blocks: list[tuple[slice, slice, Image]] = []
        for top in range(0, self.rows, BLOCK):
            out = slice(top, min(top + BLOCK, self.rows))
            used = np.flatnonzero(matrix[out].any(axis=0))
            span = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
            self._blocks.append((out, span, np.ascontiguousarray(matrix[out, span], dtype=np.float32)))

    def down(self, image: Image) -> Image:
        """Apply along the height."""
        result = np.empty((*image.shape[:-2], self.rows, image.shape[-1]), np.float32)
        for out, span, matrix in self._blocks:
            np.matmul(matrix, image[..., span, :], out=result[..., out, :])
        return result

    def across(self, image: Image) -> Image:
        """Apply along the width."""
        result = np.empty((*image.shape[:-1], self.rows), np.float32)
        for out, span, matrix in self._blocks:
            result[..., out] = image[..., span] @ matrix.T
        return result


def _convolution(size: int, radius: int, weights: Weights) -> NDArray[np.float64]:
    """Matrix of a convolution with `weights(offset)`, the outermost sample repeated beyond the border."""
    offsets = np.arange(-radius, radius + 1)
    taps = weights(offsets.astype(np.float64))
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    for offset, tap in zip(offsets, taps, strict=True):
        np.add.at(matrix, (rows, np.clip(rows + offset, 0, size - 1)), tap)
    return matrix


def _gaussian_taps(offsets: NDArray[np.float64], sigma: float, order: int) -> NDArray[np.float64]:
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    taps /= taps.sum()
    if order == 1:
        taps *= offsets / sigma**2
    elif order == 2:
        taps *= (offsets**2 / sigma**2 - 1) / sigma**2
        taps -= taps.mean()  # a flat image has no curvature, even with the tails cut
    return taps


@lru_cache(maxsize=512)
def _gaussian_band(size: int, sigma: float, order: int = 0) -> Band:
    radius = max(1, int(TRUNCATE * sigma + 0.5))
    return Band(_convolution(size, radius, lambda offsets: _gaussian_taps(offsets, sigma, order)))


@lru_cache(maxsize=256)
def _box_band(size: int, width: int) -> Band:
    return Band(_convolution(size, width // 2, lambda offsets: np.full(len(offsets), 1 / width)))


@lru_cache(maxsize=256)
def _reduce_band(size: int, factor: int) -> Band:
    matrix = np.zeros((-(-size // factor), size))
    for row in range(len(matrix)):
        matrix[row, row * factor : (row + 1) * factor] = 1.0
    return Band(matrix / matrix.sum(axis=1, keepdims=True))


@lru_cache(maxsize=256)
def _enlarge_band(size: int, target: int, factor: int) -> Band:
    centres = np.clip((np.arange(target) + 0.5) / factor - 0.5, 0, size - 1)
    left = np.minimum(centres.astype(int), max(size - 2, 0))
    share = centres - left
    matrix = np.zeros((target, size))
    rows = np.arange(target)
    matrix[rows, left] += 1 - share
    matrix[rows, np.minimum(left + 1, size - 1)] += share
    return Band(matrix)


def downsample(image: Image, factor: int) -> Image:
    """Mean of each `factor` × `factor` square; squares at the right and lower border may be smaller."""
    if factor == 1:
        return image
    return _reduce_band(image.shape[-1], factor).across(_reduce_band(image.shape[-2], factor).down(image))


def upsample(image: Image, factor: int, shape: tuple[int, int] | None = None) -> Image:
    """Bilinear enlargement by a whole factor, the inverse of `downsample` on linear ramps.

    Args:
        image: float32 (…, height, width).
        factor: whole, from 1.
        shape: (height, width) of the result; the image's times `factor` by default.
    """
    height, width = shape or (image.shape[-2] * factor, image.shape[-1] * factor)
    if factor == 1 and (height, width) == image.shape[-2:]:
        return image
    down = _enlarge_band(image.shape[-2], height, factor)
    return _enlarge_band(image.shape[-1], width, factor).across(down.down(image))


def gaussian(image: Image, sigma: float) -> Image:
    """Gaussian blur.

    Args:
        image: float32 (…, height, width).
        sigma: px. From COARSE_SIGMA on it is applied at a reduced size, within 1 % of the image's range of the
            exact one (5 % at the border, where the mean of the outermost square is repeated, not the outermost pixel).
    """
    if sigma >= COARSE_SIGMA:
        factor = 2 ** int(np.log2(sigma / COARSE_SIGMA * 2))
        # Means of squares and bilinear enlargement blur by themselves: variances (f² - 1) / 12 and (f² - 1) / 6.
        rest = np.sqrt(sigma**2 - (factor**2 - 1) / 4) / factor
        return upsample(gaussian(downsample(image, factor), float(rest)), factor, image.shape[-2:])
    return _gaussian_band(image.shape[-1], sigma).across(_gaussian_band(image.shape[-2], sigma).down(image))


def box_mean(image: Image, width: int) -> Image:
    """Mean of the `width` × `width` square around each pixel; `width` is odd."""
    if width % 2 == 0:
        raise ValueError(f"width must be odd, so that the square has a centre, not {width}")
    return _box_band(image.shape[-1], width).across(_box_band(image.shape[-2], width).down(image))


def masked_gaussian(image: Image, weight: Image | NDArray[np.bool_], sigma: float, fill: float = 0.0) -> Image:
    """Gaussian mean of weighted pixels: normalised convolution (Knutsson and Westin, CVPR 1993).

    Args:
        image: float32 (height, width).
        weight: bool or float32 (height, width), 0 (ignored) to 1.
        sigma: px.
        fill: value where all pixels nearby have weight 0.
    """
    weight = weight.astype(np.float32)
    above, below = gaussian(np.stack([image * weight, weight]), sigma)
    return np.where(below > 1e-3, above / np.maximum(below, 1e-3), np.float32(fill))


def local_max(image: Image, width: int) -> Image:
    """Maximum of the `width` × `width` square around each pixel; `width` is odd."""
    if width % 2 == 0:
        raise ValueError(f"width must be odd, so that the square has a centre, not {width}")
    across = _running_max(image, width)
    return np.ascontiguousarray(_running_max(across.swapaxes(-1, -2), width).swapaxes(-1, -2))


def _running_max(image: Image, width: int) -> Image:
    """Maximum along the last axis, by doubling: windows of 1, 2, 4 … and one last step for the rest."""
    radius, size = width // 2, image.shape[-1]
    padding = [(0, 0)] * (image.ndim - 1) + [(radius, radius)]
    best = np.pad(image, padding, mode="edge")
    length = 1
    while length < width:
        step = min(length, width - length)
        best = np.maximum(best[..., : best.shape[-1] - step], best[..., step:])
        length += step
    return best[..., :size]


def hessian(image: Image, sigma: float) -> tuple[Image, Image, Image]:
    """Second Gaussian derivatives times sigma², comparable across scales (Lindeberg, IJCV 1998).

    Args:
        image: float32 (…, height, width).
        sigma: px.

    Returns:
        (xx, xy, yy), each as `image`; positive across a dark line on light ground.
    """
    height, width = image.shape[-2:]
    plain = _gaussian_band(height, sigma).down(image)
    slope = _gaussian_band(height, sigma, 1).down(image)
    bend = _gaussian_band(height, sigma, 2).down(image)
    scale = np.float32(sigma**2)
    return (
        scale * _gaussian_band(width, sigma, 2).across(plain),
        scale * _gaussian_band(width, sigma, 1).across(slope),
        scale * _gaussian_band(width, sigma).across(bend),
    )


def line_response(curvature: tuple[Image, Image, Image], angle: float | Image) -> Image:
    """Strength of a dark line along `angle`: the second derivative across it, less that along it (spots).

    Args:
        curvature: (xx, xy, yy) of `hessian`.
        angle: of the line, in radians from the x axis towards the y axis (clockwise on the screen); a number or a map.

    Returns:
        float32, as the image; positive on dark lines, near 0 on round spots and plain edges' flanks.
    """
    xx, xy, yy = curvature
    middle = (xx + yy) * np.float32(0.5)
    double = 2 * np.asarray(angle, np.float32)
    lean = (xx - yy) * (np.float32(0.5) * np.cos(double)) + xy * np.sin(double)
    along, across = middle + lean, middle - lean
    return np.asarray(across - np.abs(along), np.float32)


def ridges(curvature: tuple[Image, Image, Image]) -> tuple[Image, Image]:
    """Strength and direction of the dark line at each pixel, from the Hessian's eigenvalues (Frangi et al. 1998).

    Returns:
        (strength, angle): the larger eigenvalue less the other's magnitude, never below 0; the line's angle in radians
        as in `line_response`, -π/2 to π/2.
    """
    xx, xy, yy = curvature
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    strength = np.maximum(half + spread - np.abs(half - spread), 0)
    across = np.arctan2(2 * xy, xx - yy) / 2
    angle = np.where(across > 0, across - np.float32(np.pi / 2), across + np.float32(np.pi / 2))
    return strength, angle.astype(np.float32)
