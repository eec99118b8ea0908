"""Can the container's health check pass: its form, its program, what it asks, and when."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.findings.finding import CheckSkipped
from deploy.taskdef import health_command
from deploy.taskdef.health_command import ABSENT, BUILT_IN, LOOPBACK, PRESENT, Request, form_error, programs
from deploy.taskdef.schema import Part
from deploy.text import shown
from deploy.verify.context import CheckContext

RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}  # ECS's
DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
ALSO_LIVE = "/livez"  # BentoML's own, which agrees with the health path
READY = ("/readyz",)  # and the contract's ready path


def health(case: CheckContext) -> Part:
    """The container's health check; raises CheckSkipped where there is none."""
    found: Part | None = case.container.get("healthCheck")
    if found is None:
        raise CheckSkipped("not looked at, since there is no healthCheck")
    return found


def command(case: CheckContext) -> list[str]:
    """Its command; raises CheckSkipped where its form is wrong."""
    words: list[str] = health(case).get("command", [])
    if form_error(words):
        raise CheckSkipped("not looked at, since the health command cannot run as it stands")
    return words


def asked(case: CheckContext) -> Request:
    """What the command asks; raises CheckSkipped where it names no address."""
    found = health_command.request(" ".join(command(case)[1:]), case.environment.get("PORT", ""))
    if found is None:
        raise CheckSkipped("the health command names no address that can be read")
    return found


def number(case: CheckContext, key: str) -> int:
    """One of the check's numbers; raises CheckSkipped where it is out of range."""
    value: int = health(case).get(key, DEFAULTS[key])
    least, most = RANGES[key]
    if not least <= value <= most:
        raise CheckSkipped(f"not looked at, since {key} is {value}")
    return value


def asks_own(case: CheckContext) -> str:
    """The repair that fits nearly all faults of a command."""
    return f"Use the image's own command, on http://127.0.0.1:{case.port}{case.contract.health.path}: `trail render`."


@check(
    "HEALTH_MISSING",
    "The container has a health check",
    why="ECS does not read an image's own HEALTHCHECK. Without one in the task definition, only the load balancer sees "
    "that a task does not answer.",
)
def missing(case: CheckContext) -> Iterator[Violation]:
    if case.container.get("healthCheck") is None:
        yield warn(
            f"The container has no healthCheck, and the image offers one on {case.contract.health.path}.",
            asks_own(case),
            case.inside("healthCheck", None),
            case.asked("health.command", case.contract.health.command),
        )


@check(
    "HEALTH_COMMAND",
    "The health command is one that ECS can run",
    why="It begins with CMD and then one word each, or with CMD-SHELL and then one line. A line after CMD is taken for "
    "the name of one program, which no image has.",
)
def form(case: CheckContext) -> Iterator[Violation]:
    words = health(case).get("command", [])
    if (wrong := form_error(words)) is not None:
        yield fail(f"The health command {wrong}.", asks_own(case), case.inside("healthCheck.command", words))


@check(
    "HEALTH_EXECUTABLE",
    "The health command's programs are in the image",
    why="A program that is not there fails each check, however healthy the service is. The image has Python and sh; it "
    "has neither curl nor wget.",
    incident=4,
)
def executable(case: CheckContext) -> Iterator[Violation]:
    words, own = command(case), case.contract.health.command[1]
    place = case.inside("healthCheck.command", words)
    offered = case.asked("health.command", case.contract.health.command)
    for program in dict.fromkeys(programs(words)):
        if program in ABSENT and program != own:
            sentence = f"The health command runs {program}, which is not in the image; the image's own runs {own}."
            yield fail(sentence, asks_own(case), place, offered)
        elif program not in {*PRESENT, *BUILT_IN, own}:
            sentence = f"The health command runs {shown(program)}, which may not be in the image; its own runs {own}."
            yield warn(sentence, asks_own(case), place, offered)


@check(
    "HEALTH_PORT",
    "The health command asks the port on which the image listens",
    why="A check on another port never passes; ECS stops the healthy container and starts the next.",
    incident=2,
)
def port(case: CheckContext) -> Iterator[Violation]:
    there = asked(case)
    if there.port != case.port:
        yield fail(
            f"The health command asks port {there.port}, and the image listens on port {case.port}.",
            asks_own(case),
            case.inside("healthCheck.command", command(case)),
            case.listening(),
        )


@check(
    "HEALTH_PATH",
    "The health command asks the image's health path",
    why="Only the health path answers 200 as long as the process can answer at all, without an API key. Others are "
    "missing, lead elsewhere, or answer 401 once keys are set.",
    incident=3,
)
def path(case: CheckContext) -> Iterator[Violation]:
    there, right = asked(case).path, case.contract.health.path
    ready = (case.contract.ready_path, *READY)
    live = [one.path for one in case.contract.endpoints if one.open and one.path == ALSO_LIVE]
    if there not in (right, *live, *ready):
        known = {one.path: one.open for one in case.contract.endpoints}
        what = "the image has no such path" if there not in known else "that is not its health path"
        yield fail(
            f"The health command asks {shown(there)}, and the image answers on {shown(right)}; {what}.",
            asks_own(case),
            case.inside("healthCheck.command", command(case)),
            case.asked("health.path", right),
        )


@check(
    "HEALTH_WAITS_FOR_MODEL",
    "The health check does not wait for the model",
    why="Ready means that the model has loaded, where the phase demands it. A container that is killed for want of the "
    "model can never load it, and the heuristics that would answer meanwhile are killed with it.",
    incident=5,
)
def ready(case: CheckContext) -> Iterator[Violation]:
    there, right = asked(case).path, case.contract.health.path
    if there in (case.contract.ready_path, *READY) and there != right:
        yield fail(
            f"The health command asks {shown(there)}, which waits for the model; {shown(right)} does not.",
            asks_own(case),
            case.inside("healthCheck.command", command(case)),
            case.asked("health.path", right),
        )


@check(
    "HEALTH_ADDRESS",
    "The health command asks the container itself, over plain HTTP",
    why="HTTPS ends at the load balancer. A check that asks another host tells of that host, not of this container.",
)
def address(case: CheckContext) -> Iterator[Violation]:
    there = asked(case)
    if there.scheme != "http":
        yield fail(
            f"The health command asks over {there.scheme}, and the image speaks http; HTTPS ends at the load balancer.",
            asks_own(case),
            case.inside("healthCheck.command", command(case)),
        )
    if not re.fullmatch(LOOPBACK, there.host):
        yield warn(
            f"The health command asks the host {shown(there.host)} and not the container itself, 127.0.0.1.",
            asks_own(case),
            case.inside("healthCheck.command", command(case)),
        )


@check(
    "HEALTH_RANGE",
    "The health check's numbers are in ECS's ranges",
    why="interval 5 to 300 s, timeout 2 to 60 s, retries 1 to 10, startPeriod 0 to 300 s; others are refused.",
)
def ranges(case: CheckContext) -> Iterator[Violation]:
    found = health(case)
    for key, (least, most) in RANGES.items():
        value = found.get(key, DEFAULTS[key])
        if not least <= value <= most:
            yield fail(
                f"healthCheck.{key} is {value}, and ECS takes {least} to {most}.",
                f"Set {key} to {min(max(value, least), most)}.",
                case.inside(f"healthCheck.{key}", value),
            )


@check(
    "HEALTH_TIMEOUT",
    "The health check gives its command the time that it takes",
    why="The image's command waits some seconds for an answer by itself and then says what failed; killed before that, "
    "it says nothing.",
)
def timeout(case: CheckContext) -> Iterator[Violation]:
    given, taken = number(case, "timeout"), case.contract.health.timeout_s
    if health(case).get("command") == case.contract.health.command and given <= taken:
        yield warn(
            f"healthCheck.timeout is {given} s, and the command itself waits {taken:g} s for an answer.",
            f"Set timeout to {int(taken) + 1}.",
            case.inside("healthCheck.timeout", given),
            case.asked("health.timeout_s", taken),
        )


@check(
    "HEALTH_START_PERIOD",
    "A new container has time to start before failures count",
    why="Failures before the end of startPeriod do not count. The image's start was measured on two free cores and is "
    "slower on less, so twice that time should be given.",
)
def start_period(case: CheckContext) -> Iterator[Violation]:
    given, start = number(case, "startPeriod"), case.contract.seconds.start
    verdict = given + number(case, "interval") * number(case, "retries")
    repair = f"Set startPeriod to {min(300, max(60, round(start * 2)))}."
    places = (case.inside("healthCheck.startPeriod", given), case.asked("seconds.start", start))
    if verdict < start:
        yield fail(f"ECS gives a container up after {verdict} s, and the image starts in {start:g} s.", repair, *places)
    elif given < 2 * start:
        sentence = f"healthCheck.startPeriod is {given} s, and the image was measured to start in {start:g} s"
        yield warn(f"{sentence}; twice that should be given.", repair, *places)
