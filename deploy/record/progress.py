"""The progress of a rollout: computed from the record each time, and not stored.

A proof belongs to one image. Progress counts the gates of the image that is being rolled out, else of the one that
runs: a new image begins at the first phase again, and the proofs of earlier images are shown beside it.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.config.plan import PHASES
from deploy.record.log import LogDay, log_by_day
from deploy.record.phases import PhaseProgress, digest_of, phase_progress
from deploy.record.text import clean, moment, short, utc
from deploy.record.trail import Attempt, Outcome, Record

NO_DIGEST = "sha256:…"  # in a command, where the record knows none
UNCHANGED: tuple[Outcome, ...] = ("refused", "abandoned")  # these attempts changed nothing
FAILED: tuple[Outcome, ...] = ("gate_failed", "cause_found", "platform_failed", "rollback_failed")
UNKNOWN: tuple[Outcome, ...] = (
    "rollback_failed",
    "overtaken",
)  # after these attempts the record does not know what runs


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NextStep(NamedTuple):
    """The phase that comes next, its command, and what to do first."""

    phase: Phase
    command: str
    advice: str | None = None


class Current(_Part):
    """What runs, as far as the record knows: the attempt that proved it, or None if nothing proven runs."""

    attempt: Attempt | None = None
    sentence: str


class Progress(_Part):
    """The progress of a rollout.

    Attributes:
        at: when it was computed, UTC.
        started: first attempt of all.
        digest: of the image whose gates are counted.
        current: what runs.
        passed, gates: over all phases.
        stations: the four phases, in order.
        next: the command that comes next; None if all phases are proven.
        advice: what to do before the phase is tried again; None if nothing failed last.
        days: the log, newest first.
    """

    at: datetime
    started: datetime | None
    digest: str | None
    current: Current
    passed: int
    gates: int
    stations: list[PhaseProgress]
    next: str | None
    advice: str | None = None
    days: list[LogDay]

    @property
    def percent(self) -> int:
        """Rounded down: 100 means all."""
        return 100 * self.passed // self.gates if self.gates else 0


def compute(record: Record, expected: Mapping[Phase, Sequence[str]], now: datetime | None = None) -> Progress:
    """Compute the progress.

    Args:
        record: of the service.
        expected: names of the gates of each phase, in order.
        now: UTC; by default the current time.
    """
    runs = current(record)
    digest = _counted(record, runs)
    step = _next_step(record, runs, digest)
    command = None if step is None else (step.phase, step.command)
    stations = [phase_progress(record, phase, expected.get(phase, ()), digest, command) for phase in PHASES]
    return Progress(
        at=now or datetime.now(UTC),
        started=utc(record.attempts[0].started) if record.attempts else None,
        digest=digest,
        current=runs,
        passed=sum(station.passed for station in stations),
        gates=sum(station.gates for station in stations),
        stations=stations,
        next=None if step is None else step.command,
        advice=None if step is None else step.advice,
        days=log_by_day(record),
    )


def current(record: Record) -> Current:
    """What runs, as far as the record knows."""
    result = Current(sentence="Nothing runs that this record knows.")
    for attempt in record.attempts:
        if attempt.outcome == "proven":
            result = Current(attempt=attempt, sentence=_runs(attempt))
        elif attempt.outcome in UNKNOWN:
            why = (
                "somebody else started a newer deployment"
                if attempt.outcome == "overtaken"
                else f"the rollback from {attempt.phase} failed"
            )
            result = Current(sentence=f"It is not known what runs: {why} ({moment(attempt.ended or attempt.started)}).")
        elif attempt.outcome not in ("running", *UNCHANGED):
            target = next((other for other in record.attempts if attempt.back_to == other.id), None)
            if target is not None:
                why = (
                    "after `trail rollback`"
                    if attempt.command == "rollback"
                    else f"since {attempt.phase} was rolled back"
                )
                result = Current(attempt=target, sentence=f"{_runs(target)} It runs again {why}.")
            elif attempt.deployment is not None and attempt.command == "up":
                result = Current(sentence=f"Nothing proven runs: {attempt.phase} failed, and {_ran_before(attempt)}.")
    return result


def _ran_before(attempt: Attempt) -> str:
    """What runs after a failed attempt that was not rolled back to anything proven."""
    before, failed = attempt.before, attempt.deployed
    if before is None or (failed is not None and before.task_definition == failed.task_definition):
        return "there was nothing to roll back to"
    return f"{clean(before.task_definition.rpartition('/')[2], 80)}, which ran before, runs again"


def last_proven(record: Record, phase: Phase, not_attempt: str | None = None) -> Attempt | None:
    """The newest proven attempt at a phase or an earlier one.

    Args:
        record: of the service.
        phase: the latest one that counts.
        not_attempt: id of an attempt that does not count.
    """
    return next(
        (
            attempt
            for attempt in reversed(record.attempts)
            if attempt.outcome == "proven"
            and attempt.deployed is not None
            and attempt.id != not_attempt
            and PHASES.index(attempt.phase) <= PHASES.index(phase)
        ),
        None,
    )


def proven_attempt(record: Record, task_definition: str) -> Attempt | None:
    """The newest proven attempt that deployed a task definition, by its ARN."""
    return next(
        (
            attempt
            for attempt in reversed(record.attempts)
            if attempt.outcome == "proven" and attempt.deployed and attempt.deployed.task_definition == task_definition
        ),
        None,
    )


def next_phase(record: Record, digest: str | None) -> Phase | None:
    """The next phase of an image; None if it runs in the last one.

    It is the one after the phase in which the image runs. For an image that does not run it is the first phase in which
    it is not proven, or the last one if it is proven in all.
    """
    runs = current(record).attempt
    if runs is not None and digest_of(runs) == digest:
        later = PHASES[PHASES.index(runs.phase) + 1 :]
        return later[0] if later else None
    proven = {item.phase for item in record.attempts if item.outcome == "proven" and digest_of(item) == digest}
    return next((phase for phase in PHASES if phase not in proven), PHASES[-1])


def _counted(record: Record, runs: Current) -> str | None:
    """Digest of the image whose gates are counted."""
    newest = next((attempt for attempt in reversed(record.attempts) if attempt.deployed is not None), None)
    if newest is None or newest.outcome == "running" or runs.attempt is None:
        return None if newest is None else digest_of(newest)
    return digest_of(runs.attempt)


def _next_step(record: Record, runs: Current, digest: str | None) -> NextStep | None:
    last = next((attempt for attempt in reversed(record.attempts) if attempt.outcome != "abandoned"), None)
    if last is not None and last.outcome == "running":
        return NextStep(last.phase, "trail resume")
    if last is not None and last.outcome == "overtaken":
        return NextStep(last.phase, "trail status")
    if last is not None and last.outcome not in ("proven", "restored"):
        if last.command == "rollback":
            return NextStep(last.phase, "trail rollback")
        if runs.attempt is not None and digest_of(last) not in (None, digest):  # another image failed; this one goes on
            phase = next_phase(record, digest)
            return _why(last) if phase is None else _up(record, phase, digest)
        likely = runs.attempt is None or next_phase(record, digest) == last.phase
        image = digest_of(last) or (digest if likely else None)
        return _up(record, last.phase, image)
    phase = next_phase(record, digest)
    return None if phase is None else _up(record, phase, digest)


def _up(record: Record, phase: Phase, digest: str | None) -> NextStep:
    """`trail up` with an image; `trail why` if this image failed there last."""
    tried = (attempt for attempt in reversed(record.attempts) if attempt.phase == phase and attempt.command == "up")
    last = next((item for item in tried if digest_of(item) == digest and item.outcome not in UNCHANGED), None)
    if digest is not None and last is not None and last.outcome in FAILED:
        return _why(last)
    image = shlex.quote(clean(digest, 80)) if digest else NO_DIGEST
    return NextStep(phase, f"trail up {phase} --digest {image}")


def _why(failed: Attempt) -> NextStep:
    """`trail why`, and what to do then."""
    image, cause = digest_of(failed), f" ({clean(failed.cause, 80)})" if failed.cause else ""
    advice = (
        f"{short(image) if image else 'The image'} failed last in phase {failed.phase}{cause}; `trail why` says why. "
        f"If the image is the reason, build another: `trail up --to {failed.phase} --image IMAGE`. If the plan or the "
        "account is, correct it, and run `trail preflight` before you try the same image again."
    )
    return NextStep(failed.phase, "trail why", advice)


def _runs(attempt: Attempt) -> str:
    image = digest_of(attempt)
    return (
        f"Phase {attempt.phase}{f' with image {short(image)}' if image else ''}, "
        f"proven {moment(attempt.ended or attempt.started)}."
    )
