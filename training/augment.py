"""A crop as a phone might have taken it: turned, moved, relit, blurred, compressed; its boxes go along.

    python -m training.augment --out /tmp/views        # draws views with their boxes; keep them out of the project

Geometry comes first, from the 512-pixel crop straight to the side that is trained at; then light, colour, blur, noise
and JPEG, each by its own chance.
"""

import argparse
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bentos.skin.findings import HAYASHI_LIMITS, WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE, PADDING
from training.crops import Example

FLIP = 0.5  # chance; faces are near enough to symmetric
TURN = 12.0  # degrees, standard deviation; the service does not level faces, and robustness is measured at 30
ZOOM = 0.15  # standard deviation of the log: face detectors disagree by about that much
SHIFT = 0.05  # of the side, standard deviation
CLOSE = 0.25  # chance of a view at the crop's full resolution: small lesions as large as the service will show them
WHOLE_CROP, WHOLE_LESIONS = 0.75, 0.9  # shares of the crop and its lesions to be seen for severity and count's heads
STOPS = 0.5  # of exposure, standard deviation in linear light; robustness is measured at ±1
TINT = 0.08  # standard deviation of the log gain of each channel: lamps and white balances
CONTRAST, SATURATION, GAMMA = 0.15, 0.25, 0.12  # standard deviations of the log
GREY = 0.05  # chance: some of the wrinkle photos are black and white
SHADE = 0.3  # chance of light from one side, up to SHADE_STOPS from edge to edge
SHADE_STOPS = 1.0
BLUR, BLUR_MAX = 0.2, 1.6  # chance, and largest σ in px of the view; more would hide the lesions that are labelled
SHRINK, SHRINK_MIN = 0.2, 0.45  # chance of a photo of fewer pixels, and the smallest share of the side
NOISE, NOISE_MAX = 0.2, 8.0  # chance, and largest σ in grey levels
JPEG, JPEG_MIN, JPEG_MAX = 0.35, 25, 85  # chance, and quality


@dataclass(frozen=True, slots=True)
class View:
    """What the network sees of an example.

    Attributes:
        pixels: uint8 (side, side, 3).
        lesions: float64 (n, 4), x, y, width, height in px of the view; centres inside it.
        wrinkles: WRINKLE_ZONES → the same.
        whole: whether enough is seen for severity and count.
    """

    pixels: NDArray[np.uint8]
    lesions: NDArray[np.float64]
    wrinkles: dict[str, NDArray[np.float64]]
    whole: bool


def halved(own: Example, other: Example) -> Example:
    """The left half of one acne crop beside the right half of another: a face nobody has.

    Whole faces are few, and the heads that judge them learn them by heart; how many lesions two halves have together
    can only be counted. Severity follows from the count, by Hayashi's limits.
    """
    seam = CROP_SIZE // 2
    pixels = np.concatenate([own.crop.pixels[:, :seam], other.crop.pixels[:, seam:]], axis=1)
    left, right = (one.lesions[:, 0] + one.lesions[:, 2] / 2 for one in (own, other))
    lesions = np.concatenate([own.lesions[left < seam], other.lesions[right >= seam]])
    severity = int(np.searchsorted(HAYASHI_LIMITS[1:], len(lesions), side="left"))
    return replace(own, crop=replace(own.crop, pixels=pixels), severity=severity, lesions=lesions)


def plain(example: Example, side: int) -> View:
    """The whole crop at a side, as served."""
    image = Image.fromarray(np.ascontiguousarray(example.crop.pixels))
    if side != CROP_SIZE:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    affine = np.array([[side / CROP_SIZE, 0.0, 0.0], [0.0, side / CROP_SIZE, 0.0]])
    return _view(np.asarray(image, dtype=np.uint8), example, affine, side)


def varied(example: Example, side: int, rng: np.random.Generator) -> View:
    """A random view.

    Args:
        example: the labelled crop.
        side: of the view, px; a whole crop is shrunk to it, a close view shows a part of it at full resolution.
        rng: all chance comes from it.
    """
    affine = _placement(example, side, rng)
    inverse = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    image = Image.fromarray(np.ascontiguousarray(example.crop.pixels))
    size = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if size < 0.6:  # bilinear reads four pixels: shrinking further would alias
        image = image.filter(ImageFilter.BoxBlur(0.5 / size - 0.5))
    fill = (PADDING,) * 3
    moved = image.transform(
        (side, side), Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BILINEAR, fillcolor=fill
    )
    return _view(_relit(moved, rng), example, affine, side)


def _placement(example: Example, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Affine from crop pixels to view pixels, (2, 3)."""
    close = rng.random() < CLOSE and side < CROP_SIZE
    zoom = (1.0 if close else side / CROP_SIZE) * np.exp(np.clip(rng.normal(0, ZOOM), -2 * ZOOM, 2 * ZOOM))
    angle = np.deg2rad(np.clip(rng.normal(0, TURN), -2.5 * TURN, 2.5 * TURN))
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    if rng.random() < FLIP:
        linear = linear @ np.diag([-1.0, 1.0])
    centre = np.full(2, CROP_SIZE / 2)
    if close:  # on a labelled box now and then, else anywhere
        boxes = np.concatenate([example.lesions, *example.wrinkles.values()])
        half = side / zoom / 2
        room = max(CROP_SIZE / 2 - half, 0.0)
        centre = centre + rng.uniform(-room, room, 2)
        if len(boxes) and rng.random() < 0.5:
            chosen = boxes[rng.integers(len(boxes))]
            centre = np.clip(chosen[:2] + chosen[2:] / 2, half, max(CROP_SIZE - half, half))
    shift = np.clip(rng.normal(0, SHIFT, 2), -2 * SHIFT, 2 * SHIFT) * side
    return np.column_stack([linear, side / 2 + shift - linear @ centre])


def _view(pixels: NDArray[np.uint8], example: Example, affine: NDArray[np.float64], side: int) -> View:
    wrinkles = {zone: _moved(example.wrinkles.get(zone, np.empty((0, 4))), affine, side) for zone in WRINKLE_ZONES}
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], dtype=np.float64)
    back = (corners - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    # The seen share of the crop, by the bounds of the view in it: exact when level, generous when turned.
    low, high = np.clip(back.min(axis=0), 0, CROP_SIZE), np.clip(back.max(axis=0), 0, CROP_SIZE)
    lesions = _moved(example.lesions, affine, side)
    seen = float((high - low).prod()) / CROP_SIZE**2
    whole = seen >= WHOLE_CROP and len(lesions) >= WHOLE_LESIONS * len(example.lesions)
    return View(pixels, lesions, wrinkles, whole)


def _moved(boxes: NDArray[np.float64], affine: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Boxes around the moved centres, scaled but not grown by the turn: lesions are round, their boxes do not turn."""
    zoom = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    centre = (boxes[:, :2] + boxes[:, 2:] / 2) @ affine[:, :2].T + affine[:, 2]
    size = boxes[:, 2:] * zoom
    inside = ((centre >= 0) & (centre < side)).all(axis=1)
    return np.asarray(np.concatenate([centre - size / 2, size], axis=1)[inside], dtype=np.float64)


def _relit(image: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light, colour, blur, fewer pixels, noise and JPEG, in the order a camera adds them."""
    side = image.width
    if rng.random() < SHRINK:
        small = round(side * rng.uniform(SHRINK_MIN, 0.9))
        image = image.resize((small, small), Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BICUBIC)
    if rng.random() < BLUR:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, BLUR_MAX))))
    pixels = np.asarray(image, dtype=np.float32) / 255
    beyond = (np.asarray(image) == PADDING).all(axis=2)
    # One curve for all: linear light ≈ value^2.2, so a stop is a gain of 2^(1/2.2) on the values.
    gain = 2 ** (np.clip(rng.normal(0, STOPS), -1.5, 1.5) / 2.2) * np.exp(rng.normal(0, TINT, 3) / 2.2)
    pixels = pixels * gain.astype(np.float32)
    if rng.random() < SHADE:
        angle, ramp = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, side, dtype=np.float32)
        stops = rng.uniform(0, SHADE_STOPS) * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None])
        pixels *= np.exp2(stops / 2.2).astype(np.float32)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < GREY else float(np.exp(rng.normal(0, SATURATION)))
    pixels = grey + (pixels - grey) * saturation
    middle = float(pixels.mean())
    pixels = middle + (pixels - middle) * float(np.exp(rng.normal(0, CONTRAST)))
    pixels = np.clip(pixels, 0, 1) ** np.float32(np.exp(rng.normal(0, GAMMA)))
    if rng.random() < NOISE:
        pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(0, NOISE_MAX) / 255)
    result = np.asarray(np.clip(pixels * 255 + 0.5, 0, 255), dtype=np.uint8)
    if rng.random() < JPEG:
        buffer = io.BytesIO()
        Image.fromarray(result).save(buffer, "JPEG", quality=int(rng.integers(JPEG_MIN, JPEG_MAX)))
        result = np.array(Image.open(buffer))
    result[beyond] = PADDING  # the service pads after the camera
    return result


def main() -> None:
    from training import data, labels  # only the pictures need them

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures; not in the project")
    wanted = parser.parse_args()
    fit, rng = data.load(wanted.data).fit, np.random.default_rng(0)
    wanted.out.mkdir(parents=True, exist_ok=True)
    for number in range(24):
        examples = fit.wrinkles if number % 3 == 2 else fit.acne
        view = varied(examples[rng.integers(len(examples))], 384, rng)
        image = Image.fromarray(view.pixels)
        for boxes in (view.lesions, *view.wrinkles.values()):
            for x, y, width, height in boxes:
                ImageDraw.Draw(image).rectangle([x, y, x + width, y + height], outline="lime")
        image.save(wanted.out / f"{number:02}.png")


if __name__ == "__main__":
    main()
