"""Photos altered as a whole, and pictures of nothing; each from a subject, all seeded."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from tests.paint import Altered, Colour, Subject, encoded, linear
from tests.turned_aside import turned_aside

SKIN = (205, 150, 125)


# --- pictures of nothing --------------------------------------------------------------------------------------------


def flat(colour: Colour, _subject: Subject) -> Altered:
    """One colour."""
    return Altered(np.full((300, 240, 3), colour, dtype=np.uint8))


def noise(grey: bool, _subject: Subject) -> Altered:
    """Independent noise in all pixels."""
    values = np.random.default_rng(0).integers(0, 256, (320, 320, 1 if grey else 3))
    return Altered(np.broadcast_to(values, (320, 320, 3)).astype(np.uint8))


def discs(ground: Colour, _subject: Subject) -> Altered:
    """Red discs on one colour."""
    image = Image.new("RGB", (400, 400), ground)
    for x, y, radius in np.random.default_rng(0).integers((30, 30, 4), (370, 370, 14), (20, 3)).tolist():
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(190, 40, 45))
    return Altered(np.asarray(image))


def checks(light: Colour, dark: Colour, _subject: Subject) -> Altered:
    """A chessboard."""
    rows, columns = np.mgrid[:384, :384] // 24
    return Altered(np.where(((rows + columns) % 2)[..., None], light, dark).astype(np.uint8))


def skin_close_up(_subject: Subject) -> Altered:
    """Skin-coloured texture that fills the photo, with red spots."""
    random = np.random.default_rng(0)
    size = 256
    light = np.array(SKIN) + random.normal(0, 6, (size, size, 1)) + random.normal(0, 2, (size, size, 3))
    rows, columns = np.mgrid[:size, :size]
    for x, y in random.integers(20, size - 20, (12, 2)):
        light -= np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 30)[..., None] * np.array([5, 50, 45])
    return Altered(np.clip(light, 0, 255).astype(np.uint8))


def cartoon(_subject: Subject) -> Altered:
    """A drawing of a face in flat colours, with red cheeks."""
    image = Image.new("RGB", (800, 800), (150, 200, 230))
    draw = ImageDraw.Draw(image)
    draw.ellipse((190, 90, 610, 690), fill=(245, 205, 170), outline=(60, 40, 30), width=6)
    draw.pieslice((180, 60, 620, 480), 190, 350, fill=(90, 55, 30))
    draw.ellipse((200, 220, 600, 690), fill=(245, 205, 170))
    for x in (310, 490):
        draw.ellipse((x - 45, 300, x + 45, 350), fill=(255, 255, 255), outline=(60, 40, 30), width=4)
        draw.ellipse((x - 20, 303, x + 20, 347), fill=(70, 50, 30))
        draw.arc((x - 55, 255, x + 55, 320), 200, 340, fill=(60, 40, 30), width=10)
        draw.ellipse((x - 65 + (x - 400) // 2, 420, x + 25 + (x - 400) // 2, 480), fill=(240, 160, 140))
    draw.line((400, 350, 380, 450, 410, 455), fill=(150, 90, 60), width=5, joint="curve")
    draw.chord((320, 490, 480, 590), 10, 170, fill=(190, 50, 60), outline=(60, 40, 30), width=4)
    return Altered(np.asarray(image.resize((400, 400), Image.Resampling.LANCZOS)))


# --- the whole photo altered ----------------------------------------------------------------------------------------


def as_it_is(subject: Subject) -> Altered:
    """The photo."""
    return Altered(subject.pixels)


def grey(subject: Subject) -> Altered:
    """Black and white."""
    return Altered(np.asarray(Image.fromarray(subject.pixels).convert("L").convert("RGB")))


def cast(gains: tuple[float, float, float], subject: Subject) -> Altered:
    """Linear light of red, green and blue multiplied."""
    return Altered(encoded(linear(subject.pixels) * np.array(gains)))


def exposed(stops: float, subject: Subject) -> Altered:
    """Linear light multiplied by a power of two, and clipped."""
    return cast((2.0**stops,) * 3, subject)


def blurred(size: float, subject: Subject) -> Altered:
    """Gaussian blur; its size in distances between the pupils."""
    sigma = size * subject.parts.unit
    return Altered(np.rint(gaussian_filter(subject.pixels.astype(np.float64), (sigma, sigma, 0))).astype(np.uint8))


def jpeg(quality: int, subject: Subject) -> Altered:
    """Saved as JPEG and read again."""
    buffer = BytesIO()
    Image.fromarray(subject.pixels).save(buffer, "JPEG", quality=quality)
    return Altered(np.asarray(Image.open(buffer)))


def shrunk(side: int, subject: Subject) -> Altered:
    """The short side at so many pixels."""
    height, width = subject.pixels.shape[:2]
    share = side / min(height, width)
    size = round(width * share), round(height * share)
    return Altered(np.asarray(Image.fromarray(subject.pixels).resize(size, Image.Resampling.LANCZOS)))


def stored_turned(clockwise: int, subject: Subject) -> Altered:
    """Turned by quarters, without a word of it in the file."""
    return Altered(np.ascontiguousarray(np.rot90(subject.pixels, -clockwise // 90)))


def without_chin(subject: Subject) -> Altered:
    """The photo ends below the mouth."""
    end = int(subject.place([(0, 1.28)])[0, 1])
    hidden = np.ones(subject.pixels.shape[:2], dtype=np.bool_)
    hidden[:end] = False
    return Altered(np.ascontiguousarray(subject.pixels[:end]), hidden, frozenset({"outside_photo"}))


def half_outside(side: int, at: float, subject: Subject) -> Altered:
    """The photo ends beside the midline, so that one side of the face lies outside.

    Args:
        side: 1 where the person's left side is outside, -1 for the right.
        at: how far from the midline, towards that side.
        subject: the face.
    """
    end = int(subject.place([(side * at, 0.5)])[0, 0])
    hidden = np.ones(subject.pixels.shape[:2], dtype=np.bool_)
    kept = slice(None, end) if side > 0 else slice(end, None)
    hidden[:, kept] = False
    origin = (0, 0) if side > 0 else (end, 0)
    return Altered(
        np.ascontiguousarray(subject.pixels[:, kept]), hidden, frozenset({"outside_photo", "turned_away"}), origin
    )


def two_people(scale: float, blended: bool, subject: Subject) -> Altered:
    """A second person to the right of the first, of `scale` times the size, mirrored."""
    height, width = subject.pixels.shape[:2]
    outline = subject.parts.outline
    right = min(int(outline[:, 0].max() + 0.35 * subject.parts.unit), width)
    other = Image.fromarray(subject.pixels[:, ::-1])
    other = other.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    left = max(int(scale * (width - outline[:, 0].max() - 0.35 * subject.parts.unit)), 0)
    second = np.asarray(other)[:, left:]
    total = right + second.shape[1]
    canvas = np.full((height, total, 3), subject.pixels[:4].reshape(-1, 3).mean(axis=0), dtype=np.uint8)
    canvas[:, :right] = subject.pixels[:, :right]
    top = min(height - second.shape[0], int(0.2 * height)) if scale < 1 else 0
    canvas[top : top + second.shape[0], right:] = second[: height - top]
    if blended:
        soft = gaussian_filter(canvas[:, right - 16 : right + 16].astype(np.float64), (0, 5, 0))
        canvas[:, right - 12 : right + 12] = soft[:, 4:-4]
    foreign = np.zeros((height, total), dtype=np.bool_)
    foreign[:, right:] = True
    return Altered(canvas, np.zeros((height, width), dtype=np.bool_), foreign=foreign)


def aside(yaw: float, subject: Subject) -> Altered:
    """The head turned by degrees, to the right of the photo."""
    return Altered(turned_aside(subject, yaw))
