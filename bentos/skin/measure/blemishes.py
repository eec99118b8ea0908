"""Acne without a learned encoder: red and dark spots, weighed by a small perceptron on a fixed bank of filters.

The bank is scale space (Lindeberg, IJCV 1998): differences of Gaussians of L*, a* and b*, and Hessian eigenvalues, at
the scales of lesions, on skin alone. A perceptron of some thousand numbers says of each pixel how much it looks like
the middle of a lesion; peaks become boxes; sums of what was found become count and severity.
All numbers were fitted by `training/tune.py` on ACNE04's train photos.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import SEVERITIES, Lesion, severity_of
from bentos.skin.measure import filters
from bentos.skin.measure.pose import face_coordinates
from bentos.skin.measure.tuned import Network, sigmoid, softmax, tuned
from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop

FACTOR = 2  # everything here is done at half the crop: the smallest labelled lesions are still 5 px wide
SIZE = CROP_SIZE // FACTOR
SCALES = (0.7, 1.2, 2.0, 3.2, 5.0, 8.0, 16.0)  # px at half size; differences of neighbours are the bands
EIGEN_SCALES = {0: (1.2, 2.0, 3.2), 1: (2.0, 3.2)}  # channel (L*, a*) → sigmas of its Hessian's eigenvalues
TEXTURE_SCALE = 8.0  # px; around a pixel, how busy the skin is
SKIN_SCALES = (3.0, 10.0)  # px; how much skin is near, and whether eyes, brows, lips are
PEAK_WIDTH = 5  # px; a peak is the highest of its square
PEAK_FLOOR = 0.02  # of the map's probability; nothing below becomes a candidate
CANDIDATES = 200  # at most, best first; more than any labelled face has lesions
OVERLAP = 0.3  # intersection over union from which two boxes are one lesion
SHOWN = 0.2  # confidence from which a candidate is reported as a box


@dataclass(frozen=True, slots=True)
class Candidates:
    """Spots that may be lesions, best first.

    Attributes:
        boxes: float32 (n, 4), x, y, width, height in crop pixels.
        features: float32 (n, f), what the second opinion is formed on.
    """

    boxes: NDArray[np.float32]
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Acne:
    """What was found on one crop; lesions, count, severity and severity_confidence as in `findings.Learned`."""

    lesions: list[Lesion]
    count: int
    severity: str
    severity_confidence: float | None


def find(crop: Crop, lab: NDArray[np.float32], skin: NDArray[np.bool_]) -> Acne:
    """Lesions, count and severity of one crop.

    Args:
        crop: the crop.
        lab: float32 (256, 256, 3), `colour.reduced_lab(crop.pixels, blemishes.FACTOR)`.
        skin: bool (512, 512), `skin.skin_mask(crop)`.
    """
    where, rows = pixel_features(crop, lab, skin)
    if not len(rows):
        return Acne([], 0, SEVERITIES[0], None)
    fitted = _fitted()
    logits = fitted.pixels(rows)[:, 0]
    found = candidates(logits, where, rows, fitted.size)
    confidence = confidences(found)
    lesions = [
        Lesion((float(x), float(y), float(w), float(h)), round(float(share), 4))
        for (x, y, w, h), share in zip(found.boxes, confidence, strict=True)
        if share >= SHOWN
    ]
    lesions.sort(key=lambda lesion: -lesion.confidence)
    face = face_features(logits, confidence)
    count = max(0, round(float(np.expm1(fitted.count(face[None])[0, 0]))))
    severity, chance = _severity(count, softmax(fitted.severity(face[None])[0]))
    return Acne(lesions, count, severity, chance)


def response(crop: Crop, lab: NDArray[np.float32], skin: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much each pixel looks like the middle of a lesion, float32 (256, 256), 0..1; arguments as for `find`."""
    where, rows = pixel_features(crop, lab, skin)
    heat = np.zeros((SIZE, SIZE), np.float32)
    if len(rows):
        heat[where] = sigmoid(_fitted().pixels(rows)[:, 0])
    return heat


def pixel_features(
    crop: Crop, lab: NDArray[np.float32], skin: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The filter bank on skin.

    Returns:
        (where, rows): bool (256, 256), the pixels looked at; float32 (n, f), their features in reading order.
    """
    cover = filters.downsample(skin.astype(np.float32), FACTOR)
    where = cover > 0.5
    if not where.any():
        return where, np.empty((0, 0), np.float32)
    channels = np.ascontiguousarray(np.moveaxis(lab, -1, 0))
    # Hair, eyes and background are replaced by the skin's mean nearby: their edges must not ring.
    filled = np.where(where, channels, _nearby_skin(channels, where))
    levels = [filters.gaussian(filled, sigma) for sigma in SCALES]
    maps: list[NDArray[np.float32]] = []
    for fine, coarse in pairwise(levels):
        maps += list(fine - coarse)
    for channel, sigmas in EIGEN_SCALES.items():
        for sigma in sigmas:
            maps += _eigenvalues(filled[channel], sigma)
    bands = np.stack([levels[1][0] - levels[3][0], levels[1][1] - levels[3][1]])
    maps += list(np.sqrt(filters.gaussian(bands**2, TEXTURE_SCALE)))
    typical = np.median(filled[:, where], axis=1)
    maps += list(levels[-1] - typical[:, None, None])
    spread = filled[:2, where].std(axis=1)
    maps += [np.full((SIZE, SIZE), value, np.float32) for value in (*typical, *spread)]
    maps += [filters.gaussian(cover, sigma) for sigma in SKIN_SCALES]
    marks = filters.downsample(zones.features(crop).astype(np.float32), FACTOR)
    maps.append(filters.gaussian(marks, SKIN_SCALES[0]))
    across, along = face_coordinates(crop, SIZE)
    maps += [across, along, np.abs(across)]
    return where, np.stack([values[where] for values in maps], axis=1)


def candidates(
    logits: NDArray[np.float32], where: NDArray[np.bool_], rows: NDArray[np.float32], size: Network
) -> Candidates:
    """Peaks of the map as boxes, overlapping ones dropped.

    Args:
        logits: float32 (n,), of the pixels looked at.
        where: bool (256, 256).
        rows: float32 (n, f), from `pixel_features`.
        size: features → log of the box's side in crop pixels.
    """
    heat = np.full((SIZE, SIZE), -20, np.float32)
    heat[where] = logits
    smooth = filters.gaussian(heat, 1.0)
    peaks = (smooth == filters.local_max(smooth, PEAK_WIDTH)) & where & (sigmoid(smooth) > PEAK_FLOOR)
    at = np.flatnonzero(peaks)
    at = at[np.argsort(-smooth.flat[at], kind="stable")][:CANDIDATES]
    index = np.cumsum(where).astype(np.int64) - 1  # pixel → row
    own = rows[index[at]]
    sides = np.exp(np.clip(size(own)[:, 0], np.log(8.0), np.log(90.0)))
    y, x = np.divmod(at, SIZE)
    centres = FACTOR * (np.stack([x, y], axis=1) + 0.5)
    boxes = np.concatenate([centres - sides[:, None] / 2, np.repeat(sides[:, None], 2, axis=1)], axis=1)
    chance = np.where(where, sigmoid(heat), np.float32(0))
    around = filters.gaussian(chance, 3.0), filters.gaussian(chance, 12.0)
    whole = float(chance.sum() / max(np.count_nonzero(where), 1))
    features = np.stack(
        [
            smooth.flat[at],
            heat.flat[at],
            np.log(around[0].flat[at] + 1e-3),
            np.log(around[1].flat[at] + 1e-3),
            np.full(len(at), np.log(whole + 1e-3)),
            np.log(sides),
        ],
        axis=1,
    ).astype(np.float32)
    kept = _suppressed(boxes)
    return Candidates(boxes[kept].astype(np.float32), features[kept])


def confidences(found: Candidates) -> NDArray[np.float32]:
    """Share of such boxes that are right, float32 (n,)."""
    if not len(found.boxes):
        return np.empty(0, np.float32)
    return sigmoid(_fitted().candidates(found.features)[:, 0])


def face_features(logits: NDArray[np.float32], confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """What count and severity are judged on, float32 (f,): several tallies of the same evidence.

    Args:
        logits: float32 (n,), of the pixels looked at.
        confidence: float32 (m,), of the candidates.
    """
    chance = sigmoid(logits)
    tallies = [
        float(confidence.sum()),
        float((confidence**2).sum()),
        float(np.count_nonzero(confidence > 0.5)),
        float(np.count_nonzero(confidence > 0.25)),
        float(chance.sum()) / 10,
        float(np.count_nonzero(chance > 0.5)) / 10,
    ]
    share = [float(chance.mean()) * 100, float(np.quantile(chance, 0.99)) * 10]
    return np.log1p(np.array(tallies + share, np.float32))


def _severity(count: int, chances: NDArray[np.float64]) -> tuple[str, float | None]:
    """Class and its measured chance; the count's own class or one beside it.

    Args:
        count: estimated lesions.
        chances: of mild, moderate, severe, very severe.
    """
    if count == 0:
        return SEVERITIES[0], None  # the labelled photos hold next to no clear faces: nothing was measured
    own = SEVERITIES.index(severity_of(count))
    allowed = [grade for grade in (own - 1, own, own + 1) if 1 <= grade < len(SEVERITIES)]
    best = max(allowed, key=lambda grade: float(chances[grade - 1]))
    return SEVERITIES[best], round(float(chances[best - 1]), 4)


def _nearby_skin(channels: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of the skin around each pixel, (c, h, w); the median of all skin where none is near."""
    weight = where.astype(np.float32)
    means = filters.gaussian(np.concatenate([channels * weight, weight[None]]), TEXTURE_SCALE)
    typical = np.median(channels[:, where], axis=1)[:, None, None]
    return np.where(means[-1] > 0.02, means[:-1] / np.maximum(means[-1], 0.02), typical)


def _eigenvalues(image: NDArray[np.float32], sigma: float) -> list[NDArray[np.float32]]:
    """The Hessian's larger and smaller eigenvalue at each pixel."""
    xx, xy, yy = filters.hessian(image, sigma)
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return [np.asarray(half + spread, np.float32), np.asarray(half - spread, np.float32)]


def _suppressed(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the boxes (best first) that overlap no better one by OVERLAP or more."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    shared = np.prod(np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None), axis=2)
    area = boxes[:, 2:].prod(axis=1)
    clash = shared > OVERLAP * (area[:, None] + area - shared)
    dropped = np.zeros(len(boxes), dtype=np.bool_)
    for number in range(len(boxes)):
        if not dropped[number]:
            dropped[number + 1 :] |= clash[number, number + 1 :]
    return np.flatnonzero(~dropped)


@dataclass(frozen=True, slots=True)
class _Fitted:
    pixels: Network  # pixel features → logit of a lesion's middle
    size: Network  # pixel features → log side of the box, crop pixels
    candidates: Network  # candidate features → logit of being right
    count: Network  # face features → log(1 + count)
    severity: Network  # face features → logits of mild … very severe


@lru_cache(maxsize=1)
def _fitted() -> _Fitted:
    numbers: dict[str, Any] = tuned()["blemishes"]
    return _Fitted(**{name: Network(numbers[name]) for name in _Fitted.__dataclass_fields__})
