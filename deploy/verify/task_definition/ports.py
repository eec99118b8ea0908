"""Is the port that is mapped the one on which the image listens."""

from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail
from deploy.text import shown
from deploy.verify.context import CheckContext


def mapped(case: CheckContext) -> list[int]:
    """Container ports of the container that serves."""
    found = [one.get("containerPort") for one in case.container.get("portMappings", [])]
    return [port for port in found if port is not None]


@check(
    "PORT_MISSING",
    "The container maps a port",
    why="The service's load balancer settings name a container and a port that its task definition maps; without one "
    "the service cannot be made.",
)
def missing(case: CheckContext) -> Iterator[Violation]:
    if case.serving is None:
        yield fail(
            f"{case.undetermined[0].upper()}{case.undetermined[1:]}.",
            f"Map port {case.port} in the container that serves, and in no other.",
            case.at("containerDefinitions", len(case.containers)),
            case.asked("port", case.contract.port),
        )
    elif not mapped(case):
        yield fail(
            f"The container maps no port, and the image listens on {case.port}.",
            f'Add portMappings: [{{"containerPort": {case.port}, "protocol": "tcp"}}].',
            case.inside("portMappings", []),
            case.listening(),
        )


@check(
    "PORT_MISMATCH",
    "The container's port is the one on which the image listens",
    why="The load balancer asks the mapped port. Where nobody listens there, every target stays unhealthy, tasks are "
    "replaced without end, and the deployment seems to hang.",
    incident=2,
)
def mismatch(case: CheckContext) -> Iterator[Violation]:
    ports = mapped(case)
    if ports and case.port not in ports:
        named = ", ".join(map(str, ports))
        yield fail(
            f"The image listens on port {case.port}, and the task definition maps {named}: nobody would answer there.",
            f"Set containerPort to {case.port}, and the target group's port with it.",
            case.inside("portMappings[0].containerPort", ports[0]),
            case.listening(),
        )


@check(
    "HOST_PORT",
    "The host port is the container's own",
    why="In awsvpc mode each task has its own address, so a host port must be left out or be the container's.",
)
def host(case: CheckContext) -> Iterator[Violation]:
    for place, one in enumerate(case.container.get("portMappings", [])):
        port, own = one.get("hostPort"), one.get("containerPort")
        if port is not None and own is not None and port != own:
            yield fail(
                f"hostPort is {port} and containerPort is {own}; in awsvpc mode they must be the same.",
                "Take hostPort out.",
                case.inside(f"portMappings[{place}].hostPort", port),
                case.inside(f"portMappings[{place}].containerPort", own),
            )


@check(
    "PORT_PROTOCOL",
    "The port is mapped for TCP",
    why="HTTP goes over TCP; a port that is mapped for UDP alone reaches nobody. Two mappings of one port are refused.",
)
def protocol(case: CheckContext) -> Iterator[Violation]:
    seen: list[int] = []
    for place, one in enumerate(case.container.get("portMappings", [])):
        port, stated = one.get("containerPort"), one.get("protocol", "tcp")
        if port == case.port and stated != "tcp":
            yield fail(
                f"Port {port} is mapped for {shown(stated)}, and the image speaks HTTP over tcp.",
                'Set protocol to "tcp".',
                case.inside(f"portMappings[{place}].protocol", stated),
            )
        elif port in seen:
            yield fail(
                f"Port {port} is mapped twice.",
                "Keep one of the mappings.",
                case.inside(f"portMappings[{place}].containerPort", port),
            )
        seen.append(port)


@check(
    "PORT_VALUE",
    "PORT, where it is set, is a port number",
    why="PORT overrides the port on which the image listens; it refuses to start with anything but 1 to 65535.",
)
def value(case: CheckContext) -> Iterator[Violation]:
    text = case.environment_port
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536):
        yield fail(
            f"PORT is {shown(text)}, and the image takes a number from 1 to 65535; its own is {case.contract.port}.",
            "Take PORT out of environment.",
            case.inside("environment PORT", text),
            case.asked("port", case.contract.port),
        )
