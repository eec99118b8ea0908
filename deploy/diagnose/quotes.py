"""Quotes from ECS, logs, events and the load balancer: who said it, when, and about which task."""

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

QUOTE_CHARACTERS = 420  # ECS's own reasons have at most 1024, the important part first
EPOCH = datetime.min.replace(tzinfo=UTC)
CLOCK_SKEW = timedelta(seconds=5)  # between ECS's own clocks
STEADY = re.compile(r"has reached a steady state")
ACTION = re.compile(r"not authorized to perform:? (?P<action>[a-z0-9-]+:\w+)")
PREAMBLE = "unable to pull secrets or registry auth"  # ECS writes it before whatever it could not fetch
UNREACHABLE = re.compile(
    r"i/o timeout|dial (?:tcp|udp|unix)|context (?:deadline exceeded|ca)|request cancell?ed|"
    r"connection (?:refused|reset|issue|timed out)|RequestCanceled|RequestError|no such host|TLS handshake timeout|"
    r"network configuration|could not (?:reach|connect)|unexpected EOF|x509:",
    re.IGNORECASE,
)
VOLUME = re.compile(
    r"CannotCreateVolume|EFS utils|mount\.nfs|unable to (?:mount|copy contents to) volume|EBS volume|"
    r"volume driver|VolumeDriver|failed to (?:attach|mount|create|set up)[^\n]{0,40}\bvolumes?\b|"
    r"error (?:while )?mounting|failed to chown|"
    r"trying to mount a directory|bind source path does not exist|invalid mount|\bFSx\b",
    re.IGNORECASE,
)
# What ECS says of a task that it could not start, in an event.
NOT_STARTED_EVENT = re.compile(r"unable to place|failed to launch|could not launch|unable to reach steady state")
REASON_FIELDS = ("reason", "cause", "error", "worker", "runner", "status")  # fields of a log line that say why


@dataclass(frozen=True)
class Quote:
    """A statement with its source.

    Attributes:
        source: who said it, or what it is about.
        text: the words, unchanged.
        at: when, UTC.
        task: id of the task that it is about.
        container: name of the container that it is about; empty where the source does not say.
    """

    source: str
    text: str
    at: datetime | None = None
    task: str = ""
    container: str = ""

    @property
    def line(self) -> str:
        """As a line of evidence."""
        clock = f" {format_time(self.at)}" if self.at else ""
        return f"{self.source}{clock}: {safe(self.text)}"


def format_time(at: datetime) -> str:
    """A time for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def short_id(task: str) -> str:
    """The start of a task's id, enough for people."""
    return task[:8] or "without id"


def safe(text: str, limit: int = QUOTE_CHARACTERS) -> str:
    """Text of others on one line, safe for a terminal, without secrets."""
    return printable(masked(" ".join(log_message(text).split())), limit)


def log_message(text: str) -> str:
    """Reduce a log line in JSON to its message, the fields that say why and the exception's last line."""
    fields = json_fields(text)
    if not isinstance(message := fields.get("message"), str):
        return text
    parts = [
        str(fields.get("level", "")),
        message,
        *(f"{key}={fields[key]}" for key in REASON_FIELDS if fields.get(key)),
    ]
    traceback = str(fields.get("exception") or "").strip().splitlines()
    return " ".join(filter(None, [*parts, *traceback[-1:]]))


def json_fields(text: str) -> dict[str, object]:
    """The fields of a log line in JSON; none where it is not JSON."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def stopped_task(task: Task, text: str, container: str = "") -> Quote:
    """A statement about a stopped task, or about a container of it."""
    return Quote(f"stopped task {short_id(task.id)}", text, task.stopped, task.id, container)


def stop_reasons(tasks: Iterable[Task]) -> list[Quote]:
    """Why tasks and their containers stopped, in ECS's words, the newest first; what containers say comes first."""
    quotes = []
    for task in tasks:
        state = "stopped task" if task.status == "STOPPED" or task.stopped else "task"
        at = task.stopped or task.stopping
        several = len(task.containers) > 1
        reasons = {container.reason: container.name for container in reversed(task.containers) if container.reason}
        for text in task.reasons:
            name = reasons.get(text, "" if several or not task.containers else task.containers[0].name)
            source = f"{state} {short_id(task.id)}{f', container {safe(name, 60)}' if name and several else ''}"
            quotes.append(Quote(source, text, at, task.id, name))
    return quotes


def failed_reasons(evidence: Evidence) -> list[Quote]:
    """Why the failed tasks stopped, in ECS's words."""
    return stop_reasons(evidence.failed)


def reasons_and_events(evidence: Evidence) -> list[Quote]:
    """Why the failed tasks stopped, and the service's events."""
    return [*failed_reasons(evidence), *deployment_events(evidence)]


def placement_events(evidence: Evidence) -> list[Quote]:
    """The service's events, unless all desired tasks run: then placement succeeded.

    Where the service went back to another deployment, and ECS has forgotten the tasks, the events are all that is left.
    """
    service, subject = evidence.service, evidence.subject
    if subject is not None and subject.desired > 0:
        complete = subject.desired <= subject.running
    else:
        complete = service is not None and 0 < service.desired <= service.running
    if complete and (evidence.failed or not rolled_back(evidence)):
        return []
    return deployment_events(evidence)


def start_failures(evidence: Evidence) -> list[Quote]:
    """Why tasks could not start, in ECS's words: it says the same in a stopped reason and in an event.

    An event counts only as long as no task has started after it.
    """
    tasks = [*evidence.running, *evidence.stopped]
    started = max((task.started for task in tasks if task.started), default=None)
    events = [
        quote
        for quote in placement_events(evidence)
        if NOT_STARTED_EVENT.search(quote.text) and not (started and quote.at and quote.at < started)
    ]
    return [*failed_reasons(evidence), *events]


def log_lines(evidence: Evidence, tasks: Iterable[Task]) -> list[Quote]:
    """The log lines of the serving container of tasks; of each task the last line first."""
    container = evidence.definition.container if evidence.definition else ""
    return [
        Quote(f"log of task {short_id(task.id)}", event.text, event.at, task.id, container)
        for task in tasks
        for event in reversed(evidence.logs.get(task.id, ()))
    ]


def deployment_events(evidence: Evidence) -> list[Quote]:
    """The service's events since the deployment began and since its last steady state, the newest first.

    After a rollback the service is in a steady state again: then the events before the deployment failed count.
    """
    events: list[Event] = []
    failed = not rolled_back(evidence)
    begun = evidence.subject.created if evidence.subject else None
    for event in evidence.events:
        if begun and event.at and event.at < begun - CLOCK_SKEW:
            break
        if STEADY.search(event.text):
            if failed:
                break
            continue
        failed = failed or (evidence.deployment in event.text and "failed" in event.text)
        events.append(event)
    return [Quote("event", event.text, event.at) for event in events]


def rolled_back(evidence: Evidence) -> bool:
    """Whether the service now runs another deployment than the one that is diagnosed."""
    primary = next((each.id for each in evidence.deployments if each.status == "PRIMARY"), evidence.deployment)
    return evidence.deployment != primary


def unhealthy_targets(evidence: Evidence) -> list[Quote]:
    """The load balancer's reasons for the targets that are not healthy."""
    owners = {task.address: task.id for task in [*evidence.running, *evidence.stopped] if task.address}
    return [
        Quote(
            f"target {target.address}:{target.port}",
            ", ".join((target.state, target.reason)) + (f": {target.description}" if target.description else ""),
            None,
            owners.get(target.address, ""),
        )
        for target in evidence.targets
        if target.state in ("unhealthy", "unavailable", "unused")
    ]


def missing_permission(text: str) -> str:
    """The permission that AWS names as missing; empty where it names none."""
    match = ACTION.search(text)
    return match["action"] if match else ""


def matching(quotes: Sequence[Quote], pattern: re.Pattern[str]) -> list[tuple[Quote, re.Match[str]]]:
    """The quotes that have words of the pattern."""
    return [(quote, match) for quote in quotes if (match := pattern.search(quote.text)) is not None]


def latest(quotes: Iterable[Quote]) -> datetime | None:
    """The time of the newest quote."""
    return max((quote.at for quote in quotes if quote.at), default=None)
