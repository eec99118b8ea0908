"""Boxes (x, y, width, height): overlap and non-maximum suppression."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def overlaps(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of each box with each other one, float64 (n, m); boxes are (n, 4) and (m, 4)."""
    a, b = (np.asarray(rows, dtype=np.float64).reshape(-1, 4) for rows in (boxes, others))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def nms(boxes: ArrayLike, scores: ArrayLike, overlap_max: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes to keep.

    Args:
        boxes: (n, 4).
        scores: (n,).
        overlap_max: intersection over union, 0..1; a box that overlaps a better one by more is dropped.

    Returns:
        Best first; equal scores in the order given.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    clash = overlaps(boxes, boxes)[order][:, order] > overlap_max
    dropped = np.zeros(len(order), dtype=np.bool_)
    for number in range(len(order)):
        if not dropped[number]:
            dropped[number + 1 :] |= clash[number, number + 1 :]
    return np.asarray(order[~dropped])
