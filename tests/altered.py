"""The table of drawn and altered photos: for each, what must be null and why, and what must not.

A row draws a photo from a subject, a face with landmarks; what hides skin tells itself which zones it hides. Codes and
issues are those of the analysis. Everything is seeded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from bentos.skin.photo.face_parts import ZONES, raster
from bentos.skin.photo.face_reader import FaceReader
from tests.covers import (
    CLOTH,
    HAIR,
    Altered,
    Colour,
    Pixels,
    Subject,
    beard,
    fringe,
    glasses,
    hand,
    headscarf,
    mask,
    read,
    scarf,
    turned_aside,
)
from tests.drawing import _bytes as encoded
from tests.drawing import _linear as linear
from tests.server import PORTRAIT

LONDON = Path(__file__).resolve().parents[1] / "../shared/data/london"
LONDON_SIDE = 540  # px; the face's box is about 260

HIDDEN = 0.7  # of a zone: from here on it must be null
BARE = 0.1  # of a zone: up to here it must not be

CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")
COLOURS = ("redness", "pigmentation", "shine", "tone")
NOTHING = frozenset({"no_face", "no_skin"})
NO_LANDMARKS = frozenset({"no_face", "turned_away", "outside_photo"})
NO_FINDING: Mapping[str, frozenset[str]] = {concern: NOTHING for concern in (*CONCERNS, "tone")}
# Issues that none of these pictures has unless its row says so.
STRANGE = frozenset({"several_faces", "turned_away", "cut_off", "no_colour", "tinted", "compressed", "no_face"})

SKIN = (205, 150, 125)


@dataclass(frozen=True)
class Row:
    """A picture, and what its analysis must say.

    Attributes:
        name: of the test.
        draw: subject → picture.
        unseen: zones that must be null, with the codes allowed, beside those that the picture says are hidden.
        seen: zones that must not be null, beside those that it leaves bare; no zone that it says is hidden.
        others: codes allowed for the remaining zones.
        issues: that must be told.
        never: issues that must not be.
        reasons: concerns (and "tone") that must be null, with the codes allowed.
        judged: concerns (and "tone") that must not be null.
        landmarks: whether there must be some; None for either.
        turned: `image.turned_degrees`.
    """

    name: str
    draw: Callable[[Subject], Altered]
    unseen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    others: frozenset[str] | None = None
    issues: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    reasons: Mapping[str, frozenset[str]] = field(default_factory=dict)
    judged: frozenset[str] = frozenset()
    landmarks: bool | None = True
    turned: int = 0

    def zones(self, subject: Subject, picture: Altered) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        """The zones that must be null, each with the codes allowed, and those that must not be."""
        unseen, seen = dict(self.unseen), set(self.seen)
        if picture.hidden is not None:
            for zone, share in hidden_shares(subject, picture.hidden).items():
                if share >= HIDDEN:
                    unseen[zone] = frozenset({picture.code})
                if share <= BARE:
                    seen.add(zone)
                else:
                    seen.discard(zone)
        return unseen, frozenset(seen - unseen.keys())


def hidden_shares(subject: Subject, hidden: NDArray[np.bool_]) -> dict[str, float]:
    """How much of each zone is hidden, 0..1."""
    height, width = hidden.shape
    shares = {}
    for name, outline in subject.parts.zones.items():
        zone = raster([(outline, 0.0)], max(height, width))[:height, :width]
        shares[name] = float(hidden[zone].mean()) if zone.any() else 1.0
    return shares


@cache
def reader() -> FaceReader:
    """One reader for all tests."""
    return FaceReader()


@cache
def astronaut() -> Subject:
    """The portrait that is part of the project."""
    return read(reader(), np.asarray(Image.open(PORTRAIT).convert("RGB")))


@cache
def londoner(file: str) -> Subject:
    """A face of the London set, by its file's name."""
    with Image.open(LONDON / "faces" / file) as image:
        small = image.convert("RGB").resize((LONDON_SIDE, LONDON_SIDE), Image.Resampling.LANCZOS)
    return read(reader(), np.asarray(small))


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
    return Altered(np.ascontiguousarray(subject.pixels[:end]), hidden, "outside_photo")


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
    return Altered(np.ascontiguousarray(subject.pixels[:, kept]), hidden, "outside_photo")


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


# --- the table ------------------------------------------------------------------------------------------------------

ALL = frozenset(ZONES)
ALL_UNSEEN: Mapping[str, frozenset[str]] = {zone: NOTHING for zone in ZONES}
RIGHT = frozenset({"crows_feet_right", "nasolabial_right", "cheek_right"})
LEFT = frozenset({"crows_feet_left", "nasolabial_left", "cheek_left"})


def _nothing(name: str, draw: Callable[[Subject], Altered], landmarks: bool | None = False) -> Row:
    issues = frozenset({"no_face"}) if landmarks is False else frozenset[str]()
    return Row(name, draw, ALL_UNSEEN, issues=issues, reasons=NO_FINDING, landmarks=landmarks)


def _cover(name: str, draw: Callable[[Subject], Altered]) -> Row:
    return Row(name, draw, issues=frozenset({"covered"}), never=STRANGE)


def _null(concerns: tuple[str, ...], *codes: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(concerns, frozenset(codes))


# Needs no face to draw on.
NOTHING_THERE = (
    _nothing("black", partial(flat, (0, 0, 0))),
    _nothing("white", partial(flat, (255, 255, 255))),
    _nothing("one grey", partial(flat, (127, 127, 127))),
    _nothing("one colour of skin", partial(flat, SKIN)),
    _nothing("one colour of dark skin", partial(flat, (96, 62, 48))),
    _nothing("noise", partial(noise, False)),
    _nothing("grey noise", partial(noise, True)),
    _nothing("red discs on grey", partial(discs, (128, 128, 128))),
    _nothing("red discs on one colour of skin", partial(discs, SKIN)),
    _nothing("black and white checks", partial(checks, (255, 255, 255), (0, 0, 0))),
    _nothing("checks in colours of skin", partial(checks, (224, 172, 150), (170, 112, 90))),
    _nothing("drawing of a face", cartoon, landmarks=None),
    Row(
        "close-up of skin",
        skin_close_up,
        dict.fromkeys(ZONES, frozenset({"no_face"})),
        issues=frozenset({"no_face"}),
        judged=frozenset({"acne", "redness", "pigmentation"}),
        landmarks=False,
    ),
)

WHOLE = (
    Row("as it is", as_it_is, seen=ALL, never=STRANGE | {"covered"}, judged=frozenset({*CONCERNS, "tone"})),
    Row(
        "black and white",
        grey,
        seen=ALL,
        issues=frozenset({"no_colour"}),
        never=STRANGE - {"no_colour"},
        reasons=_null(COLOURS, "no_colour"),
        judged=frozenset({"acne", "wrinkles", "texture"}),
    ),
    *(
        Row(
            f"{name} cast",
            partial(cast, gains),
            seen=ALL,
            issues=frozenset({"tinted"}),
            never=STRANGE - {"tinted"},
            reasons=_null(COLOURS, "no_colour"),
            judged=frozenset({"wrinkles"}),
        )
        for name, gains in (
            ("blue", (0.6, 0.95, 1.5)),
            ("warm", (1.25, 1.0, 0.5)),
            ("green", (0.75, 1.15, 0.75)),
            ("red", (1.3, 0.6, 0.6)),
        )
    ),
    *(
        Row(f"slight {name} cast", partial(cast, gains), seen=ALL, never=STRANGE - {"tinted"}, judged=frozenset({"wrinkles"}))
        for name, gains in (("blue", (0.85, 1.0, 1.15)), ("warm", (1.15, 1.0, 0.85)))
    ),
    Row("one stop darker", partial(exposed, -1), others=frozenset({"too_dark"}), never=STRANGE),
    Row("one stop brighter", partial(exposed, 1), others=frozenset({"too_bright"}), never=STRANGE),
    Row(
        "two stops darker",
        partial(exposed, -2),
        others=frozenset({"too_dark"}),
        issues=frozenset({"too_dark"}),
        never=frozenset({"too_bright", "cut_off", "several_faces"}),
        reasons=_null(("tone",), "too_dark"),
    ),
    Row(
        "two stops brighter",
        partial(exposed, 2),
        others=frozenset({"too_bright"}),
        issues=frozenset({"too_bright"}),
        never=frozenset({"too_dark", "cut_off", "several_faces"}),
        reasons=_null(("redness", "pigmentation", "tone"), "too_bright"),
    ),
    Row(
        "four stops darker",
        partial(exposed, -4),
        issues=frozenset({"too_dark"}),
        reasons=_null(COLOURS, "too_dark", "no_face", "no_skin", "no_colour"),
        landmarks=None,
    ),
    Row(
        "blurred",
        partial(blurred, 0.1),
        issues=frozenset({"blurred"}),
        never=STRANGE,
        reasons=_null(("wrinkles", "texture"), "too_blurred"),
    ),
    Row("JPEG at quality 10", partial(jpeg, 10), issues=frozenset({"compressed"}), never=STRANGE - {"compressed"}),
    Row("JPEG at quality 90", partial(jpeg, 90), seen=ALL, never=STRANGE | {"covered"}),
    *(
        Row(f"{side} px", partial(shrunk, side), issues=frozenset({"too_small"}), never=frozenset({"several_faces", "cut_off"}), landmarks=None)
        for side in (100, 150, 200)
    ),
    Row(
        "64 px",
        partial(shrunk, 64),
        issues=frozenset({"too_small"}),
        reasons=_null(("wrinkles", "texture"), "too_small", "no_face", "no_skin", "too_blurred"),
        landmarks=None,
    ),
    *(
        Row(f"stored turned by {turned}", partial(stored_turned, turned), seen=ALL, never=STRANGE | {"covered"}, turned=360 - turned)
        for turned in (90, 180, 270)
    ),
    Row("chin outside", without_chin, issues=frozenset({"cut_off"}), never=STRANGE - {"cut_off"}),
    Row("left half outside", partial(half_outside, 1, 0.0), issues=frozenset({"cut_off"}), landmarks=None),
    Row("right half outside", partial(half_outside, -1, 0.0), issues=frozenset({"cut_off"}), landmarks=None),
    Row("left cheek outside", partial(half_outside, 1, 0.42), issues=frozenset({"cut_off"}), landmarks=None),
    *(
        Row(name, partial(two_people, scale, blended), seen=ALL, issues=frozenset({"several_faces"}), never=STRANGE - {"several_faces"})
        for name, scale, blended in (
            ("two people with a seam", 0.85, False),
            ("two people close together", 0.85, True),
            ("a smaller person beside", 0.65, True),
        )
    ),
    *(Row(f"turned by {yaw} degrees", partial(aside, yaw), seen=ALL, never=STRANGE | {"covered"}) for yaw in (-15, 15)),
    *(
        Row(f"turned by {yaw} degrees", partial(aside, yaw), seen=near, others=frozenset({"turned_away"}), never=STRANGE)
        for yaw, near in ((25, RIGHT), (-25, LEFT), (35, RIGHT), (-35, LEFT))
    ),
)

COVERS = (
    *(_cover(f"{name} mask", partial(mask, colour=CLOTH[name])) for name in ("blue", "white", "beige", "brown", "black")),
    _cover("sunglasses", partial(glasses, dark=True)),
    Row("glasses", partial(glasses, dark=False), never=STRANGE),
    _cover("scarf", scarf),
    _cover("beige scarf", partial(scarf, colour=CLOTH["beige"])),
    _cover("checked scarf", partial(scarf, colour=CLOTH["white"], checked=True)),
    _cover("black headscarf", partial(headscarf, colour=CLOTH["black"])),
    _cover("beige headscarf", headscarf),
    _cover("checked headscarf", partial(headscarf, colour=CLOTH["red"], checked=True)),
    *(_cover(f"{name} fringe", partial(fringe, colour=colour)) for name, colour in HAIR.items()),
    *(_cover(f"{name} beard", partial(beard, colour=colour)) for name, colour in HAIR.items()),
    _cover("hand on the left cheek", hand),
    _cover("hand on the right cheek", partial(hand, side=-1)),
    _cover("darker hand", partial(hand, tone=(128, 84, 62))),
    _cover("lighter hand", partial(hand, side=-1, tone=(236, 200, 182))),
)

TABLE = (*NOTHING_THERE, *WHOLE, *COVERS)
