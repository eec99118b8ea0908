"""Matches predicted boxes with labelled ones, and computes average precision from the matches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bentos.skin.boxes import overlaps

NEARLY = 0.003  # of F1; a tenth of its interval
KEPT = 0.8  # share of spotted faces that must not be called clear


def match_boxes(predicted: ArrayLike, labelled: ArrayLike, min_iou: float) -> NDArray[np.bool_]:
    """Decide for each predicted box of one photo whether it is correct.

    A box takes the labelled box with which its intersection over union is highest; a labelled box is taken once.

    Args:
        predicted: (n, 4), x, y, width, height, best first.
        labelled: (m, 4), in the same unit.
        min_iou: least intersection over union of a correct box, 0..1.

    Returns:
        bool (n,).
    """
    ious = overlaps(predicted, labelled)
    correct = np.zeros(len(ious), dtype=np.bool_)
    for number, row in enumerate(ious):
        if row.size and row.max() >= min_iou:
            correct[number] = True
            ious[:, int(row.argmax())] = -1.0
    return correct


def average_precision(confidence: ArrayLike, correct: ArrayLike, total: int) -> float:
    """Compute the area under the precision-recall curve, precision made monotone (PASCAL VOC 2010 and later).

    Args:
        confidence: (n,), of all predicted boxes of all photos.
        correct: (n,), from `match_boxes`.
        total: number of labelled boxes.

    Returns:
        0..1; 0 where nothing was predicted or labelled.
    """
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    hits = np.cumsum(np.asarray(correct, dtype=np.float64)[order])
    if not len(hits) or not total:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(hits / total, prepend=0.0) * best_from_here))


def best_threshold(confidence: ArrayLike, correct: ArrayLike, total: int) -> float:
    """Find the confidence from which the boxes of all photos together have the best F1, within NEARLY.

    Of those the highest: who sees a box believes it.

    Args:
        confidence: (n,), of all predicted boxes of all photos, 0..1.
        correct: (n,), from `match_boxes`.
        total: number of labelled boxes.

    Returns:
        A hundredth, 0..1; 0 where nothing was predicted.
    """
    values, hits = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    thresholds = np.arange(100) / 100
    scores = [
        2 * int((hits & (values >= limit)).sum()) / max(int((values >= limit).sum()) + total, 1) for limit in thresholds
    ]
    return float(thresholds[np.flatnonzero(np.array(scores) >= max(scores) - NEARLY)[-1]]) if len(values) else 0.0


def clear_threshold(faces: Sequence[tuple[float, int, int]]) -> float:
    """Find the estimated count below which a face is called clear.

    Args:
        faces: estimate, and the least and most lesions that a face was labelled with.

    Returns:
        The hundredth, up to 3, at which most counts lie within their bounds, the share of spotted faces (a least of 1
        or more) that keep a count, and that of clear ones (most of 1 or less) that get none, counted as much; of those
        at which KEPT of the spotted faces keep one. Of equal ones the middle.
    """
    estimates, least, most = (np.array(column, dtype=np.float64) for column in zip(*faces, strict=True))
    spotted, clear = least >= 1, (least == 0) & (most <= 1)
    limits = np.arange(50, 300) / 100

    def merit(limit: float) -> float:
        count = np.where(estimates < limit, 0, np.maximum(np.rint(estimates), 1))
        within = ((count >= least) & (count <= most)).mean()
        kept = (count[spotted] > 0).mean() if spotted.any() else 0.0
        none = (count[clear] == 0).mean() if clear.any() else 0.0
        enough = kept >= KEPT or not spotted.any()
        return round(float(within + kept + none), 9) if enough else 0.0

    merits = np.array([merit(limit) for limit in limits])
    return round(float(np.median(limits[merits == merits.max()])), 2)
