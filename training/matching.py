"""Matches predicted boxes with labelled ones, and computes average precision from the matches."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bentos.skin.boxes import overlaps


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
