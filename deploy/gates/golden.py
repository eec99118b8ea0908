"""The expected findings on the probe photo, and how far an analysis may differ from them."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.skin.findings import SEVERITIES
from bentos.skin.schema import Concerns, Severity
from deploy.config import files
from deploy.config.plan import PlanError
from deploy.image.load import PROBE_PHOTO

GOLDEN = Path(__file__).with_name("golden.json")
MAX_BYTES = 1 << 20
HEURISTIC = "heuristic"  # key of the heuristics' findings; the key of a model's findings is the sha256 of its manifest
CONCERNS = tuple(Concerns.model_fields)

# Tolerances: another processor or library build changes findings a little; other weights change them more.
FACE_IOU = 0.8  # smallest intersection over union of the face's boxes
SEVERITY_STEPS = 1  # largest distance in classes
COUNT_LEAST, COUNT_SHARE = 2, 0.25  # lesions more or fewer: this number, or this share of the expected ones
SCORE_POINTS = 6  # of 100, higher or lower

Score = Annotated[int, Field(ge=0, le=100)]


class Findings(BaseModel):
    """The findings of the heuristics or of one model.

    Attributes:
        face: x, y, width, height in pixels; None if no face is found.
        severity: of acne; None if it is not judged.
        count: of lesions; None if they are not.
        scores: of each concern, 0 to 100; None for one that is not judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    face: tuple[float, float, float, float] | None
    severity: Severity | None
    count: Annotated[int, Field(ge=0)] | None
    scores: dict[str, Score | None]


class Golden(BaseModel):
    """A file of expected findings.

    Attributes:
        photo: sha256 of the probe photo.
        findings: by HEURISTIC or the sha256 of a model's manifest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photo: str
    findings: dict[str, Findings]


@cache
def photo_sha256() -> str:
    """The sha256 of the probe photo."""
    return hashlib.sha256(PROBE_PHOTO.read_bytes()).hexdigest()


def read(path: Path) -> Golden:
    """Read a file that `trail golden` wrote.

    Raises:
        PlanError: it cannot be read, or was made with another probe photo.
    """
    try:
        golden = Golden.model_validate(json.loads(files.content(path, MAX_BYTES, "a file that `trail golden` writes")))
    except files.Unreadable as error:
        raise PlanError(str(error)) from None
    except (ValidationError, ValueError, RecursionError):
        raise PlanError(f"{path} is not a file that `trail golden` writes.") from None
    if golden.photo != photo_sha256():
        raise PlanError(f"{path} was made with another probe photo; write it again with `trail golden`.")
    return golden


def expected(source: str, own: str | None) -> Findings | None:
    """The expected findings; None if they are not known.

    Args:
        source: HEURISTIC, or the sha256 of a manifest.
        own: path of the plan's file, which is read before the one that comes with this code.

    Raises:
        PlanError: a file cannot be read.
    """
    paths = [Path(own), GOLDEN] if own else [GOLDEN]
    return next((result for path in paths if (result := read(path).findings.get(source))), None)


def source_of(analysis: dict[str, Any]) -> str:
    """The key of an analysis in `Golden.findings`."""
    return HEURISTIC if analysis["source"] == HEURISTIC else str(analysis["model"]["sha256"])


def findings(analysis: dict[str, Any]) -> Findings:
    """The findings of an analysis; raises LookupError, TypeError or ValueError if it is not one."""
    concerns = analysis["concerns"]
    face = analysis["face"]
    return Findings(
        face=None if face is None else face["box"],
        severity=concerns["acne"]["severity"],
        count=concerns["acne"]["count"],
        scores={name: concerns[name]["score"] for name in CONCERNS},
    )


def differences(expected: Findings, actual: Findings) -> list[str]:
    """What differs from the expected findings by more than the tolerances, as phrases."""
    phrases = []
    if (expected.face is None) != (actual.face is None):
        phrases.append("a face is found" if actual.face else "no face is found")
    elif expected.face and actual.face and (share := overlap(expected.face, actual.face)) < FACE_IOU:
        phrases.append(f"the face's box overlaps by {share:.2f} (at least {FACE_IOU})")
    if beyond(step(expected.severity), step(actual.severity), SEVERITY_STEPS):
        phrases.append(f"severity is {shown(actual.severity)}, not {shown(expected.severity)}")
    if beyond(expected.count, actual.count, max(COUNT_LEAST, COUNT_SHARE * (expected.count or 0))):
        phrases.append(f"count is {shown(actual.count)}, not {shown(expected.count)}")
    for name, score in expected.scores.items():
        if beyond(score, actual.scores.get(name), SCORE_POINTS):
            phrases.append(f"{name} is {shown(actual.scores.get(name))}, not {shown(score)}")
    return phrases


def beyond(expected: int | None, actual: int | None, tolerance: float) -> bool:
    """Whether two numbers differ by more than a tolerance; one that is missing differs from every number."""
    if expected is None or actual is None:
        return expected is not actual
    return abs(expected - actual) > tolerance


def step(severity: Severity | None) -> int | None:
    """The place of a class among the classes."""
    return None if severity is None else SEVERITIES.index(severity)


def shown(value: object) -> str:
    """A finding as JSON has it, without quotes."""
    return "null" if value is None else str(value)


def overlap(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    across = max(0.0, min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0]))
    down = max(0.0, min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1]))
    union = first[2] * first[3] + second[2] * second[3] - across * down
    return across * down / union if union > 0 else 0.0
