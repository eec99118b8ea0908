"""What is expected of the probe photo, and how far an answer may be from it."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.skin.findings import SEVERITIES
from bentos.skin.schema import Severity
from deploy.config import files as reading
from deploy.config.plan import PlanError
from deploy.image.load import PROBE_PHOTO

GOLDEN = Path(__file__).with_name("golden.json")
MAX_BYTES = 1 << 20
HEURISTIC = "heuristic"  # key of the findings of the heuristics; the model's are under the sha256 of its manifest
CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")

# Tolerances: another processor or another build of a library moves findings a little; other weights move them further.
FACE_IOU = 0.8  # least overlap of the face's boxes, intersection over union
SEVERITY_STEPS = 1  # classes apart, at the most
COUNT_LEAST, COUNT_SHARE = 2, 0.25  # lesions more or fewer: so many, or this share of those expected
SCORE_POINTS = 6  # of 100, more or fewer

Score = Annotated[int, Field(ge=0, le=100)]


class Findings(BaseModel):
    """Of one runner.

    Attributes:
        face: x, y, width, height in pixels; None where no face is found.
        severity: of acne.
        count: of lesions.
        scores: of each concern, 0 to 100.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    face: tuple[float, float, float, float] | None
    severity: Severity
    count: Annotated[int, Field(ge=0)]
    scores: dict[str, Score]


class Golden(BaseModel):
    """The file.

    Attributes:
        photo: sha256 of the probe photo.
        findings: by runner.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photo: str
    findings: dict[str, Findings]


@cache
def photo_sha256() -> str:
    """The sha256 of the probe photo."""
    return hashlib.sha256(PROBE_PHOTO.read_bytes()).hexdigest()


def read(path: Path) -> Golden:
    """A file that `trail golden` wrote.

    Raises:
        PlanError: it cannot be read, or is of another probe photo.
    """
    try:
        found = Golden.model_validate(json.loads(reading.content(path, MAX_BYTES, "what `trail golden` writes")))
    except reading.Unreadable as error:
        raise PlanError(str(error)) from None
    except (ValidationError, ValueError, RecursionError):
        raise PlanError(f"{path} is not what `trail golden` writes.") from None
    if found.photo != photo_sha256():
        raise PlanError(f"{path} is of another probe photo; write it anew with `trail golden`.")
    return found


def expected(source: str, own: str | None) -> Findings | None:
    """What a runner should find; None where nobody knows.

    Args:
        source: HEURISTIC, or the sha256 of a manifest.
        own: a file of the plan's, which goes before the one that comes with this code.

    Raises:
        PlanError: a file cannot be read.
    """
    files = [Path(own)] if own else []
    return next((found for one in [*files, GOLDEN] if (found := read(one).findings.get(source))), None)


def source_of(analysis: dict[str, Any]) -> str:
    """Under which key the findings of an analysis stand."""
    return HEURISTIC if analysis["source"] == HEURISTIC else str(analysis["model"]["sha256"])


def findings(analysis: dict[str, Any]) -> Findings:
    """What is compared of an analysis; LookupError, TypeError or ValueError where it is none."""
    concerns = analysis["concerns"]
    face = analysis["face"]
    return Findings(
        face=None if face is None else face["box"],
        severity=concerns["acne"]["severity"],
        count=concerns["acne"]["count"],
        scores={name: concerns[name]["score"] for name in CONCERNS},
    )


def differences(wanted: Findings, found: Findings) -> list[str]:
    """In what the findings are further from the expected ones than they may be, in words; none where they are right."""
    said = []
    if (wanted.face is None) != (found.face is None):
        said.append("a face is found" if found.face else "no face is found")
    elif wanted.face and found.face and (share := overlap(wanted.face, found.face)) < FACE_IOU:
        said.append(f"the face's box overlaps by {share:.2f} (at least {FACE_IOU})")
    if abs(SEVERITIES.index(wanted.severity) - SEVERITIES.index(found.severity)) > SEVERITY_STEPS:
        said.append(f"severity is {found.severity}, not {wanted.severity}")
    if abs(wanted.count - found.count) > max(COUNT_LEAST, COUNT_SHARE * wanted.count):
        said.append(f"count is {found.count}, not {wanted.count}")
    for name, score in wanted.scores.items():
        got = found.scores.get(name)
        if got is None or abs(got - score) > SCORE_POINTS:
            said.append(f"{name} is {got}, not {score}")
    return said


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    across = max(0.0, min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1]))
    union = one[2] * one[3] + other[2] * other[3] - across * down
    return across * down / union if union > 0 else 0.0
