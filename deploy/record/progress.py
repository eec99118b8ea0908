"""How far the trail is walked: computed from what the gates saw, each time anew, and typed by nobody.

A proof is of one image. Progress counts the gates of the image that is being rolled out, or else of the one that runs:
a new image sets out at the first station again, and what an earlier one reached is told beside it.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.plan import PHASES
from deploy.record.days import Day, days
from deploy.record.stations import Station, digest_of, station
from deploy.record.telling import clean, moment, short, utc
from deploy.record.trail import Attempt, Outcome, Record

NO_DIGEST = "sha256:…"  # in a command, where the record knows none
UNTRIED: tuple[Outcome, ...] = ("refused", "abandoned")  # nothing was changed
UNKNOWN: tuple[Outcome, ...] = ("rollback_failed", "overtaken")  # what runs after them, the record cannot tell


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    stations = [station(record, phase, expected.get(phase, ()), digest, going_on) for phase in PHASES]
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
                why = "it was gone back to" if attempt.command == "rollback" else f"{attempt.phase} was taken back"
                found = Current(attempt=back, sentence=f"{_runs(back)} It runs again since {why}.")
            elif attempt.deployment is not None and attempt.command == "up":
                found = Current(sentence=f"Nothing proven runs: {attempt.phase} failed, and {_left(attempt)}.")
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


def _next(record: Record, runs: Current, digest: str | None) -> tuple[Phase, str] | None:
    """Where it goes on, and by which command."""
    last = next((one for one in reversed(record.attempts) if one.outcome != "abandoned"), None)
    if last is not None and last.outcome == "running":
        return last.phase, "trail resume"
    if last is not None and last.outcome == "overtaken":
        return last.phase, "trail status"
    if last is not None and last.outcome not in ("proven", "restored"):
        if last.command == "rollback":
            return last.phase, "trail rollback"
        if runs.attempt is not None and digest_of(last) not in (None, digest):  # another image failed; this one goes on
            phase = next_phase(record, digest)
            return (last.phase, "trail why") if phase is None else (phase, _up(phase, digest))
        likely = runs.attempt is None or next_phase(record, digest) == last.phase
        image = digest_of(last) or (digest if likely else None)
        return last.phase, _up(last.phase, image)
    phase = next_phase(record, digest)
    return None if phase is None else (phase, _up(phase, digest))


def _up(phase: Phase, digest: str | None) -> str:
    return f"trail up {phase} --digest {shlex.quote(clean(digest, 80)) if digest else NO_DIGEST}"


def _left(attempt: Attempt) -> str:
    """What a failed attempt left behind where nothing was proven before."""
    before = attempt.before.task_definition if attempt.before is not None else None
    if before is None or (attempt.deployed is not None and attempt.deployed.task_definition == before):
        return "there was nothing to go back to"
    return f"{clean(before.rpartition('/')[2], 80)}, which ran before, runs again"


def _runs(attempt: Attempt) -> str:
    image = digest_of(attempt)
    return (
        f"Phase {attempt.phase}{f' with image {short(image)}' if image else ''}, "
        f"proven {moment(attempt.ended or attempt.started)}."
    )
