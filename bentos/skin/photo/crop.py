"""The square that is analysed, with the way back to the photo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CROP_SIZE = 512  # px; the side of every crop, the input of both runners


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the photo at 512×512; plain data, so that it crosses to a runner as it is.

    Attributes:
        pixels: uint8 (512, 512, 3), sRGB. What lies beyond the photo is mid-grey (127).
        to_photo: float64 (2, 3), affine that takes (x, y, 1) in crop pixels to pixels of the upright photo.
        valid: (x0, y0, x1, y1) in crop pixels, half-open: the part that shows the photo.
        keypoints: float32 (6, 2) in crop pixels, in the order of `Face.keypoints`; None where no face was found.
    """

    pixels: NDArray[np.uint8]
    to_photo: NDArray[np.float64]
    valid: tuple[int, int, int, int]
    keypoints: NDArray[np.float32] | None
