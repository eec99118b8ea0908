"""The log by day: each start and end of an attempt, and each decision."""

from datetime import datetime
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict

from deploy.record.phases import seconds_taken
from deploy.record.text import count, duration, person, short, utc
from deploy.record.trail import Attempt, Deployed, Outcome, Record

Kind = Literal["begun", "good", "bad", "decision"]

ENDS: dict[Outcome, str] = {
    "running": "is running",
    "proven": "is proven",
    "refused": "was refused; nothing was changed",
    "gate_failed": "was rolled back: a gate failed",
    "cause_found": "was rolled back: a cause was found that waiting cannot fix",
    "platform_failed": "was rolled back by ECS",
    "rollback_failed": "failed, and the service could not be rolled back",
    "restored": "is complete",
    "overtaken": "was replaced by a newer deployment that somebody else started",
    "abandoned": "ended before it changed anything in AWS",
}


class LogEntry(BaseModel):
    """One event, at a time in UTC."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: Kind
    text: str


class LogDay(BaseModel):
    """The events of one day in UTC, YYYY-MM-DD; newest first."""

    model_config = ConfigDict(frozen=True)

    date: str
    entries: list[LogEntry]


def log_by_day(record: Record) -> list[LogDay]:
    """All events of a record, newest first."""
    entries = [entry for attempt in record.attempts for entry in _entries(attempt, record)]
    entries += [
        LogEntry(at=utc(note.at), kind="decision", text=f"Decision by {person(note.who)}: {note.text}")
        for note in record.notes
    ]
    entries.sort(key=lambda entry: entry.at)  # stable: a start stays before its end
    entries.reverse()
    return [
        LogDay(date=date, entries=list(group))
        for date, group in groupby(entries, lambda entry: entry.at.date().isoformat())
    ]


def _entries(attempt: Attempt, record: Record) -> list[LogEntry]:
    """The start of an attempt, and its end if it has ended."""
    what = f"Phase {attempt.phase}" if attempt.command == "up" else f"Rollback to {attempt.phase}"
    start = f"{what}{_with_image(attempt.deployed, ' with')} was started by {person(attempt.who)}."
    entries = [LogEntry(at=utc(attempt.started), kind="begun", text=start)]
    if attempt.ended is not None:
        good = attempt.outcome in ("proven", "restored")
        text = f"{what} {_end(attempt, record)}"
        entries.append(LogEntry(at=utc(attempt.ended), kind="good" if good else "bad", text=text))
    return entries


def _end(attempt: Attempt, record: Record) -> str:
    text = f"{ENDS[attempt.outcome]}. It took {duration(seconds_taken(attempt) or 0)}"
    if attempt.gates:
        text += f"; {sum(gate.holds for gate in attempt.gates)} of {count(len(attempt.gates), 'gate')} passed"
    text += f". {attempt.sentence}" if attempt.sentence and attempt.outcome != "proven" else "."
    target = next((other for other in record.attempts if other.id == attempt.back_to), None)
    if target is not None and attempt.outcome not in ("proven", "restored"):
        text += f" Rolled back to {target.phase}{_with_image(target.deployed, ',')}."
    if attempt.trimmed:
        text += " (The evidence was removed because the record had become too large.)"
    return text


def _with_image(deployed: Deployed | None, joint: str) -> str:
    return f"{joint} image {short(deployed.digest)}" if deployed else ""
