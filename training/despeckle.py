"""Removes the salt-and-pepper noise that the exporter of the train photos added; lesions and highlights stay."""

import cv2
import numpy as np
from numpy.typing import NDArray

MEDIAN = 5  # px; a speckle covers one pixel, and JPEG smears it over its neighbours
FAR = 45  # grey levels from the median; of a lesion's edge no pixel is so far from it
AREA, FEW = 9, 8  # px, and how many far pixels of so large a square a speckle has at most; hair and text have more


def despeckle(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace isolated pixels, and those beside them, by the median of their surroundings.

    Args:
        pixels: uint8 (height, width, 3).
    """
    median = cv2.medianBlur(pixels, MEDIAN)
    far = np.abs(pixels.astype(np.int16) - median).max(axis=2) > FAR
    near = cv2.boxFilter(far.astype(np.float32), -1, (AREA, AREA), normalize=False)
    speckles = cv2.dilate((far & (near <= FEW)).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(speckles[..., None] > 0, median, pixels).astype(np.uint8)
