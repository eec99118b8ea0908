"""What the trail record says of a deployment that failed: why this tool took one back, AWS does not know."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.evidence import Evidence, Recorded
from deploy.diagnose.quotes import told
from deploy.diagnose.registry import CAUSES, LIKELY, LONGEST, MOST_LINES, STALE
from deploy.record.log import ENDS
from deploy.record.trail import Attempt, Outcome, Record
from deploy.redact import masked
from deploy.text import printable

# They changed nothing, or went back on purpose: what failed before them is still the last that failed.
PASSED_OVER: tuple[Outcome, ...] = ("refused", "abandoned", "restored")
NO_FAILURE: tuple[Outcome, ...] = ("proven", "overtaken")
SKEW = timedelta(minutes=2)  # between this machine's clock and AWS's
GATE_REPAIR = "A gate failed: make what it asks hold, then bring the phase to the service again."
OTHER_REPAIR = "Read the record's own words, repair what they name, then bring the phase to the service again."


def remembered(record: Record, deployment: str | None, primary: datetime | None) -> Recorded | None:
    """The attempt that failed last, as long as nothing newer has begun; None where there is none.

    Args:
        record: of the service.
        deployment: ECS's id of the one that is asked for; None: whichever failed last.
        primary: when the deployment that the service wants was created, UTC.
    """
    if deployment is not None:
        asked = (one for one in reversed(record.attempts) if one.deployment == deployment)
        return next((_of(one) for one in asked if _failed(one)), None)
    last = next((one for one in reversed(record.attempts) if one.outcome not in PASSED_OVER), None)
    if last is None or not _failed(last):
        return None
    over = [one.ended or one.started for one in record.attempts]
    if primary is not None and last.outcome != "running" and primary > max(over) + SKEW:
        return None  # somebody has deployed since, past this tool
    return _of(last)


def _failed(attempt: Attempt) -> bool:
    return attempt.cause is not None and attempt.outcome not in NO_FAILURE


def _of(attempt: Attempt) -> Recorded:
    cause = attempt.cause or ""
    gate = next((one for one in attempt.gates if one.name == cause), None)
    title = CAUSES[cause].title if cause in CAUSES else gate.title if gate else cause
    return Recorded(
        id=attempt.id,
        phase=attempt.phase,
        outcome=attempt.outcome,
        cause=cause,
        title=title,
        sentence=attempt.sentence or "",
        evidence=tuple(attempt.evidence),
        gate=gate is not None,
        started=attempt.started,
        ended=attempt.ended,
        deployment=attempt.deployment or "",
        base_url=attempt.base_url,
    )


def with_record(seen: Evidence, causes: Sequence[Diagnosis]) -> list[Diagnosis]:
    """What AWS shows, with what the record says: as evidence of the same cause, or as one more, the most likely first.

    Args:
        seen: with the attempt that failed last, where the record has one.
        causes: that AWS shows, the most likely first.
    """
    recorded = seen.recorded
    if recorded is None:
        return list(causes)
    words = printable(masked(sentence(recorded)), LONGEST)
    if any(one.code == recorded.cause for one in causes):
        return [
            one.model_copy(update={"evidence": [*one.evidence, words]}) if one.code == recorded.cause else one
            for one in causes
        ]
    row = CAUSES.get(recorded.cause)
    weight, ended = row.weight if row else LIKELY, recorded.ended or recorded.started
    newest = next((task.stopped for task in seen.failed), None)
    if newest is not None and ended is not None and newest > ended:
        weight *= STALE  # something else fails since
    made = Diagnosis(
        code=printable(recorded.cause),
        title=printable(recorded.title),
        sentence=words,
        evidence=[printable(masked(line), LONGEST) for line in recorded.evidence[:MOST_LINES]],
        repair=row.repair if row else GATE_REPAIR if recorded.gate else OTHER_REPAIR,
        deterministic=row.deterministic if row else False,
        weight=round(weight, 3),
        at=ended,
        recorded=True,
    )
    return sorted([made, *causes], key=lambda one: one.weight, reverse=True)


def sentence(recorded: Recorded) -> str:
    """What became of an attempt, with its time."""
    when = f" of {told(recorded.started)}" if recorded.started else ""
    which = f" ({recorded.deployment})" if recorded.deployment else ""
    why = recorded.sentence or recorded.title
    return f"By the trail record, the attempt at phase {recorded.phase}{when}{which} {ENDS[recorded.outcome]}. {why}"
