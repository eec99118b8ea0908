"""How far the trail is walked: computed from what the gates saw, each time anew, and typed by nobody.

A proof is of one image. Progress counts the gates of the image that is being rolled out, or else of the one that runs:
a new image sets out at the first station again, and what an earlier one reached is told beside it.
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
UNTRIED: tuple[Outcome, ...] = ("refused", "abandoned")  # nothing was changed
FAILED: tuple[Outcome, ...] = ("gate_failed", "cause_found", "platform_failed", "rollback_failed")
UNKNOWN: tuple[Outcome, ...] = ("rollback_failed", "overtaken")  # what runs after them, the record cannot tell


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GoingOn(NamedTuple):
    """At which phase it goes on, by which command, and what is to be done first."""

    phase: Phase
    command: str
    advice: str | None = None


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
        advice: what is to be done before the phase is tried again; None where nothing failed last.
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
    """Progress of a record.

    Args:
        record: of the service.
        expected: names of the gates of each phase, in order.
        now: UTC; the clock's where it is None.
    """
    runs = current(record)
    digest = _counted(record, runs)
    going_on = _next(record, runs, digest)
    where = None if going_on is None else (going_on.phase, going_on.command)
    stations = [phase_progress(record, phase, expected.get(phase, ()), digest, where) for phase in PHASES]
    return Progress(
        at=now or datetime.now(UTC),
        started=utc(record.attempts[0].started) if record.attempts else None,
        digest=digest,
        current=runs,
        passed=sum(one.passed for one in stations),
        gates=sum(one.gates for one in stations),
        stations=stations,
        next=None if going_on is None else going_on.command,
        advice=None if going_on is None else going_on.advice,
        days=log_by_day(record),
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
                why = "it was gone back to" if attempt.command == "rollback" else f"{attempt.phase} was taken back"
                found = Current(attempt=back, sentence=f"{_runs(back)} It runs again since {why}.")
            elif attempt.deployment is not None and attempt.command == "up":
                found = Current(sentence=f"Nothing proven runs: {attempt.phase} failed, and {_ran_before(attempt)}.")
    return found


def _ran_before(attempt: Attempt) -> str:
    """What came of a failed attempt that did not go back to anything proven."""
    before, failed = attempt.before, attempt.deployed
    if before is None or (failed is not None and before.task_definition == failed.task_definition):
        return "there was nothing to go back to"
    return f"{clean(before.task_definition.rpartition('/')[2], 80)}, which ran before, runs again"


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
    if runs is not None and digest_of(runs) == digest:
        left = PHASES[PHASES.index(runs.phase) + 1 :]
        return left[0] if left else None
    proven = {one.phase for one in record.attempts if one.outcome == "proven" and digest_of(one) == digest}
    return next((phase for phase in PHASES if phase not in proven), PHASES[-1])


def _counted(record: Record, runs: Current) -> str | None:
    """Digest of the image whose gates are counted."""
    newest = next((one for one in reversed(record.attempts) if one.deployed is not None), None)
    if newest is None or newest.outcome == "running" or runs.attempt is None:
        return None if newest is None else digest_of(newest)
    return digest_of(runs.attempt)


def _next(record: Record, runs: Current, digest: str | None) -> GoingOn | None:
    """Where it goes on, and by which command."""
    last = next((one for one in reversed(record.attempts) if one.outcome != "abandoned"), None)
    if last is not None and last.outcome == "running":
        return GoingOn(last.phase, "trail resume")
    if last is not None and last.outcome == "overtaken":
        return GoingOn(last.phase, "trail status")
    if last is not None and last.outcome not in ("proven", "restored"):
        if last.command == "rollback":
            return GoingOn(last.phase, "trail rollback")
        if runs.attempt is not None and digest_of(last) not in (None, digest):  # another image failed; this one goes on
            phase = next_phase(record, digest)
            return _why(last) if phase is None else _up(record, phase, digest)
        likely = runs.attempt is None or next_phase(record, digest) == last.phase
        image = digest_of(last) or (digest if likely else None)
        return _up(record, last.phase, image)
    phase = next_phase(record, digest)
    return None if phase is None else _up(record, phase, digest)


def _up(record: Record, phase: Phase, digest: str | None) -> GoingOn:
    """Bring a phase to the service with an image; not with one that failed there last."""
    tried = (one for one in reversed(record.attempts) if one.phase == phase and one.command == "up")
    last = next((one for one in tried if digest_of(one) == digest and one.outcome not in UNTRIED), None)
    if digest is not None and last is not None and last.outcome in FAILED:
        return _why(last)
    image = shlex.quote(clean(digest, 80)) if digest else NO_DIGEST
    return GoingOn(phase, f"trail up {phase} --digest {image}")


def _why(failed: Attempt) -> GoingOn:
    """Find out why an image failed, and what to do then."""
    image, cause = digest_of(failed), f" ({clean(failed.cause, 80)})" if failed.cause else ""
    advice = (
        f"{short(image) if image else 'The image'} failed last in phase {failed.phase}{cause}; `trail why` says why. "
        f"Where the image is at fault, build another: `trail up --to {failed.phase} --image IMAGE`. Where the plan or "
        "the account is, correct that, and ask `trail preflight` before the same image is tried again."
    )
    return GoingOn(failed.phase, "trail why", advice)


def _runs(attempt: Attempt) -> str:
    image = digest_of(attempt)
    return (
        f"Phase {attempt.phase}{f' with image {short(image)}' if image else ''}, "
        f"proven {moment(attempt.ended or attempt.started)}."
    )
