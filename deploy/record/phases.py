"""The progress of one phase: its state, the gates that passed, what was reached and what failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.config.plan import PHASES
from deploy.record.text import clean, duration, moment, person, short, utc
from deploy.record.trail import Attempt, Record

State = Literal["not begun", "running", "proven", "failed"]


class Marker(NamedTuple):
    """What is reached when all gates of a phase pass."""

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


class GateState(_Part):
    """The last result of a gate; `holds` is None if the gate was not checked yet."""

    name: str
    title: str
    holds: bool | None = None
    value: Any = None
    limit: Any = None
    sentence: str | None = None


class PhaseProgress(_Part):
    """The progress of one phase, for the image that is counted.

    `trail status --json` prints these fields under their names.

    Attributes:
        phase: which of the four.
        state: stays proven once this image was proven here, until a new attempt with it runs.
        started: first attempt with this image.
        ended: its first proof.
        seconds: from started to ended.
        digest: image of the newest proof, or of the newest attempt if there is no proof.
        passed, gates: how many of the required gates passed, and how many there are.
        asked: the state of each gate.
        proof: newest attempt that proved this image.
        earlier: newest attempt that proved another image.
        reached: what passed, as a sentence.
        blocks: how the newest attempt failed, whatever its image.
        cause: code of that failure.
        evidence: lines that show it.
        next: the command to run next, if it belongs to this phase.
    """

    phase: Phase
    state: State
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    digest: str | None = None
    passed: int
    gates: int
    asked: list[GateState]
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
        """The marker of the phase; it is reached once there is a proof."""
        return MARKERS[self.phase]


def phase_progress(
    record: Record, phase: Phase, gate_names: Sequence[str], digest: str | None, next_step: tuple[Phase, str] | None
) -> PhaseProgress:
    """Compute the progress of one phase.

    Args:
        record: the record of the service.
        phase: which of the four.
        gate_names: the required gates, in order.
        digest: the image that is counted.
        next_step: the phase that comes next and its command.
    """
    attempts = [
        (attempt, image)
        for attempt, image in zip(record.attempts, _images(record), strict=True)
        if attempt.phase == phase and attempt.outcome not in ("abandoned", "restored")
    ]
    tried = [attempt for attempt, image in attempts if image in (None, digest)]
    proofs = [attempt for attempt in tried if attempt.outcome == "proven"]
    proof = proofs[-1] if proofs else None
    state = _state(tried, proofs)
    # The gates of the attempt that runs; else those of the proof; else those of the last attempt that checked any.
    checked = (
        tried[-1] if state == "running" else next((item for item in reversed(proofs or tried) if item.gates), None)
    )
    gates = _gate_states(checked, gate_names)
    newest = attempts[-1][0] if attempts else None
    failed = newest if newest is not None and newest.outcome not in ("running", "proven") else None
    started = utc(tried[0].started) if tried else None
    ended = utc(proofs[0].ended or proofs[0].started) if proofs else None
    return PhaseProgress(
        phase=phase,
        state=state,
        started=started,
        ended=ended,
        seconds=(ended - started).total_seconds() if ended and started else None,
        digest=next((digest_of(attempt) for attempt in reversed(proofs or tried) if attempt.deployed), None),
        passed=sum(gate.holds is True for gate in gates if gate.name in gate_names),
        gates=len(gate_names),
        asked=gates,
        proof=proof,
        earlier=next(
            (attempt for attempt, image in reversed(attempts) if attempt.outcome == "proven" and image != digest), None
        ),
        reached=_reached(proof, gates),
        blocks=_failure(failed, digest) if failed else None,
        cause=failed.cause if failed else None,
        evidence=failed.evidence if failed else [],
        next=next_step[1] if next_step is not None and next_step[0] == phase else None,
    )


def digest_of(attempt: Attempt) -> str | None:
    """Digest of the image to deploy; None if the attempt ended before it was known."""
    return attempt.deployed.digest if attempt.deployed else None


def seconds_taken(attempt: Attempt) -> float | None:
    """How long an attempt took; None while it runs."""
    return (utc(attempt.ended) - utc(attempt.started)).total_seconds() if attempt.ended else None


def _images(record: Record) -> list[str | None]:
    """Digest of each attempt. An attempt without one counts for the image of the next attempt."""
    digests: list[str | None] = []
    digest: str | None = None
    for attempt in reversed(record.attempts):
        digest = digest_of(attempt) or digest
        digests.append(digest)
    return digests[::-1]


def _state(tried: Sequence[Attempt], proofs: Sequence[Attempt]) -> State:
    if not tried:
        return "not begun"
    if tried[-1].outcome == "running":
        return "running"
    return "proven" if proofs else "failed"


def _gate_states(attempt: Attempt | None, gate_names: Sequence[str]) -> list[GateState]:
    """The required gates in order, then any others that the attempt checked."""
    results = {result.name: result for result in attempt.gates} if attempt else {}
    states = {name: GateState(name=name, title=name.replace("_", " ")) for name in gate_names}
    for name, result in results.items():
        states[name] = GateState(**result.model_dump(include=set(GateState.model_fields)))
    return list(states.values())


def _reached(proof: Attempt | None, gates: Sequence[GateState]) -> str | None:
    if proof is not None:
        seconds = seconds_taken(proof)
        took = "" if seconds is None else f", after {duration(seconds)}"
        return f"All gates passed on {moment(proof.ended or proof.started)}{took}; rolled out by {person(proof.who)}."
    passed = [clean(gate.title, 80) for gate in gates if gate.holds]
    return f"These gates passed at the last check: {', '.join(passed)}." if passed else None


def _failure(failed: Attempt, digest: str | None) -> str:
    """The sentence of the attempt, else the sentence of a gate that failed."""
    gate = next((gate.sentence for gate in failed.gates if not gate.holds), None)
    sentence = failed.sentence or gate or f"Outcome: {failed.outcome.replace('_', ' ')}."
    image = digest_of(failed)
    return sentence if image in (None, digest) else f"With image {short(image)}: {sentence}"
