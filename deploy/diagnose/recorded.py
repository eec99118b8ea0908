"""The failure that the trail record knows: why this tool rolled a deployment back, AWS does not say."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from deploy.diagnose.cause import MAX_CHARACTERS, MAX_LINES, Diagnosis, Weight
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.evidence import Evidence, Recorded
from deploy.diagnose.quotes import format_time
from deploy.record.log import ENDS
from deploy.record.trail import Attempt, Outcome, Record
from deploy.redact import masked
from deploy.text import printable

# They changed nothing, or rolled back on purpose: what failed before them is still the last failure.
SKIPPED: tuple[Outcome, ...] = ("refused", "abandoned", "restored")
NO_FAILURE: tuple[Outcome, ...] = ("proven", "overtaken")
CLOCK_SKEW = timedelta(minutes=2)  # between this machine's clock and AWS's
GATE_REPAIR = "A gate failed: repair what it checks, then deploy the phase again."
OTHER_REPAIR = "Read the sentence of the record, repair what it names, then deploy the phase again."


def last_failure(record: Record, deployment: str | None, primary: datetime | None) -> Recorded | None:
    """The attempt that failed last, as long as nothing newer has begun; None where there is none.

    Args:
        record: of the service.
        deployment: ECS's id of the one to look for; None: whichever failed last.
        primary: when the service's primary deployment was created, UTC.
    """
    if deployment is not None:
        attempts = (attempt for attempt in reversed(record.attempts) if attempt.deployment == deployment)
        return next((_recorded(attempt) for attempt in attempts if _failed(attempt)), None)
    last = next((attempt for attempt in reversed(record.attempts) if attempt.outcome not in SKIPPED), None)
    if last is None or not _failed(last):
        return None
    ends = [attempt.ended or attempt.started for attempt in record.attempts]
    if primary is not None and last.outcome != "running" and primary > max(ends) + CLOCK_SKEW:
        return None  # someone has deployed since without this tool
    return _recorded(last)


def _failed(attempt: Attempt) -> bool:
    return attempt.cause is not None and attempt.outcome not in NO_FAILURE


def _recorded(attempt: Attempt) -> Recorded:
    code = attempt.cause or ""
    gate = next((gate for gate in attempt.gates if gate.name == code), None)
    return Recorded(
        id=attempt.id,
        phase=attempt.phase,
        outcome=attempt.outcome,
        cause=code,
        title=CAUSES[code].title if code in CAUSES else gate.title if gate else code,
        sentence=attempt.sentence or "",
        evidence=tuple(attempt.evidence),
        gate=gate is not None,
        started=attempt.started,
        ended=attempt.ended,
        deployment=attempt.deployment or "",
        base_url=attempt.base_url,
    )


def add_recorded(evidence: Evidence, causes: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Add the recorded failure to the causes: as evidence of the same cause, or as one more; the most likely first.

    Args:
        evidence: with the attempt that failed last, where the record has one.
        causes: that AWS shows, the most likely first.
    """
    recorded = evidence.recorded
    if recorded is None:
        return list(causes)
    sentence = printable(masked(_sentence(recorded)), MAX_CHARACTERS)
    if any(cause.code == recorded.cause for cause in causes):
        return [
            cause.model_copy(update={"evidence": [*cause.evidence, sentence]})
            if cause.code == recorded.cause
            else cause
            for cause in causes
        ]
    row = CAUSES.get(recorded.cause)
    weight, ended = row.weight if row else Weight.LIKELY, recorded.ended or recorded.started
    newest = next((task.stopped for task in evidence.failed), None)
    if newest is not None and ended is not None and newest > ended:
        weight *= Weight.STALE  # something else has failed since
    diagnosis = Diagnosis(
        code=printable(recorded.cause),
        title=printable(recorded.title),
        sentence=sentence,
        evidence=[printable(masked(line), MAX_CHARACTERS) for line in recorded.evidence[:MAX_LINES]],
        repair=row.repair if row else GATE_REPAIR if recorded.gate else OTHER_REPAIR,
        deterministic=row.deterministic if row else False,
        weight=round(weight, 3),
        at=ended,
        recorded=True,
    )
    return sorted([diagnosis, *causes], key=lambda cause: cause.weight, reverse=True)


def _sentence(recorded: Recorded) -> str:
    """How an attempt ended, with its time."""
    time = f" of {format_time(recorded.started)}" if recorded.started else ""
    deployment = f" ({recorded.deployment})" if recorded.deployment else ""
    why = recorded.sentence or recorded.title
    return (
        f"By the trail record, the attempt at phase {recorded.phase}{time}{deployment} {ENDS[recorded.outcome]}. {why}"
    )
