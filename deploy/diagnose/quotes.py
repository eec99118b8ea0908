"""The very words: what ECS, the log, events and the load balancer said, when, and of which task."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deploy.aws.service import Event
from deploy.aws.task import Task
from deploy.diagnose.evidence import Evidence
from deploy.redact import masked
from deploy.text import printable

LONGEST = 420  # characters of a quotation; ECS's own reasons have 1024 at most, the most telling first
EPOCH = datetime.min.replace(tzinfo=UTC)
SLACK = timedelta(seconds=5)  # between clocks of ECS's own
STEADY = re.compile(r"has reached a steady state")
ACTION = re.compile(r"not authorized to perform:? (?P<action>[a-z0-9-]+:\w+)")
PREAMBLE = "unable to pull secrets or registry auth"  # before whatever it was that could not be fetched
SAID = ("reason", "cause", "error", "worker", "runner", "status")  # fields of a log line that say why


@dataclass(frozen=True)
class Quote:
    """Something that was said.

    Attributes:
        who: said it, or of whom it was said.
        text: the very words.
        at: when, UTC.
        task: id of the task that it is about.
    """

    who: str
    text: str
    at: datetime | None = None
    task: str = ""

    @property
    def line(self) -> str:
        """As evidence."""
        clock = f" {told(self.at)}" if self.at else ""
        return f"{self.who}{clock}: {shown(self.text)}"


Match = re.Match[str]
Found = list[tuple[Quote, Match]]


def told(at: datetime) -> str:
    """A time, for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def short(task: str) -> str:
    """A task's id, as far as people need it."""
    return task[:8] or "without id"


def shown(text: str, most: int = LONGEST) -> str:
    """Words of others as they may be printed: on one line, fit for any terminal, without secrets."""
    return printable(masked(" ".join(spoken(text).split())), most)


def spoken(text: str) -> str:
    """What a log line says; of one in JSON, its message with what explains it, and the exception's last line."""
    line = as_json(text)
    if not isinstance(message := line.get("message"), str):
        return text
    parts = [str(line.get("level", "")), message, *(f"{key}={line[key]}" for key in SAID if line.get(key))]
    trace = str(line.get("exception") or "").strip().splitlines()
    return " ".join(filter(None, [*parts, *trace[-1:]]))


def as_json(text: str) -> dict[str, object]:
    """A log line's fields, where it is JSON."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}


def reasons(tasks: Iterable[Task]) -> list[Quote]:
    """Why tasks stopped, in ECS's words, the newest first."""
    found = []
    for task in tasks:
        state = "stopped task" if task.status == "STOPPED" or task.stopped else "task"
        at = task.stopped or task.stopping
        found += [Quote(f"{state} {short(task.id)}", text, at, task.id) for text in task.reasons]
    return found


def lines(seen: Evidence, tasks: Iterable[Task]) -> list[Quote]:
    """What tasks wrote into their logs, of each task the last line first."""
    return [
        Quote(f"log of task {short(task.id)}", one.text, one.at, task.id)
        for task in tasks
        for one in reversed(seen.logs.get(task.id, ()))
    ]


def events(seen: Evidence) -> list[Quote]:
    """What ECS said of the service since the deployment began and it was last in a steady state, the newest first.

    A service that was taken back is in a steady state again: then those before that deployment failed are meant.
    """
    found: list[Event] = []
    failed = not went_back(seen)
    begun = seen.subject.created if seen.subject else None
    for one in seen.events:
        if begun and one.at and one.at < begun - SLACK:
            break
        if STEADY.search(one.text):
            if failed:
                break
            continue
        failed = failed or (seen.deployment in one.text and "failed" in one.text)
        found.append(one)
    return [Quote("event", one.text, one.at) for one in found]


def went_back(seen: Evidence) -> bool:
    """Whether the deployment that is looked at is no longer the one that the service runs."""
    primary = next((one.id for one in seen.deployments if one.status == "PRIMARY"), seen.deployment)
    return seen.deployment != primary


def verdicts(seen: Evidence) -> list[Quote]:
    """What the load balancer says of targets that it finds unhealthy."""
    owners = {one.address: one.id for one in [*seen.running, *seen.stopped] if one.address}
    return [
        Quote(
            f"target {one.address}:{one.port}",
            f"{one.state}, {one.reason}: {one.description}" if one.description else f"{one.state}, {one.reason}",
            None,
            owners.get(one.address, ""),
        )
        for one in seen.targets
        if one.state in ("unhealthy", "unavailable", "unused")
    ]


def action(text: str) -> str:
    """Which permission is missing, where AWS names it."""
    found = ACTION.search(text)
    return found["action"] if found else ""


def find(quotes: Sequence[Quote], pattern: re.Pattern[str]) -> Found:
    """Those that fit."""
    return [(quote, match) for quote in quotes if (match := pattern.search(quote.text)) is not None]


def newest(quotes: Iterable[Quote]) -> datetime | None:
    """When the last of them was said."""
    return max((one.at for one in quotes if one.at), default=None)
