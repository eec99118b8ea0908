"""The container runs, but its health checks fail: the one that ECS runs inside it, or the load balancer's."""

import re
from datetime import timedelta

from bentos.skin.settings import HEALTH_PATH
from deploy.aws.task import Task
from deploy.diagnose.cause import Cause, CauseMatch, Weight, matched
from deploy.diagnose.containers import capital, checks_sidecar, failing_check, serving_name, the_container
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    Quote,
    deployment_events,
    format_time,
    log_lines,
    safe,
    short_id,
    stop_reasons,
    stopped_task,
    unhealthy_targets,
)
from deploy.taskdef.health_command import ABSENT, programs, request

CONTAINER_CHECK = re.compile(r"(?i)failed container health checks")
BALANCER_CHECK = re.compile(r"(?i)failed ELB health checks")
UNHEALTHY = re.compile(r"is (?:unhealthy|not healthy) in \(?(?:target-group|elb)")
REPLACED = re.compile(r"replaced \d+ tasks? due to an unhealthy status")
LISTENING = re.compile(
    r"(?i)(?:listening|running|serving)\b.{0,40}?\b(?:on|at)\b.{0,40}?[:\s](?P<port>\d{2,5})(?![\d.])"
)
REFUSED = re.compile(r"(?i)connection refused|ECONNREFUSED|ConnectionRefusedError|Errno 111")
NO_PROGRAM = re.compile(r"(?i)(?P<program>curl|wget|nc|http|\S+)\\?\"?: (?:executable file )?not found")
READY = re.compile(
    r"(?i)Gateway initialized|startup complete|startup hook|uvicorn running|server started|ready to (?:accept|serve)"
)
STATUS_CODES = re.compile(r"Health checks failed with these codes: \[(?P<codes>[\d,\s-]+)\]")
NEEDS_KEY, REDIRECTS = {401, 403}, range(300, 400)
SLACK_S = 90.0  # between the last check and the time that ECS notes
EARLY = 0.8  # a task that stops after this share of the allowed time stops because of its health
LONG_S = 300.0  # a task that lived so much longer than the allowed time was healthy


def container_failures(evidence: Evidence) -> list[Task]:
    """Tasks that fail the serving container's own check: those that ECS stopped, and those that it will stop."""
    stopped = [task for task in evidence.failed if CONTAINER_CHECK.search(task.stopped_reason)]
    failing = [*stopped, *(task for task in evidence.running if task.unhealthy)]
    return [task for task in failing if not checks_sidecar(evidence, task)]


def sidecar_failures(evidence: Evidence) -> list[Task]:
    """Tasks that fail a sidecar's check; one that ECS calls healthy all the same does not depend on it."""
    stopped = [task for task in evidence.failed if CONTAINER_CHECK.search(task.stopped_reason)]
    failing = [*stopped, *(task for task in evidence.running if task.unhealthy and task.health != "HEALTHY")]
    return [task for task in failing if checks_sidecar(evidence, task)]


def check_events(evidence: Evidence) -> list[Quote]:
    """Events that a container's own check fails; none where tasks show that it is a sidecar's."""
    events = [quote for quote in deployment_events(evidence) if CONTAINER_CHECK.search(quote.text)]
    return [] if sidecar_failures(evidence) and not container_failures(evidence) else events


def balancer_failures(evidence: Evidence) -> list[Quote]:
    """Failures of the load balancer's check, of targets now and before."""
    stopped = stop_reasons([task for task in evidence.failed if BALANCER_CHECK.search(task.stopped_reason)])
    events = [quote for quote in deployment_events(evidence) if UNHEALTHY.search(quote.text)]
    return [*unhealthy_targets(evidence), *events, *stopped]


def health_failures(evidence: Evidence) -> list[Quote]:
    """Everything that shows that a health check fails."""
    checks = [*map(_task_quote, container_failures(evidence)), *check_events(evidence)]
    return [*checks, *balancer_failures(evidence)]


def allowed_seconds(evidence: Evidence, task: Task) -> float | None:
    """Seconds after which ECS stops a task that never answers its health check."""
    service, group = evidence.service, evidence.target_group
    if BALANCER_CHECK.search(task.stopped_reason):
        checks = (group.interval or 30) * (group.unhealthy or 3) if group else 0
        return service.grace + checks if service and (service.grace or checks) else None
    check = evidence.definition.check if evidence.definition else None
    return check.patience if check else None


def _task_quote(task: Task) -> Quote:
    if task.stopped_reason:
        age = f" (after {task.age:.0f} s)" if task.age is not None else ""
        return stopped_task(task, f"{task.stopped_reason}{age}")
    failing = [safe(container.name, 60) for container in task.containers if container.health == "UNHEALTHY"]
    container = f" {failing[0]}" if failing else ""
    return Quote(
        f"task {short_id(task.id)}", f"the health check of the container{container} says UNHEALTHY", None, task.id
    )


def _own(evidence: Evidence) -> str:
    """The serving container, in the middle of a sentence."""
    return the_container(serving_name(evidence))


def _calls(evidence: Evidence) -> str:
    """Which container and port the load balancer calls, as a sentence."""
    port = evidence.service.port if evidence.service else None
    return f" It calls {_own(evidence)}{f' on port {port}' if port else ''}." if serving_name(evidence) else ""


def port_closed(evidence: Evidence) -> CauseMatch | None:
    """A health check fails, and the log, a refused connection or the health command shows another port."""
    failures, definition = health_failures(evidence), evidence.definition
    if not failures or definition is None or not definition.ports:
        return None
    tasks = [*container_failures(evidence), *evidence.failed, *evidence.running]
    listening = [
        (quote, int(match["port"]))
        for quote in log_lines(evidence, {task.id: task for task in tasks}.values())
        if (match := LISTENING.search(quote.text)) is not None
    ]
    mapped = ", ".join(map(str, definition.ports))
    if listening and all(port not in definition.ports for _, port in listening):
        quote, port = listening[0]
        sentence = (
            f"The service in {_own(evidence)} listens on port {port}; the task definition maps {mapped}, which the "
            "health check calls."
        )
        return matched(sentence, [quote, *failures])
    quotes = [*log_lines(evidence, tasks), *failures, *stop_reasons(tasks)]
    refused = [quote for quote in quotes if REFUSED.search(quote.text)]
    if refused and not listening:
        sentence = f"Nothing listens on port {definition.ports[0]} of {_own(evidence)}: its health check is refused."
        return matched(sentence, [*refused, *failures], weight=Weight.LIKELY, deterministic=False)
    port_called = _called(evidence)
    checked = container_failures(evidence) or check_events(evidence)
    if port_called is None or port_called[0] in definition.ports or not checked:
        return None
    name = safe(definition.container, 80)
    sentence = f"{name}'s health command calls port {port_called[0]}, and the task definition maps {mapped}."
    return matched(sentence, [_command(evidence), *failures], weight=Weight.TWO_FACTS)


def _called(evidence: Evidence) -> tuple[int, str] | None:
    """Port and path that the health command calls; None where it has none that can be read."""
    definition = evidence.definition
    if definition is None or definition.check is None:
        return None
    address = request(" ".join(definition.check.command[1:]), definition.settings.get("PORT", ""))
    return (address.port, address.path.partition("?")[0]) if address else None


def _command(evidence: Evidence) -> Quote:
    check = evidence.definition.check if evidence.definition else None
    return Quote("health command", " ".join(check.command) if check else "")


def program_missing(evidence: Evidence) -> CauseMatch | None:
    """The container's check fails, and its command runs a program that the image does not have."""
    failing, events, definition = container_failures(evidence), check_events(evidence), evidence.definition
    if not (failing or events) or definition is None or definition.check is None or len(definition.check.command) < 2:
        return None
    try:
        absent = [program for program in programs(list(definition.check.command)) if program in ABSENT]
    except ValueError:  # a quotation mark is not closed
        absent = []
    if not absent:
        return None
    stated = [
        quote
        for quote in [*log_lines(evidence, failing), *stop_reasons(failing)]
        if (match := NO_PROGRAM.search(quote.text)) and match["program"].strip('"') in absent
    ]
    sentence = (
        f"The health command of {_own(evidence)} runs {absent[0]}, which is not installed in the image: it can never "
        "pass."
    )
    quotes = [*stated, _command(evidence), *map(_task_quote, failing), *events]
    return matched(sentence, quotes, weight=Weight.STATED if stated else None)


def slow_start(evidence: Evidence) -> CauseMatch | None:
    """A task was stopped when the allowed time was over, and its log shows that it was still starting."""
    slow = [task for task in evidence.failed if _was_starting(evidence, task)]
    if not slow:
        return None
    task = slow[0]
    ready = _seconds_to_ready(evidence, task)
    state = (
        f"it was ready only after {ready:.0f} s" if ready is not None else "its log shows that it was still starting"
    )
    allowed = allowed_seconds(evidence, task) or 0
    name = capital(_own(evidence))
    sentence = f"{name} was stopped {task.age:.0f} s after its start, with {allowed:.0f} s allowed; {state}."
    return matched(sentence, [*map(_task_quote, slow), *log_lines(evidence, slow[:1])[:3]])


def _was_starting(evidence: Evidence, task: Task) -> bool:
    if not _failed_check(evidence, task):
        return False
    allowed, age = allowed_seconds(evidence, task), task.age
    if allowed is None or age is None or not EARLY * allowed <= age <= allowed + SLACK_S:
        return False
    if not (log := log_lines(evidence, [task])):
        return False
    ready = _seconds_to_ready(evidence, task)
    return ready >= EARLY * allowed if ready is not None else not any(READY.search(quote.text) for quote in log)


def _failed_check(evidence: Evidence, task: Task) -> bool:
    """Whether ECS stopped a task because of the serving container's health."""
    own = CONTAINER_CHECK.search(task.stopped_reason) is not None and not checks_sidecar(evidence, task)
    return own or BALANCER_CHECK.search(task.stopped_reason) is not None


def _seconds_to_ready(evidence: Evidence, task: Task) -> float | None:
    """Seconds from the start until the log says that the service is ready; None where it never does."""
    at = next((event.at for event in evidence.logs.get(task.id, ()) if READY.search(event.text) and event.at), None)
    return (at - task.started).total_seconds() if at and task.started else None


def flapping(evidence: Evidence) -> CauseMatch | None:
    """Several tasks lived long before they failed their checks."""
    lived = []
    for task in evidence.failed:
        if (
            _failed_check(evidence, task)
            and task.age is not None
            and task.age > (allowed_seconds(evidence, task) or 0) + LONG_S
        ):
            lived.append(task)
    if len(lived) < 2:
        return None
    ages = ", ".join(str(timedelta(seconds=round(task.age or 0))) for task in lived[:4])
    sentence = (
        f"{len(lived)} tasks were healthy for a while and then failed their checks, after {ages}. The checks are those "
        f"of {_own(evidence)}."
    )
    return matched(sentence, map(_task_quote, lived))


def status_codes(evidence: Evidence) -> list[tuple[Quote, int]]:
    """Status codes that the load balancer's checks got."""
    return [
        (quote, int(code))
        for quote in balancer_failures(evidence)
        if (match := STATUS_CODES.search(quote.text)) is not None
        for code in re.findall(r"\d{3}", match["codes"])
    ]


def check_path(evidence: Evidence) -> str:
    """The path that the load balancer checks."""
    group = evidence.target_group
    return safe(group.path, 80) if group and group.path else "its path"


def path_missing(evidence: Evidence) -> CauseMatch | None:
    """The load balancer's check gets 404."""
    quotes = [quote for quote, code in status_codes(evidence) if code == 404]
    if not quotes:
        return None
    sentence = f"The load balancer's health check requests {check_path(evidence)} and gets 404.{_calls(evidence)}"
    return matched(sentence, quotes, repair=_path_repair(evidence))


def _path_repair(evidence: Evidence) -> str | None:
    """What to repair where the check gets 404; None where the target group is not known."""
    group = evidence.target_group
    if group is None or not group.path:
        return None
    healthy = any(task.health == "HEALTHY" for task in evidence.running)
    called = _called(evidence) if healthy else None  # the container's own check passes there
    right, arn = (
        called[1] if called else HEALTH_PATH,
        safe(evidence.service.target_group if evidence.service else "", 200),
    )
    if group.path.partition("?")[0] != right:
        return (
            f"Set the target group's health check path to {safe(right, 80)} (`aws elbv2 modify-target-group "
            f"--target-group-arn {arn} --health-check-path {safe(right, 80)}`); `trail infra apply` does it where it "
            "created the target group."
        )
    ports = evidence.definition.ports if evidence.definition else ()
    port = group.health_port
    if port.isdecimal() and ports and int(port) not in ports:
        return (
            f"The path is right, but the port is wrong: the target group checks port {port}, the container maps "
            f"{', '.join(map(str, ports))}. Set its health check port to traffic-port (`aws elbv2 modify-target-group "
            f"--target-group-arn {arn} --health-check-port traffic-port`)."
        )
    if called:
        return (
            f"The path is right: the container's own health check passes on {check_path(evidence)}. Something else "
            "answers the load balancer: compare the port of its targets with the port on which the container listens."
        )
    image = f" {safe(evidence.definition.image, 200)}" if evidence.definition and evidence.definition.image else ""
    return (
        f"The path is set correctly, but the image{image} does not answer {check_path(evidence)}. Roll out one that "
        "does; `trail preflight --image IMAGE` runs an image here and requests the path."
    )


def status(evidence: Evidence) -> CauseMatch | None:
    """The load balancer's check gets another status than 200 and 404."""
    codes = [(quote, code) for quote, code in status_codes(evidence) if code != 404]
    if not codes:
        return None
    code = codes[0][1]
    why = "the path needs a key" if code in NEEDS_KEY else "it redirects" if code in REDIRECTS else "the service fails"
    path = check_path(evidence)
    sentence = f"The load balancer's health check requests {path} and gets {code}: {why}.{_calls(evidence)}"
    return matched(sentence, [quote for quote, _ in codes], deterministic=code in NEEDS_KEY or code in REDIRECTS)


def container(evidence: Evidence) -> CauseMatch | None:
    """The serving container's own check fails."""
    tasks, events = container_failures(evidence), check_events(evidence)
    if not (tasks or events):
        return None
    started = next((task.started for task in tasks if task.started), None)
    newest = f" The newest started at {format_time(started)}." if started else ""
    number = len(tasks) or len(events)
    count = "1 task" if number == 1 else f"{number} tasks"
    sentence = f"{capital(_own(evidence))} runs, but its own health check fails in {count}.{newest}"
    return matched(sentence, [*map(_task_quote, tasks), *log_lines(evidence, tasks[:1])[:3], *events])


def sidecar(evidence: Evidence) -> CauseMatch | None:
    """A sidecar's own check fails."""
    tasks = sidecar_failures(evidence)
    if not tasks:
        return None
    failing = failing_check(evidence, tasks[0])
    name = safe(failing.name, 80) if failing is not None else ""
    sentence = (
        f"The health check of the sidecar {name} fails, and ECS stops the whole task for it; the health check of "
        f"{_own(evidence)} does not fail."
    )
    return matched(sentence, map(_task_quote, tasks))


def replaced(evidence: Evidence) -> CauseMatch | None:
    """ECS replaces tasks because of their health, and does not say which check fails."""
    quotes = [quote for quote in deployment_events(evidence) if REPLACED.search(quote.text)]
    if not quotes:
        return None
    return matched(
        f"ECS replaces tasks because a health check fails: of {_own(evidence)}, or the load balancer's.", quotes
    )


def balancer(evidence: Evidence) -> CauseMatch | None:
    """The load balancer's check fails."""
    quotes = balancer_failures(evidence)
    if not quotes:
        return None
    path = f" on {check_path(evidence)}" if evidence.target_group and evidence.target_group.path else ""
    return matched(f"The load balancer's health check{path} fails.{_calls(evidence)}", quotes)


CAUSES = (
    Cause(
        "PORT_CLOSED",
        "The service listens on another port",
        looks="The log says `listening on …:8080` where the task definition, the target group or the check says 5000; "
        "connection refused; Target.FailedHealthChecks.",
        repair="Let the image listen on the port that the task definition maps (PORT sets it), or render the task "
        "definition from the image's own contract: `trail render`.",
        weight=Weight.STATED,
        deterministic=True,
        match=port_closed,
    ),
    Cause(
        "HEALTH_PROGRAM_MISSING",
        "The health command's program is not in the image",
        looks='`exec: "curl": executable file not found`; or a health command with curl or wget that never passes.',
        repair="Use a program that the image has: `trail render` writes a health command in Python, which it has.",
        weight=Weight.TWO_FACTS,
        deterministic=True,
        match=program_missing,
    ),
    Cause(
        "SLOW_START",
        "The service needs more time to start than it is given",
        looks="The task stops when startPeriod or the grace period is over; its log shows that it was still starting.",
        repair="Raise health.start_period (at most 300) or health.grace in the plan to twice the measured start, or "
        "give more CPU.",
        weight=Weight.TWO_FACTS - 0.05,
        match=slow_start,
    ),
    Cause(
        "HEALTH_FLAPPING",
        "Tasks become healthy and then unhealthy",
        looks="Several tasks that had run for long were stopped because their health checks failed.",
        repair="Find out what the service did at that time: CPU at its limit, requests that block, memory near its "
        "limit. A longer health.timeout only hides it.",
        weight=Weight.LIKELY,
        match=flapping,
    ),
    Cause(
        "HEALTH_PATH_MISSING",
        "The service does not have the target group's health check path",
        looks="Target.ResponseCodeMismatch, `Health checks failed with these codes: [404]`.",
        repair="Compare the target group's health check path with the one that the image answers (`docker run IMAGE "
        "contract`: health.path). Where they differ, correct the target group's (`aws elbv2 modify-target-group "
        "--health-check-path`; `trail infra apply` does). Where they are equal, roll out an image that answers it.",
        weight=Weight.STATED,
        deterministic=True,
        match=path_missing,
    ),
    Cause(
        "HEALTH_STATUS",
        "The health check gets another status than 200",
        looks="Target.ResponseCodeMismatch with 401, 403, 3xx or 5xx.",
        repair="Let the target group check /health, which needs no key, and expect 200. If it is 5xx, read the log.",
        weight=Weight.STATED - 0.02,
        match=status,
    ),
    Cause(
        "HEALTH_CONTAINER",
        "The container's health check fails",
        looks="`Task failed container health checks`.",
        repair="Run the health command in the image by hand (`docker exec … python -c …`), and read the log.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=container,
    ),
    Cause(
        "SIDECAR_UNHEALTHY",
        "The health check of a sidecar fails",
        looks="`Task failed container health checks`, and a container beside the serving one is UNHEALTHY.",
        repair="Read the sidecar's log and correct its health command. If the service can do without it, set essential "
        "to false for it in the task definition.",
        weight=Weight.TWO_FACTS,
        match=sidecar,
    ),
    Cause(
        "HEALTH_BALANCER",
        "The load balancer's health check fails",
        looks="`Task failed ELB health checks in (target-group …)`, targets unhealthy.",
        repair="Call the task from inside its VPC, on the port and path that the target group checks, and compare.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=balancer,
    ),
    Cause(
        "HEALTH_REPLACED",
        "ECS replaces tasks because of their health",
        looks="event: `Amazon ECS replaced 1 tasks due to an unhealthy status`, and nothing says which check fails.",
        repair="Wait a minute and run `trail why` again: ECS then names the check in the task's stopped reason. "
        "Meanwhile read the service's log.",
        weight=Weight.SYMPTOM - 0.05,
        symptom=True,
        match=replaced,
    ),
)
