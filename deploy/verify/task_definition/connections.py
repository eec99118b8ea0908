"""Can the load balancer reach the image's port, and do connections end cleanly when the task stops."""

from collections.abc import Iterator

from deploy.text import shown
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

DEFAULT_STOP_S, MIN_STOP_S, MAX_STOP_S = 30, 2, 120  # Fargate's
IDLE_S = 60  # an Application Load Balancer's default idle timeout


def mapped_ports(context: CheckContext) -> list[int]:
    """Ports that the serving container maps."""
    ports = [mapping.get("containerPort") for mapping in context.container.get("portMappings", [])]
    return [port for port in ports if port is not None]


@check("PORT_MISSING")
def missing(context: CheckContext) -> Iterator[Violation]:
    if context.serving is None:
        yield fail(
            f"{context.undetermined[0].upper()}{context.undetermined[1:]}.",
            f"Map port {context.port} in the serving container, and in no other.",
            context.in_task("containerDefinitions", len(context.containers)),
            context.in_contract("port", context.contract.port),
        )
    elif not mapped_ports(context):
        yield fail(
            f"The container maps no port, but the image listens on {context.port}.",
            f'Add portMappings: [{{"containerPort": {context.port}, "protocol": "tcp"}}].',
            context.in_container("portMappings", []),
            context.port_source(),
        )


@check("PORT_MISMATCH")
def mismatch(context: CheckContext) -> Iterator[Violation]:
    ports = mapped_ports(context)
    if ports and context.port not in ports:
        mapped = ", ".join(map(str, ports))
        yield fail(
            f"The image listens on port {context.port}, but the task definition maps {mapped}: nothing listens there.",
            f"Set containerPort to {context.port}, and the target group's port with it.",
            context.in_container("portMappings[0].containerPort", ports[0]),
            context.port_source(),
        )


@check("HOST_PORT")
def host(context: CheckContext) -> Iterator[Violation]:
    for index, mapping in enumerate(context.container.get("portMappings", [])):
        port, own = mapping.get("hostPort"), mapping.get("containerPort")
        if port is not None and own is not None and port != own:
            yield fail(
                f"hostPort is {port} and containerPort is {own}; in awsvpc mode they must be equal.",
                "Remove hostPort.",
                context.in_container(f"portMappings[{index}].hostPort", port),
                context.in_container(f"portMappings[{index}].containerPort", own),
            )


@check("PORT_PROTOCOL")
def protocol(context: CheckContext) -> Iterator[Violation]:
    earlier: list[int] = []
    for index, mapping in enumerate(context.container.get("portMappings", [])):
        port, stated = mapping.get("containerPort"), mapping.get("protocol", "tcp")
        if port == context.port and stated != "tcp":
            yield fail(
                f"Port {port} is mapped for {shown(stated)}, but the image serves HTTP over tcp.",
                'Set protocol to "tcp".',
                context.in_container(f"portMappings[{index}].protocol", stated),
            )
        elif port in earlier:
            yield fail(
                f"Port {port} is mapped twice.",
                "Keep one of the two mappings.",
                context.in_container(f"portMappings[{index}].containerPort", port),
            )
        earlier.append(port)


@check("PORT_VALUE")
def value(context: CheckContext) -> Iterator[Violation]:
    text = context.environment_port
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536):
        yield fail(
            f"PORT is {shown(text)}, but it must be a number from 1 to 65535; the image's default is "
            f"{context.contract.port}.",
            "Remove PORT from environment.",
            context.in_container("environment PORT", text),
            context.in_contract("port", context.contract.port),
        )


def stop_timeout_s(context: CheckContext) -> int:
    """Seconds from SIGTERM to SIGKILL."""
    value: int = context.container.get("stopTimeout", DEFAULT_STOP_S)
    return value


@check("STOP_TIMEOUT_RANGE")
def in_range(context: CheckContext) -> Iterator[Violation]:
    given = stop_timeout_s(context)
    if not MIN_STOP_S <= given <= MAX_STOP_S:
        yield fail(
            f"stopTimeout is {given} s, but Fargate accepts {MIN_STOP_S} to {MAX_STOP_S}.",
            "Set stopTimeout to 60.",
            context.in_container("stopTimeout", given),
        )


@check("STOP_TIMEOUT")
def long_enough(context: CheckContext) -> Iterator[Violation]:
    given, seconds = stop_timeout_s(context), context.contract.seconds
    text = context.environment.get("SHINE_REQUEST_DEADLINE_MS", "")
    deadline = int(text) / 1000 if text.isascii() and text.isdecimal() and len(text) < 10 else seconds.slowest_request
    needed, where = max((seconds.stop, "seconds.stop"), (deadline, "seconds.slowest_request"))
    if MIN_STOP_S <= given <= MAX_STOP_S and given <= needed:
        what = "the image needs up to" if where == "seconds.stop" else "a request may take"
        yield fail(
            f"stopTimeout is {given} s, but {what} {needed:g} s: answers would be lost.",
            f"Set stopTimeout to {min(MAX_STOP_S, max(60, int(needed) + 5))}.",
            context.in_container("stopTimeout", given),
            context.in_contract(where, needed),
        )


@check("KEEP_ALIVE")
def keep_alive(context: CheckContext) -> Iterator[Violation]:
    kept = context.contract.seconds.keep_alive
    if kept <= IDLE_S:
        yield warn(
            f"The image keeps idle connections for {kept:g} s, but a load balancer keeps them for {IDLE_S} s by "
            "default.",
            "Lower the load balancer's idle timeout, or use an image that keeps them longer.",
            context.in_contract("seconds.keep_alive", kept),
        )
