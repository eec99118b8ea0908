"""Can each port be reached, the image's by the load balancer; do connections end cleanly when the task stops."""

from collections.abc import Iterator
from typing import Any

from deploy.text import shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

DEFAULT_STOP_S, MIN_STOP_S, MAX_STOP_S = 30, 2, 120  # Fargate's
MOST_PORT = 65535
IDLE_S = 60  # an Application Load Balancer's default idle timeout


def mapped_ports(context: CheckContext) -> list[int]:
    """Ports that the serving container maps."""
    ports = [mapping.get("containerPort") for mapping in context.container.get("portMappings", [])]
    return [port for port in ports if port is not None]


@check("PORT_MISSING", needs="contract")
def missing(context: CheckContext) -> Iterator[Violation]:
    if context.serving is None:
        yield fail(
            f"{context.undetermined[0].upper()}{context.undetermined[1:]}.",
            f"Map port {context.port} in the serving container, and in no other.",
            context.in_task("containerDefinitions", len(context.containers)),
            context.in_contract("port", context.contract.port),
        )
    elif not mapped_ports(context):
        proxies = [
            item.name for item in context.each if item.part is not context.serving and item.part.get("portMappings")
        ]
        make, proxy = (warn, f" Is it reached through {words(proxies)} only?") if proxies else (fail, "")
        yield make(
            f"The container maps no port, but the image listens on {context.port}.{proxy}",
            f'Add portMappings: [{{"containerPort": {context.port}, "protocol": "tcp"}}].',
            context.in_container("portMappings", []),
            context.port_source(),
        )


@check("PORT_MISMATCH", needs="contract")
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


def shares_address(context: CheckContext) -> bool:
    """Whether all containers of a task have one address, so that host ports are container ports."""
    return context.fargate or context.task.get("networkMode") in ("awsvpc", "host")


@check("HOST_PORT")
@each_container
def host(context: CheckContext, container: Container) -> Iterator[Violation]:
    if not shares_address(context):
        return
    for index, mapping in enumerate(container.part.get("portMappings", [])):
        port, own = mapping.get("hostPort"), mapping.get("containerPort")
        if port is not None and own is not None and port != own:
            mode = "host" if context.task.get("networkMode") == "host" else "awsvpc"
            yield fail(
                container.says(f"hostPort is {port} and containerPort is {own}; in {mode} mode they must be equal."),
                "Remove hostPort.",
                container.place(f"portMappings[{index}].hostPort", port),
                container.place(f"portMappings[{index}].containerPort", own),
            )


@check("PORT_PROTOCOL")
@each_container
def protocol(context: CheckContext, container: Container) -> Iterator[Violation]:
    serves, earlier = context.is_own(container), []
    for index, mapping in enumerate(container.part.get("portMappings", [])):
        port, stated = mapping.get("containerPort"), mapping.get("protocol", "tcp")
        host_port = None if shares_address(context) else mapping.get("hostPort")
        if serves and port == context.port and stated != "tcp":
            yield fail(
                container.says(f"port {port} is mapped for {shown(stated)}, but the image serves HTTP over tcp."),
                'Set protocol to "tcp".',
                container.place(f"portMappings[{index}].protocol", stated),
            )
        elif port is not None and (port, stated, host_port) in earlier:
            yield fail(
                container.says(f"port {port} is mapped twice."),
                "Keep one of the two mappings.",
                container.place(f"portMappings[{index}].containerPort", port),
            )
        earlier.append((port, stated, host_port))


@check("PORT_SHARED")
def shared(context: CheckContext) -> Iterator[Violation]:
    key = "containerPort" if shares_address(context) else "hostPort"
    earlier: dict[tuple[Any, Any], Container] = {}
    for container in context.each:
        for index, mapping in enumerate(container.part.get("portMappings", [])):
            used = mapping.get(key), mapping.get("protocol", "tcp")
            other = earlier.setdefault(used, container) if used[0] else container
            if other is not container and other.path != container.path:
                yield fail(
                    f"Containers {shown(other.name)} and {shown(container.name)} both take port {used[0]}, but share "
                    f"one {'address' if key == 'containerPort' else 'host'}.",
                    "Give one of them another port.",
                    other.place("portMappings", used[0]),
                    container.place(f"portMappings[{index}].{key}", used[0]),
                )


@check("PORT_RANGE")
@each_container
def port_range(context: CheckContext, container: Container) -> Iterator[Violation]:
    if context.is_own(container):
        return  # its port is compared with the image's
    for index, mapping in enumerate(container.part.get("portMappings", [])):
        for key, least in (("containerPort", 1), ("hostPort", 0)):
            port = mapping.get(key)
            if port is not None and not least <= port <= MOST_PORT:
                yield fail(
                    container.says(f"{key} is {port}; a port is a number from {least} to {MOST_PORT}."),
                    "Set it to the port on which the container listens.",
                    container.place(f"portMappings[{index}].{key}", port),
                )


@check("PORT_VALUE", needs="contract")
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


@check("STOP_TIMEOUT_RANGE", needs="fargate")
@each_container
def in_range(_context: CheckContext, container: Container) -> Iterator[Violation]:
    for key, default in (("stopTimeout", DEFAULT_STOP_S), ("startTimeout", MAX_STOP_S)):
        given = container.part.get(key, default)
        if not MIN_STOP_S <= given <= MAX_STOP_S:
            yield fail(
                container.says(f"{key} is {given} s, but Fargate accepts {MIN_STOP_S} to {MAX_STOP_S}."),
                f"Set {key} to {min(max(given, 60), MAX_STOP_S)}.",
                container.place(key, given),
            )


@check("STOP_TIMEOUT", needs="contract")
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


@check("KEEP_ALIVE", needs="contract")
def keep_alive(context: CheckContext) -> Iterator[Violation]:
    kept = context.contract.seconds.keep_alive
    if kept <= IDLE_S:
        yield warn(
            f"The image keeps idle connections for {kept:g} s, but a load balancer keeps them for {IDLE_S} s by "
            "default.",
            "Lower the load balancer's idle timeout, or use an image that keeps them longer.",
            context.in_contract("seconds.keep_alive", kept),
        )
