"""Can the container's health check pass: its form, its program, its address, its times."""

import re
from collections.abc import Iterator

from deploy.findings.finding import CheckSkipped
from deploy.taskdef import health_command
from deploy.taskdef.health_command import ABSENT, BUILT_IN, LOOPBACK, PRESENT, Request, form_error, programs
from deploy.taskdef.schema import Part
from deploy.text import shown
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

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
    if form_error(words):
        raise CheckSkipped("not checked, since the health command cannot run as it stands")
    return words


def target(context: CheckContext) -> Request:
    """The address to which the command sends its request; raises CheckSkipped where it names none."""
    address = health_command.request(" ".join(command(context)[1:]), context.environment.get("PORT", ""))
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


@check("HEALTH_MISSING", needs="contract")
def missing(context: CheckContext) -> Iterator[Violation]:
    if context.container.get("healthCheck") is None:
        yield warn(
            f"The container has no healthCheck; the image's contract has one for {context.contract.health.path}.",
            own_command(context),
            context.in_container("healthCheck", None),
            context.in_contract("health.command", context.contract.health.command),
        )


@check("HEALTH_COMMAND")
@each_container
def form(context: CheckContext, container: Container) -> Iterator[Violation]:
    if (health_check := container.part.get("healthCheck")) is None:
        return
    words = health_check.get("command", [])
    if (reason := form_error(words, windows=context.windows)) is not None:
        yield fail(
            container.says(f"the health command {reason}."),
            own_command(context)
            if context.is_own(container)
            else "Write CMD and one word each, or CMD-SHELL and a line.",
            container.place("healthCheck.command", words),
        )


@check("HEALTH_ALWAYS_PASSES")
@each_container
def always_passes(context: CheckContext, container: Container) -> Iterator[Violation]:
    words = container.part.get("healthCheck", {}).get("command", [])
    if not form_error(words, windows=context.windows) and health_command.always_passes(words):
        yield warn(
            container.says(
                f"the health command {shown(words[-1])} passes whatever the container does, so it says nothing."
            ),
            own_command(context) if context.is_own(container) else "Let it fail where the service does not answer.",
            container.place("healthCheck.command", words),
        )


@check("HEALTH_EXECUTABLE", needs="contract")
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


@check("HEALTH_PORT", needs="contract")
def port(context: CheckContext) -> Iterator[Violation]:
    address = target(context)
    if address.port != context.port:
        yield fail(
            f"The health command checks port {address.port}, but the image listens on port {context.port}.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
            context.port_source(),
        )


@check("HEALTH_PATH", needs="contract")
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


@check("HEALTH_WAITS_FOR_MODEL", needs="contract")
def ready(context: CheckContext) -> Iterator[Violation]:
    path, health_path = target(context).path, context.contract.health.path
    if path in (context.contract.ready_path, *READY) and path != health_path:
        yield fail(
            f"The health command checks {shown(path)}, which waits for the model; {shown(health_path)} does not.",
            own_command(context),
            context.in_container("healthCheck.command", command(context)),
            context.in_contract("health.path", health_path),
        )


@check("HEALTH_ADDRESS", needs="contract")
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


@check("HEALTH_RANGE")
@each_container
def ranges(_context: CheckContext, container: Container) -> Iterator[Violation]:
    if (numbers := container.part.get("healthCheck")) is None:
        return
    for key, (least, most) in RANGES.items():
        value = numbers.get(key, DEFAULTS[key])
        if not least <= value <= most:
            yield fail(
                container.says(f"healthCheck.{key} is {value}, but ECS accepts {least} to {most}."),
                f"Set {key} to {min(max(value, least), most)}.",
                container.place(f"healthCheck.{key}", value),
            )


@check("HEALTH_INTERVAL")
@each_container
def interval(_context: CheckContext, container: Container) -> Iterator[Violation]:
    numbers = container.part.get("healthCheck", {})
    interval, timeout = (numbers.get(key, DEFAULTS[key]) for key in ("interval", "timeout"))
    ranges = all(least <= numbers.get(key, DEFAULTS[key]) <= most for key, (least, most) in RANGES.items())
    if ranges and timeout > interval:
        yield warn(
            container.says(
                f"healthCheck.timeout is {timeout} s, but a check begins every {interval} s: a hanging check delays "
                "the next ones, and a dead container is found late."
            ),
            f"Set timeout to {interval} or less.",
            container.place("healthCheck.timeout", timeout),
            container.place("healthCheck.interval", interval),
        )


@check("HEALTH_TIMEOUT", needs="contract")
def timeout(context: CheckContext) -> Iterator[Violation]:
    given, waits = number(context, "timeout"), context.contract.health.timeout_s
    if health(context).get("command") == context.contract.health.command and given <= waits:
        yield warn(
            f"healthCheck.timeout is {given} s, but the command itself waits {waits:g} s for an answer.",
            f"Set timeout to {int(waits) + 1}.",
            context.in_container("healthCheck.timeout", given),
            context.in_contract("health.timeout_s", waits),
        )


@check("HEALTH_START_PERIOD", needs="contract")
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
