"""One phase of the trail: how far an image came there, what was reached, what blocks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.plan import PHASES
from deploy.record.telling import clean, moment, person, short, span, utc
from deploy.record.trail import Attempt, Record

State = Literal["not begun", "running", "proven", "failed"]


class Marker(NamedTuple):
    """What is reached when all gates of a phase hold."""

    sign: str
    title: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.sign} {self.title}: {self.meaning}"


MARKERS: dict[Phase, Marker] = {
    "simple": Marker("🎯", "Starting line", "basic system operational"),
    "hybrid": Marker("🔍", "Exploration point", "hybrid service working"),
    "foundation": Marker("🏗️", "Foundation built", "ML infrastructure robust"),
    "full": Marker("🏆", "Victory point", "full ML service operational"),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Asked(_Part):
    """A gate as it was last seen; `holds` is None where it was not asked yet."""

    name: str
    title: str
    holds: bool | None = None
    value: Any = None
    limit: Any = None
    sentence: str | None = None


class Station(_Part):
    """One phase.

    Attributes:
        phase: of the four.
        state: of this image; what was proven once stays proven for it, whatever runs now.
        started: first attempt with this image.
        ended: its first proof.
        seconds: between the two.
        digest: of the image that was tried last.
        passed, gates: gates that hold of those that are demanded.
        asked: each of them.
        proof: newest attempt that proved this image here.
        earlier: newest proof of another image.
        reached: what was.
        blocks: how the newest attempt failed, with whatever image.
        cause: its code.
        evidence: lines that show it.
        next: the command that goes on here.
    """

    phase: Phase
    state: State
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    digest: str | None = None
    passed: int
    gates: int
    asked: list[Asked]
    proof: Attempt | None = None
    earlier: Attempt | None = None
    reached: str | None = None
    blocks: str | None = None
    cause: str | None = None
    evidence: list[str] = []
    next: str | None = None

    @property
    def number(self) -> int:
        """1 to 4."""
        return PHASES.index(self.phase) + 1

    @property
    def marker(self) -> Marker:
        """Reached once there is a proof."""
        return MARKERS[self.phase]


def station(
    record: Record, phase: Phase, names: Sequence[str], digest: str | None, going_on: tuple[Phase, str] | None
) -> Station:
    """A phase as an image has walked it.

    Args:
        record: of the service.
        phase: of the four.
        names: of the gates that are demanded, in order.
        digest: of the image that is counted.
        going_on: at which phase it goes on, by which command.
    """
    images = _images(record)
    pairs = [
        (one, image)
        for one, image in zip(record.attempts, images, strict=True)
        if one.phase == phase and one.outcome not in ("abandoned", "restored")
    ]
    tried = [one for one, image in pairs if image in (None, digest)]
    proofs = [one for one in tried if one.outcome == "proven"]
    newest = tried[-1] if tried else None
    state: State = (
        "not begun"
        if newest is None
        else "running"
        if newest.outcome == "running"
        else "proven"
        if proofs
        else "failed"
    )
    # While one runs, its own gates; then those of the proof; then those of the last that came so far as to ask.
    shown = newest if state == "running" else next((one for one in reversed(proofs or tried) if one.gates), None)
    asked = _asked(shown, names)
    last = pairs[-1] if pairs else None
    failed = last[0] if last is not None and last[0].outcome not in ("running", "proven") else None
    ended = utc(proofs[0].ended or proofs[0].started) if proofs else None
    started = utc(tried[0].started) if tried else None
    return Station(
        phase=phase,
        state=state,
        started=started,
        ended=ended,
        seconds=(ended - started).total_seconds() if ended and started else None,
        digest=next((digest_of(one) for one in reversed(proofs or tried) if one.deployed), None),
        passed=sum(one.holds is True for one in asked if one.name in names),
        gates=len(names),
        asked=asked,
        proof=proofs[-1] if proofs else None,
        earlier=next((one for one, image in reversed(pairs) if one.outcome == "proven" and image != digest), None),
        reached=_reached(proofs[-1] if proofs else None, asked),
        blocks=None if failed is None else _blocks(failed, digest),
        cause=None if failed is None else failed.cause,
        evidence=[] if failed is None else failed.evidence,
        next=going_on[1] if going_on is not None and going_on[0] == phase else None,
    )


def _images(record: Record) -> list[str | None]:
    """Digest of each attempt. One that came not so far as to have one was on the way to that of the next."""
    found: list[str | None] = []
    after: str | None = None
    for one in reversed(record.attempts):
        after = digest_of(one) or after
        found.append(after)
    return found[::-1]


def _asked(attempt: Attempt | None, names: Sequence[str]) -> list[Asked]:
    """The demanded gates in order, and what else was asked after them."""
    seen = {one.name: one for one in attempt.gates} if attempt else {}
    order = [*names, *(name for name in seen if name not in names)]
    return [
        Asked(name=name, title=name.replace("_", " "))
        if (one := seen.get(name)) is None
        else Asked(name=name, title=one.title, holds=one.holds, value=one.value, limit=one.limit, sentence=one.sentence)
        for name in order
    ]


def _reached(proof: Attempt | None, asked: Sequence[Asked]) -> str | None:
    if proof is not None:
        took = f", after {span(_seconds(proof))}" if proof.ended else ""
        return f"All gates held, {moment(proof.ended or proof.started)}{took}; rolled out by {person(proof.who)}."
    holding = [clean(one.title, 80) for one in asked if one.holds]
    return f"Held when last asked: {', '.join(holding)}." if holding else None


def _blocks(failed: Attempt, digest: str | None) -> str:
    """The failure's own sentence, else that of a gate that does not hold."""
    gate = next((one.sentence for one in failed.gates if not one.holds), None)
    told = failed.sentence or gate or f"It ended as {failed.outcome.replace('_', ' ')}."
    other = digest_of(failed)
    return told if other in (None, digest) else f"With image {short(other)}: {told}"


def _seconds(attempt: Attempt) -> float:
    return (utc(attempt.ended) - utc(attempt.started)).total_seconds() if attempt.ended else 0.0


def digest_of(attempt: Attempt) -> str | None:
    """Of the image that was to run; None where it came not so far as to have one."""
    return attempt.deployed.digest if attempt.deployed else None
