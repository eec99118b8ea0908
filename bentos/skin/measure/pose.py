"""The position of each pixel on the face, as features."""

import numpy as np
from numpy.typing import NDArray

from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop

# The affine that takes a face's shape (zones.KEYPOINTS, x and y) to the crop: median of 1,700 train crops, used where
# no face was found.
USUAL = np.array([[105.0, 0.0, 256.0], [0.0, 105.0, 215.0]])
AREA_MIN = 100.0  # px²; of the shape's unit square; key points (nearly) on a line give no pose
ACROSS_LIMIT, ALONG_LIMITS = 2.0, (-2.0, 3.0)  # beyond them is background


def pose(crop: Crop) -> NDArray[np.float64]:
    """The affine, float64 (2, 3), nearest to the key points, that takes the shape's x and y to crop pixels."""
    if crop.keypoints is None:
        return USUAL
    shape = np.hstack([zones.KEYPOINTS[:, :2], np.ones((6, 1))])
    fitted = np.linalg.lstsq(shape, crop.keypoints.astype(np.float64), rcond=None)[0].T
    return fitted if np.isfinite(fitted).all() and np.linalg.det(fitted[:, :2]) > AREA_MIN else USUAL


def face_coordinates(crop: Crop, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Across (0 in the middle, the person's left positive) and along (0 at the pupils, down positive), per pixel.

    Args:
        crop: the crop.
        size: side of the maps wanted; they show the whole crop.

    Returns:
        Two float32 (size, size), in distances between the pupils.
    """
    affine = pose(crop)
    back = np.linalg.inv(affine[:, :2])
    centres = (np.arange(size) + 0.5) * (CROP_SIZE / size)
    x, y = centres - affine[0, 2], centres - affine[1, 2]
    across = back[0, 0] * x[None] + back[0, 1] * y[:, None]
    along = back[1, 0] * x[None] + back[1, 1] * y[:, None]
    limited = np.clip(across, -ACROSS_LIMIT, ACROSS_LIMIT), np.clip(along, *ALONG_LIMITS)
    return limited[0].astype(np.float32), limited[1].astype(np.float32)


def roll(crop: Crop) -> float:
    """The head's turn on the screen, in radians, clockwise; 0 where no face was found."""
    if crop.keypoints is None:
        return 0.0
    right, left = crop.keypoints[0].astype(np.float64), crop.keypoints[1].astype(np.float64)
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))
