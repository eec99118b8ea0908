"""The parts of a face, from its landmarks: zones to measure, features to leave out, the outline of the face.

Left and right are the person's own. Index lists refer to MediaPipe's face mesh (`landmarks.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

# The mesh ends below the hairline: a point of the rim is raised by its distance from the point below it.
BELOW = {21: 71, 54: 68, 103: 104, 67: 69, 109: 108, 10: 151, 338: 337, 297: 299, 332: 333, 284: 298, 251: 301}
RAISED = 1.0  # of that distance; 94 % of frontal faces keep it below the hairline

ZONE_POINTS: dict[str, tuple[int, ...]] = {
    "forehead": (*(63, 68, 54, 103, 67, 109, 10, 338, 297, 332, 284, 298, 293, 334, 296, 336, 9, 107, 66, 105),),
    "crows_feet_left": (264, 345, 346, 347, 448, 261, 446, 353, 383, 368),
    "crows_feet_right": (139, 156, 124, 226, 31, 228, 118, 117, 116, 34),
    "frown": (108, 151, 337, 336, 285, 417, 351, 6, 122, 193, 55, 107),
    "nasolabial_left": (266, 425, 427, 434, 430, 422, 287, 410, 322, 391, 327, 358, 279, 371),
    "nasolabial_right": (142, 49, 129, 98, 165, 92, 186, 57, 202, 210, 214, 207, 205, 36),
    "cheek_left": (352, 376, 433, 416, 434, 427, 425, 266, 371, 329, 348, 347, 346, 345),
    "cheek_right": (116, 117, 118, 119, 100, 142, 36, 205, 207, 214, 192, 213, 147, 123),
    "nose": (193, 168, 417, 412, 399, 420, 429, 279, 294, 327, 326, 2, 97, 98, 64, 49, 209, 198, 174, 188),
    "chin": (211, 204, 182, 83, 18, 313, 406, 424, 431, 395, 400, 377, 152, 148, 176, 170),
}
ZONES = tuple(ZONE_POINTS)
RAISED_IN_FOREHEAD = frozenset({54, 103, 67, 109, 10, 338, 297, 332, 284})

EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263),
)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
NOSTRILS = ((79, 239, 238, 20, 242, 99, 60, 75, 59, 166), (392, 289, 305, 290, 328, 462, 250, 458, 459, 309))
# In distances between the pupils: features are left out with such a rim.
FEATURES: tuple[tuple[tuple[int, ...], float], ...] = (
    *((eye, 0.03) for eye in EYES),
    *((brow, 0.06) for brow in BROWS),
    (LIPS, 0.03),
    *((nostril, 0.0) for nostril in NOSTRILS),
)
NASION, MOUTH_CORNERS = 168, (61, 291)
MOUTH_BELOW = 1.13  # of the mouth below the eyes, in distances between the pupils: the median of 1,100 faces
DIRECTIONS = 96  # of the convex outline
MIN_UNIT = 2.0  # px between the pupils; points that lie closer make no face


@dataclass(frozen=True, slots=True)
class FaceParts:
    """The parts of a face as outlines, in the unit of the landmarks.

    Attributes:
        zones: ZONES → float64 (n, 2).
        facing: ZONES → the cosine of the angle between the zone and the picture's plane, -1..1; 1 faces the camera,
            0 is seen from its edge.
        features: outlines of eyes, brows, lips and nostrils, each with the width of the rim around it.
        outline: float64 (n, 2), convex: the face with its forehead, clockwise on the screen.
        unit: distance between the pupils, had the head not been turned aside.
        axes: float64 (2, 3), affine from the face's own axes to these coordinates: x from the midline to the person's
            left, y from the eyes down, both in distances between the pupils.
    """

    zones: Mapping[str, NDArray[np.float64]]
    facing: Mapping[str, float]
    features: tuple[tuple[NDArray[np.float64], float], ...]
    outline: NDArray[np.float64]
    unit: float
    axes: NDArray[np.float64]


def face_parts(landmarks: ArrayLike) -> FaceParts | None:
    """The parts of a face.

    Args:
        landmarks: (468, 3): x, y and z in one unit, as of `Landmarks.points`.

    Returns:
        None where the landmarks make no face.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if not np.isfinite(points).all() or np.abs(points).max() > 1e6:
        return None
    right, left = (points[list(eye)].mean(axis=0) for eye in EYES)
    unit = float(np.linalg.norm(left - right))
    middle = (left + right)[:2] / 2
    down = (points[list(MOUTH_CORNERS)].mean(axis=0)[:2] - middle) / MOUTH_BELOW
    axes = np.column_stack([(left - right)[:2], down, points[NASION, :2]])
    if unit < MIN_UNIT or abs(float(np.linalg.det(axes[:, :2]))) < 0.05 * MIN_UNIT**2:
        return None
    raised = points.copy()
    for rim, below in BELOW.items():
        raised[rim] += RAISED * (points[rim] - points[below])
    zones, facing = {}, {}
    for name, indices in ZONE_POINTS.items():
        lifted = RAISED_IN_FOREHEAD if name == "forehead" else frozenset[int]()
        outline = np.array([raised[index] if index in lifted else points[index] for index in indices])
        zones[name], facing[name] = outline[:, :2], _facing(outline)
    features = tuple((points[list(indices), :2], rim * unit) for indices, rim in FEATURES)
    hull = convex_hull(np.concatenate([points[:, :2], raised[list(BELOW), :2]]))
    return FaceParts(zones, facing, features, hull, unit, axes)


def _facing(outline: NDArray[np.float64]) -> float:
    """Cosine between the mean normal of an outline in space (Newell's formula) and the direction to the camera."""
    centred = outline - outline.mean(axis=0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    length = float(np.linalg.norm(normal))
    return float(normal[2]) / length if length > 0 else 0.0


def face_coordinates(
    axes: NDArray[np.float64], size: int, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each pixel's place on the face, two (size, size): across and along, as of `FaceParts.axes`.

    Args:
        axes: as of `FaceParts`.
        size: side of the maps.
        step: of a map's pixel, in the unit of the axes.
    """
    back = np.linalg.inv(axes[:, :2])
    centres = (np.arange(size) + 0.5) * step
    x, y = centres - axes[0, 2], centres - axes[1, 2]
    return back[0, 0] * x[None] + back[0, 1] * y[:, None], back[1, 0] * x[None] + back[1, 1] * y[:, None]


def convex_hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convex outline of (n, 2) points, clockwise on the screen: the farthest point in each of DIRECTIONS."""
    angles = np.linspace(0.0, 2 * np.pi, DIRECTIONS, endpoint=False)
    farthest = (points @ np.stack([np.cos(angles), np.sin(angles)])).argmax(axis=0)
    return np.asarray(points[farthest[farthest != np.roll(farthest, 1)]])


def raster(outlines: Iterable[tuple[NDArray[np.float64], float]], size: int, scale: float = 1.0) -> NDArray[np.bool_]:
    """Outlines as one mask.

    Args:
        outlines: (n, 2), x, y, with the width of a rim that is filled too.
        size: side of the mask.
        scale: mask pixels per unit of the outlines.

    Returns:
        bool (size, size), read-only.
    """
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    for outline, rim in outlines:
        points = [(float(x) * scale - 0.5, float(y) * scale - 0.5) for x, y in outline]
        if np.abs(points).max() > 1e5:  # Pillow counts in 32 bits
            continue
        draw.polygon(points, fill=1)
        if rim > 0:
            draw.line([*points, points[0]], fill=1, width=max(round(2 * rim * scale), 1))
    mask = np.asarray(canvas, dtype=np.bool_)
    mask.setflags(write=False)
    return mask
