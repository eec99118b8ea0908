"""A face to draw on, and how things are drawn over it: soft outlines, cloth, light and shadow.

Lengths are in distances between the pupils; u points from the midline to the person's left, v from the eyes down, as
`FaceParts.axes` has them. Colours are sRGB, 0..255.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import binary_erosion, gaussian_filter, shift, zoom

from bentos.skin.photo.face_parts import FaceParts, face_parts, raster
from tests.drawing import photo_of, reader

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]
Field = NDArray[np.float64]

EARS = (127, 356)
RIM = 0.05  # of what is laid over the face
CHEEK = (50, 280, 205, 425, 101, 330)  # where the colour of a face is taken


@dataclass(frozen=True)
class Subject:
    """A face to draw on.

    Attributes:
        pixels: uint8 (height, width, 3).
        points: (468, 3), landmarks in pixels.
        bare: zones that nothing hides in the photo as it is.
    """

    pixels: Pixels
    points: NDArray[np.float64]
    bare: frozenset[str]

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
        rows, columns = (np.mgrid[: self.pixels.shape[0] : step, : self.pixels.shape[1] : step] + 0.5 * step).astype(
            float
        )
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
        codes: that may say why.
        origin: x, y of the picture's first pixel among the subject's.
        foreign: bool (height, width): what is no skin of the subject and must be neither measured nor boxed.
    """

    pixels: Pixels
    hidden: NDArray[np.bool_] | None = None
    codes: frozenset[str] = frozenset({"covered"})
    origin: tuple[int, int] = (0, 0)
    foreign: NDArray[np.bool_] | None = None


def read(pixels: Pixels, bare: frozenset[str]) -> Subject:
    """The largest face of a photo, which must have landmarks, and the zones that nothing hides."""
    faces = reader().read(photo_of(pixels))
    assert faces.landmarks is not None
    return Subject(pixels, faces.landmarks.points.astype(np.float64), bare)


def linear(values: ArrayLike) -> Field:
    """sRGB, 0..255 → linear light, 0..1."""
    code = np.asarray(values) / 255.0
    return np.asarray(np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4))


def encoded(light: Field) -> Pixels:
    """Linear light → sRGB; what is out of range is clipped."""
    light = np.clip(light, 0, 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * code), dtype=np.uint8)


def covered(subject: Subject, pixels: Pixels, hidden: NDArray[np.bool_]) -> Altered:
    """A picture in which something lies over the face; its rim may be taken for either."""
    rim = max(round(RIM * subject.parts.unit), 1)
    return Altered(pixels, hidden, foreign=binary_erosion(hidden, iterations=rim))


def laid_over(subject: Subject, pixels: Pixels, alpha: Field, light: Field, shadow: float = 0.4) -> Pixels:
    """Something laid over the photo: what it hides, and its soft shadow below and beside it."""
    unit = subject.parts.unit
    fallen = gaussian_filter(shift(alpha, (0.03 * unit, 0), order=1, mode="nearest"), 0.05 * unit)
    grain = np.random.default_rng(1).normal(0, 0.012, alpha.shape)[..., None]
    below = linear(pixels) * (1 - shadow * fallen[..., None])
    return encoded(below * (1 - alpha[..., None]) + light * (1 + grain) * alpha[..., None])


def lit(relief: Field) -> Field:
    """Lambert's shading, about 1, of a relief in pixels, by a light from above."""
    down, right = np.gradient(relief)
    facing = (1 + 0.45 * down - 0.1 * right) / np.sqrt(1 + down**2 + right**2)
    return np.asarray(0.45 + 0.5 * np.clip(facing, 0, None))


def creases(subject: Subject, size: float, seed: int) -> Field:
    """Soft creases of cloth: the slope of a smooth random relief, about -.3 to .3."""
    slope = np.gradient(smooth_noise(subject, size, seed + 7), axis=0) * subject.parts.unit * size
    return np.asarray(np.clip(slope * 0.25, -0.35, 0.35))


def weave(subject: Subject, seed: int) -> Field:
    return np.asarray(1 + 0.03 * np.random.default_rng(seed).normal(size=subject.pixels.shape[:2]))


def smooth_noise(subject: Subject, size: float, seed: int) -> Field:
    """Smooth noise of standard deviation 1."""
    sigma = max(size * subject.parts.unit, 0.5)
    step = max(int(sigma / 3), 1)
    height, width = subject.pixels.shape[:2]
    coarse = gaussian_filter(
        np.random.default_rng(seed).normal(size=(height // step + 2, width // step + 2)), sigma / step
    )
    fine = zoom(coarse, step, order=3)[:height, :width]
    return np.asarray((fine - fine.mean()) / max(fine.std(), 1e-9))


def light_of(colour: Colour) -> Field:
    return np.asarray(linear(np.array(colour)))


def soft(signed: Field) -> Field:
    """A signed distance to an outline in pixels, positive inside → opacity."""
    return np.asarray(np.clip(signed / 1.5 + 0.5, 0, 1))


def smooth_outline(points: Field) -> Field:
    """A closed smooth curve through points."""
    closed = np.concatenate([points, points[:1]])
    curve = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return np.asarray(curve(np.linspace(0, len(points), 8 * len(points), endpoint=False)))


def filled(subject: Subject, outline: Field) -> Field:
    """An outline as opacity."""
    height, width = subject.pixels.shape[:2]
    filled = raster([(outline, 0.0)], max(height, width)).astype(np.float64)[:height, :width]
    return np.asarray(gaussian_filter(filled, 0.8))


def stroke(subject: Subject, points: ArrayLike, width: float) -> Field:
    """A line through points in pixels, of a width in distances between the pupils, as opacity."""
    rows, columns = np.mgrid[: subject.pixels.shape[0], : subject.pixels.shape[1]] + 0.5
    distance, _ = along_line(columns, rows, np.asarray(points, dtype=np.float64))
    return soft(width / 2 * subject.parts.unit - distance)


def along_line(columns: Field, rows: Field, curve: Field) -> tuple[Field, Field]:
    """Distance of pixels from a polyline, and how far along it its nearest point lies, 0..1."""
    lengths = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    begun = np.concatenate([[0], np.cumsum(lengths)]) / lengths.sum()
    best, way = np.full(columns.shape, np.inf), np.zeros(columns.shape)
    for number, (start, end) in enumerate(pairwise(curve)):
        step = end - start
        share = np.clip(((columns - start[0]) * step[0] + (rows - start[1]) * step[1]) / float(step @ step), 0, 1)
        apart = np.hypot(columns - start[0] - share * step[0], rows - start[1] - share * step[1])
        nearer = apart < best
        best = np.where(nearer, apart, best)
        way = np.where(nearer, begun[number] + share * (begun[number + 1] - begun[number]), way)
    return best, way
