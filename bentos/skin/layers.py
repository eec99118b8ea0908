"""What can be drawn over a photo, in its pixels: outlines of the face and its zones, heat maps of the concerns."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.findings import LesionsAndWrinkles, Measured
from bentos.skin.photo.crop import CROP_SIZE, points_to_photo
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.photo.view import FaceView, lesion_mask

MAP_SIZE = 128  # px; the side of a whole crop in a heat map
FACE = "face"

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """Heat maps of one part of the photo.

    Attributes:
        box: x, y, width, height of that part, in pixels of the upright photo.
        pictures: concern → uint8 (height, width), 255 where it is strongest; None where it is not judged.
    """

    box: Box
    pictures: Mapping[str, NDArray[np.uint8] | None]


def outlines(view: FaceView, width: int, height: int) -> dict[str, list[Point] | None]:
    """ZONES and FACE → polygon inside the photo, in its pixels; None where they are not seen.

    Args:
        view: of the photo.
        width: of the upright photo, px.
        height: of the upright photo, px.
    """
    drawn: dict[str, list[Point] | None] = dict.fromkeys((*ZONES, FACE))
    if view.parts is None:
        return drawn
    seen = {name: view.parts.zones[name] for name in ZONES if name not in view.unseen}
    for name, outline in {**seen, FACE: view.parts.outline}.items():
        clipped = clip(points_to_photo(view.crop, outline), width, height)
        drawn[name] = [_on_grid(x, y) for x, y in clipped.tolist()] if len(clipped) >= 3 else None
    return drawn


def clip(polygon: NDArray[np.float64], width: float, height: float) -> NDArray[np.float64]:
    """The part of a polygon, (n, 2), that lies in 0..width × 0..height (Sutherland and Hodgman, CACM 1974)."""
    if (polygon >= 0).all() and (polygon <= (width, height)).all():
        return polygon
    for axis, limit, sign in ((0, 0.0, 1.0), (1, 0.0, 1.0), (0, width, -1.0), (1, height, -1.0)):
        kept: list[NDArray[np.float64]] = []
        for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            before, after = sign * (start[axis] - limit), sign * (end[axis] - limit)
            if before >= 0:
                kept.append(start)
            if (before >= 0) != (after >= 0):
                kept.append(start + (end - start) * (before / (before - after)))
        if not kept:
            return np.empty((0, 2))
        polygon = np.array(kept)
    return np.clip(polygon, 0.0, (width, height))


def box_on_grid(left: float, top: float, right: float, bottom: float) -> Box:
    """The box x, y, width, height between edges, in quarters of a pixel.

    Quarters are exact in binary: no rounding error makes x + width exceed the photo.
    """
    (x0, y0), (x1, y1) = _on_grid(left, top), _on_grid(right, bottom)
    return x0, y0, x1 - x0, y1 - y0


def _on_grid(x: float, y: float) -> Point:
    return round(x * 4) / 4, round(y * 4) / 4


def heat_maps(
    view: FaceView, measured: Measured, learned: LesionsAndWrinkles, judged: Collection[str], turned_degrees: int
) -> HeatMaps:
    """The heat maps of the part of the photo that was analysed, lying as the photo does.

    Args:
        view: of the photo.
        measured: by the heuristics.
        learned: acne and wrinkles, of the runner that answers for them.
        judged: the concerns that are; the others have no map.
        turned_degrees: how the photo was turned, clockwise, to be read.
    """
    x0, y0, x1, y1 = view.crop.valid
    corners = points_to_photo(view.crop, [(x0, y0), (x1, y1)])
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    skin = _part(view.skin.astype(np.uint8) * 255, view)
    shown = {
        "acne": (learned.acne_map, _part(lesion_mask(view).astype(np.uint8) * 255, view)),
        "wrinkles": (learned.wrinkle_map, skin),
        "redness": (measured.redness.heat, skin),
        "pigmentation": (measured.pigmentation.heat, skin),
        "shine": (measured.shine.heat, skin),
        "texture": (measured.texture.heat, skin),
    }
    pictures = {
        name: np.rot90(_masked(_part(heat, view), mask), turned_degrees // 90) if name in judged else None
        for name, (heat, mask) in shown.items()
    }
    return HeatMaps(box_on_grid(left, top, right, bottom), pictures)


def data_url(picture: NDArray[np.uint8]) -> str:
    """A grey picture, uint8 (height, width), as a data: URL of a PNG."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _part(picture: NDArray[np.uint8], view: FaceView) -> NDArray[np.uint8]:
    """The part of a crop's picture that shows the photo, at MAP_SIZE for the whole crop."""
    scale = len(picture) / CROP_SIZE
    x0, y0, x1, y1 = view.crop.valid
    size = [max(1, round(side * MAP_SIZE / CROP_SIZE)) for side in (x1 - x0, y1 - y0)]
    box = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
    return np.asarray(Image.fromarray(picture).resize((size[0], size[1]), Image.Resampling.BILINEAR, box=box))


def _masked(heat: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (heat.astype(np.uint16) * mask // 255).astype(np.uint8)
