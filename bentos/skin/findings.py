"""What the runners find on a crop: plain values, in crop pixels, before they become an Analysis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Why something cannot be judged. `no_colour`: the photo shows no colours, or not those of the skin (tinted).
Unseen = Literal[
    "no_face",
    "no_skin",
    "no_colour",
    "too_dark",
    "too_bright",
    "too_blurred",
    "too_small",
    "turned_away",
    "covered",
    "outside_photo",
]
CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")
WRINKLE_ZONES = ("forehead", "crows_feet", "frown", "nasolabial")
WRINKLE_PARTS = {  # wrinkle zone → the zones of the face that it is made of
    "forehead": ("forehead",),
    "crows_feet": ("crows_feet_left", "crows_feet_right"),
    "frown": ("frown",),
    "nasolabial": ("nasolabial_left", "nasolabial_right"),
}
COLOUR_ZONES = ("forehead", "nose", "cheek_left", "cheek_right", "chin")
SEVERITIES = ("clear", "mild", "moderate", "severe", "very_severe")
HAYASHI_LIMITS = (0, 5, 20, 50)  # upper lesion count of clear, mild, moderate, severe (Hayashi et al., J Dermatol 2008)
NEAR_LIMIT = 0.25  # of a limit: a count so near to it may belong to either class; best on photos held out of train


def severity_of(count: int) -> str:
    """Class on Hayashi's scale for the lesion count of a whole face."""
    return SEVERITIES[sum(count > limit for limit in HAYASHI_LIMITS)]


def whole_count(estimate: float, clear_below: float) -> int:
    """Lesions as a whole number: 0 below the estimate that clear faces have, else at least 1."""
    return 0 if estimate < clear_below else max(1, round(estimate))


def _is_near(count: int, limit: int) -> bool:
    return abs(count - limit - 0.5) <= max(1.5, NEAR_LIMIT * limit)


def severity_beside(count: int, chances: Sequence[float]) -> tuple[str, float | None]:
    """Class and its measured probability: the most probable of the count's own class and of one whose limit is near.

    Args:
        count: estimated lesions.
        chances: of mild, moderate, severe, very severe. There is none of clear: the labelled photos show hardly any
            clear faces.
    """
    if count == 0:
        return SEVERITIES[0], None
    own = SEVERITIES.index(severity_of(count))
    allowed = [own]
    for grade, limit in ((own - 1, own - 1), (own + 1, own)):
        if 1 <= grade < len(SEVERITIES) and _is_near(count, HAYASHI_LIMITS[limit]):
            allowed.append(grade)
    best = max(allowed, key=lambda grade: chances[grade - 1])
    return SEVERITIES[best], round(float(chances[best - 1]), 4)


def grey_map(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shares 0..1 as a picture, 0..255."""
    return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion.

    Attributes:
        box: (x, y, width, height) in crop pixels.
        confidence: share of such boxes that are correct, measured on labelled photos; 0..1.
    """

    box: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class LesionsAndWrinkles:
    """Acne and wrinkles: from the model, or from the heuristics when the model cannot answer.

    Attributes:
        lesions: all candidates, best first.
        min_confidence: from which a candidate is shown by default: where F1 on labelled photos is best.
        count: estimated number of lesions on the face; may differ from the number of boxes.
        severity: one of SEVERITIES.
        severity_confidence: probability that the class is correct, measured; None where not known.
        wrinkles: WRINKLE_ZONES → 0..1; None for a zone that was not measured.
        acne_map: uint8 (128, 128), of the crop: 255 where the middle of a lesion is certain.
        wrinkle_map: uint8 (64, 64), of the crop: 255 where a wrinkle of any zone is certain.
    """

    lesions: list[Lesion]
    min_confidence: float
    count: int
    severity: str
    severity_confidence: float | None
    wrinkles: dict[str, float | None]
    acne_map: NDArray[np.uint8]
    wrinkle_map: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Graded:
    """A colour or texture measurement.

    Attributes:
        score: 0 (none) to 100 (worst), of the zones that were measured; None where none was.
        zones: COLOUR_ZONES → 0..1; None for a zone that was not measured.
        heat: uint8 (128, 128), of the crop: 255 where the degree is full.
    """

    score: float | None
    zones: dict[str, float | None]
    heat: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tone:
    """Skin tone in a photo: individual typology angle in degrees, uncalibrated, and its group."""

    ita_degrees: float
    group: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured on one crop, whoever answers acne and wrinkles."""

    redness: Graded
    pigmentation: Graded
    shine: Graded
    texture: Graded
    tone: Tone | None
