"""Acne without a learned encoder: red and dark spots, rated by a small perceptron on a fixed filter bank.

The bank is scale space (Lindeberg, IJCV 1998): differences of Gaussians of L*, a* and b*, and Hessian eigenvalues, at
the scales of lesions, on skin alone. A perceptron of some thousand weights rates how much each pixel looks like the
middle of a lesion; peaks become boxes; sums over pixels and boxes become count and severity.
All weights were fitted by `training/tune.py` on ACNE04's train photos.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.skin import filters
from bentos.skin.boxes import nms
from bentos.skin.findings import SEVERITIES, Lesion, grey_map, severity_beside, whole_count
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.pose import face_coordinates
from bentos.skin.measure.tuned import Network, sigmoid, softmax, tuned
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.view import FaceView

FACTOR = 2  # the crop is reduced by so much: the smallest labelled lesions are still 5 px wide
SIZE = CROP_SIZE // FACTOR
SCALES = (0.7, 1.2, 2.0, 3.2, 5.0, 8.0, 16.0)  # px at half size; differences of neighbours are the bands
EIGEN_SCALES = (1.2, 2.0, 3.2)  # px; of the Hessian's eigenvalues of L* and a*
TEXTURE_SCALE = 8.0  # px; of the mean contrast around a pixel
SKIN_SCALES = (3.0, 10.0)  # px; of the shares of skin, and of eyes, brows and lips, around a pixel
HEAT_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # px; peaks are found at the first; all describe the surroundings of a peak
HEAT_FLOOR = 1e-3  # added before logarithms
SLOPE_STEP = 3  # px; to each side, for the slope of the map
SHIFT_UNIT, SIDE_MIN, SIDE_MAX = 10.0, 8.0, 90.0  # crop pixels
PEAK_WIDTH = 5  # px; a peak is the maximum of such a square
PEAK_FLOOR = 0.02  # of probability; lower peaks are no candidates
CANDIDATES = 200  # at most, best first; more than any labelled face has lesions
OVERLAP = 0.3  # intersection over union from which two boxes are one lesion


@dataclass(frozen=True, slots=True)
class Acne:
    """Acne on one crop; attributes as in `LesionsAndWrinkles`."""

    lesions: list[Lesion]
    count: int
    severity: str
    severity_confidence: float | None
    acne_map: NDArray[np.uint8]


def find(view: FaceView) -> Acne:
    """Lesions, count and severity of one crop."""
    where, rows = pixel_features(view)
    if not len(rows):
        return Acne([], 0, SEVERITIES[0], None, np.zeros((SIZE // 2, SIZE // 2), np.uint8))
    fitted = _fitted()
    logits = fitted.pixels(rows)[:, 0]
    boxes, confidence = rated_boxes(logits, where, rows)
    lesions = [
        Lesion((float(x), float(y), float(w), float(h)), round(float(share), 4))
        for (x, y, w, h), share in zip(boxes, confidence, strict=True)
    ]
    face = face_features(logits, confidence)
    count = whole_count(float(np.expm1(fitted.count(face[None])[0, 0])), fitted.clear_below)
    severity, chance = severity_beside(count, softmax(fitted.severity(face[None])[0]).tolist())
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[where] = sigmoid(logits)
    return Acne(lesions, count, severity, chance, grey_map(filters.downsample(heat, 2)))


def rated_boxes(
    logits: NDArray[np.float32], where: NDArray[np.bool_], rows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All candidates without overlaps: boxes (n, 4) in crop pixels and confidences (n,), best first.

    Arguments as of `candidates`.
    """
    fitted = _fitted()
    centres, features = candidates(logits, where, rows)
    boxes, confidence = place(centres, fitted.boxes(features)), sigmoid(fitted.candidates(features)[:, 0])
    kept = nms(boxes, confidence, OVERLAP)
    return boxes[kept], confidence[kept]


def pixel_features(view: FaceView) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The filter bank, on skin.

    Returns:
        (where, rows): bool (256, 256), the pixels of skin; float32 (n, f), their features in reading order.
    """
    where, cover = view.skin, view.skin.astype(np.float32)
    if not where.any():
        return where, np.empty((0, 0), np.float32)
    channels = np.ascontiguousarray(np.moveaxis(reduced_lab(view.crop.pixels, FACTOR), -1, 0))
    typical = np.median(channels[:, where], axis=1)
    spread = channels[:2, where].std(axis=1)
    # Hair, eyes and background are replaced by the skin's mean nearby: their edges must not disturb the filters.
    filled = np.where(where, channels, _nearby_skin(channels, where, typical))
    levels = [filters.gaussian(filled, sigma) for sigma in SCALES]
    maps: list[NDArray[np.float32]] = []
    for fine, coarse in pairwise(levels):
        maps += list(fine - coarse)
    for sigma in EIGEN_SCALES:
        maps += _eigenvalues(filled[:2], sigma)
    bands = levels[1][:2] - levels[3][:2]
    maps += list(np.sqrt(filters.gaussian(bands**2, TEXTURE_SCALE)))
    maps += list(levels[-1] - typical[:, None, None])
    maps += [filters.gaussian(cover, sigma) for sigma in SKIN_SCALES]
    features = raster(() if view.parts is None else view.parts.features, SIZE, 1 / FACTOR)
    maps.append(filters.gaussian(features.astype(np.float32), SKIN_SCALES[0]))
    across, along = face_coordinates(view.parts, SIZE)
    maps += [across, along, np.abs(across)]
    index = np.flatnonzero(where)
    columns = [values.ravel().take(index) for values in maps]
    columns += [np.full(len(index), value, np.float32) for value in (*typical, *spread)]
    return where, np.stack(columns).T


def candidates(
    logits: NDArray[np.float32], where: NDArray[np.bool_], rows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Peaks of the map, and their features.

    Args:
        logits: float32 (n,), of the pixels of skin.
        where: bool (256, 256), those pixels.
        rows: float32 (n, f), their features.

    Returns:
        (centres, features): float32 (m, 2), x, y in crop pixels, at most CANDIDATES; float32 (m, g).
    """
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[where] = sigmoid(logits)
    peaked, *around = (filters.gaussian(heat, sigma) for sigma in HEAT_SCALES)
    at = np.flatnonzero((peaked == filters.local_max(peaked, PEAK_WIDTH)) & where & (peaked > PEAK_FLOOR))
    at = at[np.argsort(-peaked.ravel()[at], kind="stable")][:CANDIDATES]
    y, x = np.divmod(at, SIZE)
    columns = [np.log(level.ravel()[at] + HEAT_FLOOR) for level in (heat, peaked, *around)]
    for level in (peaked, *around[:2]):  # the direction of the lesion, if the peak is not at its middle
        for dx, dy in ((SLOPE_STEP, 0), (0, SLOPE_STEP)):
            ahead = level[np.minimum(y + dy, SIZE - 1), np.minimum(x + dx, SIZE - 1)]
            behind = level[np.maximum(y - dy, 0), np.maximum(x - dx, 0)]
            columns.append((ahead - behind) / (ahead + behind + HEAT_FLOOR))
    columns.append(np.full(len(at), np.log(heat.sum() / len(logits) + HEAT_FLOOR)))
    row_of = np.cumsum(where) - 1
    features = np.concatenate([np.stack(columns, axis=1), rows[row_of[at]]], axis=1)
    return (FACTOR * (np.stack([x, y], axis=1) + 0.5)).astype(np.float32), features.astype(np.float32)


def place(centres: NDArray[np.float32], shifts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes, float32 (n, 4), x, y, width, height in crop pixels.

    Args:
        centres: (n, 2), of `candidates`.
        shifts: (n, 3), to the lesion's middle in units of SHIFT_UNIT, and the log of the box's side in crop pixels.
    """
    sides = np.exp(np.clip(shifts[:, 2:], np.log(SIDE_MIN), np.log(SIDE_MAX)))
    middles = centres + SHIFT_UNIT * shifts[:, :2]
    return np.concatenate([middles - sides / 2, sides, sides], axis=1).astype(np.float32)


def face_features(logits: NDArray[np.float32], confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features that count and severity are estimated from, float32 (f,): several sums over pixels and boxes.

    Args:
        logits: float32 (n,), of the pixels of skin.
        confidence: float32 (m,), of the candidates.
    """
    chance = sigmoid(logits)
    sums = [
        float(confidence.sum()),
        float((confidence**2).sum()),
        float(np.count_nonzero(confidence > 0.5)),
        float(np.count_nonzero(confidence > 0.25)),
        float(chance.sum()) / 10,
        float(np.count_nonzero(chance > 0.5)) / 10,
    ]
    share = [float(chance.mean()) * 100, float(np.quantile(chance, 0.99)) * 10]
    return np.log1p(np.array(sums + share, np.float32))


def _nearby_skin(
    channels: NDArray[np.float32], where: NDArray[np.bool_], typical: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean of the skin around each pixel, (c, h, w); the typical colour where no skin is near."""
    weight = where.astype(np.float32)
    means = filters.gaussian(np.concatenate([channels * weight, weight[None]]), TEXTURE_SCALE)
    return np.where(means[-1] > 0.02, means[:-1] / np.maximum(means[-1], 0.02), typical[:, None, None])


def _eigenvalues(images: NDArray[np.float32], sigma: float) -> list[NDArray[np.float32]]:
    """The Hessian's larger and smaller eigenvalue at each pixel of each image."""
    xx, xy, yy = filters.hessian(images, sigma)
    half, lean = (xx + yy) * np.float32(0.5), (xx - yy) * np.float32(0.5)
    spread = np.sqrt(lean**2 + xy**2)
    return [*(half + spread), *(half - spread)]


@dataclass(frozen=True, slots=True)
class _Fitted:
    pixels: Network  # pixel features → logit of a lesion's middle
    boxes: Network  # candidate features → shifts of `place`
    candidates: Network  # candidate features → logit of being correct
    count: Network  # face features → log(1 + count)
    severity: Network  # face features → logits of mild … very severe
    clear_below: float  # estimated lesions below which a face is clear


@lru_cache(maxsize=1)
def _fitted() -> _Fitted:
    numbers: dict[str, Any] = tuned()["blemishes"]
    networks = {name: Network(numbers[name]) for name in ("pixels", "boxes", "candidates", "count", "severity")}
    return _Fitted(**networks, clear_below=numbers["clear_below"])
