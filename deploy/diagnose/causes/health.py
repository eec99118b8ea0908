"""The container runs, and its health checks fail: its own, which ECS runs inside, or the load balancer's."""

import re
from datetime import timedelta

from deploy.aws.task import Task
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, events, lines, reasons, short, shown, told, verdicts
from deploy.diagnose.registry import LIKELY, SAID, SEEN, SYMPTOM, CauseMatch, cause, sign
from deploy.taskdef.health_command import ABSENT, programs, request

INSIDE = re.compile(r"failed container health checks", re.IGNORECASE)
OUTSIDE = re.compile(r"failed ELB health checks", re.IGNORECASE)
UNHEALTHY = re.compile(r"is unhealthy in \(?target-group")
LISTENING = re.compile(
    r"(?:listening|running|serving)\b.{0,40}?\b(?:on|at)\b.{0,40}?[:\s](?P<port>\d{2,5})(?![\d.])", re.IGNORECASE
)
REFUSED = re.compile(r"connection refused|ECONNREFUSED|ConnectionRefusedError|Errno 111", re.IGNORECASE)
NO_PROGRAM = re.compile(r"(?P<program>curl|wget|nc|http|\S+)\\?\"?: (?:executable file )?not found", re.IGNORECASE)
UP = re.compile(
    r"Gateway initialized|startup complete|startup hook|uvicorn running|server started|ready to (?:accept|serve)",
    re.IGNORECASE,
)
SLACK_S = 90.0  # between the last check and the time that ECS notes
EARLY = 0.8  # share of the patience after which a task that stops did so for want of health
LONG_S = 300.0  # after its patience: a task that lived so long was healthy


def inside(seen: Evidence) -> list[Task]:
    """Tasks that fail the container's own check: those that ECS stopped, and those that it will."""
    stopped = [one for one in seen.failed if INSIDE.search(one.stopped_reason)]
    return [*stopped, *(one for one in seen.running if one.unhealthy)]


def outside(seen: Evidence) -> list[Quote]:
    """What the load balancer's check says, now and before."""
    stopped = reasons([one for one in seen.failed if OUTSIDE.search(one.stopped_reason)])
    return [*verdicts(seen), *(one for one in events(seen) if UNHEALTHY.search(one.text)), *stopped]


def signs(seen: Evidence) -> list[Quote]:
    """All that shows that a health check fails."""
    return [*map(_told, inside(seen)), *outside(seen)]


def patience(seen: Evidence, task: Task) -> float | None:
    """Seconds that ECS gives a task which never answers."""
    service, group, check = seen.service, seen.target_group, seen.definition.check if seen.definition else None
    if OUTSIDE.search(task.stopped_reason):
        asks = (group.interval or 30) * (group.unhealthy or 3) if group else 0
        return service.grace + asks if service and (service.grace or asks) else None
    return check.patience if check else None


def _told(task: Task) -> Quote:
    if task.stopped_reason:
        age = f" (after {task.age:.0f} s)" if task.age is not None else ""
        return Quote(f"stopped task {short(task.id)}", f"{task.stopped_reason}{age}", task.stopped, task.id)
    return Quote(f"task {short(task.id)}", "the container's health check says UNHEALTHY", None, task.id)


@cause(
    "PORT_CLOSED",
    "The service listens on another port",
    looks="The log says `listening on …:8080` where the task definition, the target group or the check says 5000; "
    "connection refused; Target.FailedHealthChecks.",
    repair="Let the image listen on the port that the task definition maps (PORT sets it), or render the task "
    "definition from the image's own contract: `trail render`.",
    weight=SAID,
    deterministic=True,
)
def port_closed(seen: Evidence) -> CauseMatch | None:
    failing, definition = signs(seen), seen.definition
    if not failing or definition is None or not definition.ports:
        return None
    tasks = [*inside(seen), *seen.failed, *seen.running]
    heard = [
        (quote, int(match["port"]))
        for quote in lines(seen, {one.id: one for one in tasks}.values())
        if (match := LISTENING.search(quote.text)) is not None
    ]
    if heard and all(port not in definition.ports for _, port in heard):
        port = heard[0][1]
        wanted = ", ".join(map(str, definition.ports))
        sentence = f"The service listens on port {port}; the task definition maps {wanted}, and is asked there."
        return sign(sentence, [heard[0][0], *failing])
    refused = [one for one in [*lines(seen, tasks), *failing, *reasons(tasks)] if REFUSED.search(one.text)]
    if refused and not heard:
        sentence = f"Nothing listens on port {definition.ports[0]} of the container: its health check is refused."
        return sign(sentence, [*refused, *failing], weight=LIKELY, deterministic=False)
    return _check_asks_elsewhere(seen, failing)


def _check_asks_elsewhere(seen: Evidence, failing: list[Quote]) -> CauseMatch | None:
    """The command in the task definition names a port that is not mapped."""
    definition = seen.definition
    if definition is None or definition.check is None or not inside(seen):
        return None
    address = request(" ".join(definition.check.command[1:]), definition.settings.get("PORT", ""))
    if address is None or address.port in definition.ports:
        return None
    wanted = ", ".join(map(str, definition.ports))
    sentence = f"The health command asks port {address.port}, and the task definition maps {wanted}."
    command = Quote("health command", " ".join(definition.check.command))
    return sign(sentence, [command, *failing], weight=SEEN)


@cause(
    "HEALTH_PROGRAM_MISSING",
    "The health command's program is not in the image",
    looks='`exec: "curl": executable file not found`; or a health command with curl or wget, and a container that '
    "never gets healthy.",
    repair="Ask with what the image has: `trail render` writes a command in Python, which is there.",
    weight=SEEN,
    deterministic=True,
)
def program_missing(seen: Evidence) -> CauseMatch | None:
    failing, definition = inside(seen), seen.definition
    if not failing or definition is None or definition.check is None or len(definition.check.command) < 2:
        return None
    quotes = [*lines(seen, failing), *reasons(failing)]
    try:
        used = [one for one in programs(list(definition.check.command)) if one in ABSENT]
    except ValueError:  # a quotation mark without its other half
        used = []
    said = [one for one in quotes if (found := NO_PROGRAM.search(one.text)) and found["program"].strip('"') in used]
    if not used:
        return None
    command = Quote("health command", " ".join(definition.check.command))
    sentence = f"The health command runs {used[0]}, which the image has not: it can never pass."
    return sign(sentence, [*said, command, *map(_told, failing)], weight=SAID if said else None)


@cause(
    "SLOW_START",
    "The service needs longer to start than it is given",
    looks="Health checks fail, the task stops when startPeriod or the grace period is over, and its log shows that it "
    "was still starting.",
    repair="Raise health.start_period (300 at the most) or health.grace in the plan to at least twice the measured "
    "start, or give the task more CPU.",
    weight=SEEN - 0.05,
)
def slow_start(seen: Evidence) -> CauseMatch | None:
    slow = [one for one in seen.failed if _was_starting(seen, one)]
    if not slow:
        return None
    task = slow[0]
    allowed = patience(seen, task) or 0
    late = _came_up(seen, task)
    began = f"it was up only after {late:.0f} s" if late is not None else "its log shows that it was still starting"
    sentence = f"The task was stopped {task.age:.0f} s after its start, with {allowed:.0f} s allowed; {began}."
    return sign(sentence, [*map(_told, slow), *lines(seen, slow[:1])[:3]])


def _was_starting(seen: Evidence, task: Task) -> bool:
    if not (INSIDE.search(task.stopped_reason) or OUTSIDE.search(task.stopped_reason)):
        return False
    allowed, age = patience(seen, task), task.age
    if allowed is None or age is None or not EARLY * allowed <= age <= allowed + SLACK_S:
        return False
    wrote = lines(seen, [task])
    late = _came_up(seen, task)
    return bool(wrote) and (late >= EARLY * allowed if late is not None else not any(UP.search(o.text) for o in wrote))


def _came_up(seen: Evidence, task: Task) -> float | None:
    """Seconds until the log says that it is up; None where it never does."""
    at = next((one.at for one in seen.logs.get(task.id, ()) if UP.search(one.text) and one.at), None)
    return (at - task.started).total_seconds() if at and task.started else None


@cause(
    "HEALTH_FLAPPING",
    "Tasks get healthy and lose it again",
    looks="Several tasks that lived long were stopped for failing health checks.",
    repair="Look at what the service did at that time: CPU at its limit, requests that block, memory near its limit. "
    "A longer health.timeout hides it.",
    weight=LIKELY,
)
def flapping(seen: Evidence) -> CauseMatch | None:
    lived = []
    for task in seen.failed:
        checked = INSIDE.search(task.stopped_reason) or OUTSIDE.search(task.stopped_reason)
        if checked and task.age is not None and task.age > (patience(seen, task) or 0) + LONG_S:
            lived.append(task)
    if len(lived) < 2:
        return None
    ages = ", ".join(str(timedelta(seconds=round(one.age or 0))) for one in lived[:4])
    return sign(
        f"{len(lived)} tasks were healthy for a while and then failed their checks, after {ages}.", map(_told, lived)
    )


@cause(
    "HEALTH_CONTAINER",
    "The container's health check fails",
    looks="`Task failed container health checks`.",
    repair="Run the health command in the image by hand (`docker exec … python -c …`), and read the log around that "
    "time.",
    weight=SYMPTOM,
    symptom=True,
)
def container(seen: Evidence) -> CauseMatch | None:
    tasks = inside(seen)
    if not tasks:
        return None
    started = next((one.started for one in tasks if one.started), None)
    since = f" The newest started {told(started)}." if started else ""
    sentence = f"The container runs, and its own health check fails in {len(tasks)} tasks.{since}"
    return sign(sentence, [*map(_told, tasks), *lines(seen, tasks[:1])[:3]])


@cause(
    "HEALTH_BALANCER",
    "The load balancer's health check fails",
    looks="`Task failed ELB health checks in (target-group …)`, targets unhealthy.",
    repair="Ask the task itself from inside its VPC, on the port and path that the target group asks, and compare.",
    weight=SYMPTOM,
    symptom=True,
)
def balancer(seen: Evidence) -> CauseMatch | None:
    quotes = outside(seen)
    if not quotes:
        return None
    path = f" on {shown(seen.target_group.path, 80)}" if seen.target_group and seen.target_group.path else ""
    return sign(f"The load balancer asks the tasks{path}, and is not content.", quotes)
