"""Drawn skin findings: seeded, in linear light, on any face with landmarks; the portrait is the usual one.

Every function takes the pixels and the landmarks (of `Landmarks.points` for a photo, of `Crop` for a crop) and returns
a copy with the finding drawn in, and where. Sizes are in distances between the pupils; `strength` 1 is plain to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from bentos.skin.photo.crop import Crop
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import Face
from bentos.skin.photo.face_parts import FaceParts, face_parts
from bentos.skin.photo.face_reader import FaceReader, PhotoFaces
from bentos.skin.photo.view import FaceView, view_of

PORTRAIT = Path(__file__).resolve().parent / "photos" / "astronaut.png"
ZONES = ("forehead", "cheek_left", "cheek_right", "chin", "nose")
# Optical densities (powers of ten of attenuation) of red, green and blue at strength 1.
BLOOD = np.array([0.03, 0.22, 0.17])
MELANIN = np.array([0.13, 0.2, 0.3])
SHADE = np.array([0.2, 0.2, 0.2])
PUS = np.array([0.72, 0.6, 0.38])  # linear reflectance of a pustule's head
GLOSS = 0.3  # linear light that a highlight adds at strength 1

# In the face's own axes: x from the middle of the eyes in pupil distances, to the person's left; y down, mouth at 1.13.
LINES: dict[str, list[list[tuple[float, float]]]] = {
    "forehead": [[(x / 10, y - 0.05 * np.cos(x / 3)) for x in range(-6, 7)] for y in (-0.66, -0.57, -0.49)],
    "frown": [[(x, -0.45), (0.9 * x, -0.3), (x, -0.12)] for x in (-0.1, 0.1)],
    "crows_feet": [
        [(side * 0.8, y / 2), (side * 0.9, 0.75 * y), (side * 0.99, y)] for side in (-1, 1) for y in (-0.14, 0.04, 0.22)
    ],
    "nasolabial": [
        [(side * x, y) for x, y in [(0.3, 0.6), (0.42, 0.75), (0.53, 0.95), (0.57, 1.15)]] for side in (-1, 1)
    ],
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn.

    Attributes:
        pixels: uint8 (height, width, 3).
        boxes: float64 (n, 4), x, y, width, height in the same pixels, one per thing drawn.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]


@cache
def reader() -> FaceReader:
    """One reader of faces for all tests."""
    return FaceReader()


@cache
def portrait(side: int = 512) -> tuple[NDArray[np.uint8], Face, NDArray[np.float32]]:
    """The astronaut at `side` × `side`, uint8, her face, and its landmarks, (468, 3)."""
    image = Image.open(PORTRAIT).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    faces = reader().read(decode(png(pixels)))
    assert faces.landmarks is not None
    return pixels, faces.faces[0], faces.landmarks.points


@cache
def portrait_faces() -> PhotoFaces:
    """The astronaut's photo as it is read."""
    return reader().read(decode(PORTRAIT.read_bytes()))


def portrait_crop() -> Crop:
    """The astronaut's face."""
    return portrait_faces().crop


def portrait_view() -> FaceView:
    """The astronaut's face as the runners get it."""
    return view_of(portrait_crop())


def face_landmarks(
    yaw: float = 0.0, unit: float = 110.0, centre: tuple[float, float] = (256.0, 230.0)
) -> NDArray[np.float32]:
    """The astronaut's face shape, upright and turned by `yaw` degrees, float32 (468, 3).

    Args:
        yaw: positive to the right of the picture.
        unit: distance between the pupils, px, of the head that is not turned.
        centre: between the eyes, px.
    """
    faces = portrait_faces()
    assert faces.landmarks is not None
    pose, points = faces.landmarks.pose, faces.landmarks.points.astype(np.float64)
    parts = parts_of(points)
    points = points - [*parts.axes[:, 2], points[168, 2]]
    level = _rotation(2, -pose.roll)
    straight = _rotation(1, pose.yaw - yaw)
    placed = points @ level.T @ straight.T * (unit / parts.unit)
    return np.asarray(placed + np.array([*centre, 0.0])).astype(np.float32)


def _rotation(axis: int, degrees: float) -> NDArray[np.float64]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.eye(3)
    a, b = (0, 1) if axis == 2 else (2, 0)
    turned[[a, a, b, b], [a, b, a, b]] = cos, -sin, sin, cos
    return turned


def parts_of(landmarks: ArrayLike) -> FaceParts:
    """The parts of a face whose landmarks make one."""
    parts = face_parts(landmarks)
    assert parts is not None
    return parts


def photo_of(pixels: NDArray[np.uint8]) -> Photo:
    """Pixels as a photo."""
    return Photo(pixels, pixels.shape[1], pixels.shape[0], "PNG")


def redrawn(crop: Crop, draw: Callable[..., Drawn], *args: object, **kwargs: object) -> tuple[Crop, Drawn]:
    """The crop with `draw(pixels, landmarks, *args, **kwargs)` applied."""
    drawn = draw(crop.pixels, crop.landmarks, *args, **kwargs)
    return replace(crop, pixels=drawn.pixels), drawn


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The pixels as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def lesions(
    pixels: NDArray[np.uint8],
    landmarks: ArrayLike,
    count: int = 12,
    strength: float = 1.0,
    seed: int = 0,
    zones: Sequence[str] = ("cheek_left", "cheek_right", "chin"),
) -> Drawn:
    """Red soft blobs, every third with a bright head."""
    random = np.random.default_rng(seed)
    unit = _unit(landmarks)
    light, boxes = _linear(pixels), []
    for number, (x, y) in enumerate(_places(pixels, landmarks, zones, count, 0.16 * unit, random)):
        radius = random.uniform(0.05, 0.09) * unit
        distance = _distance(pixels, x, y, radius, random.uniform(0.8, 1.0), random.uniform(0, np.pi))
        halo = np.exp(-0.5 * (distance / 0.9) ** 2)
        light = _absorb(light, BLOOD * strength, np.maximum(np.exp(-(distance**4)), 0.4 * halo))
        if number % 3 == 2:
            head = 0.8 * strength * np.exp(-((distance / 0.4) ** 4))[..., None]
            light = light * (1 - head) + PUS * head
        boxes.append((x - radius, y - radius, 2 * radius, 2 * radius))
    return Drawn(_bytes(light), np.array(boxes).reshape(-1, 4))


def flush(pixels: NDArray[np.uint8], landmarks: ArrayLike, strength: float = 1.0) -> Drawn:
    """Red cheeks and nose, with soft borders."""
    zones = ("cheek_left", "cheek_right", "nose")
    return _tinted(pixels, landmarks, zones, BLOOD * strength)


def patches(
    pixels: NDArray[np.uint8],
    landmarks: ArrayLike,
    count: int = 4,
    strength: float = 1.0,
    seed: int = 0,
    zones: Sequence[str] = ("cheek_left", "cheek_right"),
) -> Drawn:
    """Brown patches of irregular outline, larger than lesions."""
    random = np.random.default_rng(seed)
    unit = _unit(landmarks)
    light, boxes = _linear(pixels), []
    for x, y in _places(pixels, landmarks, zones, count, 0.2 * unit, random):
        radius = random.uniform(0.1, 0.15) * unit
        parts = [
            _distance(pixels, x + dx, y + dy, 0.75 * radius, random.uniform(0.7, 1.0), random.uniform(0, np.pi))
            for dx, dy in random.normal(0, 0.3 * radius, (4, 2))
        ]
        light = _absorb(light, MELANIN * strength, np.max([np.exp(-(part**4)) for part in parts], axis=0))
        boxes.append((x - radius, y - radius, 2 * radius, 2 * radius))
    return Drawn(_bytes(light), np.array(boxes).reshape(-1, 4))


def wrinkles(
    pixels: NDArray[np.uint8], landmarks: ArrayLike, zones: Sequence[str] = tuple(LINES), strength: float = 1.0
) -> Drawn:
    """Dark, narrow lines: along the forehead, between the brows, at the outer corners of the eyes, beside the mouth."""
    unit = _unit(landmarks)
    curves = [_on_face(landmarks, line) for zone in zones for line in LINES[zone]]
    depth = np.max([_along(pixels, curve, 0.018 * unit) for curve in curves], axis=0)
    boxes = [(*curve.min(axis=0), *np.ptp(curve, axis=0)) for curve in curves]
    return Drawn(_bytes(_absorb(_linear(pixels), SHADE * strength, depth)), np.array(boxes).reshape(-1, 4))


def shine(pixels: NDArray[np.uint8], landmarks: ArrayLike, strength: float = 1.0) -> Drawn:
    """White highlights on forehead, nose and cheeks."""
    unit = _unit(landmarks)
    spots = [(-0.25, -0.72, 0.3, 0.5), (0.3, -0.68, 0.22, 0.6), (0.0, 0.42, 0.12, 0.6)]
    spots += [(-0.68, 0.62, 0.18, 0.7), (0.68, 0.62, 0.18, 0.7), (0.02, 1.62, 0.14, 0.7)]
    light, boxes = _linear(pixels), []
    for u, v, size, flat in spots:
        ((x, y),) = _on_face(landmarks, [(u, v)])
        radius = size * unit
        distance = _distance(pixels, x, y, radius, flat, 0.0)
        light = light + GLOSS * strength * np.exp(-0.5 * (distance / 0.5) ** 2)[..., None]
        boxes.append((x - radius, y - flat * radius, 2 * radius, 2 * flat * radius))
    return Drawn(_bytes(light), np.array(boxes))


def roughness(
    pixels: NDArray[np.uint8],
    landmarks: ArrayLike,
    strength: float = 1.0,
    seed: int = 0,
    zones: Sequence[str] = ZONES,
) -> Drawn:
    """Pores and bumps: noise about as fine as a fiftieth of the pupils' distance."""
    random = np.random.default_rng(seed)
    size = 0.02 * _unit(landmarks)
    noise = _blurred(random.normal(size=pixels.shape[:2]), size) - _blurred(
        random.normal(size=pixels.shape[:2]), 2 * size
    )
    where, boxes = _area(pixels, landmarks, zones)
    depth = where * noise / noise.std()
    return Drawn(_bytes(_absorb(_linear(pixels), SHADE * 0.25 * strength, depth)), boxes)


def _tinted(
    pixels: NDArray[np.uint8], landmarks: ArrayLike, zones: Sequence[str], density: NDArray[np.float64]
) -> Drawn:
    where, boxes = _area(pixels, landmarks, zones)
    return Drawn(_bytes(_absorb(_linear(pixels), density, where)), boxes)


def _unit(landmarks: ArrayLike) -> float:
    """Distance between the pupils."""
    return parts_of(landmarks).unit


def _on_face(landmarks: ArrayLike, points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Points in the face's axes → pixels, (n, 2)."""
    axes = parts_of(landmarks).axes
    return np.asarray(np.array(points, dtype=np.float64) @ axes[:, :2].T + axes[:, 2])


def _places(
    pixels: NDArray[np.uint8],
    landmarks: ArrayLike,
    zones: Sequence[str],
    count: int,
    apart: float,
    random: np.random.Generator,
) -> list[tuple[float, float]]:
    """Places inside the zones, apart from each other and from the zones' borders, one zone after the other."""
    outlines = parts_of(landmarks).zones
    inside = []
    for zone in zones:
        height, width = pixels.shape[:2]
        canvas = Image.new("L", (width, height))
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in outlines[zone]], fill=255)
        y, x = np.nonzero(_blurred(np.asarray(canvas, dtype=np.float64), apart / 3) > 220)
        inside.append(np.stack([x, y], axis=1) + 0.5)
    spots_placed: list[tuple[float, float]] = []
    for attempt in range(200 * count):
        spots = inside[len(spots_placed) % len(zones) if attempt < 100 * count else attempt % len(zones)]
        if not len(spots):
            continue
        x, y = random.choice(spots)
        if all(np.hypot(x - a, y - b) > apart for a, b in spots_placed):
            spots_placed.append((float(x), float(y)))
        if len(spots_placed) == count:
            return spots_placed
    raise ValueError(f"no room for {count} places {apart:.0f} px apart")


def _area(
    pixels: NDArray[np.uint8], landmarks: ArrayLike, zones: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Zones as one soft mask, 0..1, and their boxes."""
    outlines = [outline for name, outline in parts_of(landmarks).zones.items() if name in zones]
    canvas = Image.new("L", (pixels.shape[1], pixels.shape[0]))
    for outline in outlines:
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in outline], fill=255)
    soft = _blurred(np.asarray(canvas, dtype=np.float64) / 255, 0.08 * _unit(landmarks))
    return soft, np.array([(*outline.min(axis=0), *np.ptp(outline, axis=0)) for outline in outlines])


def _distance(
    pixels: NDArray[np.uint8], x: float, y: float, radius: float, flat: float, turn: float
) -> NDArray[np.float64]:
    """Distance from (x, y) over the radius of an ellipse whose short axis is `flat` times the long one."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    v = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    return np.asarray(np.hypot(u, v / flat) / radius)


def _along(pixels: NDArray[np.uint8], curve: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Gaussian profile across a polyline, fading at its ends."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    best = np.zeros(pixels.shape[:2])
    for number, (start, end) in enumerate(pairwise(curve)):
        step = end - start
        share = ((columns - start[0]) * step[0] + (rows - start[1]) * step[1]) / max(float(step @ step), 1e-9)
        near = np.clip(share, 0, 1)
        apart = np.hypot(columns - start[0] - near * step[0], rows - start[1] - near * step[1])
        way = (number + near) / (len(curve) - 1)
        fade = np.clip(5 * np.minimum(way, 1 - way), 0.2, 1)
        best = np.maximum(best, fade * np.exp(-0.5 * (apart / width) ** 2))
    return best


def _blurred(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(image, sigma))


def _linear(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    code = pixels / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _bytes(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    light = np.clip(light, 0, 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * code).astype(np.uint8)


def _absorb(
    light: NDArray[np.float64], density: NDArray[np.float64], depth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Light less what a layer of that density absorbs, where `depth` is 1."""
    return np.asarray(light * 10.0 ** (-depth[..., None] * density))
