"""Where the faces are: BlazeFace through ONNX Runtime."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Face:
    """A face, in pixels of the upright photo (`Photo.width` × `Photo.height`), whatever size was decoded.

    Attributes:
        box: (x, y, width, height), float, inside the photo.
        confidence: the detector's score, 0..1.
        keypoints: float32 (6, 2): the person's right eye, left eye, nose tip, mouth centre, right ear, left ear.
            They may lie outside the photo.
    """

    box: tuple[float, float, float, float]
    confidence: float
    keypoints: NDArray[np.float32]
