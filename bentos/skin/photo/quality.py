"""Fitness of a photo for analysis. Each issue has one measure, one threshold and one sentence of advice."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.findings import Unseen
from bentos.skin.photo.crop import CROP_SIZE, FACE_MARGIN, Crop, points_to_crop, points_to_photo
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import Face
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.face_reader import PhotoFaces
from bentos.skin.photo.skin import SIZE, shown_mask, skin_share
from bentos.skin.photo.view import FaceView

MIN_FACE_SIDE = 128.0  # px of the photo; brows to chin are about 13 cm, so a 2 mm lesion has 2 px left
MAX_BLUR = 2.2  # px of standard deviation, see `blur`; of 120 sharp portraits none reached 2.0
MIN_SECOND_FACE = 0.25  # area over that of the largest face: half its side
MIN_SKIN_SHARE = 0.15  # of a photo without landmarks
MIN_BARE_SHARE = 0.3  # of a face's area; of the London faces, bearded ones too, 0.55 is bare
MAX_YAW = 35.0  # degrees; beyond, the far cheek is not seen (the mesh's yaw repeats within 2)
# Distances between the pupils that the face reaches beyond the photo. The mesh completes a face that is cut: of London
# faces with a fifth of that distance cut off, at the chin or at the side, it lacks 0.12, of whole ones 0.03 at most.
MAX_BEYOND = 0.11
# A beard is no fault of the photo, and shade at one temple looks like hair: what covers the face otherwise covers one
# of the first too, or both of the second.
COVERED = frozenset({"forehead", "cheek_left", "cheek_right", "nose"})
BOTH_COVERED = frozenset({"crows_feet_left", "crows_feet_right"})
# See `blockiness`. Of 44 faces in four sizes none has less than 12 saved at quality 10, a tenth less than 6 at 20; none
# has more than 4.9 at 50, more than 3.3 at 70 or as it came.
MAX_BLOCKINESS = 7.0

# What of a face can be judged at all. Of valid faces shrunk to 64 px the wrinkles' AUC is .89 (.93 unshrunk), to 48 px
# .85, to 32 px .80; counts keep a Spearman of .93 at 48 and 32. Blurred by .01 of the face's side AUC is .88, Spearman
# .89; by .02, which measures as .0167, .67 and .54: lesions vanish, and the face is called clear.
LEAST_SIDE = {"wrinkles": 48.0, "texture": 64.0, "acne": 32.0}  # px of the photo
MOST_BLUR = 0.0135  # of the face's side, where it is an issue too: a small face has little detail without being blurred

EDGE_SHARE = 0.02  # of the pixels, the steepest, taken for edges
EDGE_PERCENTILE = 75  # of their sharpness: some edges of a sharp face are soft, no edge of a blurred one is sharp
FINE_VARIANCE = 1.0  # px², of the smoothing against noise
COARSE_VARIANCE = 3.0  # px², of the smoothing on top
NO_EDGES_BLUR = 10.0  # px; the result where there is only noise or a uniform area
SURE_FACE = 0.8  # detector's confidence; faces from the front score it and more
BLOCK = 8  # px; side of JPEG's blocks
FLAT = 0.05  # grey levels; smaller steps inside of blocks are a drawing's, a chessboard's for example
BLOCKS_NEEDED = 6  # along each side
BLOCKINESS_SIDE = 512  # px of the photo, at most, that are looked at

ADVICE = {
    "too_small": "Come closer to the camera: the face is too small in the photo.",
    "blurred": "Hold the camera still and let it focus on the face: the photo is blurred.",
    "too_dark": "Move to a window or switch on a light: the face is too dark.",
    "too_bright": "Step out of the glare or turn off the flash: parts of the face are too bright.",
    "uneven_light": "Turn towards the window or the lamp, so that both sides of the face are equally bright.",
    "tinted": "Use daylight or a white lamp, and no filter: the light colours the skin.",
    "no_colour": "Take the photo in colour, without a filter.",
    "no_face": "Look straight into the camera, so that the whole face can be seen: no face was found.",
    "several_faces": "Take the photo of one person alone: there is more than one face in it.",
    "little_skin": "Show the bare face: there is too little skin in the photo.",
    "turned_away": "Look straight into the camera: the face is turned to the side.",
    "cut_off": "Move back or lower the camera, so that the whole face fits into the photo.",
    "covered": "Take hair, hands, glasses and cloth off the face: they cover part of it.",
    "compressed": "Send the photo as the camera saved it: this copy has lost its fine detail.",
}
"""Issue → advice, in the order in which issues are reported."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Fitness of a photo for analysis.

    Attributes:
        score: 0 (useless) to 1 (perfect): the product of one factor per measure, which is ½ at its threshold; so at
            most ½ with any issue.
        issues: keys of ADVICE, in its order.
        advice: one sentence for each issue, for the person who takes the photo.
        unjudged: the concerns of which so blurred or small a face shows nothing → why.
    """

    score: float
    issues: list[str]
    advice: list[str]
    unjudged: dict[str, Unseen] = field(default_factory=dict)


def assess(photo: Photo, faces: PhotoFaces, view: FaceView) -> Quality:
    """Assess a photo by its largest face, or by the whole crop where there is none.

    Args:
        photo: the upright photo.
        faces: of the photo.
        view: of its largest face.
    """
    face = faces.largest
    # Decoded pixels per crop pixel; the crop may be turned by quarters.
    step = float(np.abs(view.crop.to_photo[0, :2]).max()) * photo.pixels.shape[1] / photo.width
    luma = _luma(_face_pixels(face, view.crop), min(step, 1.0))
    side, spread = _face_side(photo, face), blur(luma)
    # Everything as "more is better": 1 at the threshold.
    ratios = {
        "too_small": side / MIN_FACE_SIDE,
        "blurred": MAX_BLUR / max(spread, 1e-6),
        **view.light,
        "no_face": 2.0 if face else 0.5,
        "several_faces": MIN_SECOND_FACE / max(_second_face(faces.faces), 1e-6),
        "little_skin": _bareness(view),
        "turned_away": _turned(faces, view),
        "cut_off": _cut_off(photo, view),
        "covered": _uncovered(view),
        "compressed": MAX_BLOCKINESS / max(blockiness(part_of_photo(photo, face)), 1e-6),
    }
    factors = [min(max(ratio / 2, ratio - 0.5), 1.0) for ratio in ratios.values()]  # 0 → 0, 1 → ½, from 1½ on 1
    # A face with a low score may be something else, or lie on its side: its measurements are as uncertain.
    factors.append(min(face.confidence / SURE_FACE, 1.0) if face else 1.0)
    issues = [issue for issue in ADVICE if ratios[issue] < 1.0]
    is_blurred = spread > max(MAX_BLUR, MOST_BLUR * side / max(step, 1.0))
    unjudged = _unjudged(side, is_blurred) if face else {}
    return Quality(round(float(np.prod(factors)), 3), issues, [ADVICE[issue] for issue in issues], unjudged)


def _unjudged(side: float, is_blurred: bool) -> dict[str, Unseen]:
    """The concerns that a face of `side` px of the photo, blurred or not, does not show."""
    unjudged: dict[str, Unseen] = {}
    for concern, least in LEAST_SIDE.items():
        if side < least:
            unjudged[concern] = "too_small"
        elif is_blurred:
            unjudged[concern] = "too_blurred"
    return unjudged


def blur(luma: NDArray[np.float32]) -> float:
    """Estimated standard deviation of the Gaussian blur of a picture's sharper edges, in px.

    A step edge of contrast A blurred by s has the slope A / sqrt(2π (s² + f²)) at its middle once it is smoothed by
    f, and A / sqrt(2π (s² + c²)) once by c: their ratio R gives s² = (c² - R² f²) / (R² - 1), whatever A is (Zhuo &
    Sim, "Defocus map estimation from a single image", Pattern Recognition 2011; Elder & Zucker, PAMI 1998). Only the
    steepest pixels of the coarse scale are used: smooth skin, which has no edges, does not count, and noise hardly.
    Both directions are measured and the worse one is taken: motion blurs one direction only.

    Args:
        luma: float32 (height, width), at a scale at which the camera's pixels are not magnified.
    """
    if min(luma.shape) < 32:
        return NO_EDGES_BLUR
    fine = _smooth(luma, FINE_VARIANCE, spacing=1)
    coarse = _smooth(fine, COARSE_VARIANCE, spacing=2)
    margin = (len(fine) - len(coarse)) // 2
    fine = fine[margin:-margin, margin:-margin]
    return max(_edge_blur(fine, coarse, axis) for axis in (0, 1))


def blockiness(luma: NDArray[np.uint8]) -> float:
    """How plainly JPEG's blocks are seen: the step at their borders, in grey levels, times its ratio to other steps.

    The blocks begin anywhere: the photo may have been turned or cut. Medians along the photo keep out a pattern that
    has the blocks' spacing in one place.

    Args:
        luma: uint8 (height, width), at the photo's own scale.
    """
    if min(luma.shape) <= BLOCKS_NEEDED * BLOCK:
        return 0.0
    grey = luma.astype(np.int16)
    return min(_block_steps(np.abs(np.diff(grey, axis=1)), 0), _block_steps(np.abs(np.diff(grey, axis=0)), 1))


def _block_steps(steps: NDArray[np.int16], axis: int) -> float:
    """The same of the steps between neighbours, whose mean is taken along an axis."""
    mean = steps.mean(axis=axis)
    by_offset = np.median(mean[: len(mean) // BLOCK * BLOCK].reshape(-1, BLOCK), axis=0)
    border = int(by_offset.argmax())
    inside = float(np.median(np.delete(by_offset, border)))
    step = float(by_offset[border])
    return (step - inside) * step / inside if inside > FLAT else 0.0


def _edge_blur(fine: NDArray[np.float32], coarse: NDArray[np.float32], axis: int) -> float:
    fine_slope = np.abs(np.diff(fine, axis=axis)).ravel()
    coarse_slope = np.abs(np.diff(coarse, axis=axis)).ravel()
    rank = int(coarse_slope.size * (1 - EDGE_SHARE))
    limit = max(float(np.partition(coarse_slope, rank)[rank]), 0.5)  # grey levels per px: quantisation makes as much
    edges = np.flatnonzero(coarse_slope >= limit)
    if not len(edges):
        return NO_EDGES_BLUR
    ratio2 = float(np.percentile(fine_slope[edges] / coarse_slope[edges], EDGE_PERCENTILE)) ** 2
    fine2 = FINE_VARIANCE + 1 / 12  # px²; the difference of neighbours smooths by 1/12
    coarse2 = fine2 + COARSE_VARIANCE
    if ratio2 <= 1:
        return NO_EDGES_BLUR
    variance = max((coarse2 - ratio2 * fine2) / (ratio2 - 1), 0.0)
    return min(float(np.sqrt(variance)), NO_EDGES_BLUR)


def _smooth(picture: NDArray[np.float32], variance: float, spacing: int) -> NDArray[np.float32]:
    """Binomial filter: means of pixels `spacing` apart, as often as it takes (spacing² / 4 px² of variance a pass).

    A spacing of 2 needs an input without detail at the scale of one pixel. The result has no border.
    """
    passes = round(4 * variance / spacing**2)
    for _ in range(passes):
        picture = picture[:-spacing] + picture[spacing:]
    for _ in range(passes):
        picture = picture[:, :-spacing] + picture[:, spacing:]
    return picture * np.float32(0.25**passes)


def _face_pixels(face: Face | None, crop: Crop) -> NDArray[np.uint8]:
    """The part of the crop with the face; without a face, all that shows the photo."""
    x0, y0, x1, y1 = crop.valid
    if face:
        left, top, width, height = face.box
        corners = points_to_crop(crop, [(left, top), (left + width, top + height)])
        corners = np.rint([corners.min(axis=0), corners.max(axis=0)]).astype(int)
        (face_x0, face_y0), (face_x1, face_y1) = corners.tolist()
        if min(face_x1, x1) - max(face_x0, x0) >= 1 and min(face_y1, y1) - max(face_y0, y0) >= 1:
            x0, y0, x1, y1 = max(face_x0, x0), max(face_y0, y0), min(face_x1, x1), min(face_y1, y1)
    return crop.pixels[y0:y1, x0:x1]


def part_of_photo(photo: Photo, face: Face | None) -> NDArray[np.uint8]:
    """Luma of the face as it was decoded, or of the middle of the photo; BLOCKINESS_SIDE px of it at most."""
    rows, columns = photo.pixels.shape[:2]
    x, y, width, height = face.box if face else (0.0, 0.0, float(photo.width), float(photo.height))
    spans = []
    for start, length, scale, limit in (
        (y, height, rows / photo.height, rows),
        (x, width, columns / photo.width, columns),
    ):
        side = min(length * scale, BLOCKINESS_SIDE)
        low = min(max(round((start + length / 2) * scale - side / 2), 0), limit - 1)
        spans.append(slice(low, min(low + max(round(side), 1), limit)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(photo.pixels[spans[0], spans[1]])).convert("L"))


def _luma(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """ITU-R BT.601 luma 0..255, at the scale of the photo's own pixels: magnification must not count as blur."""
    image = Image.fromarray(pixels).convert("L")
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _face_side(photo: Photo, face: Face | None) -> float:
    """Side of the face in photo pixels; without one, of the face that would just fill the photo."""
    if not face:
        return min(photo.width, photo.height) / FACE_MARGIN
    _, _, width, height = face.box
    return float(np.sqrt(width * height))


def _second_face(faces: Sequence[Face]) -> float:
    """Area of the second largest face over that of the largest; 0 where there is none."""
    areas = sorted((face.box[2] * face.box[3] for face in faces), reverse=True)
    return areas[1] / areas[0] if len(areas) > 1 and areas[0] > 0 else 0.0


def _bareness(view: FaceView) -> float:
    """Skin on the face, or in the photo without landmarks, over the least that there must be."""
    if view.parts is None:
        return skin_share(view.skin, view.crop) / MIN_SKIN_SHARE
    face = raster([(view.parts.outline, 0.0)], SIZE, SIZE / CROP_SIZE) & shown_mask(view.crop)
    bare, whole = int(np.count_nonzero(view.skin & face)), int(np.count_nonzero(face))
    return bare / max(whole, 1) / MIN_BARE_SHARE


def _turned(faces: PhotoFaces, view: FaceView) -> float:
    """The largest yaw over the head's; without landmarks, whether that is the reason."""
    if faces.landmarks is None:
        return 0.5 if "turned_away" in view.unseen.values() else 2.0
    return MAX_YAW / max(abs(faces.landmarks.pose.yaw), 1e-6)


def _cut_off(photo: Photo, view: FaceView) -> float:
    """How far a face may reach beyond the photo over how far it does; without landmarks, whether that is the reason."""
    if view.parts is None:
        return 0.5 if "outside_photo" in view.unseen.values() else 2.0
    outline = points_to_photo(view.crop, view.parts.outline)
    beyond = max(float((-outline).max()), float((outline - (photo.width, photo.height)).max()))
    unit = view.parts.unit * float(np.sqrt(abs(np.linalg.det(view.crop.to_photo[:, :2]))))
    return MAX_BEYOND * unit / max(beyond, 1e-6)


def _uncovered(view: FaceView) -> float:
    """2 where the face is bare, else less than 1, the less the more zones are covered; without landmarks 2.

    What is black in a photo that is not dark is covered: by sunglasses, for example.
    """
    dark = view.light.get("too_dark", 2.0) < 1
    covering = {"covered"} if dark else {"covered", "too_dark"}
    covered = {zone for zone, reason in view.unseen.items() if reason in covering}
    return 0.9 / len(covered) if covered & COVERED or covered >= BOTH_COVERED else 2.0
