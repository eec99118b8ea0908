"""Augments a crop as a phone might have taken it: rotates, shifts, relights, blurs and compresses it, with its boxes.

    python -m training.augment --out /tmp/views        # writes 24 examples with their boxes, to look at them

The geometry comes first, in one step from the 512-pixel crop to the training size; then light, colour, blur, noise and
JPEG follow, each with its own probability. Keep the images out of the project, whose license does not cover the photos.
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

FLIP = 0.5  # probability; faces are nearly symmetric
ROTATION = 12.0  # degrees, standard deviation; the service does not level faces, and robustness is measured at 30
ZOOM = 0.15  # standard deviation of the log: face detectors disagree by about that much
SHIFT = 0.05  # of the side, standard deviation
CLOSE = 0.25  # probability of a view at full resolution: small lesions are then as large as in the service
WHOLE_CROP = 0.75  # least visible share of the crop from which severity and count are trained
WHOLE_LESIONS = 0.9  # least visible share of the lesions from which severity and count are trained
STOPS = 0.5  # exposure, standard deviation in linear light; robustness is measured at ±1
TINT = 0.08  # standard deviation of the log gain of each channel: lamps and white balances
CONTRAST, SATURATION, GAMMA = 0.15, 0.25, 0.12  # standard deviations of the log
GREY = 0.05  # probability: some of the wrinkle photos are black and white
SHADE, SHADE_STOPS = 0.3, 1.0  # probability of light from one side, and its largest range from edge to edge
BLUR, BLUR_MAX = 0.2, 1.6  # probability, and largest σ in px of the view; more would hide the labelled lesions
SHRINK, SHRINK_MIN = 0.2, 0.45  # probability of a photo with fewer pixels, and the smallest share of the side
NOISE, NOISE_MAX = 0.2, 8.0  # probability, and largest σ in grey levels
JPEG, JPEG_MIN, JPEG_MAX = 0.35, 25, 85  # probability, and range of the quality


@dataclass(frozen=True, slots=True)
class View:
    """An augmented example, the input of the network.

    Attributes:
        pixels: uint8 (side, side, 3).
        lesions: float64 (n, 4), x, y, width, height in px of the view; their centres lie inside it.
        wrinkles: WRINKLE_ZONES → float64 (n, 4), likewise.
        whole: whether enough of the face is visible to train severity and count.
    """

    pixels: NDArray[np.uint8]
    lesions: NDArray[np.float64]
    wrinkles: dict[str, NDArray[np.float64]]
    whole: bool


def join_halves(left: Example, right: Example) -> Example:
    """Join the left half of one acne crop and the right half of another.

    Whole faces are few, so the heads that judge them memorise them; the lesions of two joined halves must be counted.
    The severity follows from the count, by Hayashi's limits (J Dermatol 2008).
    """
    seam = CROP_SIZE // 2
    pixels = np.concatenate([left.crop.pixels[:, :seam], right.crop.pixels[:, seam:]], axis=1)
    left_x, right_x = (example.lesions[:, 0] + example.lesions[:, 2] / 2 for example in (left, right))  # centres
    lesions = np.concatenate([left.lesions[left_x < seam], right.lesions[right_x >= seam]])
    severity = int(np.searchsorted(HAYASHI_LIMITS[1:], len(lesions), side="left"))
    return replace(left, crop=replace(left.crop, pixels=pixels), severity=severity, lesions=lesions)


def whole_view(example: Example, side: int) -> View:
    """Resize the whole crop to `side` px without augmentation, as the service does."""
    image = Image.fromarray(np.ascontiguousarray(example.crop.pixels))
    if side != CROP_SIZE:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    affine = np.array([[side / CROP_SIZE, 0.0, 0.0], [0.0, side / CROP_SIZE, 0.0]])
    return _view(np.asarray(image, dtype=np.uint8), example, affine, side)


def random_view(example: Example, side: int, rng: np.random.Generator) -> View:
    """Augment an example.

    Args:
        example: the labelled crop.
        side: of the view, px; most views show the whole crop shrunk to it, a close view a part at full resolution.
        rng: the only source of randomness; the same state gives the same view.
    """
    affine = _random_affine(example, side, rng)
    inverse = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    image = Image.fromarray(np.ascontiguousarray(example.crop.pixels))
    size = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if size < 0.6:  # bilinear reads four pixels: shrinking further would alias
        image = image.filter(ImageFilter.BoxBlur(0.5 / size - 0.5))
    fill = (PADDING,) * 3
    transformed = image.transform(
        (side, side), Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BILINEAR, fillcolor=fill
    )
    return _view(_random_camera(transformed, rng), example, affine, side)


def _random_affine(example: Example, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose an affine transform from crop pixels to view pixels, float64 (2, 3)."""
    close = rng.random() < CLOSE and side < CROP_SIZE
    zoom = (1.0 if close else side / CROP_SIZE) * np.exp(np.clip(rng.normal(0, ZOOM), -2 * ZOOM, 2 * ZOOM))
    angle = np.deg2rad(np.clip(rng.normal(0, ROTATION), -2.5 * ROTATION, 2.5 * ROTATION))
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    if rng.random() < FLIP:
        linear = linear @ np.diag([-1.0, 1.0])
    centre = np.full(2, CROP_SIZE / 2)
    if close:  # half of the close views are centred on a labelled box, the others lie anywhere
        boxes = np.concatenate([example.lesions, *example.wrinkles.values()])
        half = side / zoom / 2
        reach = max(CROP_SIZE / 2 - half, 0.0)
        centre = centre + rng.uniform(-reach, reach, 2)
        if len(boxes) and rng.random() < 0.5:
            box = boxes[rng.integers(len(boxes))]
            centre = np.clip(box[:2] + box[2:] / 2, half, max(CROP_SIZE - half, half))
    shift = np.clip(rng.normal(0, SHIFT, 2), -2 * SHIFT, 2 * SHIFT) * side
    return np.column_stack([linear, side / 2 + shift - linear @ centre])


def _view(pixels: NDArray[np.uint8], example: Example, affine: NDArray[np.float64], side: int) -> View:
    no_boxes = np.empty((0, 4))
    wrinkles = {zone: _transform_boxes(example.wrinkles.get(zone, no_boxes), affine, side) for zone in WRINKLE_ZONES}
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], dtype=np.float64)
    in_crop = (corners - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    # The visible share of the crop, by the bounds of the view in it: exact when level, too large when rotated.
    low, high = np.clip(in_crop.min(axis=0), 0, CROP_SIZE), np.clip(in_crop.max(axis=0), 0, CROP_SIZE)
    lesions = _transform_boxes(example.lesions, affine, side)
    visible = float((high - low).prod()) / CROP_SIZE**2
    whole = visible >= WHOLE_CROP and len(lesions) >= WHOLE_LESIONS * len(example.lesions)
    return View(pixels, lesions, wrinkles, whole)


def _transform_boxes(boxes: NDArray[np.float64], affine: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Move and scale boxes (n, 4); rotation does not enlarge them, since lesions are round."""
    zoom = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    centre = (boxes[:, :2] + boxes[:, 2:] / 2) @ affine[:, :2].T + affine[:, 2]
    size = boxes[:, 2:] * zoom
    inside = ((centre >= 0) & (centre < side)).all(axis=1)
    return np.asarray(np.concatenate([centre - size / 2, size], axis=1)[inside], dtype=np.float64)


def _random_camera(image: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change resolution, blur, light, colour, noise and JPEG at random; returns uint8 (side, side, 3)."""
    side = image.width
    if rng.random() < SHRINK:
        small = round(side * rng.uniform(SHRINK_MIN, 0.9))
        image = image.resize((small, small), Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BICUBIC)
    if rng.random() < BLUR:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, BLUR_MAX))))
    pixels = np.asarray(image, dtype=np.float32) / 255
    padded = (np.asarray(image) == PADDING).all(axis=2)
    # Linear light ≈ value^2.2, so one stop is a gain of 2^(1/2.2) on the values.
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
    result[padded] = PADDING  # the service pads the photo, so the camera does not change the padding
    return result


def main() -> None:
    from training import data, labels  # only this command needs them

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=labels.DATA, help="folder that holds acne04 and wrinkles (%(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the images, outside the project")
    options = parser.parse_args()
    try:
        fit, rng = data.load(options.data).fit, np.random.default_rng(0)
    except data.DataError as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(24):
        examples = fit.wrinkles if number % 3 == 2 else fit.acne
        view = random_view(examples[rng.integers(len(examples))], 384, rng)
        image = Image.fromarray(view.pixels)
        for boxes in (view.lesions, *view.wrinkles.values()):
            for x, y, width, height in boxes:
                ImageDraw.Draw(image).rectangle([x, y, x + width, y + height], outline="lime")
        image.save(options.out / f"{number:02}.png")
    print(f"wrote 24 images to {options.out}")


if __name__ == "__main__":
    main()
