"""How far the trail is walked: computed from what the gates saw, each time anew, and typed by nobody.

A proof is of one image. Progress counts the gates of the image that is being rolled out, or else of the one that runs:
a new image sets out at the first station again, and what an earlier one reached is told beside it.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.plan import PHASES
from deploy.record.days import Day, days
from deploy.record.telling import clean, moment, person, short, span, utc
from deploy.record.trail import Attempt, Outcome, Record

State = Literal["not begun", "running", "proven", "failed"]
NO_DIGEST = "sha256:…"  # in a command, where the record knows none
UNTRIED: tuple[Outcome, ...] = ("refused", "abandoned")  # nothing was changed
UNKNOWN: tuple[Outcome, ...] = ("rollback_failed", "overtaken")  # what runs after them, the record cannot tell


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


class Current(_Part):
    """What runs as far as the record knows: the attempt that deployed it, None where nothing proven does."""

    attempt: Attempt | None = None
    sentence: str


class Progress(_Part):
    """The whole.

    Attributes:
        at: when it was computed, UTC.
        started: first attempt of all.
        digest: of the image that is counted.
        current: what runs.
        passed, gates: over all phases.
        stations: the four phases, in order.
        next: the command that goes on; None where the trail is walked to its end.
        days: the log, newest first.
    """

    at: datetime
    started: datetime | None
    digest: str | None
    current: Current
    passed: int
    gates: int
    stations: list[Station]
    next: str | None
    days: list[Day]

    @property
    def percent(self) -> int:
        """Rounded down: 100 means all."""
        return 100 * self.passed // self.gates if self.gates else 0


def compute(record: Record, expected: Mapping[Phase, Sequence[str]], now: datetime | None = None) -> Progress:
    """Progress of a record.

    Args:
        record: of the service.
        expected: names of the gates of each phase, in order.
        now: UTC; the clock's where it is None.
    """
    runs = current(record)
    digest = _counted(record, runs)
    going_on = _next(record, runs, digest)
    stations = [_station(record, phase, expected.get(phase, ()), digest, going_on) for phase in PHASES]
    return Progress(
        at=now or datetime.now(UTC),
        started=utc(record.attempts[0].started) if record.attempts else None,
        digest=digest,
        current=runs,
        passed=sum(one.passed for one in stations),
        gates=sum(one.gates for one in stations),
        stations=stations,
        next=None if going_on is None else going_on[1],
        days=days(record),
    )


def current(record: Record) -> Current:
    """What the record says that runs."""
    found = Current(sentence="Nothing that this record knows runs.")
    for attempt in record.attempts:
        if attempt.outcome == "proven":
            found = Current(attempt=attempt, sentence=_runs(attempt))
        elif attempt.outcome in UNKNOWN:
            why = (
                "somebody else's newer deployment came"
                if attempt.outcome == "overtaken"
                else f"the way back from {attempt.phase} failed"
            )
            found = Current(sentence=f"What runs is not known: {why} ({moment(attempt.ended or attempt.started)}).")
        elif attempt.outcome not in ("running", *UNTRIED):
            back = next((one for one in record.attempts if attempt.back_to == one.id), None)
            if back is not None:
                found = Current(
                    attempt=back, sentence=f"{_runs(back)} It runs again since {attempt.phase} was taken back."
                )
            elif attempt.deployment is not None:
                found = Current(
                    sentence=f"Nothing proven runs: {attempt.phase} failed, and there was nothing to go back to."
                )
    return found


def last_proven(record: Record, phase: Phase, not_attempt: str | None = None) -> Attempt | None:
    """What to go back to from a phase: the newest proven attempt at it or an earlier phase.

    Args:
        record: of the service.
        phase: that fails.
        not_attempt: id of one that does not count.
    """
    return next(
        (
            one
            for one in reversed(record.attempts)
            if one.outcome == "proven"
            and one.deployed is not None
            and one.id != not_attempt
            and PHASES.index(one.phase) <= PHASES.index(phase)
        ),
        None,
    )


def next_phase(record: Record, digest: str | None) -> Phase | None:
    """The phase that an image is to climb to; None where it runs in the last.

    That is the one after the phase it runs in. An image that does not run goes to the first phase it is not proven in,
    and to the last where it is proven in all.
    """
    runs = current(record).attempt
    if runs is not None and _digest(runs) == digest:
        left = PHASES[PHASES.index(runs.phase) + 1 :]
        return left[0] if left else None
    proven = {one.phase for one in record.attempts if one.outcome == "proven" and _digest(one) == digest}
    return next((phase for phase in PHASES if phase not in proven), PHASES[-1])


def _counted(record: Record, runs: Current) -> str | None:
    """Digest of the image whose gates are counted."""
    newest = next((one for one in reversed(record.attempts) if one.deployed is not None), None)
    if newest is None or newest.outcome == "running" or runs.attempt is None:
        return None if newest is None else _digest(newest)
    return _digest(runs.attempt)


def _next(record: Record, runs: Current, digest: str | None) -> tuple[Phase, str] | None:
    """Where it goes on, and by which command."""
    last = next((one for one in reversed(record.attempts) if one.outcome != "abandoned"), None)
    if last is not None and last.outcome == "running":
        return last.phase, "trail resume"
    if last is not None and last.outcome == "overtaken":
        return last.phase, "trail status"
    if last is not None and last.outcome != "proven":
        if last.command == "rollback":
            return last.phase, "trail rollback"
        likely = runs.attempt is None or next_phase(record, digest) == last.phase
        image = _digest(last) or (digest if likely else None)
        return last.phase, _up(last.phase, image)
    phase = next_phase(record, digest)
    return None if phase is None else (phase, _up(phase, digest))


def _up(phase: Phase, digest: str | None) -> str:
    return f"trail up --phase {phase} --digest {shlex.quote(clean(digest, 80)) if digest else NO_DIGEST}"


def _station(
    record: Record, phase: Phase, names: Sequence[str], digest: str | None, going_on: tuple[Phase, str] | None
) -> Station:
    images = _images(record)
    pairs = [
        (one, image)
        for one, image in zip(record.attempts, images, strict=True)
        if one.phase == phase and one.outcome != "abandoned"
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
        digest=next((_digest(one) for one in reversed(proofs or tried) if one.deployed), None),
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
        after = _digest(one) or after
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
    other = _digest(failed)
    return told if other in (None, digest) else f"With image {short(other)}: {told}"


def _seconds(attempt: Attempt) -> float:
    return (utc(attempt.ended) - utc(attempt.started)).total_seconds() if attempt.ended else 0.0


def _digest(attempt: Attempt) -> str | None:
    return attempt.deployed.digest if attempt.deployed else None


def _runs(attempt: Attempt) -> str:
    image = _digest(attempt)
    return (
        f"Phase {attempt.phase}{f' with image {short(image)}' if image else ''}, "
        f"proven {moment(attempt.ended or attempt.started)}."
    )
