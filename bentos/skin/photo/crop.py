"""The square that is analysed, and the transform back to the photo.

Coordinates are continuous throughout: pixel (i, j) covers [i, i+1) × [j, j+1), its centre is (i + ½, j + ½).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import Face

CROP_SIZE = 512  # px; the side of every crop, the input of both runners
PADDING = 127  # mid-grey, what a crop shows beyond the photo
FACE_MARGIN = 1.6  # crop side over face box side: hairline to below the chin on upright heads
FACE_MARGIN_MIN = 1.35  # what a photo too small for the margin is padded up to: the whole face still shows
FACE_SHIFT_UP = 0.08  # of the face box side: BlazeFace's box begins at the brows, the forehead lies above it
FILTER_SUPPORT = 2.0  # px at scale 1; Pillow's bicubic reads two pixels to each side


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the photo at 512×512; plain data, which BentoML can send to a runner.

    Attributes:
        pixels: uint8 (512, 512, 3), sRGB. What lies beyond the photo is mid-grey (127).
        to_photo: float64 (2, 3), affine that takes (x, y, 1) in crop pixels to pixels of the upright photo.
        valid: (x0, y0, x1, y1) in crop pixels, half-open: the part that shows the photo.
        landmarks: float32 (468, 3) in crop pixels, as of `Landmarks.points`; None without a face or its landmarks.
    """

    pixels: NDArray[np.uint8]
    to_photo: NDArray[np.float64]
    valid: tuple[int, int, int, int]
    landmarks: NDArray[np.float32] | None


def cut(photo: Photo, face: Face | None, landmarks: NDArray[np.float32] | None = None) -> Crop:
    """Cut the square around the face, or the whole photo where there is none, at 512×512.

    Args:
        photo: upright photo; its pixels may be fewer than its width × height.
        face: in pixels of the upright photo, or None.
        landmarks: float32 (468, 3) of the face, in pixels of the upright photo, or None.
    """
    left, top, side = _square(photo, face)
    step = side / CROP_SIZE  # photo pixels per crop pixel
    x0, x1 = _shown(left, step, photo.width)
    y0, y1 = _shown(top, step, photo.height)
    pixels = np.full((CROP_SIZE, CROP_SIZE, 3), PADDING, dtype=np.uint8)
    region = (left + x0 * step, top + y0 * step, left + x1 * step, top + y1 * step)
    pixels[y0:y1, x0:x1] = _resample(photo, region, (x1 - x0, y1 - y0))
    to_photo = np.array([[step, 0.0, left], [0.0, step, top]], dtype=np.float64)
    return Crop(pixels, to_photo, (x0, y0, x1, y1), landmarks_to_crop(to_photo, landmarks))


def landmarks_to_crop(
    to_photo: NDArray[np.float64], landmarks: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """Landmarks (n, 3) in photo pixels, or None → in crop pixels; depth is scaled like the rest."""
    if landmarks is None:
        return None
    scale = np.sqrt(abs(np.linalg.det(to_photo[:, :2])))
    placed = points_to_crop(to_photo, landmarks[:, :2])
    moved = np.column_stack([placed, landmarks[:, 2] / scale]).astype(np.float32)
    moved.setflags(write=False)
    return moved


def points_to_photo(crop: Crop | NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    """Crop pixels → photo pixels.

    Args:
        crop: the crop, or its `to_photo` affine, float (2, 3).
        points: (n, 2), x and y.
    """
    affine = crop.to_photo if isinstance(crop, Crop) else np.asarray(crop, dtype=np.float64)
    moved: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ affine[:, :2].T + affine[:, 2]
    return moved


def points_to_crop(crop: Crop | NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    """Photo pixels → crop pixels; the inverse of `points_to_photo`."""
    affine = crop.to_photo if isinstance(crop, Crop) else np.asarray(crop, dtype=np.float64)
    moved: NDArray[np.float64] = (np.asarray(points, dtype=np.float64) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return moved


def boxes_to_photo(affine: NDArray[np.float64], boxes: ArrayLike, width: int, height: int) -> NDArray[np.float64]:
    """Boxes in crop pixels → boxes inside the photo, at least one pixel wide and high.

    Args:
        affine: `Crop.to_photo`, float (2, 3).
        boxes: (n, 4), x, y, width, height in crop pixels.
        width: of the upright photo, px.
        height: of the upright photo, px.

    Returns:
        float64 (n, 4), x, y, width, height in photo pixels.
    """
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    x, y, w, h = rows.T
    corners = np.stack([np.stack([x, y], -1), np.stack([x + w, y], -1), np.stack([x, y + h], -1)], 1)
    corners = np.concatenate([corners, np.stack([x + w, y + h], -1)[:, None]], 1)
    moved = points_to_photo(affine, corners.reshape(-1, 2)).reshape(-1, 4, 2)
    size = np.array([width, height], dtype=np.float64)
    low = np.clip(moved.min(axis=1), 0.0, np.maximum(size - 1.0, 0.0))
    high = np.clip(moved.max(axis=1), np.minimum(low + 1.0, size), size)
    return np.concatenate([low, high - low], axis=1)


def _square(photo: Photo, face: Face | None) -> tuple[float, float, float]:
    """Left, top and side of the square to cut, in photo pixels."""
    if face is None:
        side = float(max(photo.width, photo.height))
        return (photo.width - side) / 2, (photo.height - side) / 2, side
    x, y, width, height = face.box
    size = max(width, height, 1.0)
    # A face that nearly fills the photo gets less margin instead of padding, and no square shows more than the photo.
    side = float(np.clip(min(photo.width, photo.height), FACE_MARGIN_MIN * size, FACE_MARGIN * size))
    side = min(side, float(max(photo.width, photo.height)))
    left = _inside(x + width / 2 - side / 2, side, photo.width)
    top = _inside(y + height / 2 - FACE_SHIFT_UP * size - side / 2, side, photo.height)
    return left, top, side


def _inside(start: float, side: float, length: int) -> float:
    """Shift an interval into the photo where it fits; else centre the photo in it."""
    if side >= length:
        return (length - side) / 2
    return min(max(start, 0.0), length - side)


def _shown(start: float, step: float, length: int) -> tuple[int, int]:
    """First and past-the-last crop pixel that lies wholly in the photo, along one axis."""
    slack = 1e-6  # rounding must not cost a row
    low = math.ceil(-start / step - slack)
    high = math.floor((length - start) / step + slack)
    low, high = max(low, 0), min(high, CROP_SIZE)
    if high > low:
        return low, high
    low = min(max(round((length / 2 - start) / step), 0), CROP_SIZE - 1)  # a sliver thinner than one crop pixel
    return low, low + 1


def _resample(photo: Photo, region: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample a region of the photo (x0, y0, x1, y1 in photo pixels) to `size` (width, height)."""
    rows, columns = photo.pixels.shape[:2]
    shrunk_x, shrunk_y = columns / photo.width, rows / photo.height
    x0, x1 = (min(max(value * shrunk_x, 0.0), float(columns)) for value in (region[0], region[2]))
    y0, y1 = (min(max(value * shrunk_y, 0.0), float(rows)) for value in (region[1], region[3]))
    # Pillow copies what it is given, so it is given no more than its filter reads.
    margin_x = math.ceil(FILTER_SUPPORT * max(1.0, (x1 - x0) / size[0])) + 1
    margin_y = math.ceil(FILTER_SUPPORT * max(1.0, (y1 - y0) / size[1])) + 1
    left, top = max(math.floor(x0) - margin_x, 0), max(math.floor(y0) - margin_y, 0)
    right, bottom = min(math.ceil(x1) + margin_x, columns), min(math.ceil(y1) + margin_y, rows)
    part = Image.fromarray(np.ascontiguousarray(photo.pixels[top:bottom, left:right]))
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    # Bicubic widens its kernel when shrinking, which is the antialiasing; the gap lets it average whole pixels first.
    return np.asarray(part.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))
