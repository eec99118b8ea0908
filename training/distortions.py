"""Distorts labelled photos as may happen on their way to the service, and moves their boxes accordingly."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

JPEG_QUALITY = 30  # strong compression
BLUR_SIGMA = 2.0  # px of a 640 px photo: the lesions' edges vanish, the lesions stay
CAST = 0.15  # of one channel: a lamp in a room lit by daylight, plainly seen
ROTATION = 30.0  # degrees, counter-clockwise on the screen
FILL = (127, 127, 127)  # of the corners that rotation leaves empty; the same grey as the crop's padding

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Distortion:
    """A change of a photo.

    Attributes:
        label: for the model card and the plots.
        change: image → image.
        move: boxes (n, 4) in px, and width and height before the change → boxes after it.
        jpeg: quality to save with; None saves losslessly.
    """

    label: str
    change: Callable[[Image.Image], Image.Image]
    move: Callable[[Boxes, tuple[int, int]], Boxes]
    jpeg: int | None = None


def distort(distortion: Distortion, data: bytes, boxes: Boxes) -> tuple[bytes, Boxes]:
    """Apply a distortion to a photo and its boxes.

    Args:
        distortion: one of DISTORTIONS or LIGHTS.
        data: bytes of an image file.
        boxes: float64 (n, 4), x, y, width, height in px.

    Returns:
        Bytes of a PNG or JPEG file, and the boxes in it.
    """
    with Image.open(BytesIO(data)) as file:
        image = file.convert("RGB")
    buffer = BytesIO()
    changed = distortion.change(image)
    if distortion.jpeg is None:
        changed.save(buffer, "PNG", compress_level=0)  # lossless, and fast to write and to read
    else:
        changed.save(buffer, "JPEG", quality=distortion.jpeg)
    return buffer.getvalue(), distortion.move(boxes, image.size)


def light_gains(red: float, green: float, blue: float) -> Callable[[Image.Image], Image.Image]:
    """Multiply the linear light of each channel and clip it, with the sRGB transfer function (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    tables = []
    for gain in (red, green, blue):
        light = np.minimum(linear * gain, 1.0)
        encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
        tables += np.rint(255 * encoded).astype(int).tolist()
    return lambda image: image.point(tables)


def _encoded_gains(red: float, green: float, blue: float) -> Callable[[Image.Image], Image.Image]:
    """Multiply the code values of each channel, as programs that edit photos do."""
    tables = [min(round(gain * code), 255) for gain in (red, green, blue) for code in range(256)]
    return lambda image: image.point(tables)


def _expose(stops: float) -> Callable[[Image.Image], Image.Image]:
    return light_gains(*[2.0**stops] * 3)


def _casts() -> dict[str, Distortion]:
    """Casts of CAST, blue and warm, by one channel that is raised or lowered, in linear light and in code values."""
    up, down = 1 + CAST, 1 - CAST
    sides = {
        "blue": {"more blue": (1.0, 1.0, up), "less red": (down, 1.0, 1.0)},
        "warm": {"more red": (up, 1.0, 1.0), "less blue": (1.0, 1.0, down)},
    }
    casts = {}
    for side, channels in sides.items():
        for label, gains in channels.items():
            for kind, change in (("light", light_gains), ("code", _encoded_gains)):
                name = f"{side}_{label.replace(' ', '_')}_{kind}"
                casts[name] = Distortion(f"{side} cast: {CAST:.0%} {label} {kind}", change(*gains), _keep_boxes)
    return casts


def _rotate(image: Image.Image) -> Image.Image:
    return image.rotate(ROTATION, Image.Resampling.BICUBIC, expand=True, fillcolor=FILL)


def _rotate_boxes(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Rotate the centres about the image's centre; the sides stay, since lesions are almost round."""
    cos, sin = math.cos(math.radians(ROTATION)), math.sin(math.radians(ROTATION))
    rotation = np.array([[cos, -sin], [sin, cos]])  # for row vectors, y down
    centres = boxes[:, :2] + boxes[:, 2:] / 2 - np.array(size) / 2
    new_centre = np.array(_rotate(Image.new("L", size, 0).convert("RGB")).size) / 2
    return np.concatenate([centres @ rotation + new_centre - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _halve(image: Image.Image) -> Image.Image:
    return image.resize((max(image.width // 2, 1), max(image.height // 2, 1)), Image.Resampling.BOX)


def _halve_boxes(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    share = np.array([max(length // 2, 1) / length for length in size] * 2)
    return boxes * share


def _clean(image: Image.Image) -> Image.Image:
    from training.despeckle import despeckle  # needs OpenCV, which the other distortions do without

    return Image.fromarray(despeckle(np.asarray(image)))


def _keep(image: Image.Image) -> Image.Image:
    return image


def _keep_boxes(boxes: Boxes, _size: tuple[int, int]) -> Boxes:
    return boxes


DISTORTIONS = {
    "jpeg_30": Distortion(f"JPEG quality {JPEG_QUALITY}", _keep, _keep_boxes, jpeg=JPEG_QUALITY),
    "blur": Distortion(
        f"Gaussian blur, σ {BLUR_SIGMA:g} px",
        lambda image: image.filter(ImageFilter.GaussianBlur(BLUR_SIGMA)),
        _keep_boxes,
    ),
    "stop_up": Distortion("one stop brighter", _expose(1.0), _keep_boxes),
    "stop_down": Distortion("one stop darker", _expose(-1.0), _keep_boxes),
    "turned": Distortion(f"rotated by {ROTATION:g}°", _rotate, _rotate_boxes),
    "half_size": Distortion("half the size", _halve, _halve_boxes),
    "warm": Distortion(f"tint, {CAST:.0%} more red", light_gains(1 + CAST, 1.0, 1.0), _keep_boxes),
    "cold": Distortion(f"tint, {CAST:.0%} more blue", light_gains(1.0, 1.0, 1 + CAST), _keep_boxes),
}
# What the limits of the light are measured with, on faces taken in white light.
LIGHTS = {name: DISTORTIONS[name] for name in ("stop_up", "stop_down")} | _casts()
# The exporter's noise is taken out of the train photos that are measured; those as they were taken hardly change.
CLEANED = Distortion("despeckled", _clean, _keep_boxes)
