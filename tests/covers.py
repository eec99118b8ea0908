"""Things drawn over a real face, placed by its landmarks: masks, glasses, cloth, hair, hands; and a head turned aside.

All are seeded. Lengths are in distances between the pupils; u points from the midline to the person's left, v from the
eyes down, as `FaceParts.axes` has them. Colours are sRGB, 0..255.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline, LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates, shift, zoom
from scipy.spatial import Delaunay

from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_parts import LIPS, FaceParts, face_parts, raster
from bentos.skin.photo.face_reader import FaceReader
from tests.drawing import _bytes as encoded
from tests.drawing import _linear as linear

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]
Field = NDArray[np.float64]

HAIR: dict[str, Colour] = {"black": (30, 25, 23), "brown": (66, 46, 34), "blond": (168, 142, 104), "grey": (150, 147, 143)}
CLOTH: dict[str, Colour] = {
    "white": (232, 234, 236),
    "blue": (142, 186, 214),
    "black": (34, 34, 38),
    "beige": (214, 172, 146),  # as light skin has it
    "brown": (140, 98, 74),  # as brown skin has it
    "red": (150, 34, 42),
}
MASK_RIM = (227, 117, 119, 188, 197, 412, 348, 346, 447)  # of a surgical mask, from the right ear over the nose
MASK_JAW = (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)
BEARD_RIM = (177, 213, 214, 216, 92, 165, 2, 391, 322, 436, 434, 433, 401)  # of a full beard, from the right ear under the nose
EARS = (127, 356)
CHEEK = (50, 280, 205, 425, 101, 330)  # where the colour of a face is taken


@dataclass(frozen=True)
class Subject:
    """A face to draw on.

    Attributes:
        pixels: uint8 (height, width, 3).
        points: (468, 3), landmarks in pixels.
    """

    pixels: Pixels
    points: NDArray[np.float64]

    @cached_property
    def parts(self) -> FaceParts:
        """The parts of the face, in pixels."""
        parts = face_parts(self.points)
        assert parts is not None
        return parts

    @cached_property
    def uv(self) -> tuple[Field, Field]:
        """u and v of every pixel, (height, width)."""
        rows, columns = np.mgrid[: self.pixels.shape[0], : self.pixels.shape[1]] + 0.5
        (a, b, x), (c, d, y) = np.linalg.inv(np.vstack([self.parts.axes, [0, 0, 1]]))[:2]
        return a * columns + b * rows + x, c * columns + d * rows + y

    @cached_property
    def relief(self) -> Field:
        """Height of the head towards the camera, (height, width), in distances between the pupils."""
        step = 4
        rows, columns = (np.mgrid[: self.pixels.shape[0] : step, : self.pixels.shape[1] : step] + 0.5 * step).astype(float)
        places, heights = self.points[:, :2], -self.points[:, 2] / self.parts.unit
        inside = LinearNDInterpolator(places, heights)(columns, rows)
        coarse = np.where(np.isnan(inside), NearestNDInterpolator(places, heights)(columns, rows), inside)
        height, width = self.pixels.shape[:2]
        fine = zoom(coarse, step, order=1)[:height, :width]
        return np.pad(fine, ((0, height - fine.shape[0]), (0, width - fine.shape[1])), mode="edge")

    @property
    def tone(self) -> Field:
        """Colour of the cheeks in linear light, (3,)."""
        radius = max(round(0.05 * self.parts.unit), 1)
        patches = []
        for x, y in self.points[list(CHEEK), :2].astype(int):
            rows, columns = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
            patches.append(self.pixels[rows, columns].reshape(-1, 3))
        return np.asarray(linear(np.median(np.concatenate(patches), axis=0)))

    def place(self, points: ArrayLike) -> Field:
        """Points (n, 2) in u and v → pixels."""
        return np.asarray(points, dtype=np.float64) @ self.parts.axes[:, :2].T + self.parts.axes[:, 2]


@dataclass(frozen=True, slots=True)
class Altered:
    """A photo of a subject, altered.

    Attributes:
        pixels: uint8 (height, width, 3).
        hidden: bool, of the subject's pixels: which are not seen any more.
        code: why.
        foreign: bool (height, width): what is no skin of the subject and must be neither measured nor boxed.
    """

    pixels: Pixels
    hidden: NDArray[np.bool_] | None = None
    code: str = "covered"
    foreign: NDArray[np.bool_] | None = None


def read(reader: FaceReader, pixels: Pixels) -> Subject:
    """The largest face of a photo, which must have landmarks."""
    faces = reader.read(Photo(pixels, pixels.shape[1], pixels.shape[0], "PNG"))
    assert faces.landmarks is not None
    return Subject(pixels, faces.landmarks.points.astype(np.float64))


# --- cloth ----------------------------------------------------------------------------------------------------------


def mask(subject: Subject, colour: Colour = CLOTH["blue"], seed: int = 0) -> Altered:
    """A surgical mask from the bridge of the nose to below the chin, with pleats and ear loops."""
    points, unit = subject.points[:, :2], subject.parts.unit
    jaw = points[list(MASK_JAW)]
    jaw = jaw + 0.06 * (jaw - points[1])
    alpha = _polygon(subject, _smooth(np.concatenate([points[list(MASK_RIM)], jaw])))
    u, v = subject.uv
    # The cloth spans nose, lips and chin.
    light = _lit(gaussian_filter(np.minimum(subject.relief, 2.0), 0.22 * unit) * unit)
    for pleat in (0.82, 1.08, 1.34):
        across = (v - pleat - 0.1 * np.cos(1.4 * u)) / 0.018
        light = light * (1 - 0.25 * np.exp(-(across**2)) + 0.1 * np.exp(-((across - 2) ** 2)))
    seam = np.exp(-(((gaussian_filter(alpha, 0.03 * unit) - 0.75) / 0.12) ** 2))
    light = light * (1 - 0.12 * seam) * (1 + 0.5 * _creases(subject, 0.25, seed)) * _weave(subject, seed)
    pixels = subject.pixels
    for ear, corners in zip(EARS, ((227, 58), (447, 288)), strict=True):
        for corner in corners:
            line = _stroke(subject, [points[ear], (points[ear] + points[corner]) / 2, points[corner]], 0.02)
            pixels = _over(subject, pixels, line, _flat(colour) * 0.8, shadow=0.0)
    return _covered(_over(subject, pixels, alpha, light[..., None] * _flat(colour)), alpha > 0.5)


def scarf(subject: Subject, colour: Colour = CLOTH["red"], checked: bool = False, seed: int = 0) -> Altered:
    """A scarf around neck, chin and mouth, up to below the nose."""
    u, v = subject.uv
    edge = 0.76 + 0.12 * u**2 - 0.05 * u + 0.05 * np.sin(3 * u + seed)
    alpha = _soft((v - edge) * subject.parts.unit) * _soft((1.5 + 0.25 * (v - 1) - np.abs(u)) * subject.parts.unit)
    folds = np.sin(11 * (v - 0.25 * u**2 + 0.5 * _noise(subject, 0.5, seed)) + seed)
    return _draped(subject, alpha, folds, colour, checked, seed)


def headscarf(subject: Subject, colour: Colour = CLOTH["beige"], checked: bool = False, seed: int = 0) -> Altered:
    """A scarf around the head: over the forehead down to the brows, temples, jaw and neck; the face shows in an oval."""
    u, v = subject.uv
    unit = subject.parts.unit
    opening = np.hypot(u / 0.86, (v - 0.72) / np.where(v < 0.72, 1.14, 1.1)) - 1
    head = np.minimum(1.5 - np.hypot(u, 0.75 * (v - 0.1)), 2.0)
    shoulders = np.minimum(v - 1.0, 1.35 + 0.55 * (v - 1.2) - np.abs(u))
    alpha = _soft(opening * 0.9 * unit) * _soft(np.maximum(head, shoulders) * unit)
    around = np.arctan2(u, 0.72 - v)
    folds = np.sin(7 * (opening + 0.4 * _noise(subject, 0.6, seed)) + 2 * np.cos(around) + seed)
    return _draped(subject, alpha, folds, colour, checked, seed)


def _draped(subject: Subject, alpha: Field, folds: Field, colour: Colour, checked: bool, seed: int) -> Altered:
    """Cloth with soft folds; checked cloth has lines in two directions that follow them."""
    u, v = subject.uv
    light = (0.72 + 0.16 * folds) * (1 + 0.6 * _creases(subject, 0.3, seed)) * _weave(subject, seed)
    cloth = np.broadcast_to(_flat(colour), subject.pixels.shape)
    if checked:
        bend = 0.08 * folds
        for along, dark in ((u + v + bend, 0.35), (u - v + bend, 0.35), (u + v + bend + 0.13, 0.7), (u - v + bend + 0.13, 0.7)):
            wide = 0.09 if dark < 0.5 else 0.03
            line = _soft((wide / 2 - np.abs((along % 0.3) - 0.15)) * subject.parts.unit)[..., None]
            cloth = cloth * (1 - line) + line * (dark * cloth + 0.02)
    return _covered(_over(subject, subject.pixels, alpha, light[..., None] * cloth), alpha > 0.5)


# --- glasses --------------------------------------------------------------------------------------------------------


def glasses(subject: Subject, dark: bool, colour: Colour = (28, 26, 28)) -> Altered:
    """Sunglasses, or glasses with clear lenses and a rim."""
    u, v = subject.uv
    unit = subject.parts.unit
    # Lenses are rounded boxes that tilt a little outwards.
    inside = [
        1 - ((np.abs(side * u - 0.53) / 0.44) ** 3.2 + (np.abs(v - 0.07 - 0.04 * (side * u - 0.5)) / 0.34) ** 3.2) ** (1 / 3.2)
        for side in (-1, 1)
    ]
    depth = np.maximum(*inside) * 0.36
    lens, outer = _soft(depth * unit), _soft((depth + 0.05) * unit)
    bridge = _stroke(subject, subject.place([(-0.13, -0.02), (0, -0.07), (0.13, -0.02)]), 0.05)
    arms = [
        _stroke(subject, [*subject.place([(side * 0.95, -0.08)]), subject.points[ear, :2] + (0, 0.02 * unit)], 0.06)
        for side, ear in ((-1, EARS[0]), (1, EARS[1]))
    ]
    frame = np.clip(np.maximum.reduce([outer * (1 - lens), bridge, *arms]), 0, 1)
    streak = np.exp(-(((u + 0.6 * v + 0.35) % 1.05 - 0.3) / 0.06) ** 2)
    pixels = subject.pixels
    if dark:
        sky = np.clip(0.05 - 0.05 * v, 0.008, 0.06) + 0.05 * streak
        pixels = _over(subject, pixels, lens, sky[..., None] * np.array([0.9, 1.0, 1.1]))
    else:
        pixels = encoded(linear(pixels) * (1 - 0.08 * lens[..., None]) + 0.06 * (streak * lens)[..., None])
    shine = _flat(colour) * (1 + 0.8 * np.exp(-(((depth + 0.02) / 0.01) ** 2)))[..., None]
    hidden = np.maximum(frame, lens) if dark else frame
    return _covered(_over(subject, pixels, frame, shine), hidden > 0.5)


# --- hair -----------------------------------------------------------------------------------------------------------


def fringe(subject: Subject, colour: Colour = HAIR["brown"], seed: int = 0) -> Altered:
    """A fringe of drawn strands from above the hairline to the brows."""
    random = np.random.default_rng(seed)
    strands = []
    for start in random.uniform(-1.2, 1.2, 2800):
        # Longer beside the face than over it.
        end = -0.34 + 0.9 * max(abs(start) - 0.85, 0.0) + 0.06 * np.sin(9 * start + seed) + random.normal(0, 0.06)
        top = -1.85 + 0.6 * start**2 + random.uniform(0, 0.15)
        bend = random.normal(0.02, 0.05)
        strands.append([(start, top), (1.04 * start + bend / 2, (top + end) / 2), (1.02 * start + 2 * bend, end)])
    return _covered(*_hairy(subject, strands, colour, random, width=0.012))


def beard(subject: Subject, colour: Colour = HAIR["brown"], seed: int = 0) -> Altered:
    """A full beard of drawn strands on jaw, chin and upper lip; the lips stay bare."""
    random = np.random.default_rng(seed)
    points, unit = subject.points[:, :2], subject.parts.unit
    jaw = points[list(MASK_JAW)]
    outline = _smooth(np.concatenate([points[list(BEARD_RIM)], jaw + 0.07 * (jaw - points[1])]))
    region = gaussian_filter(_polygon(subject, outline), 0.04 * unit)
    region = region * (1 - gaussian_filter(_polygon(subject, points[list(LIPS)]), 0.015 * unit))
    v, u = np.nonzero(region > random.uniform(0.2, 0.9, region.shape))
    strands = []
    to_face = np.linalg.inv(subject.parts.axes[:, :2])
    for place in random.integers(0, len(u), 6000):
        x, y = to_face @ (np.array([u[place], v[place]]) + 0.5 - subject.parts.axes[:, 2])
        length = random.uniform(0.08, 0.16)
        angle = 0.9 * x + random.normal(0, 0.25)
        way = np.array([np.sin(angle), np.cos(angle)]) * length
        strands.append([(x, y), (x + way[0] / 2 + random.normal(0, 0.01), y + way[1] / 2), (x + way[0], y + way[1])])
    pixels, hidden = _hairy(subject, strands, colour, random, width=0.01)
    keep = region > 0.1
    return _covered(np.where(keep[..., None], pixels, subject.pixels), hidden & keep)


def _hairy(
    subject: Subject,
    strands: Sequence[Sequence[tuple[float, float]]],
    colour: Colour,
    random: np.random.Generator,
    width: float,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Strands as curves of differing lightness, over their own shadow."""
    height, wide = subject.pixels.shape[:2]
    unit = subject.parts.unit
    scale = 2
    tint = Image.new("RGB", (wide * scale, height * scale))
    alpha = Image.new("L", (wide * scale, height * scale))
    draw, cover = ImageDraw.Draw(tint), ImageDraw.Draw(alpha)
    for strand in strands:
        a, b, c = subject.place(strand)
        along = np.linspace(0, 1, 6)[:, None]
        curve = ((1 - along) ** 2 * a + 2 * along * (1 - along) * (2 * b - (a + c) / 2) + along**2 * c) * scale
        lightness = float(np.exp(random.normal(-0.05, 0.22)))
        for number, (start, end) in enumerate(zip(curve[:-1], curve[1:], strict=True)):
            shine = 1 + 0.3 * np.exp(-(((number - 2) / 0.8) ** 2))
            shade = tuple(int(min(value * lightness * shine, 255)) for value in colour)
            line = (*start.tolist(), *end.tolist())
            draw.line(line, fill=shade, width=max(round(width * unit * scale), 1))
            cover.line(line, fill=255, width=max(round(width * unit * scale), 1))
    size = (wide, height)
    opaque = np.asarray(alpha.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255
    weight = np.asarray(alpha, dtype=np.float64)[..., None] / 255
    sums = np.asarray(linear(np.asarray(tint))) * weight
    sums = sums.reshape(height, scale, wide, scale, 3).mean(axis=(1, 3))
    hair = sums / np.maximum(opaque[..., None], 1e-3)
    dense = gaussian_filter(opaque, 0.03 * unit)
    dark = np.asarray(linear(np.array(colour))) * 0.35
    below = np.clip(1.6 * dense - 0.3, 0, 0.92)[..., None]
    light = linear(subject.pixels) * (1 - below) + dark * below
    light = light * (1 - opaque[..., None]) + hair * opaque[..., None]
    return encoded(light), dense > 0.4


# --- hands ----------------------------------------------------------------------------------------------------------


def hand(subject: Subject, side: int = 1, tone: Colour | None = None, seed: int = 0) -> Altered:
    """A hand laid on a cheek, four fingers pointing up to the temple.

    Args:
        subject: the face.
        side: 1 for the person's left cheek, -1 for the right.
        tone: of the hand's skin; None for that of this face.
        seed: of its creases.
    """
    random = np.random.default_rng(seed)
    unit = subject.parts.unit
    skin = subject.tone if tone is None else np.asarray(linear(np.array(tone)))
    rows, columns = np.mgrid[: subject.pixels.shape[0], : subject.pixels.shape[1]] + 0.5
    pixels, hidden = subject.pixels, np.zeros(subject.pixels.shape[:2], dtype=np.bool_)
    knuckles = [(1.28, 1.5), (1.12, 1.62), (0.95, 1.72), (0.78, 1.8)]
    tips = [(1.08, 0.05), (0.86, 0.12), (0.64, 0.3), (0.47, 0.58)]
    palm = [(1.45, 2.9), (1.0, 1.9)], (0.6, 0.42)
    fingers = [([(*base,), ((base[0] + tip[0]) / 2 + 0.03, (base[1] + tip[1]) / 2), (*tip,)], (0.15, 0.11)) for base, tip in zip(knuckles, tips, strict=True)]
    for path, (thick, thin) in [palm, *fingers]:
        curve = subject.place([(side * x, y) for x, y in path])
        distance, way = _along(columns, rows, curve)
        radius = (thick + (thin - thick) * way) * unit
        depth = 1 - distance / radius  # 0 at the outline, 1 on the axis
        alpha = _soft(depth * radius)
        round_ = np.sqrt(np.clip(1 - np.clip(distance / radius, 0, 1) ** 2, 0, 1))
        light = 0.42 + 0.62 * round_
        for crease in (0.33, 0.66) if path is not palm[0] else ():
            light = light * (1 - 0.22 * np.exp(-(((way - crease - 0.015 * np.sin(9 * depth)) / 0.012) ** 2)))
        mottled = 1 + 0.05 * _noise(subject, 0.05, int(random.integers(1 << 30)))
        # Blood shows at the tips.
        flesh = skin * np.array([1.0, 0.97, 0.96]) * (1 - np.clip(way - 0.8, 0, 1)[..., None] * np.array([0.1, 0.5, 0.45]))
        finger = (light * mottled)[..., None] * flesh
        if path is not palm[0]:
            nail_at = curve[-1] + 0.12 * (curve[-2] - curve[-1]) / np.linalg.norm(curve[-2] - curve[-1]) * unit
            nail = _soft((0.062 * unit - np.hypot(columns - nail_at[0], 0.75 * (rows - nail_at[1]))))[..., None]
            finger = finger * (1 - nail) + nail * (1.12 * skin + 0.02) * light[..., None]
        pixels = _over(subject, pixels, alpha, finger, shadow=0.6)
        hidden |= alpha > 0.5
    return _covered(pixels, hidden)


# --- the head turned ------------------------------------------------------------------------------------------------


def turned_aside(subject: Subject, yaw: float) -> Pixels:
    """The head turned about its upright axis, positive to the right of the photo, by its landmarks' depth.

    Triangles between the landmarks are drawn the farthest first; a ring around the face moves half as much, the
    photo's border not at all.
    """
    height, width = subject.pixels.shape[:2]
    points, unit = subject.points, subject.parts.unit
    centre = subject.parts.outline.mean(axis=0)
    axis_depth = float(points[list(EARS), 2].mean())
    outline = subject.parts.outline
    depths = NearestNDInterpolator(points[:, :2], points[:, 2])(outline)
    rings = [
        np.column_stack([outline + (grow - 1) * (outline - centre), depths + deeper * unit])
        for grow, deeper in ((1.04, 0.1), (1.18, 0.3), (1.4, 0.6))
    ]
    x, y = np.linspace(0, width, 9), np.linspace(0, height, 9)
    border = np.array([(a, b, axis_depth + unit) for a in x for b in y if a in (0, width) or b in (0, height)])
    source = np.concatenate([points, *rings, border])
    share = np.concatenate([np.ones(len(points)), *(np.full(len(outline), part) for part in (1.0, 0.75, 0.3)), np.zeros(len(border))])
    turn = np.radians(yaw)
    moved = source.copy()
    x, z = source[:, 0] - centre[0], source[:, 2] - axis_depth
    moved[:, 0] += share * (x * (np.cos(turn) - 1) - z * np.sin(turn))
    moved[:, 2] = axis_depth + z * np.cos(turn) + share * x * np.sin(turn)
    inside = ((source[:, :2] >= 0) & (source[:, :2] <= (width, height))).all(axis=1)
    source, moved = source[inside], moved[inside]
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = np.stack([columns, rows])
    triangles = Delaunay(source[:, :2]).simplices
    for triangle in triangles[np.argsort(-moved[triangles, 2].mean(axis=1))]:
        to, corners = moved[triangle, :2], source[triangle, :2]
        matrix = np.vstack([to.T, np.ones(3)])
        if abs(np.linalg.det(matrix)) < 1e-3:
            continue
        low, high = np.floor(to.min(axis=0)).astype(int), np.ceil(to.max(axis=0)).astype(int) + 1
        part = (slice(max(low[1], 0), max(high[1], 0)), slice(max(low[0], 0), max(high[0], 0)))
        here = np.stack([columns[part], rows[part], np.ones_like(rows[part])])
        weights = np.einsum("ij,jkl->ikl", np.linalg.inv(matrix), here)
        within = (weights >= -1e-3).all(axis=0)
        for channel in (0, 1):
            places[channel][part][within] = np.einsum("i,ikl->kl", corners[:, channel], weights)[within]
    sampled = [
        map_coordinates(subject.pixels[..., channel].astype(np.float64), [places[1] - 0.5, places[0] - 0.5], order=1, mode="nearest")
        for channel in range(3)
    ]
    return np.clip(np.rint(np.stack(sampled, axis=-1)), 0, 255).astype(np.uint8)


# --- how it is drawn ------------------------------------------------------------------------------------------------


def _covered(pixels: Pixels, hidden: NDArray[np.bool_]) -> Altered:
    return Altered(pixels, hidden, "covered", hidden)


def _over(subject: Subject, pixels: Pixels, alpha: Field, light: Field, shadow: float = 0.4) -> Pixels:
    """Something laid over the photo: what it hides, and its soft shadow below and beside it."""
    unit = subject.parts.unit
    fallen = gaussian_filter(shift(alpha, (0.03 * unit, 0), order=1, mode="nearest"), 0.05 * unit)
    grain = np.random.default_rng(1).normal(0, 0.012, alpha.shape)[..., None]
    below = linear(pixels) * (1 - shadow * fallen[..., None])
    return encoded(below * (1 - alpha[..., None]) + light * (1 + grain) * alpha[..., None])


def _lit(relief: Field) -> Field:
    """Lambert's shading, about 1, of a relief in pixels, by a light from above."""
    down, right = np.gradient(relief)
    facing = (1 + 0.45 * down - 0.1 * right) / np.sqrt(1 + down**2 + right**2)
    return np.asarray(0.45 + 0.5 * np.clip(facing, 0, None))


def _creases(subject: Subject, size: float, seed: int) -> Field:
    """Soft creases of cloth: the slope of a smooth random relief, about -.3 to .3."""
    slope = np.gradient(_noise(subject, size, seed + 7), axis=0) * subject.parts.unit * size
    return np.asarray(np.clip(slope * 0.25, -0.35, 0.35))


def _weave(subject: Subject, seed: int) -> Field:
    return np.asarray(1 + 0.03 * np.random.default_rng(seed).normal(size=subject.pixels.shape[:2]))


def _noise(subject: Subject, size: float, seed: int) -> Field:
    """Smooth noise of standard deviation 1."""
    sigma = max(size * subject.parts.unit, 0.5)
    step = max(int(sigma / 3), 1)
    height, width = subject.pixels.shape[:2]
    coarse = gaussian_filter(np.random.default_rng(seed).normal(size=(height // step + 2, width // step + 2)), sigma / step)
    fine = zoom(coarse, step, order=3)[:height, :width]
    return np.asarray((fine - fine.mean()) / max(fine.std(), 1e-9))


def _flat(colour: Colour) -> Field:
    return np.asarray(linear(np.array(colour)))


def _soft(signed: Field) -> Field:
    """A signed distance to an outline in pixels, positive inside → opacity."""
    return np.asarray(np.clip(signed / 1.5 + 0.5, 0, 1))


def _smooth(points: Field) -> Field:
    """A closed smooth curve through points."""
    closed = np.concatenate([points, points[:1]])
    curve = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return np.asarray(curve(np.linspace(0, len(points), 8 * len(points), endpoint=False)))


def _polygon(subject: Subject, outline: Field) -> Field:
    """An outline as opacity."""
    height, width = subject.pixels.shape[:2]
    filled = raster([(outline, 0.0)], max(height, width)).astype(np.float64)[:height, :width]
    return np.asarray(gaussian_filter(filled, 0.8))


def _stroke(subject: Subject, points: ArrayLike, width: float) -> Field:
    """A line through points in pixels, of a width in distances between the pupils, as opacity."""
    rows, columns = np.mgrid[: subject.pixels.shape[0], : subject.pixels.shape[1]] + 0.5
    distance, _ = _along(columns, rows, np.asarray(points, dtype=np.float64))
    return _soft(width / 2 * subject.parts.unit - distance)


def _along(columns: Field, rows: Field, curve: Field) -> tuple[Field, Field]:
    """Distance of pixels from a polyline, and how far along it its nearest point lies, 0..1."""
    lengths = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    begun = np.concatenate([[0], np.cumsum(lengths)]) / lengths.sum()
    best, way = np.full(columns.shape, np.inf), np.zeros(columns.shape)
    for number, (start, end) in enumerate(zip(curve[:-1], curve[1:], strict=True)):
        step = end - start
        share = np.clip(((columns - start[0]) * step[0] + (rows - start[1]) * step[1]) / float(step @ step), 0, 1)
        apart = np.hypot(columns - start[0] - share * step[0], rows - start[1] - share * step[1])
        nearer = apart < best
        best = np.where(nearer, apart, best)
        way = np.where(nearer, begun[number] + share * (begun[number + 1] - begun[number]), way)
    return best, way
