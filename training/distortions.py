"""What happens to photos on their way to a service, done to labelled ones: bytes and boxes in, bytes and boxes out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

JPEG_QUALITY = 30
BLUR_SIGMA = 2.0  # px of a 640 px photo: lesions' edges go, lesions stay
TURN = 30.0  # degrees, counter-clockwise on the screen
FILL = (127, 127, 127)  # of the corners that turning lays bare; the crop's padding has it too

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Distortion:
    """A change of a photo.

    Attributes:
        label: for people.
        change: picture → picture.
        move: boxes (n, 4) in px, and the picture's size before → boxes after.
        jpeg: quality to save with; None saves losslessly.
    """

    label: str
    change: Callable[[Image.Image], Image.Image]
    move: Callable[[Boxes, tuple[int, int]], Boxes]
    jpeg: int | None = None


def distorted(distortion: Distortion, data: bytes, boxes: Boxes) -> tuple[bytes, Boxes]:
    """A photo's bytes and its boxes (n, 4), x, y, width, height in px, after a distortion."""
    with Image.open(BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    buffer = BytesIO()
    changed = distortion.change(picture)
    if distortion.jpeg is None:
        changed.save(buffer, "PNG", compress_level=0)  # lossless, and quick to write and read
    else:
        changed.save(buffer, "JPEG", quality=distortion.jpeg)
    return buffer.getvalue(), distortion.move(boxes, picture.size)


def _exposed(stops: float) -> Callable[[Image.Image], Image.Image]:
    """Light times 2 ** stops, clipped, through the sRGB transfer function (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4) * 2.0**stops
    light = np.minimum(light, 1.0)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.rint(255 * encoded).astype(int).tolist()
    return lambda picture: picture.point(3 * table)


def _turned(picture: Image.Image) -> Image.Image:
    return picture.rotate(TURN, Image.Resampling.BICUBIC, expand=True, fillcolor=FILL)


def _turned_boxes(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Middles turn about the picture's; sides stay, since lesions are about round."""
    cos, sin = math.cos(math.radians(TURN)), math.sin(math.radians(TURN))
    turn = np.array([[cos, -sin], [sin, cos]])  # of row vectors, y down
    middles = boxes[:, :2] + boxes[:, 2:] / 2 - np.array(size) / 2
    grown = np.array(_turned(Image.new("L", size, 0).convert("RGB")).size) / 2
    return np.concatenate([middles @ turn + grown - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _halved(picture: Image.Image) -> Image.Image:
    return picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)), Image.Resampling.BOX)


def _halved_boxes(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    share = np.array([max(length // 2, 1) / length for length in size] * 2)
    return boxes * share


def _same(picture: Image.Image) -> Image.Image:
    return picture


def _where_they_were(boxes: Boxes, _size: tuple[int, int]) -> Boxes:
    return boxes


DISTORTIONS = {
    "jpeg_30": Distortion(f"JPEG quality {JPEG_QUALITY}", _same, _where_they_were, jpeg=JPEG_QUALITY),
    "blur": Distortion(
        f"Gaussian blur, σ {BLUR_SIGMA:g} px",
        lambda picture: picture.filter(ImageFilter.GaussianBlur(BLUR_SIGMA)),
        _where_they_were,
    ),
    "stop_up": Distortion("one stop brighter", _exposed(1.0), _where_they_were),
    "stop_down": Distortion("one stop darker", _exposed(-1.0), _where_they_were),
    "turned": Distortion(f"turned by {TURN:g}°", _turned, _turned_boxes),
    "half_size": Distortion("half the size", _halved, _halved_boxes),
}
