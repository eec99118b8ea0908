"""Augments a crop as a phone might have taken it: rotates, shifts, relights, blurs and compresses it, with its boxes.

The geometry comes first, in one step from the 512-pixel crop to the training size; then light, colour, blur, noise and
JPEG follow, each with its own probability.
"""

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE, PADDING
from training import labels
from training.crops import Example

FLIP = 0.5  # probability; faces are nearly symmetric
ROTATION = 12.0  # degrees, standard deviation; the service does not level faces, and robustness is measured at 30
ZOOM = 0.18  # standard deviation of the log: face detectors disagree by about that much, cameras more
SHIFT = 0.05  # of the side, standard deviation
CLOSE = 0.25  # probability of a view at full resolution: small lesions are then as large as in the service
WHOLE_CROP = 0.75  # least visible share of the crop from which severity and count are trained
WHOLE_LESIONS = 0.9  # least visible share of the lesions from which severity and count are trained
HULL_MARGIN = 1.08  # of the hull of the landmarks about its middle: beyond it no lesion of the face lies
STOPS, STOPS_MAX = 0.6, 1.6  # exposure in linear light, standard deviation and limit; robustness is measured at ±1
TINT = 0.12  # standard deviation of the log gain of each channel: lamps and white balances
CONTRAST, SATURATION, GAMMA = 0.18, 0.25, 0.15  # standard deviations of the log
GREY = 0.06  # probability: some of the wrinkle photos are black and white
SHADE, SHADE_STOPS = 0.3, 1.2  # probability of light from one side, and its largest range from edge to edge
SHADOW, SHADOW_STOPS = 0.12, (0.3, 1.5)  # probability of a shadow with an edge, and its depth
BLUR, BLUR_MAX = 0.25, 1.8  # probability, and largest σ in px of the view; more would hide the labelled lesions
SHRINK, SHRINK_MIN = 0.25, 0.4  # probability of a photo with fewer pixels, and the smallest share of the side
NOISE, NOISE_MAX = 0.25, 9.0  # probability, and largest σ in grey levels
JPEG, JPEG_MIN, JPEG_MAX = 0.4, 30, 95  # probability, and range of the quality
TONE = 0.2  # probability of another skin tone
TONE_SPREAD, TONE_MIN, TONE_MAX = 16.0, 26.0, 76.0  # of L*: standard deviation of the shift, and range of the result
TONE_NEAR = 11.0  # distance in a*, b* from the face's skin at which a pixel moves by .6 of the shift
TONE_BLUR = 4  # how often the mean of a pixel's surroundings fits into a quarter of the view: wider than a lesion
# a* and b* of skin by L*: quadratics through the cheeks of the London faces of the fit split; they lie within 2 units.
LOCUS_A, LOCUS_B = (-0.00947, 0.979, -12.01), (-0.00983, 0.936, -6.65)


@dataclass(frozen=True, slots=True)
class View:
    """An augmented example, the input of the network.

    Attributes:
        pixels: uint8 (side, side, 3).
        lesions: float64 (n, 4), x, y, width, height in px of the view; their centres lie inside it.
        wrinkles: WRINKLE_ZONES → float64 (n, 4), likewise.
        whole: whether enough of the face is visible to train severity and count.
        doubtful: float64 (m, 4), likewise: neither lesions nor background.
        unlabelled: float64 (k, 2), polygon in px of the view in which lesions are not labelled; None: everything is
            labelled, (0, 2): nothing is.
        bounds: least and most lesions where they were counted and not marked; None elsewhere.
        severity: 0..3, -1 where it is not labelled.
    """

    pixels: NDArray[np.uint8]
    lesions: NDArray[np.float64]
    wrinkles: dict[str, NDArray[np.float64]]
    whole: bool
    doubtful: NDArray[np.float64]
    unlabelled: NDArray[np.float64] | None
    bounds: tuple[int, int] | None
    severity: int


def join_halves(left: Example, right: Example) -> Example:
    """Join the left half of one acne crop and the right half of another.

    Whole faces are few, so the heads that judge them memorise them; the lesions of two joined halves must be counted.
    The severity follows from the count, by Hayashi's limits (J Dermatol 2008).
    """
    seam = CROP_SIZE // 2
    pixels = np.concatenate([left.crop.pixels[:, :seam], right.crop.pixels[:, seam:]], axis=1)

    def joined(left_boxes: NDArray[np.float64], right_boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        left_x, right_x = (boxes[:, 0] + boxes[:, 2] / 2 for boxes in (left_boxes, right_boxes))  # centres
        return np.concatenate([left_boxes[left_x < seam], right_boxes[right_x >= seam]])

    lesions, doubtful = joined(left.lesions, right.lesions), joined(left.doubtful, right.doubtful)
    severity = labels.hayashi_class(len(lesions))
    crop = replace(left.crop, pixels=pixels)
    return replace(left, crop=crop, severity=severity, lesions=lesions, doubtful=doubtful)


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
    doubtful = _transform_boxes(example.doubtful, affine, side)
    return View(
        pixels, lesions, wrinkles, whole, doubtful, _unlabelled(example, affine), example.bounds, example.severity
    )


def _unlabelled(example: Example, affine: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the polygon in the view in which lesions are not labelled; see `View.unlabelled`."""
    if example.lesions_known == "everywhere":
        return None
    if example.lesions_known == "nowhere" or example.crop.landmarks is None:
        return np.empty((0, 2))
    hull = cv2.convexHull(np.ascontiguousarray(example.crop.landmarks[:, :2], dtype=np.float32))[:, 0]
    middle = hull.mean(axis=0)
    wider = middle + HULL_MARGIN * (hull - middle)
    return np.asarray(wider @ affine[:, :2].T + affine[:, 2], dtype=np.float64)


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
    pixels = np.asarray(image).astype(np.float32) / np.float32(255)
    red, green, blue = (np.asarray(band) == PADDING for band in image.split())
    padded = red & green & blue
    if rng.random() < TONE:
        pixels = shift_tone(pixels, float(rng.normal(0, TONE_SPREAD)))
    # Linear light ≈ value^2.2, so one stop is a gain of 2^(1/2.2) on the values.
    gain = 2 ** (np.clip(rng.normal(0, STOPS), -STOPS_MAX, STOPS_MAX) / 2.2) * np.exp(rng.normal(0, TINT, 3) / 2.2)
    pixels = pixels * gain.astype(np.float32)
    if rng.random() < SHADE:
        angle, ramp = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, side, dtype=np.float32)
        stops = rng.uniform(0, SHADE_STOPS) * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None])
        pixels *= np.exp2(stops / 2.2).astype(np.float32)[..., None]
    if rng.random() < SHADOW:
        pixels *= np.exp2(-_shadow(side, rng) / 2.2)[..., None]
    grey = cv2.transform(pixels, np.full((1, 3), 1 / 3))[..., None]  # their mean, in a tenth of numpy's time
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


def _shadow(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a shadow with a straight edge, soft or hard: float32 (side, side), stops of light that it takes."""
    angle, through = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8, 2) * side
    along = np.arange(side, dtype=np.float32)
    distance = np.cos(angle) * (along[None] - through[0]) + np.sin(angle) * (along[:, None] - through[1])
    softness = np.exp(rng.uniform(np.log(1.0), np.log(side / 8)))
    share = 1 / (1 + np.exp(np.clip(-distance / softness, -30, 30)))
    return np.asarray(rng.uniform(*SHADOW_STOPS) * share, dtype=np.float32)


def shift_tone(pixels: NDArray[np.float32], shift: float) -> NDArray[np.float32]:
    """Make skin lighter or darker along the measured colours of skin (CIE L*a*b*, D65); other colours move less.

    Args:
        pixels: float32 (side, side, 3), sRGB, 0..1.
        shift: of the skin's L*.

    Returns:
        float32 (side, side, 3), not clipped; the same where the middle of the view has no colour of skin.
    """
    lab = cv2.cvtColor(np.ascontiguousarray(np.clip(pixels, 0, 1)), cv2.COLOR_RGB2LAB)
    quarter = len(lab) // 4
    middle = lab[quarter:-quarter:4, quarter:-quarter:4].reshape(-1, 3)
    middle = middle[(middle[:, 1] > 2) & (middle[:, 2] > 2)]
    if len(middle) < quarter:
        return pixels
    skin = np.median(middle, axis=0)
    target = float(np.clip(skin[0] + shift, TONE_MIN, TONE_MAX))
    ratio = target / max(float(skin[0]), 1.0)
    around = cv2.blur(lab[..., 1:], (quarter // TONE_BLUR | 1,) * 2)  # a lesion moves with the skin about it
    distance = ((around - skin[1:]) / TONE_NEAR) ** 2
    weight = np.exp(-distance.sum(axis=2) / 2)
    lab[..., 0] *= 1 + (ratio - 1) * weight
    for channel, locus in ((1, LOCUS_A), (2, LOCUS_B)):
        lab[..., channel] += weight * (np.polyval(locus, target) - np.polyval(locus, float(skin[0])))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.float32)
