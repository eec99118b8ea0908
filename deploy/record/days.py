"""The log by day: what was begun, how it ended, what was decided."""

from datetime import datetime
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict

from deploy.record.telling import count, person, short, span, utc
from deploy.record.trail import Attempt, Outcome, Record

Kind = Literal["begun", "good", "bad", "decision"]

ENDS: dict[Outcome, str] = {
    "running": "goes on",
    "proven": "is proven",
    "refused": "was refused, and nothing changed",
    "gate_failed": "was taken back: a gate failed",
    "cause_found": "was taken back: a cause was found that no waiting cures",
    "platform_failed": "was taken back by ECS",
    "rollback_failed": "failed, and so did the way back",
    "restored": "is done",
    "overtaken": "was overtaken by somebody else's deployment",
    "abandoned": "never reached AWS",
}


class Entry(BaseModel):
    """One thing that happened, at a time in UTC."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: Kind
    text: str


class Day(BaseModel):
    """Of one day in UTC, YYYY-MM-DD; entries newest first."""

    model_config = ConfigDict(frozen=True)

    date: str
    entries: list[Entry]


def days(record: Record) -> list[Day]:
    """Newest first."""
    entries = [entry for one in record.attempts for entry in _of(one, record)]
    entries += [
        Entry(at=utc(note.at), kind="decision", text=f"Decision of {person(note.who)}: {note.text}")
        for note in record.notes
    ]
    entries.sort(key=lambda one: one.at)  # stable: a beginning stays before its end
    entries.reverse()
    return [
        Day(date=date, entries=list(found)) for date, found in groupby(entries, lambda one: one.at.date().isoformat())
    ]


def _of(attempt: Attempt, record: Record) -> list[Entry]:
    what = f"Phase {attempt.phase}" if attempt.command == "up" else f"Going back to {attempt.phase}"
    image = f" with image {short(attempt.deployed.digest)}" if attempt.deployed else ""
    told = [Entry(at=utc(attempt.started), kind="begun", text=f"{what}{image} begun by {person(attempt.who)}.")]
    if attempt.ended is None:
        return told
    ended = utc(attempt.ended)
    took = span((ended - utc(attempt.started)).total_seconds())
    text = f"{what} {ENDS[attempt.outcome]}, after {took}"
    if attempt.gates:
        text += f"; {sum(one.holds for one in attempt.gates)} of {count(len(attempt.gates), 'gate')} held"
    text += f". {attempt.sentence}" if attempt.sentence and attempt.outcome != "proven" else "."
    back = next((one for one in record.attempts if one.id == attempt.back_to), None)
    if back is not None and attempt.outcome not in ("proven", "restored"):
        text += f" Gone back to {back.phase}{f', image {short(back.deployed.digest)}' if back.deployed else ''}."
    if attempt.trimmed:
        text += " (Its evidence was left out when the record had grown too large.)"
    return [*told, Entry(at=ended, kind="good" if attempt.outcome in ("proven", "restored") else "bad", text=text)]
