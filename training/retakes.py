"""Retakes: one photo as it might have been taken again, in another crop, size, compression and light.

What a photo alone cannot show is not in them: another expression, another turn of the head, another focus, another
direction of the light. The differences between real photos of one face are therefore larger.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from training.distortions import CAST, light_gains

CUT = 0.1  # of the width or height, at each side: how much nearer the same face fills the frame
SMALLEST = 0.5  # of the photo's size: half, as another camera or an app that shrinks photos makes it
JPEG_LOW, JPEG_HIGH = 50, 95  # quality; 50 is below what apps that send photos save with, 95 is a camera's
STOPS = 1.0  # up and down, of linear light; with CAST the light in which the limits of the quality check were set


@dataclass(frozen=True, slots=True)
class Retake:
    """How a photo is taken again.

    Attributes:
        cut: share of the width or height that is cut off: left, top, right, bottom.
        size: of the result, over that of what is left.
        stops: of exposure.
        red, blue: factors of these channels' linear light.
        jpeg: quality to save with.
    """

    cut: tuple[float, float, float, float]
    size: float
    stops: float
    red: float
    blue: float
    jpeg: int


def draw(rng: np.random.Generator) -> Retake:
    """Draw a retake, each of its values evenly from its range and independently of the others."""
    left, top, right, bottom = rng.uniform(0, CUT, 4).tolist()
    return Retake(
        cut=(left, top, right, bottom),
        size=float(rng.uniform(SMALLEST, 1)),
        stops=float(rng.uniform(-STOPS, STOPS)),
        red=float(rng.uniform(1 - CAST, 1 + CAST)),
        blue=float(rng.uniform(1 - CAST, 1 + CAST)),
        jpeg=int(rng.integers(JPEG_LOW, JPEG_HIGH, endpoint=True)),
    )


def take(retake: Retake, image: Image.Image) -> bytes:
    """Take a photo again.

    Args:
        retake: how.
        image: the photo, RGB and upright.

    Returns:
        A JPEG file.
    """
    left, top, right, bottom = retake.cut
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    size = max(round(retake.size * (box[2] - box[0])), 1), max(round(retake.size * (box[3] - box[1])), 1)
    light = 2.0**retake.stops
    # One resampling for both, so that the sharpness does not depend on where the crop begins.
    changed = image.resize(size, Image.Resampling.LANCZOS, box=box)
    buffer = BytesIO()
    light_gains(light * retake.red, light, light * retake.blue)(changed).save(buffer, "JPEG", quality=retake.jpeg)
    return buffer.getvalue()
