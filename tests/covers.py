"""Things drawn over a real face, placed by its landmarks: masks, scarves, glasses, hair, beards, hands; all seeded."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from bentos.skin.photo.face_parts import LIPS
from tests.paint import (
    EARS,
    Altered,
    Colour,
    Field,
    Pixels,
    Subject,
    along_line,
    covered,
    creases,
    encoded,
    filled,
    laid_over,
    light_of,
    linear,
    lit,
    smooth_noise,
    smooth_outline,
    soft,
    stroke,
    weave,
)

HAIR: dict[str, Colour] = {
    "black": (30, 25, 23),
    "brown": (66, 46, 34),
    "blond": (168, 142, 104),
    "grey": (150, 147, 143),
}
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
BEARD_RIM = (
    177,
    213,
    214,
    216,
    92,
    165,
    2,
    391,
    322,
    436,
    434,
    433,
    401,
)  # of a full beard, from the right ear under the nose


# --- cloth ----------------------------------------------------------------------------------------------------------


def mask(subject: Subject, colour: Colour = CLOTH["blue"], seed: int = 0) -> Altered:
    """A surgical mask from the bridge of the nose to below the chin, with pleats and ear loops."""
    points, unit = subject.points[:, :2], subject.parts.unit
    jaw = points[list(MASK_JAW)]
    jaw = jaw + 0.06 * (jaw - points[1])
    alpha = filled(subject, smooth_outline(np.concatenate([points[list(MASK_RIM)], jaw])))
    u, v = subject.uv
    # The cloth spans nose, lips and chin.
    light = lit(gaussian_filter(np.minimum(subject.relief, 2.0), 0.22 * unit) * unit)
    for pleat in (0.82, 1.08, 1.34):
        across = (v - pleat - 0.1 * np.cos(1.4 * u)) / 0.018
        light = light * (1 - 0.25 * np.exp(-(across**2)) + 0.1 * np.exp(-((across - 2) ** 2)))
    seam = np.exp(-(((gaussian_filter(alpha, 0.03 * unit) - 0.75) / 0.12) ** 2))
    light = light * (1 - 0.12 * seam) * (1 + 0.5 * creases(subject, 0.25, seed)) * weave(subject, seed)
    pixels = subject.pixels
    for ear, corners in zip(EARS, ((227, 58), (447, 288)), strict=True):
        for corner in corners:
            line = stroke(subject, [points[ear], (points[ear] + points[corner]) / 2, points[corner]], 0.02)
            pixels = laid_over(subject, pixels, line, light_of(colour) * 0.8, shadow=0.0)
    return covered(subject, laid_over(subject, pixels, alpha, light[..., None] * light_of(colour)), alpha > 0.5)


def scarf(subject: Subject, colour: Colour = CLOTH["red"], checked: bool = False, seed: int = 0) -> Altered:
    """A scarf around neck, chin and mouth, up to below the nose."""
    u, v = subject.uv
    edge = 0.76 + 0.12 * u**2 - 0.05 * u + 0.05 * np.sin(3 * u + seed)
    alpha = soft((v - edge) * subject.parts.unit) * soft((1.5 + 0.25 * (v - 1) - np.abs(u)) * subject.parts.unit)
    folds = np.sin(11 * (v - 0.25 * u**2 + 0.5 * smooth_noise(subject, 0.5, seed)) + seed)
    return _draped(subject, alpha, folds, colour, checked, seed)


def headscarf(subject: Subject, colour: Colour = CLOTH["beige"], checked: bool = False, seed: int = 0) -> Altered:
    """A scarf around the head, down to the brows and around jaw and neck; the face shows in an oval."""
    u, v = subject.uv
    unit = subject.parts.unit
    opening = np.hypot(u / 0.86, (v - 0.72) / np.where(v < 0.72, 1.14, 1.1)) - 1
    head = np.minimum(1.5 - np.hypot(u, 0.75 * (v - 0.1)), 2.0)
    shoulders = np.minimum(v - 1.0, 1.35 + 0.55 * (v - 1.2) - np.abs(u))
    alpha = soft(opening * 0.9 * unit) * soft(np.maximum(head, shoulders) * unit)
    around = np.arctan2(u, 0.72 - v)
    folds = np.sin(7 * (opening + 0.4 * smooth_noise(subject, 0.6, seed)) + 2 * np.cos(around) + seed)
    return _draped(subject, alpha, folds, colour, checked, seed)


def _draped(subject: Subject, alpha: Field, folds: Field, colour: Colour, checked: bool, seed: int) -> Altered:
    """Cloth with soft folds; checked cloth has lines in two directions that follow them."""
    u, v = subject.uv
    light = (0.72 + 0.16 * folds) * (1 + 0.6 * creases(subject, 0.3, seed)) * weave(subject, seed)
    cloth = np.broadcast_to(light_of(colour), subject.pixels.shape)
    if checked:
        bend = 0.08 * folds
        for along, dark in (
            (u + v + bend, 0.35),
            (u - v + bend, 0.35),
            (u + v + bend + 0.13, 0.7),
            (u - v + bend + 0.13, 0.7),
        ):
            wide = 0.09 if dark < 0.5 else 0.03
            line = soft((wide / 2 - np.abs((along % 0.3) - 0.15)) * subject.parts.unit)[..., None]
            cloth = cloth * (1 - line) + line * (dark * cloth + 0.02)
    return covered(subject, laid_over(subject, subject.pixels, alpha, light[..., None] * cloth), alpha > 0.5)


# --- glasses --------------------------------------------------------------------------------------------------------


def glasses(subject: Subject, dark: bool, colour: Colour = (28, 26, 28)) -> Altered:
    """Sunglasses, or glasses with clear lenses and a rim."""
    u, v = subject.uv
    unit = subject.parts.unit
    # Lenses are rounded boxes that tilt a little outwards.
    inside = [
        1
        - ((np.abs(side * u - 0.56) / 0.48) ** 3.2 + (np.abs(v - 0.07 - 0.04 * (side * u - 0.5)) / 0.34) ** 3.2)
        ** (1 / 3.2)
        for side in (-1, 1)
    ]
    depth = np.maximum(*inside) * 0.36
    lens, outer = soft(depth * unit), soft((depth + 0.05) * unit)
    bridge = stroke(subject, subject.place([(-0.13, -0.02), (0, -0.07), (0.13, -0.02)]), 0.05)
    arms = [
        stroke(subject, [*subject.place([(side * 0.95, -0.08)]), subject.points[ear, :2] + (0, 0.02 * unit)], 0.06)
        for side, ear in ((-1, EARS[0]), (1, EARS[1]))
    ]
    frame = np.clip(np.maximum.reduce([outer * (1 - lens), bridge, *arms]), 0, 1)
    streak = np.exp(-((((u + 0.6 * v + 0.35) % 1.05 - 0.3) / 0.06) ** 2))
    pixels = subject.pixels
    if dark:
        sky = np.clip(0.05 - 0.05 * v, 0.008, 0.06) + 0.05 * streak
        pixels = laid_over(subject, pixels, lens, sky[..., None] * np.array([0.9, 1.0, 1.1]))
    else:
        pixels = encoded(linear(pixels) * (1 - 0.08 * lens[..., None]) + 0.06 * (streak * lens)[..., None])
    shine = light_of(colour) * (1 + 0.8 * np.exp(-(((depth + 0.02) / 0.01) ** 2)))[..., None]
    hidden = np.maximum(frame, lens) if dark else frame
    return covered(subject, laid_over(subject, pixels, frame, shine), hidden > 0.5)


# --- hair -----------------------------------------------------------------------------------------------------------


def fringe(subject: Subject, colour: Colour = HAIR["brown"], seed: int = 0) -> Altered:
    """A fringe of drawn strands from above the hairline to the brows."""
    random = np.random.default_rng(seed)
    strands = []
    for start in random.uniform(-1.2, 1.2, int(32 * subject.parts.unit)):
        # Longer beside the face than over it.
        end = -0.34 + 0.9 * max(abs(start) - 0.85, 0.0) + 0.06 * np.sin(9 * start + seed) + random.normal(0, 0.06)
        top = -1.85 + 0.6 * start**2 + random.uniform(0, 0.15)
        bend = random.normal(0.02, 0.05)
        strands.append([(start, top), (1.04 * start + bend / 2, (top + end) / 2), (1.02 * start + 2 * bend, end)])
    return covered(subject, *_hairy(subject, strands, colour, random, width=0.012))


def beard(subject: Subject, colour: Colour = HAIR["brown"], seed: int = 0) -> Altered:
    """A full beard of drawn strands on jaw, chin and upper lip; the lips stay bare."""
    random = np.random.default_rng(seed)
    points, unit = subject.points[:, :2], subject.parts.unit
    jaw = points[list(MASK_JAW)]
    outline = smooth_outline(np.concatenate([points[list(BEARD_RIM)], jaw + 0.07 * (jaw - points[1])]))
    region = gaussian_filter(filled(subject, outline), 0.04 * unit)
    region = region * (1 - gaussian_filter(filled(subject, points[list(LIPS)]), 0.015 * unit))
    v, u = np.nonzero(region > random.uniform(0.2, 0.9, region.shape))
    strands = []
    to_face = np.linalg.inv(subject.parts.axes[:, :2])
    for place in random.integers(0, len(u), int(65 * subject.parts.unit)):
        x, y = to_face @ (np.array([u[place], v[place]]) + 0.5 - subject.parts.axes[:, 2])
        length = random.uniform(0.08, 0.16)
        angle = 0.9 * x + random.normal(0, 0.25)
        way = np.array([np.sin(angle), np.cos(angle)]) * length
        strands.append([(x, y), (x + way[0] / 2 + random.normal(0, 0.01), y + way[1] / 2), (x + way[0], y + way[1])])
    pixels, hidden = _hairy(subject, strands, colour, random, width=0.01)
    keep = region > 0.1
    return covered(subject, np.where(keep[..., None], pixels, subject.pixels), hidden & keep)


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
        for number, (start, end) in enumerate(pairwise(curve)):
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
    fingers = [
        ([(*base,), ((base[0] + tip[0]) / 2 + 0.03, (base[1] + tip[1]) / 2), (*tip,)], (0.15, 0.11))
        for base, tip in zip(knuckles, tips, strict=True)
    ]
    for path, (thick, thin) in [palm, *fingers]:
        curve = subject.place([(side * x, y) for x, y in path])
        distance, way = along_line(columns, rows, curve)
        radius = (thick + (thin - thick) * way) * unit
        depth = 1 - distance / radius  # 0 at the outline, 1 on the axis
        alpha = soft(depth * radius)
        round_ = np.sqrt(np.clip(1 - np.clip(distance / radius, 0, 1) ** 2, 0, 1))
        light = 0.42 + 0.62 * round_
        for crease in (0.33, 0.66) if path is not palm[0] else ():
            light = light * (1 - 0.22 * np.exp(-(((way - crease - 0.015 * np.sin(9 * depth)) / 0.012) ** 2)))
        mottled = 1 + 0.05 * smooth_noise(subject, 0.05, int(random.integers(1 << 30)))
        # Blood shows at the tips.
        flesh = (
            skin * np.array([1.0, 0.97, 0.96]) * (1 - np.clip(way - 0.8, 0, 1)[..., None] * np.array([0.1, 0.5, 0.45]))
        )
        finger = (light * mottled)[..., None] * flesh
        if path is not palm[0]:
            nail_at = curve[-1] + 0.12 * (curve[-2] - curve[-1]) / np.linalg.norm(curve[-2] - curve[-1]) * unit
            nail = soft(0.062 * unit - np.hypot(columns - nail_at[0], 0.75 * (rows - nail_at[1])))[..., None]
            finger = finger * (1 - nail) + nail * (1.12 * skin + 0.02) * light[..., None]
        pixels = laid_over(subject, pixels, alpha, finger, shadow=0.6)
        hidden |= alpha > 0.5
    return covered(subject, pixels, hidden)
