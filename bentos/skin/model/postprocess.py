"""The network's outputs → lesions, count, severity, wrinkles, with the calibration of the bundle."""

import numpy as np
from numpy.typing import NDArray

from bentos.skin.boxes import nms
from bentos.skin.findings import WRINKLE_ZONES, Lesion, LesionsAndWrinkles, grey_map, severity_beside, whole_count
from bentos.skin.model.bundle import Calibration
from bentos.skin.photo.crop import CROP_SIZE

PROBABILITY_MIN = 1e-4  # of a severity; smaller values carry no information
LOGIT_MAX = 9.0

Outputs = dict[str, NDArray[np.float32]]


def lesions_and_wrinkles(outputs: Outputs, number: int, calibration: Calibration) -> LesionsAndWrinkles:
    """Acne and wrinkles of one crop.

    Args:
        outputs: of the network for a batch, by name: heat (batch, 128, 128), size and offset (batch, 128, 128, 2),
            density (batch,), severity (batch, 4), count_distribution (batch, 66), wrinkles (batch, 4), wrinkle_maps
            (batch, 64, 64, 4).
        number: of the crop in the batch.
        calibration: of the bundle.
    """
    numbers = calibration.lesions
    boxes, scores = peaks(outputs, number, calibration)
    confidence = np.interp(scores, numbers.confidence.score, numbers.confidence.right)
    count = whole_count(float(count_of(outputs, calibration)[number]), calibration.count.clear_below)
    severity, chance = severity_beside(count, severity_chances(outputs, calibration)[number].tolist())
    zones = wrinkle_chances(outputs, calibration)[number]
    return LesionsAndWrinkles(
        lesions=[
            Lesion((float(x), float(y), float(w), float(h)), round(float(share), 4))
            for (x, y, w, h), share in zip(boxes, confidence, strict=True)
        ],
        min_confidence=numbers.min_confidence,
        count=count,
        severity=severity,
        severity_confidence=chance,
        wrinkles={zone: round(float(value), 4) for zone, value in zip(WRINKLE_ZONES, zones, strict=True)},
        acne_map=grey_map(np.interp(outputs["heat"][number], numbers.confidence.score, numbers.confidence.right)),
        wrinkle_map=grey_map(outputs["wrinkle_maps"][number].max(axis=2)),
    )


def peaks(outputs: Outputs, number: int, calibration: Calibration) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes in crop pixels, float64 (n, 4), and their scores, (n,), best first; all candidates."""
    numbers = calibration.lesions
    heat, size, offset = (outputs[name][number].astype(np.float64) for name in ("heat", "size", "offset"))
    rows, columns = np.nonzero(heat >= numbers.score_min)
    scores = heat[rows, columns]
    # Twice as many as may be kept: a noisy heat map must not cost more.
    best = np.argsort(-scores, kind="stable")[: 2 * numbers.boxes_max]
    rows, columns, scores = rows[best], columns[best], scores[best]
    cell = CROP_SIZE / heat.shape[0]
    centres = (np.stack([columns, rows], axis=1) + offset[rows, columns]) * cell
    wide = size[rows, columns]
    boxes = np.concatenate([centres - wide / 2, wide], axis=1)
    kept = nms(boxes, scores, numbers.overlap_max)[: numbers.boxes_max]
    return boxes[kept], scores[kept]


def count_of(outputs: Outputs, calibration: Calibration) -> NDArray[np.float64]:
    """Lesions of each crop of the batch, not rounded, at least 0; float64 (batch,)."""
    line = calibration.count
    return np.asarray(np.maximum(_estimates(outputs) @ np.array(line.weights) + line.bias, 0.0))


def severity_chances(outputs: Outputs, calibration: Calibration) -> NDArray[np.float64]:
    """Probabilities of mild, moderate, severe, very severe, float64 (batch, 4)."""
    numbers = calibration.severity
    logits = (severity_features(outputs) * np.array(numbers.weights)).sum(axis=2) + np.array(numbers.bias)
    # They were fitted separately: where two cross, the rarer class gets probability 0.
    worse = np.minimum.accumulate(1 / (1 + np.exp(-logits)), axis=1)
    edges = np.concatenate([np.ones((len(worse), 1)), worse, np.zeros((len(worse), 1))], axis=1)
    return np.asarray(-np.diff(edges, axis=1))


def severity_features(outputs: Outputs) -> NDArray[np.float64]:
    """(batch, 3, 2): for worse than mild, moderate, severe: log(1 + density), and the logit by the network."""
    chances = outputs["severity"].astype(np.float64)
    worse = np.cumsum(chances[:, ::-1], axis=1)[:, -2::-1]
    worse = np.clip(worse, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    dense = np.log1p(np.maximum(outputs["density"].astype(np.float64), 0.0))
    return np.stack([np.repeat(dense[:, None], 3, axis=1), np.log(worse / (1 - worse))], axis=2)


def wrinkle_chances(outputs: Outputs, calibration: Calibration) -> NDArray[np.float64]:
    """Probability of wrinkles by zone, in the order of WRINKLE_ZONES, float64 (batch, 4)."""
    chance = np.clip(outputs["wrinkles"].astype(np.float64), 1e-7, 1 - 1e-7)
    logits = np.clip(np.log(chance / (1 - chance)), -LOGIT_MAX, LOGIT_MAX)
    fits = [calibration.wrinkles[zone] for zone in WRINKLE_ZONES]
    slopes, biases = np.array([fit.slope for fit in fits]), np.array([fit.bias for fit in fits])
    return np.asarray(1 / (1 + np.exp(-(slopes * logits + biases))))


def _estimates(outputs: Outputs) -> NDArray[np.float64]:
    """Two estimates of the count, (batch, 2): the density's sum, the mean of the count's distribution."""
    chances = outputs["count_distribution"].astype(np.float64)
    return np.stack([np.maximum(outputs["density"], 0.0), chances @ np.arange(chances.shape[1])], axis=1).astype(
        np.float64
    )
