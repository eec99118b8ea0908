"""Fitness of a photo for analysis: size, focus, exposure, faces, skin. Each issue has one measure and one threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.photo.crop import FACE_MARGIN, Crop, points_to_crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import Face

MIN_FACE_SIDE = 128.0  # px of the photo; brows to chin are about 13 cm, so a 2 mm lesion has 2 px left
MAX_BLUR = 2.2  # px of standard deviation, see `blur`; of 120 sharp portraits none reached 2.0
MIN_HIGHLIGHT = 80.0  # 8-bit luma (L* of about 33); dark skin in good light reaches 110 and more in its highlights
MAX_CLIPPED_SHARE = 0.25  # of the face's pixels
CLIPPED = 250  # 8-bit value of any channel from which colour is lost
MIN_SECOND_FACE = 0.25  # area over that of the largest face: half its side
MIN_SKIN_SHARE = 0.15  # of the crop; a bare face fills 0.3 to 0.6

EDGE_SHARE = 0.02  # of the pixels, the steepest, taken for edges
EDGE_PERCENTILE = 75  # of their sharpness: some edges of a sharp face are soft, no edge of a blurred one is sharp
FINE_VARIANCE = 1.0  # px², of the smoothing against noise
COARSE_VARIANCE = 3.0  # px², of the smoothing on top
NO_EDGES_BLUR = 10.0  # px; the result where there is only noise or a uniform area
SURE_FACE = 0.8  # detector's confidence; faces from the front score it and more


@dataclass(frozen=True, slots=True)
class Quality:
    """Fitness of a photo for analysis.

    Attributes:
        score: 0 (useless) to 1 (perfect): the product of one factor per measure, which is ½ at its threshold; so at
            most ½ with any issue.
        issues: of too_small, blurred, too_dark, too_bright, no_face, several_faces, little_skin, in that order.
    """

    score: float
    issues: list[str]


def assess(photo: Photo, faces: Sequence[Face], crop: Crop, skin_share: float) -> Quality:
    """Assess a photo by its face, or by the whole crop where there is none.

    Args:
        photo: the upright photo.
        faces: all faces found, largest first.
        crop: cut around the first face.
        skin_share: skin pixels over valid pixels of the crop, 0..1.
    """
    pixels = _face_pixels(faces, crop)
    # Decoded pixels per crop pixel; the crop may be turned by quarters.
    step = float(np.abs(crop.to_photo[0, :2]).max()) * photo.pixels.shape[1] / photo.width
    luma = _luma(pixels, min(step, 1.0))
    # Everything as "more is better": 1 at the threshold.
    ratios = {
        "too_small": _face_side(photo, faces) / MIN_FACE_SIDE,
        "blurred": MAX_BLUR / max(blur(luma), 1e-6),
        "too_dark": highlight(luma) / MIN_HIGHLIGHT,
        "too_bright": MAX_CLIPPED_SHARE / max(clipped_share(pixels), 1e-6),
        "no_face": 2.0 if faces else 0.5,
        "several_faces": MIN_SECOND_FACE / max(_second_face(faces), 1e-6),
        "little_skin": skin_share / MIN_SKIN_SHARE,
    }
    factors = [min(max(ratio / 2, ratio - 0.5), 1.0) for ratio in ratios.values()]  # 0 → 0, 1 → ½, from 1½ on 1
    # A face with a low score may be something else, or lie on its side: its measurements are as uncertain.
    factors.append(min(faces[0].confidence / SURE_FACE, 1.0) if faces else 1.0)
    issues = [issue for issue, ratio in ratios.items() if ratio < 1.0]
    return Quality(score=round(float(np.prod(factors)), 3), issues=issues)


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


def highlight(luma: NDArray[np.float32]) -> float:
    """95th percentile of luma, 0..255. It measures the light; the mean depends on the skin tone too."""
    rank = int(luma.size * 0.95)
    return float(np.partition(luma.ravel(), rank)[rank])


def clipped_share(pixels: NDArray[np.uint8]) -> float:
    """Share of pixels with a (nearly) saturated channel, whose colour is lost; 0..1."""
    full = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2]) >= CLIPPED
    return float(np.count_nonzero(full)) / full.size


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


def _face_pixels(faces: Sequence[Face], crop: Crop) -> NDArray[np.uint8]:
    """The part of the crop with the largest face; without a face, all that shows the photo."""
    x0, y0, x1, y1 = crop.valid
    if faces:
        left, top, width, height = faces[0].box
        corners = points_to_crop(crop, [(left, top), (left + width, top + height)])
        corners = np.rint([corners.min(axis=0), corners.max(axis=0)]).astype(int)
        (face_x0, face_y0), (face_x1, face_y1) = corners.tolist()
        if min(face_x1, x1) - max(face_x0, x0) >= 1 and min(face_y1, y1) - max(face_y0, y0) >= 1:
            x0, y0, x1, y1 = max(face_x0, x0), max(face_y0, y0), min(face_x1, x1), min(face_y1, y1)
    return crop.pixels[y0:y1, x0:x1]


def _luma(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """ITU-R BT.601 luma 0..255, at the scale of the photo's own pixels: magnification must not count as blur."""
    image = Image.fromarray(pixels).convert("L")
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _face_side(photo: Photo, faces: Sequence[Face]) -> float:
    """Side of the largest face in photo pixels; without one, of the face that would just fill the photo."""
    if not faces:
        return min(photo.width, photo.height) / FACE_MARGIN
    _, _, width, height = faces[0].box
    return float(np.sqrt(width * height))


def _second_face(faces: Sequence[Face]) -> float:
    """Area of the second largest face over that of the largest; 0 where there is none."""
    areas = sorted((face.box[2] * face.box[3] for face in faces), reverse=True)
    return areas[1] / areas[0] if len(areas) > 1 and areas[0] > 0 else 0.0
