"""Which found boxes are right."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bentos.skin.boxes import overlaps


def matches(found: ArrayLike, true: ArrayLike, least: float) -> NDArray[np.bool_]:
    """Whether each found box, best first, is right: it takes the true box it overlaps most, once, by `least`."""
    shares = overlaps(found, true)
    right = np.zeros(len(shares), dtype=np.bool_)
    for number, row in enumerate(shares):
        if row.size and row.max() >= least:
            right[number] = True
            shares[:, int(row.argmax())] = -1.0
    return right


def average_precision(confidence: ArrayLike, right: ArrayLike, total: int) -> float:
    """Area under the precision-recall curve, precision made monotone (PASCAL VOC 2010 and later).

    Args:
        confidence: (n,), of all found boxes of all photos.
        right: (n,), from `matches`.
        total: number of true boxes.
    """
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    hits = np.cumsum(np.asarray(right, dtype=np.float64)[order])
    if not len(hits) or not total:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(hits / total, prepend=0.0) * best_from_here))
