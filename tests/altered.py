"""The table of drawn and altered photos: for each, what must be null and why, and what must not.

A row draws a picture from a subject, a face with landmarks; what hides skin tells itself which zones it hides. Codes
and issues are those of the analysis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.photo.face_parts import ZONES, face_parts, raster
from tests.covers import CLOTH, HAIR, beard, fringe, glasses, hand, headscarf, mask, scarf
from tests.paint import Altered, Subject, read
from tests.pictures import (
    SKIN,
    as_it_is,
    aside,
    blurred,
    cartoon,
    cast,
    checks,
    discs,
    exposed,
    flat,
    grey,
    half_outside,
    jpeg,
    noise,
    shrunk,
    skin_close_up,
    stored_turned,
    two_people,
    without_chin,
)
from tests.server import PORTRAIT

LONDON = Path(__file__).resolve().parents[1] / "../shared/data/london"
LONDON_SIDE = 540  # px; the face's box is about 260

HIDDEN = 0.8  # of a zone: from here on it must be null
BARE = 0.1  # of a zone: up to here it must not be

ALL = frozenset(ZONES)
CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")
COLOURS = ("redness", "pigmentation", "shine", "tone")
NOTHING = frozenset({"no_face", "no_skin"})
NO_LANDMARKS = frozenset({"no_face", "turned_away", "outside_photo"})
# Issues that none of these pictures has unless its row says so.
STRANGE = frozenset({"several_faces", "turned_away", "cut_off", "no_colour", "tinted", "compressed", "no_face"})


@dataclass(frozen=True)
class Row:
    """A picture, and what its analysis must say.

    Attributes:
        name: of the test.
        draw: subject → picture.
        unseen: zones that must be null, with the codes allowed, beside those that the picture hides.
        hides: zones that the picture hides on every subject; it may hide more.
        seen: zones that must not be null, where the picture does not say what is hidden.
        others: codes allowed for the remaining zones.
        issues: that must be told.
        never: issues that must not be.
        reasons: concerns (and "tone") that must be null, with the codes allowed.
        judged: concerns (and "tone") that must not be null.
        landmarks: whether there must be some; None for either.
        turned: `image.turned_degrees`.
        recoloured: whether colours were altered, so that they must be null, or those of the photo as it was taken.
        quick: whether it is tried every time; the others resemble one that is.
        known_failure: what the code cannot tell of it, so that its tests may fail.
    """

    name: str
    draw: Callable[[Subject], Altered]
    unseen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hides: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    others: frozenset[str] | None = None
    issues: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    reasons: Mapping[str, frozenset[str]] = field(default_factory=dict)
    judged: frozenset[str] = frozenset()
    landmarks: bool | None = True
    turned: int = 0
    recoloured: bool = False
    quick: bool = True
    known_failure: str = ""

    def zones(
        self, subject: Subject, picture: Altered, landmarks: NDArray[np.float32] | None
    ) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        """The zones that must be null, each with the codes allowed, and those that must not be.

        Args:
            subject: who was drawn on.
            picture: as drawn from it.
            landmarks: (468, 3), as found in the picture, in its pixels; without them all zones must be null.
        """
        parts = None if landmarks is None else face_parts(landmarks)
        if parts is None:
            return {zone: self.unseen.get(zone, NO_LANDMARKS) for zone in ZONES}, frozenset()
        unseen, seen = dict(self.unseen), set(self.seen)
        if picture.hidden is not None:
            # Where the zones lie in truth, and where they are placed in what is left of the face.
            true = hidden_shares(subject.parts.zones, picture.hidden)
            placed = hidden_shares(parts.zones, picture.hidden, picture.origin)
            unseen |= {z: picture.codes for z in ZONES if min(true[z], placed[z]) >= HIDDEN}
            seen = {z for z in ZONES if max(true[z], placed[z]) <= BARE}
        return unseen, frozenset(seen & subject.bare - unseen.keys())


def hidden_shares(
    zones: Mapping[str, NDArray[np.float64]], hidden: NDArray[np.bool_], origin: tuple[int, int] = (0, 0)
) -> dict[str, float]:
    """How much of each zone is hidden, 0..1.

    Args:
        zones: outlines (n, 2).
        hidden: bool (height, width).
        origin: x, y of the outlines' (0, 0) in `hidden`.
    """
    height, width = hidden.shape
    shares = {}
    for name, outline in zones.items():
        zone = raster([(outline + origin, 0.0)], max(height, width))[:height, :width]
        shares[name] = float(hidden[zone].mean()) if zone.any() else 1.0
    return shares


@cache
def astronaut() -> Subject:
    """The portrait that is part of the project; hair hides about half of her forehead."""
    pixels = np.asarray(Image.open(PORTRAIT).convert("RGB").crop((97, 0, 353, 256)))
    return read(pixels, ALL - {"forehead"})


@cache
def londoner(file: str) -> Subject:
    """A face of the London set, by its file's name; one without beard and with a bare forehead."""
    with Image.open(LONDON / "faces" / file) as image:
        small = image.convert("RGB").resize((LONDON_SIDE, LONDON_SIDE), Image.Resampling.LANCZOS)
    return read(np.asarray(small), ALL)


# --- the table ------------------------------------------------------------------------------------------------------

RIGHT = frozenset({"crows_feet_right", "nasolabial_right", "cheek_right"})
LOWER = frozenset({"nose", "chin", "cheek_left", "cheek_right", "nasolabial_left", "nasolabial_right"})
OUTER = frozenset({"crows_feet_left", "crows_feet_right"})
FOREHEAD, CHIN = frozenset({"forehead"}), frozenset({"chin"})
LEFT = frozenset({"crows_feet_left", "nasolabial_left", "cheek_left"})


def _nothing(name: str, draw: Callable[[Subject], Altered], landmarks: bool | None = False) -> Row:
    issues = frozenset({"no_face"}) if landmarks is False else frozenset[str]()
    # Where a face is found, the reason may be what seems to be amiss with it.
    codes = NOTHING if landmarks is False else NOTHING | NO_LANDMARKS | {"covered"}
    reasons = dict.fromkeys((*CONCERNS, "tone"), codes)
    return Row(name, draw, dict.fromkeys(ZONES, codes), issues=issues, reasons=reasons, landmarks=landmarks)


def _cover(
    name: str,
    draw: Callable[[Subject], Altered],
    hides: frozenset[str],
    landmarks: bool | None = True,
    quick: bool = True,
) -> Row:
    # A beard is no fault of the photo, and a scarf that hides no more than a beard does cannot be told from one.
    issues = frozenset({"covered"}) if hides != CHIN else frozenset[str]()
    return Row(name, draw, hides=hides, issues=issues, never=STRANGE, landmarks=landmarks, quick=quick)


def _null(concerns: tuple[str, ...], *codes: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(concerns, frozenset(codes))


# Needs no face to draw on.
NOTHING_THERE: tuple[Row, ...] = (
    _nothing("black", partial(flat, (0, 0, 0))),
    _nothing("white", partial(flat, (255, 255, 255))),
    _nothing("one grey", partial(flat, (127, 127, 127))),
    _nothing("one colour of skin", partial(flat, SKIN)),
    _nothing("one colour of dark skin", partial(flat, (96, 62, 48))),
    _nothing("noise", partial(noise, False)),
    _nothing("grey noise", partial(noise, True)),
    _nothing("red discs on grey", partial(discs, (128, 128, 128))),
    _nothing("red discs on one colour of skin", partial(discs, SKIN), landmarks=None),  # a face may be detected
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

WHOLE: tuple[Row, ...] = (
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
            recoloured=True,
            seen=ALL,
            issues=frozenset({"tinted"}),
            never=STRANGE - {"tinted"},
            reasons=_null(COLOURS, "no_colour"),
            judged=frozenset({"wrinkles"}),
        )
        for name, gains in (
            ("blue", (0.4, 0.65, 1.0)),
            ("warm", (1.0, 0.8, 0.4)),
            ("green", (0.65, 1.0, 0.65)),
            ("red", (1.0, 0.5, 0.5)),
        )
    ),
    *(
        Row(
            f"slight {name} cast",
            partial(cast, gains),
            recoloured=True,
            seen=ALL,
            never=STRANGE - {"tinted"},
            judged=frozenset({"wrinkles"}),
        )
        for name, gains in (("blue", (0.85, 1.0, 1.15)), ("warm", (1.15, 1.0, 0.85)))
    ),
    Row("one stop darker", partial(exposed, -1), recoloured=True, others=frozenset({"too_dark"}), never=STRANGE),
    Row("one stop brighter", partial(exposed, 1), recoloured=True, others=frozenset({"too_bright"}), never=STRANGE),
    Row(
        "two stops darker",
        partial(exposed, -2),
        recoloured=True,
        others=frozenset({"too_dark"}),
        issues=frozenset({"too_dark"}),
        never=frozenset({"too_bright", "cut_off", "several_faces"}),
        reasons=_null(("tone",), "too_dark"),
    ),
    Row(
        "two stops brighter",
        partial(exposed, 2),
        recoloured=True,
        others=frozenset({"too_bright"}),
        issues=frozenset({"too_bright"}),
        never=frozenset({"too_dark", "cut_off", "several_faces"}),
        reasons=_null(("redness", "pigmentation", "tone"), "too_bright", "no_colour"),
    ),
    Row(
        "four stops darker",
        partial(exposed, -4),
        recoloured=True,
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
        landmarks=None,
    ),
    Row("JPEG at quality 10", partial(jpeg, 10), issues=frozenset({"compressed"}), never=STRANGE - {"compressed"}),
    Row("JPEG at quality 90", partial(jpeg, 90), seen=ALL, never=STRANGE | {"covered"}),
    *(
        Row(
            f"{side} px",
            partial(shrunk, side),
            issues=frozenset({"too_small"}),
            never=frozenset({"several_faces", "cut_off"}),
            landmarks=None,
        )
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
        Row(
            f"stored turned by {turned}",
            partial(stored_turned, turned),
            seen=ALL,
            never=STRANGE | {"covered"},
            turned=360 - turned,
        )
        for turned in (90, 180, 270)
    ),
    Row("chin outside", without_chin, hides=CHIN, issues=frozenset({"cut_off"}), never=STRANGE - {"cut_off"}),
    Row("left half outside", partial(half_outside, 1, 0.0), hides=LEFT, issues=frozenset({"cut_off"}), landmarks=None),
    Row(
        "right half outside", partial(half_outside, -1, 0.0), hides=RIGHT, issues=frozenset({"cut_off"}), landmarks=None
    ),
    Row(
        "left cheek outside",
        partial(half_outside, 1, 0.42),
        hides=LEFT - {"nasolabial_left"},
        issues=frozenset({"cut_off"}),
        landmarks=None,
    ),
    *(
        Row(
            name,
            partial(two_people, scale, blended),
            seen=ALL,
            issues=frozenset({"several_faces"}),
            never=STRANGE - {"several_faces"},
        )
        for name, scale, blended in (
            ("two people with a seam", 0.85, False),
            ("two people close together", 0.85, True),
            ("a smaller person beside", 0.65, True),
        )
    ),
    *(
        Row(
            f"turned by {yaw} degrees",
            partial(aside, yaw),
            seen=near,
            others=frozenset({"turned_away", "covered"}),
            never=STRANGE - {"turned_away"},
        )
        for yaw, near in (
            (15, ALL - {"crows_feet_left"}),
            (-15, ALL - {"crows_feet_right"}),
            (25, RIGHT),
            (-25, LEFT),
            (35, RIGHT),
            (-35, LEFT),
        )
    ),
)

COVERS: tuple[Row, ...] = (
    *(
        _cover(f"{name} mask", partial(mask, colour=CLOTH[name]), LOWER, None, quick=name != "brown")
        for name in ("blue", "white", "beige", "brown", "black")
    ),
    _cover("sunglasses", partial(glasses, dark=True), OUTER),
    Row("glasses", partial(glasses, dark=False), never=STRANGE),
    _cover("scarf", scarf, CHIN, None),
    _cover("beige scarf", partial(scarf, colour=CLOTH["beige"]), CHIN, None),
    _cover("checked scarf", partial(scarf, colour=CLOTH["white"], checked=True), CHIN, None),
    _cover("black headscarf", partial(headscarf, colour=CLOTH["black"]), FOREHEAD),
    _cover("beige headscarf", headscarf, FOREHEAD),
    _cover("checked headscarf", partial(headscarf, colour=CLOTH["red"], checked=True), FOREHEAD),
    *(
        _cover(f"{name} fringe", partial(fringe, colour=colour), FOREHEAD, quick=name in ("brown", "blond"))
        for name, colour in HAIR.items()
    ),
    *(
        _cover(f"{name} beard", partial(beard, colour=colour), CHIN, quick=name in ("black", "blond"))
        for name, colour in HAIR.items()
    ),
    _cover("hand on the left cheek", hand, frozenset({"cheek_left"})),
    _cover("hand on the right cheek", partial(hand, side=-1), frozenset({"cheek_right"})),
    _cover("darker hand", partial(hand, tone=(128, 84, 62)), frozenset({"cheek_left"})),
    _cover("lighter hand", partial(hand, side=-1, tone=(236, 200, 182)), frozenset({"cheek_right"})),
)

SKIN_COLOURED = "what has the colour of the skin is told from it neither by its texture nor by its outline"
DIM = "up to two stops, a dimmer or brighter light is not always told from a darker or lighter skin"
CAST = "the colour of a strong light is taken for that of the skin"
KNOWN_FAILURES = {
    "beige headscarf": SKIN_COLOURED,
    **dict.fromkeys(("warm cast", "red cast"), CAST),
    "blue cast": "shade on skin in a strong blue light is taken for hair",
    **dict.fromkeys(("one stop darker", "one stop brighter", "two stops darker", "two stops brighter"), DIM),
    **dict.fromkeys(("blond beard", "grey beard"), "hairs about a pixel wide are taken for skin"),
    **dict.fromkeys(
        ("hand on the left cheek", "hand on the right cheek", "darker hand", "lighter hand"), SKIN_COLOURED
    ),
}


def _with_known_failures(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(replace(row, known_failure=KNOWN_FAILURES.get(row.name, "")) for row in rows)


NOTHING_THERE, WHOLE, COVERS = (
    _with_known_failures(NOTHING_THERE),
    _with_known_failures(WHOLE),
    _with_known_failures(COVERS),
)
TABLE = (*NOTHING_THERE, *WHOLE, *COVERS)
