"""Pastes lesions of acne photos into other faces, so that the network learns acne on skin that its data lack.

A lesion is taken as the quotient of its pixels and the skin around it, and the other face is multiplied by it. Blood
and melanin filter the light one after the other, so the quotient is much the same on dark and on light skin, and tone,
light and white balance of the other face stay. Gradient-domain cloning instead leaves blood-red dots on dark skin. Skin
of donors without a lesion is pasted too and not counted, so that traces of pasting tell nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_erosion, gaussian_filter
from tqdm import tqdm

from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.view import view_of
from training import labels
from training.crops import Example

SIDES = (6.0, 80.0)  # px; boxes with a smaller or larger side are not cut
REACH = 1.7  # of a box: size of the patch, with the skin around the lesion
FULL, FADED = 0.85, 1.4  # radii, 1 on the ellipse in the box: up to the first the lesion is pasted whole, then it fades
RING = 1.05  # radius beyond which the skin around the lesion begins
FLOOR = 8.0  # grey levels added before the logarithm: noise of dark pixels stays small
DARK = -0.45  # log luma against the skin around: hair, nostrils, the black corners of rotated variants
ROUGH = 0.07  # log luma, spread of the skin around: more is hair, a fold or the border of the face
UNEVEN = 0.14  # log luma of the smoothed skin around: more is another lesion, or an edge
SHINE, SHINY = 0.15, 0.08  # log luma of highlights, and the largest share of a lesion that they may cover
SKIN_RED = 0.1  # log of red over green and over blue: less is not skin, or in coloured light
BARELY_SEEN = 0.065  # contrast of a lesion, see `_is_seen`; labels with less lie on nothing that is seen
REDDER = 0.02  # log of red over green and over blue, against the skin around; less is a reflection, make-up, a bruise
PURPLE = 0.5  # reddening against blue, as a share of that against green; less is purple
CLEAR = 0.03  # contrast of a patch that passes as skin without a lesion
BLANK_TRIES = 4
BLANKS = 0.3  # patches without a lesion for each lesion
FROM_ONE_DONOR = 12  # most lesions of one donor in a face: one face's lesions look alike
SCALE = 1.25  # largest random change of size
TILT = 20.0  # degrees, largest random rotation, beside quarter turns
STRENGTH = 0.15  # standard deviation of the log gain of the lesions of one face
DARKENED = (50.0, 120.0)  # luma of skin: at the first its lesions are pigmented most, at the second not at all
PIGMENTED = (0.2, 0.8)  # shares, from face to face, of the pigment in lesions of dark skin
STRONGER = 0.6  # log gain on the darkest skin: weaker ones are not seen there
MELANIN = (0.7, 1.1, 1.2)  # absorption of red, green and blue, relative to the lesion's green
SKIN_BELOW = 0.9  # share of the box that must be allowed
TRIES = 40  # places for one patch; where none is free it is left out
NO_PLACE = 12  # patches without a place, after which a face is full
CLUSTERED, CLUSTER_SPREAD = 0.5, (15.0, 45.0)  # probability of a face with clusters; their σ in px
FEW, FEW_MOST = 0.5, 5  # probability of a count of 1..FEW_MOST; else it is a donor's count
SKIN_RIM = 4  # px inside of the skin's border
FEATURE_RIM = 8  # px added around eyes, brows, lips and nostrils


@dataclass(frozen=True, slots=True)
class Patch:
    """A lesion, or skin without one, relative to the skin around.

    Attributes:
        quotient: float32 (n, n, 3), log of the pixels over the skin around, 0 at the border.
        width, height: of the lesion's box, px.
    """

    quotient: NDArray[np.float32]
    width: float
    height: float


def paste(
    receiver: Example, allowed: NDArray[np.bool_], donors: Sequence[Example], count: int, rng: np.random.Generator
) -> Example:
    """Paste lesions of donors into a face.

    Args:
        receiver: the face; its own labelled lesions stay and are not covered.
        allowed: bool (512, 512), where a lesion may lie, as of `allowed_skin`.
        donors: acne crops of the same scale, with boxes.
        count: of lesions to paste; fewer are pasted where donors or free places run out.
        rng: the only source of randomness; the same state gives the same example.

    Returns:
        The receiver with other pixels and more lesions; its severity follows from their number by Hayashi's limits
        (J Dermatol 2008). Where nothing was pasted, the receiver.
    """
    places, missed = _Places(receiver, allowed, rng), 0
    log = np.log(receiver.crop.pixels.astype(np.float32) + np.float32(FLOOR))
    start, mix = log.copy(), _colour_mix(receiver.crop.pixels[allowed], rng)
    pasted: list[list[float]] = []
    blanks = rng.binomial(count, BLANKS) if count else 0
    for index in rng.permutation(len(donors)):
        if len(pasted) >= count or missed >= NO_PLACE:
            break
        donor = donors[index]
        wanted = min(FROM_ONE_DONOR, count - len(pasted))
        for patch in _lesions(donor, wanted, rng):
            box = _add(log, places, _varied(patch, mix, rng))
            if box is None:
                missed += 1
            else:
                pasted.append(box)
        for _ in range(blanks):
            skin = _blank(donor, rng)
            if skin is not None and _add(log, places, _varied(skin, mix, rng)) is not None:
                blanks -= 1
    if not pasted:
        return receiver
    changed = (log != start).any(axis=2)
    pixels = receiver.crop.pixels.copy()
    pixels[changed] = np.clip(np.exp(log[changed]) - FLOOR + 0.5, 0, 255).astype(np.uint8)
    lesions = np.concatenate([receiver.lesions, np.array(pasted)])
    severity = labels.hayashi_class(len(lesions))
    bounds = receiver.bounds and (receiver.bounds[0] + len(pasted), receiver.bounds[1] + len(pasted))
    crop = replace(receiver.crop, pixels=pixels)
    return replace(receiver, crop=crop, severity=severity, lesions=lesions, bounds=bounds)


def pasted_examples(
    receivers: Sequence[Example], donors: Sequence[Example], number: int, seed: int = 0
) -> Iterator[Example]:
    """Yield faces with pasted lesions, for `crops.cached`; one takes about 50 ms, the first of a receiver 200.

    Args:
        receivers: mostly clear faces, taken in turn; those without `allowed_skin` are left out.
        donors: acne crops of faces, with landmarks, since others show a whole photo at another scale; half of the
            counts are drawn from theirs, the others are small.
        number: of examples.
        seed: the same seed gives the same examples.

    Raises:
        ValueError: no receiver shows its skin, or no donor has a lesion.
    """
    rng = np.random.default_rng(seed)
    counts = [len(donor.lesions) for donor in donors if len(donor.lesions)]
    masks: dict[int, NDArray[np.uint8] | None] = {}  # packed: hundreds of faces
    made, progress = 0, tqdm(total=number, desc="pasted", mininterval=5)
    while made < number:
        if not counts or (len(masks) == len(receivers) and not any(mask is not None for mask in masks.values())):
            raise ValueError(
                f"nothing to paste: {len(counts)} donors have lesions, none of {len(receivers)} faces skin"
            )
        for index, receiver in enumerate(receivers):
            if index not in masks:
                allowed = allowed_skin(receiver)
                masks[index] = None if allowed is None else np.packbits(allowed)
            packed = masks[index]
            if packed is None:
                continue
            mask = np.unpackbits(packed).reshape(CROP_SIZE, CROP_SIZE).astype(np.bool_)
            count = int(rng.integers(1, FEW_MOST + 1) if rng.random() < FEW else rng.choice(counts))
            yield paste(receiver, mask, donors, count, rng)
            made += 1
            progress.update()
            if made == number:
                break


def allowed_skin(example: Example) -> NDArray[np.bool_] | None:
    """Where lesions may lie: the skin of the face without eyes, brows, lips, nostrils and hair.

    Returns:
        bool (512, 512); None without landmarks, where the service sees no skin, and for grey photos.
    """
    view = view_of(example.crop)
    if view.parts is None or not view.skin.any():
        return None
    skin = np.repeat(np.repeat(view.skin, 2, axis=0), 2, axis=1) & raster([(view.parts.outline, 0.0)], CROP_SIZE)
    features = raster([(outline, rim + FEATURE_RIM) for outline, rim in view.parts.features], CROP_SIZE)
    allowed = np.asarray(binary_erosion(skin, iterations=SKIN_RIM) & ~features, dtype=np.bool_)
    if not allowed.any():
        return None
    colour = np.median(example.crop.pixels[allowed], axis=0)
    return allowed if _is_skin(np.log(colour + FLOOR)) else None


class _Places:
    """Free places for boxes on a face, in clusters or anywhere."""

    def __init__(self, receiver: Example, allowed: NDArray[np.bool_], rng: np.random.Generator) -> None:
        self._allowed, self._rng = allowed, rng
        self._pixels = np.argwhere(allowed)  # y, x
        self._taken = receiver.lesions[:, :4].tolist()
        self._clusters: list[tuple[NDArray[np.int64], float]] = []
        if len(self._pixels) and rng.random() < CLUSTERED:
            for _ in range(int(rng.integers(1, 4))):
                self._clusters.append((self._pixels[rng.integers(len(self._pixels))], rng.uniform(*CLUSTER_SPREAD)))

    def find(self, width: float, height: float) -> tuple[int, int] | None:
        """Take a place; returns the centre's pixel x, y, or None where none was found."""
        for attempt in range(TRIES if len(self._pixels) else 0):
            y, x = (int(value) for value in self._draw(anywhere=attempt > TRIES // 2))
            x0, y0 = x + 0.5 - width / 2, y + 0.5 - height / 2
            if min(x0, y0) < 0 or max(x0 + width, y0 + height) > CROP_SIZE:
                continue
            below = self._allowed[int(y0) : int(np.ceil(y0 + height)), int(x0) : int(np.ceil(x0 + width))]
            if not self._allowed[y, x] or below.mean() < SKIN_BELOW:
                continue
            if _is_clear((x0, y0, width, height), self._taken):
                self._taken.append([x0, y0, width, height])
                return x, y
        return None

    def _draw(self, anywhere: bool) -> NDArray[np.int64]:
        if anywhere or not self._clusters:
            return np.asarray(self._pixels[self._rng.integers(len(self._pixels))])
        centre, spread = self._clusters[self._rng.integers(len(self._clusters))]
        return np.asarray(np.clip(centre + self._rng.normal(0, spread, 2), 0, CROP_SIZE - 1), dtype=np.int64)


def _is_clear(box: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether a box x, y, width, height overlaps none of the others."""
    x, y, width, height = box
    return not any(
        x < other[0] + other[2] and other[0] < x + width and y < other[1] + other[3] and other[1] < y + height
        for other in others
    )


def _add(log: NDArray[np.float32], places: _Places, patch: Patch) -> list[float] | None:
    """Add a patch to the log of a face's pixels, in place; returns the box, or None where no place is free."""
    place = places.find(patch.width, patch.height)
    if place is None:
        return None
    x, y = place
    half = len(patch.quotient) // 2
    y0, y1, x0, x1 = max(y - half, 0), min(y + half + 1, CROP_SIZE), max(x - half, 0), min(x + half + 1, CROP_SIZE)
    log[y0:y1, x0:x1] += patch.quotient[y0 - y + half : y1 - y + half, x0 - x + half : x1 - x + half]
    return [x + 0.5 - patch.width / 2, y + 0.5 - patch.height / 2, patch.width, patch.height]


def _lesions(donor: Example, most: int, rng: np.random.Generator) -> Iterator[Patch]:
    """Yield clean lesions of a donor, at most so many, in random order."""
    for index in rng.permutation(_alone(donor.lesions)):
        if most <= 0:
            return
        patch = _cut(donor, donor.lesions[index])
        if patch is not None and _is_seen(patch):
            most -= 1
            yield patch


def _alone(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the boxes (n, 4) whose patch, up to where it fades, holds nothing of another box."""
    centre, half = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:] / 2
    apart = np.abs(centre[:, None] - centre[None]) >= FADED * half[:, None] + half[None]
    return np.flatnonzero((apart.any(axis=2) | np.eye(len(boxes), dtype=np.bool_)).all(axis=1))


def _blank(donor: Example, rng: np.random.Generator) -> Patch | None:
    """Skin of a donor beside its lesions, of the size of one of them; None where some tries find none."""
    for _ in range(BLANK_TRIES if len(donor.lesions) else 0):
        box = donor.lesions[rng.integers(len(donor.lesions))].copy()
        box[:2] += rng.uniform(1.5, 4.0) * box[2:] * rng.choice([-1, 1], 2)
        if 0 in _alone(np.concatenate([box[None], donor.lesions])):
            patch = _cut(donor, box)
            if patch is not None and np.abs(_middle(patch)).max() < CLEAR:
                return patch
    return None


def _cut(donor: Example, box: NDArray[np.float64]) -> Patch | None:
    """Cut a box with the skin around it; None where the patch is not clean."""
    x, y, width, height = (float(value) for value in box)
    if min(width, height) < SIDES[0] or max(width, height) > SIDES[1]:
        return None
    centre_x, centre_y = x + width / 2, y + height / 2
    half = int(np.ceil(REACH * max(width, height) / 2))
    column, row = int(centre_x), int(centre_y)
    x0, y0, x1, y1 = donor.crop.valid
    if column - half < x0 or row - half < y0 or column + half + 1 > x1 or row + half + 1 > y1:
        return None
    pixels = donor.crop.pixels[row - half : row + half + 1, column - half : column + half + 1]
    log = np.log(pixels.astype(np.float32) + np.float32(FLOOR))
    steps = np.arange(-half, half + 1) + 0.5
    across, down = np.meshgrid(steps + column - centre_x, steps + row - centre_y)
    radius = np.hypot(across / (width / 2), down / (height / 2))
    around = (radius > RING) & (radius < REACH)
    plane = np.stack([np.ones_like(across), across / half, down / half], axis=-1)
    base = _plane(plane[around], log[around])
    if not _is_skin(base[0]):
        return None
    quotient = log - (plane @ base).astype(np.float32)
    luma = quotient.mean(axis=2)
    smooth = gaussian_filter(luma, max(width, height) / 12)
    rough = 1.4826 * float(np.median(np.abs(luma[around])))
    if luma[radius < REACH].min() < DARK or rough > ROUGH or np.abs(smooth[around]).max() > UNEVEN:
        return None
    if (luma[radius < 1] > SHINE).mean() > SHINY:
        return None
    fade = np.clip((FADED - radius) / (FADED - FULL), 0, 1)
    mask = (fade * fade * (3 - 2 * fade)).astype(np.float32)
    return Patch(quotient * mask[..., None], width, height)


def _is_skin(log: NDArray[np.floating]) -> bool:
    """Whether a colour, the log of red, green and blue, is one of skin in white light."""
    return bool(log[0] >= max(log[1], log[2]) + SKIN_RED)


def _plane(terms: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fit values (n, 3) by terms (n, 3), without the tenth that fits worst: pores, hairs, highlights."""
    fit = np.linalg.lstsq(terms, values, rcond=None)[0]
    rest = np.abs(values - terms @ fit).sum(axis=1)
    kept = rest <= np.percentile(rest, 90)
    return np.asarray(np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0], dtype=np.float64)


def _middle(patch: Patch) -> NDArray[np.float32]:
    """Mean of the inner half of the box, float32 (3,)."""
    middle = len(patch.quotient) // 2
    x, y = max(int(patch.width / 4), 1), max(int(patch.height / 4), 1)
    mean = patch.quotient[middle - y : middle + y + 1, middle - x : middle + x + 1].mean(axis=(0, 1))
    return np.asarray(mean, dtype=np.float32)


def _is_seen(patch: Patch) -> bool:
    """Whether the middle stands out from the skin around, and is redder."""
    red, green, blue = (float(value) for value in _middle(patch))
    purple = red - blue < PURPLE * (red - green)
    return max(abs(green), red - green) >= BARELY_SEEN and red - max(green, blue) >= REDDER and not purple


def _colour_mix(skin: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """How a patch's channels make those that are pasted, float32 (3, 3), for one face.

    Inflamed dark skin reddens less and darkens more: there a part of the green, which blood absorbs, darkens all.

    Args:
        skin: uint8 (n, 3), the face's.
    """
    luma = float(np.median(skin @ np.array([0.299, 0.587, 0.114]))) if len(skin) else DARKENED[1]
    dark = np.interp(luma, DARKENED, (1.0, 0.0))
    share, gain = dark * rng.uniform(*PIGMENTED), np.exp(rng.normal(0, STRENGTH) + STRONGER * dark)
    pigment = np.zeros((3, 3))
    pigment[1] = MELANIN
    return np.asarray(gain * ((1 - share) * np.eye(3) + share * pigment), dtype=np.float32)


def _varied(patch: Patch, mix: NDArray[np.float32], rng: np.random.Generator) -> Patch:
    """Turn, mirror, scale and recolour a patch; small rotations do not enlarge its box, since lesions are round."""
    turns, scale = int(rng.integers(4)), float(np.exp(rng.uniform(-1, 1) * np.log(SCALE)))
    angle = np.deg2rad(90 * turns + rng.uniform(-TILT, TILT))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    half = len(patch.quotient) // 2
    new = int(np.ceil(half * scale * 1.25)) + 1  # turned corners are empty: the mask is an ellipse
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    back = np.array([[cos, -sin], [sin * mirror, cos * mirror]])
    offset = half - back @ np.array([new, new])
    layers = [
        affine_transform(patch.quotient[..., channel], back, offset, (2 * new + 1,) * 2, order=1)
        for channel in range(3)
    ]
    quotient = np.stack(layers, axis=-1) @ mix
    width, height = (patch.height, patch.width) if turns % 2 else (patch.width, patch.height)
    return Patch(quotient, width * scale, height * scale)
