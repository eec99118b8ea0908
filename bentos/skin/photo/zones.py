"""The parts of a face on a crop: zones for the measurements, features that measurements leave out.

A face is a fixed shape in three dimensions, seen by an affine camera. The camera that takes the shape's six key points
nearest to the detected ones (least squares) projects all outlines, so zones turn, tilt, scale and yaw with the
head. The least-squares solution is linear: every vertex is a fixed weighting of the six key points, and no
arrangement of them can make it fail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from bentos.skin.photo.crop import CROP_SIZE, Crop

# Units of the shape: the distance between the pupils. Origin: between the ears, at the pupils' height; y runs down, z
# towards the camera, and the person's right has x < 0, as in an unmirrored photo.
# x and y are medians over 1,100 detections in the wrinkle training photos. Depths of eyes and nose are estimates (ears
# to pupils 1.3, to the nose tip 2.0 pupil distances), which only place the zones' own surface; ears' x and mouth's
# depth are those that let the shape fit the detections on 1,300 training faces at all angles best.
KEYPOINTS = np.array(
    [(-0.5, 0.0, 1.3), (0.5, 0.0, 1.3), (0.0, 0.62, 1.97), (0.0, 1.13, 1.48), (-1.05, 0.22, 0.0), (1.05, 0.22, 0.0)]
)
HALF_WIDTH = 1.15  # where the face's surface reaches the plane of the ears
MIDLINE_Y = np.array([-1.3, -0.6, 0.0, 1.1, 1.9])  # depth of the face along its midline, nose left out
MIDLINE_Z = np.array([1.1, 1.5, 1.45, 1.48, 1.35])
NOSE_TIP_Y, NOSE_HALF_WIDTH, NOSE_HEIGHT = 0.62, 0.34, 0.5

WIDE, WIDEST = 1.1, 1.3  # of the oval: holds the jaw of turned heads; holds ears, temples and background too
TURNED_AWAY = (
    0.15  # of the area of the same zone on the other side; a narrower one shows silhouette and background, not skin
)

_MIDDLE: dict[str, list[tuple[float, float]]] = {
    "forehead": [
        *[(-0.84, -0.38), (-0.87, -0.65), (-0.66, -1.0), (-0.3, -1.1), (0.3, -1.1), (0.66, -1.0), (0.87, -0.65)],
        *[(0.84, -0.38), (0.3, -0.44), (0.15, -0.5), (-0.15, -0.5), (-0.3, -0.44)],
    ],
    "frown": [(-0.2, -0.58), (0.2, -0.58), (0.33, -0.36), (0.17, 0.04), (-0.17, 0.04), (-0.33, -0.36)],
    "nose": [
        *[(-0.13, 0.0), (0.13, 0.0), (0.17, 0.38), (0.3, 0.6), (0.26, 0.76), (0.0, 0.82), (-0.26, 0.76)],
        *[(-0.3, 0.6), (-0.17, 0.38)],
    ],
    "chin": [(-0.42, 1.43), (0.42, 1.43), (0.5, 1.6), (0.28, 1.8), (0.0, 1.85), (-0.28, 1.8), (-0.5, 1.6)],
}
_LEFT: dict[str, list[tuple[float, float]]] = {  # the person's left; the right is its mirror image
    "crows_feet": [
        *[(0.76, -0.16), (0.98, -0.22), (1.06, 0.02), (1.02, 0.36), (0.8, 0.4), (0.6, 0.3), (0.62, 0.16), (0.76, 0.06)]
    ],
    "nasolabial": [
        *[(0.22, 0.46), (0.44, 0.42), (0.67, 0.72), (0.77, 1.1), (0.74, 1.4), (0.5, 1.36), (0.48, 1.1), (0.28, 0.84)]
    ],
    "cheek": [(0.36, 0.38), (0.7, 0.45), (1.0, 0.42), (1.02, 0.7), (0.95, 1.1), (0.78, 1.4), (0.72, 1.1), (0.6, 0.72)],
}
_FEATURES_LEFT: list[list[tuple[float, float]]] = [
    [(0.2, 0.02), (0.32, -0.14), (0.5, -0.18), (0.68, -0.13), (0.8, 0.0), (0.7, 0.12), (0.5, 0.17), (0.3, 0.12)],  # eye
    [(0.14, -0.22), (0.3, -0.4), (0.6, -0.46), (0.9, -0.28), (0.88, -0.18), (0.6, -0.28), (0.2, -0.18)],  # brow
    [(0.02, 0.72), (0.12, 0.68), (0.22, 0.72), (0.2, 0.82), (0.04, 0.82)],  # nostril
]
_LIPS: list[tuple[float, float]] = [
    *[(-0.46, 1.14), (-0.2, 0.99), (0.0, 1.0), (0.2, 0.99), (0.46, 1.14), (0.24, 1.33), (0.0, 1.38), (-0.24, 1.33)]
]


def _shape(outline: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
    """An outline on the face's surface: (n, 2) → (n, 3)."""
    x, y = np.array(list(outline), dtype=np.float64).T
    middle = np.interp(y, MIDLINE_Y, MIDLINE_Z)
    side = np.sqrt(np.clip(1.0 - (x / HALF_WIDTH) ** 2, 0.0, 1.0))
    along = np.clip(y / NOSE_TIP_Y, 0.0, 1.0) * (y < 0.9)
    nose = NOSE_HEIGHT * along * np.clip(1.0 - np.abs(x) / NOSE_HALF_WIDTH, 0.0, 1.0)
    return np.stack([x, y, middle * side + nose], axis=1)


def _weights(outline: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
    """(n, 6): the weight of each key point in each vertex, with the least-squares affine camera included."""
    model = np.hstack([KEYPOINTS, np.ones((6, 1))])
    shape = _shape(outline)
    return np.asarray(np.hstack([shape, np.ones((len(shape), 1))]) @ np.linalg.pinv(model), dtype=np.float64)


def _mirror(outline: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-x, y) for x, y in reversed(outline)]


_OUTLINES = {
    "forehead": _MIDDLE["forehead"],
    "crows_feet_left": _LEFT["crows_feet"],
    "crows_feet_right": _mirror(_LEFT["crows_feet"]),
    "frown": _MIDDLE["frown"],
    "nasolabial_left": _LEFT["nasolabial"],
    "nasolabial_right": _mirror(_LEFT["nasolabial"]),
    "cheek_left": _LEFT["cheek"],
    "cheek_right": _mirror(_LEFT["cheek"]),
    "nose": _MIDDLE["nose"],
    "chin": _MIDDLE["chin"],
}
ZONES = tuple(_OUTLINES)  # left and right are the person's own
_ZONE_WEIGHTS = {name: _weights(outline) for name, outline in _OUTLINES.items()}
_FEATURE_WEIGHTS = [_weights(outline) for outline in (*_FEATURES_LEFT, *map(_mirror, _FEATURES_LEFT), _LIPS)]
_TURN = np.linspace(0.0, 2 * np.pi, 32, endpoint=False)
_RIM = zip(1.12 * np.sin(_TURN), 0.4 - 1.6 * np.cos(_TURN), strict=True)  # hairline to chin, ear to ear
_PROFILE = [(0.0, y) for y in (-1.1, -0.8, -0.5, 0.0, 0.62, 0.95, 1.13, 1.5, 1.8)]  # the outline of a head turned away
_OVAL_WEIGHTS = _weights([*_RIM, *_PROFILE])


def polygons(keypoints: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Outlines of the zones, in the coordinates of the key points.

    Args:
        keypoints: (6, 2), in the order of `Face.keypoints`.

    Returns:
        Zone name → float64 (n, 2). Zones that are turned away from the camera are left out.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    outlines = {name: weights @ points for name, weights in _ZONE_WEIGHTS.items()}
    areas = {name: _area(outline) for name, outline in outlines.items()}
    return {
        name: outline
        for name, outline in outlines.items()
        if areas[name] > 0.0 and areas[name] > TURNED_AWAY * areas[_other_side(name)]
    }


@dataclass(frozen=True, slots=True)
class FaceMasks:
    """Where the parts of a face lie on a crop, rasterised once; all masks are bool (512, 512) and read-only.

    Attributes:
        shown: what shows the photo; the rest is padding.
        zones: ZONES → mask, within `shown`. Without key points every zone is `shown`; a zone turned away is empty.
        features: eyes, brows, nostrils and lips, which a skin measurement must leave out; empty without key points.
        oval: the face from hairline to chin and ear to ear; everything without key points.
        wide_oval: the same, WIDE times as large.
        widest_oval: the same, WIDEST times as large.
    """

    shown: NDArray[np.bool_]
    zones: Mapping[str, NDArray[np.bool_]]
    features: NDArray[np.bool_]
    oval: NDArray[np.bool_]
    wide_oval: NDArray[np.bool_]
    widest_oval: NDArray[np.bool_]


def face_masks(crop: Crop) -> FaceMasks:
    """The masks of a crop."""
    shown = np.zeros((CROP_SIZE, CROP_SIZE), dtype=np.bool_)
    x0, y0, x1, y1 = crop.valid
    shown[y0:y1, x0:x1] = True
    shown = _read_only(shown)
    if crop.keypoints is None:
        everything = _read_only(np.ones((CROP_SIZE, CROP_SIZE), dtype=np.bool_))
        return FaceMasks(shown, dict.fromkeys(ZONES, shown), _filled([]), everything, everything, everything)
    outlines = polygons(crop.keypoints)
    points = crop.keypoints.astype(np.float64)
    hull = _hull(_OVAL_WEIGHTS @ points)
    centre = hull.mean(axis=0)
    return FaceMasks(
        shown=shown,
        zones={name: _read_only(_filled([outlines[name]] if name in outlines else []) & shown) for name in ZONES},
        features=_filled([weights @ points for weights in _FEATURE_WEIGHTS]),
        oval=_filled([centre + 1.0 * (hull - centre)]),
        wide_oval=_filled([centre + WIDE * (hull - centre)]),
        widest_oval=_filled([centre + WIDEST * (hull - centre)]),
    )


def _area(outline: NDArray[np.float64]) -> float:
    """Signed area (shoelace formula): positive while the outline runs clockwise on the screen, as every zone does."""
    x, y = (outline - outline[0]).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convex hull of (n, 2) points, clockwise on the screen (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))
    chains: list[list[tuple[float, float]]] = []
    for run in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for x, y in run:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        chains.append(chain[:-1])
    return np.array([*chains[0], *chains[1]], dtype=np.float64)


def _other_side(name: str) -> str:
    if name.endswith("_left"):
        return name.removesuffix("_left") + "_right"
    return name.removesuffix("_right") + "_left" if name.endswith("_right") else name


def _filled(outlines: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Polygons as one mask, bool (512, 512)."""
    canvas = Image.new("L", (CROP_SIZE, CROP_SIZE))
    draw = ImageDraw.Draw(canvas)
    for outline in outlines:
        if np.isfinite(outline).all() and np.abs(outline).max() < 1e5:  # Pillow counts in 32 bits
            draw.polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in outline], fill=1)
    return _read_only(np.asarray(canvas, dtype=np.bool_))


def _read_only(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask.setflags(write=False)
    return mask
