"""Can the container's health check pass: its form, its program, its address, its times."""

import re
from collections.abc import Iterator

from deploy.taskdef import health_command
from deploy.taskdef.health_command import ABSENT, BUILT_IN, LOOPBACK, PRESENT, Asked, fault, programs
from deploy.text import shown
from deploy.verify.context import CheckContext, CheckSkipped, Part
from deploy.verify.registry import Violation, check, fail, warn

RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}  # ECS's
DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
ALSO_LIVE = "/livez"  # BentoML's own, which agrees with the health path
READY = ("/readyz",)  # and the contract's ready path


def health(context: CheckContext) -> Part:
    """The container's health check; raises CheckSkipped where there is none."""
    check: Part | None = context.container.get("healthCheck")
    if check is None:
        raise CheckSkipped("not checked, since there is no healthCheck")
    return check


def command(context: CheckContext) -> list[str]:
    """The health command; raises CheckSkipped where its form is wrong."""
    words: list[str] = health(context).get("command", [])
    if fault(words):
        raise CheckSkipped("not checked, since the health command cannot run as it stands")
    return words


def target(context: CheckContext) -> Asked:
    """The address to which the command sends its request; raises CheckSkipped where it names none."""
    address = health_command.asked(" ".join(command(context)[1:]), context.environment.get("PORT", ""))
    if address is None:
        raise CheckSkipped("the health command names no address that can be read")
    return address


def number(context: CheckContext, key: str) -> int:
    """A number of the health check; raises CheckSkipped where it is out of range."""
    value: int = health(context).get(key, DEFAULTS[key])
    least, most = RANGES[key]
    if not least <= value <= most:
        raise CheckSkipped(f"not checked, since {key} is {value}")
    return value


def own_command(context: CheckContext) -> str:
    """The repair for nearly all faults of a command."""
    return (
        f"Use the image's own command, on http://127.0.0.1:{context.port}{context.contract.health.path}: `trail "
        "render`."
    )


@check(
    "HEALTH_MISSING",
    "The container has a health check",
    why="ECS does not read an image's own HEALTHCHECK. Without one in the task definition, only the load balancer "
    "notices that a task does not answer.",
)
def missing(context: CheckContext) -> Iterator[Violation]:
    if context.container.get("healthCheck") is None:
        yield warn(
            f"The container has no healthCheck; the image's contract has one for {context.contract.health.path}.",
            own_command(context),
            context.in_container("healthCheck", None),
            context.in_contract("health.command", context.contract.health.command),
        )


@check(
    "HEALTH_COMMAND",
    "ECS can run the health command",
    why="A command is CMD followed by one word each, or CMD-SHELL followed by one line. A whole line after CMD is "
    "read as the name of one program, which does not exist.",
)
def form(context: CheckContext) -> Iterator[Violation]:
    words = health(context).get("command", [])
    if (reason := fault(words)) is not None:
        yield fail(
            f"The health command {reason}.", own_command(context), context.in_container("healthCheck.command", words)
        )


@check(
    "HEALTH_EXECUTABLE",
    "The health command's programs are installed in the image",
    why="With a missing program every health check fails, even of a healthy service. Python and sh are installed in "
    "the image; curl and wget are not.",
    incident=4,
)
def executable(context: CheckContext) -> Iterator[Violation]:
    words, own = command(context), context.contract.health.command[1]
    place = context.in_container("healthCheck.command", words)
    contract_place = context.in_contract("health.command", context.contract.health.command)
    for program in dict.fromkeys(programs(words)):
        if program in ABSENT and program != own:
            sentence = (
                f"The health command runs {program}, which is not installed in the image; the image's own runs {own}."
            )
            yield fail(sentence, own_command(context), place, contract_place)
        elif program not in {*PRESENT, *BUILT_IN, own}:
            sentence = (
                f"The health command runs {shown(program)}, which may be missing in the image; its own runs {own}."
            )
            yield warn(sentence, own_command(context), place, contract_place)


@check(
    "HEALTH_PORT",
    "The health command checks the port on which the image listens",
    why="A health check of another port never passes; ECS stops the healthy container and starts the next.",
    incident=2,
)
def port(context: CheckContext) -> Iterator[Violation]:
    address = target(context)
    if address.port != context.port:
        yield fail(
            f"The health command checks port {address.port}, but the image listens on port {context.port}.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
            context.port_source(),
        )


@check(
    "HEALTH_PATH",
    "The health command checks the image's health path",
    why="Only the health path answers 200 whenever the process can answer, and without an API key. Other paths are "
    "missing, redirect, or answer 401 once keys are set.",
    incident=3,
)
def path(context: CheckContext) -> Iterator[Violation]:
    path, health_path = target(context).path, context.contract.health.path
    ready = (context.contract.ready_path, *READY)
    live = [endpoint.path for endpoint in context.contract.endpoints if endpoint.open and endpoint.path == ALSO_LIVE]
    if path not in (health_path, *live, *ready):
        known = [endpoint.path for endpoint in context.contract.endpoints]
        reason = "the image has no such path" if path not in known else "that is not its health path"
        yield fail(
            f"The health command checks {shown(path)}, but the image's health path is {shown(health_path)}; {reason}.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
            context.in_contract("health.path", health_path),
        )


@check(
    "HEALTH_WAITS_FOR_MODEL",
    "The health check does not wait for the model",
    why="Ready means that the model is loaded, where the phase demands it. A container that is stopped because its "
    "model is not loaded can never load it, and cannot answer by heuristics meanwhile.",
    incident=5,
)
def ready(context: CheckContext) -> Iterator[Violation]:
    path, health_path = target(context).path, context.contract.health.path
    if path in (context.contract.ready_path, *READY) and path != health_path:
        yield fail(
            f"The health command checks {shown(path)}, which waits for the model; {shown(health_path)} does not.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
            context.in_contract("health.path", health_path),
        )


@check(
    "HEALTH_ADDRESS",
    "The health command checks the container itself, over plain HTTP",
    why="HTTPS ends at the load balancer. A check of another host says nothing about this container.",
)
def address(context: CheckContext) -> Iterator[Violation]:
    url = target(context)
    if url.scheme != "http":
        yield fail(
            f"The health command uses {url.scheme}, but the image serves http; HTTPS ends at the load balancer.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
        )
    if not re.fullmatch(LOOPBACK, url.host):
        yield warn(
            f"The health command checks the host {shown(url.host)} and not the container itself, 127.0.0.1.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
        )


@check(
    "HEALTH_RANGE",
    "The health check's numbers are in ECS's ranges",
    why="ECS accepts interval 5 to 300 s, timeout 2 to 60 s, retries 1 to 10, startPeriod 0 to 300 s, and refuses "
    "others.",
)
def ranges(context: CheckContext) -> Iterator[Violation]:
    numbers = health(context)
    for key, (least, most) in RANGES.items():
        value = numbers.get(key, DEFAULTS[key])
        if not least <= value <= most:
            yield fail(
                f"healthCheck.{key} is {value}, but ECS accepts {least} to {most}.",
                f"Set {key} to {min(max(value, least), most)}.",
                context.in_container(f"healthCheck.{key}", value),
            )


@check(
    "HEALTH_TIMEOUT",
    "The health check's timeout is longer than its command waits",
    why="The image's own command waits some seconds for an answer and then prints what failed. If it is killed before "
    "that, it prints nothing.",
)
def timeout(context: CheckContext) -> Iterator[Violation]:
    given, waits = number(context, "timeout"), context.contract.health.timeout_s
    if health(context).get("command") == context.contract.health.command and given <= waits:
        yield warn(
            f"healthCheck.timeout is {given} s, but the command itself waits {waits:g} s for an answer.",
            f"Set timeout to {int(waits) + 1}.",
            context.in_container("healthCheck.timeout", given),
            context.in_contract("health.timeout_s", waits),
        )


@check(
    "HEALTH_START_PERIOD",
    "A new container can start before failures count",
    why="Failures during startPeriod do not count. The image's start was measured on two free cores and is slower "
    "with less CPU, so startPeriod should be twice the measured time.",
)
def start_period(context: CheckContext) -> Iterator[Violation]:
    given, start = number(context, "startPeriod"), context.contract.seconds.start
    limit = given + number(context, "interval") * number(context, "retries")
    repair = f"Set startPeriod to {min(300, max(60, round(start * 2)))}."
    places = (context.in_container("healthCheck.startPeriod", given), context.in_contract("seconds.start", start))
    if limit < start:
        yield fail(f"ECS stops a container after {limit} s, but the image starts in {start:g} s.", repair, *places)
    elif given < 2 * start:
        sentence = f"healthCheck.startPeriod is {given} s, but the image starts in {start:g} s, measured"
        yield warn(f"{sentence}; it should be twice that.", repair, *places)
