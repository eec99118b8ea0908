"""Bytes → upright sRGB pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright photo.

    Attributes:
        pixels: uint8 (height, width, 3), sRGB, upright (EXIF orientation applied). May be smaller than the photo:
            very large JPEGs are decoded at half, a quarter or an eighth.
        width: of the upright photo as sent, in px.
        height: of the upright photo as sent, in px.
        format: "JPEG", "PNG" or "WEBP", judged by content.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
