"""The position of each pixel on the face, as features."""

import numpy as np
from numpy.typing import NDArray

from bentos.skin.photo import face_parts
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.face_parts import FaceParts

# The affine that takes a face's own axes (`FaceParts.axes`) to the crop: median of 1,700 train crops, used without a
# face.
USUAL = np.array([[105.0, 0.0, 256.0], [0.0, 105.0, 215.0]])
ACROSS_LIMIT, ALONG_LIMITS = 2.0, (-2.0, 3.0)  # beyond them is background


def face_coordinates(parts: FaceParts | None, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Across (0 in the middle, the person's left positive) and along (0 at the pupils, down positive), per pixel.

    Args:
        parts: of the face, in crop pixels.
        size: side of the maps wanted; they show the whole crop.

    Returns:
        Two float32 (size, size), in distances between the pupils.
    """
    across, along = face_parts.face_coordinates(USUAL if parts is None else parts.axes, size, CROP_SIZE / size)
    limited = np.clip(across, -ACROSS_LIMIT, ACROSS_LIMIT), np.clip(along, *ALONG_LIMITS)
    return limited[0].astype(np.float32), limited[1].astype(np.float32)


def roll(parts: FaceParts | None) -> float:
    """The head's turn on the screen, in radians, clockwise; 0 without a face."""
    return 0.0 if parts is None else float(np.arctan2(parts.axes[1, 0], parts.axes[0, 0]))
