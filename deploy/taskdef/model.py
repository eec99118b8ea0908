"""Which container of a task serves requests, by one rule for all; and the summary of a task definition.

Task definitions come from files, from AWS and from emulators, so any value may be of any type. Nothing here raises, and
a value of a wrong type counts as missing.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from deploy.lenient import Fact, LenientDict, as_number, tail
from deploy.redact import HIDDEN, masked, secret_name
from deploy.text import printable, words

# Sidecars, by the last parts of the image's repository and by the name of the container.
# AWS adds the agents of Service Connect and of GuardDuty to a running task by itself.
SIDECAR_IMAGE = re.compile(
    r"(?:^|/)(?:aws-for-fluent-bit|fluent-?bit|fluentd|(?:aws-appmesh-)?envoy|(?:aws-)?ecs-service-connect-agent|"
    r"(?:aws-)?xray-daemon|(?:amazon-)?cloudwatch-agent|(?:datadog|datadoghq)/agent|datadog-agent|"
    r"aws-otel-collector|opentelemetry-collector(?:-contrib)?|otel-collector|adot-collector|"
    r"aws-guardduty-agent(?:-fargate)?)$"
)
SIDECAR_NAME = re.compile(
    r"log[-_]?router|firelens|(?:aws-for-)?fluent-?bit|fluentd|envoy|ecs-service-connect-.+|"
    r"(?:aws-)?xray(?:-daemon)?|(?:aws-|amazon-)?cloudwatch-agent|datadog(?:-agent)?|"
    r"(?:aws-)?otel-collector|adot(?:-collector)?|aws-guardduty-agent.*"
)


def serving_container(
    task_definition: Any, names: Iterable[Any] = (), port: int | None = None
) -> dict[str, Any] | None:
    """The container that serves requests; None where none can be chosen.

    It is the one that the load balancer names; else the one that maps the image's port; else the only essential one
    that maps a port, or the only one at all. Sidecars are never chosen.

    Args:
        task_definition: as a file or DescribeTaskDefinition has it.
        names: of containers, as the load balancer names them, the preferred first; empty where it is not known.
        port: on which the image listens; None where it is not known.
    """
    return _choose(candidates(task_definition), names, port)


def container_of_task(task: Any, names: Iterable[Any] = ()) -> dict[str, Any] | None:
    """The container of a task that serves; None where none can be chosen.

    Args:
        task: as DescribeTasks has it; its containers have names and images, but neither ports nor `essential`.
        names: that the container may have, the preferred first.
    """
    containers = [container for container in _objects(task, "containers") if not _is_sidecar(container, None)]
    return _choose(containers, names, None)


def candidates(task_definition: Any) -> list[dict[str, Any]]:
    """Containers of a task definition that may serve: all but sidecars."""
    proxy = _value(_value(task_definition, "proxyConfiguration"), "containerName")
    containers = _objects(task_definition, "containerDefinitions")
    return [container for container in containers if not _is_sidecar(container, proxy)]


def wired_names(service: Any, target_group: str | None = None) -> list[str]:
    """Names of the containers to which load balancers send.

    Args:
        service: as DescribeServices has it, or as UpdateService takes it.
        target_group: ARN; where the service has it, only its containers count.
    """
    wirings = _objects(service, "loadBalancers")
    of_group = [item for item in wirings if target_group is not None and _value(item, "targetGroupArn") == target_group]
    names = [_value(wiring, "containerName") for wiring in of_group or wirings]
    return [name for name in names if isinstance(name, str)]


def mapped_ports(container: Any) -> list[int]:
    """Container ports that a container maps."""
    numbers = [as_number(_value(mapping, "containerPort")) for mapping in _objects(container, "portMappings")]
    return [number for number in numbers if number is not None]


def not_determined(task_definition: Any, names: Iterable[Any] = (), port: int | None = None) -> str:
    """Why no container can be chosen: a sentence without a full stop; arguments as of `serving_container`."""
    wired = [name for name in names if isinstance(name, str)]
    reasons = [f"none has the name {words(wired)} that the load balancer sends to"] if wired else []
    reasons += [f"none maps port {port}"] if port is not None else []
    reasons += ["there is no single essential container with a port"]
    all_names = [_value(container, "name") for container in _objects(task_definition, "containerDefinitions")]
    listed = words(name if isinstance(name, str) else "(without a name)" for name in all_names)
    return printable(
        f"it cannot be determined which container serves. Of the containers ({listed}), {', and '.join(reasons)}; "
        "log routers, proxies and agents do not count",
        500,
    )


def repository(image: Any) -> str:
    """Last part of the name of an image's repository; empty where the image cannot be read."""
    return _without_tag(image).rpartition("/")[2]


class HealthCheck(Fact):
    """The container's own health check, with ECS's defaults."""

    command: tuple[str, ...] = ()
    interval: int = 30
    retries: int = 3
    start_period: int = 0

    @property
    def patience(self) -> int:
        """Seconds after which a container that never answers is unhealthy."""
        return self.start_period + self.interval * self.retries


class TaskDefinition(Fact):
    """A task definition and its serving container, with no value that may be secret.

    Attributes:
        name: family:revision.
        check: None where the container has none.
        settings: its environment; values that may be secret are hidden.
        secrets: setting → where its value lies.
    """

    name: str = ""
    status: str = ""
    cpu: int | None = None
    memory: int | None = None
    architecture: str = ""
    container: str = ""
    image: str = ""
    ports: tuple[int, ...] = ()
    check: HealthCheck | None = None
    stop_timeout: int = 30
    log_group: str = ""
    log_prefix: str = ""
    read_only: bool = False
    settings: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    execution_role: str = ""
    task_role: str = ""

    @classmethod
    def of(cls, raw: LenientDict, names: Iterable[str] = (), port: int | None = None) -> "TaskDefinition":
        """The one that DescribeTaskDefinition describes; arguments as of `serving_container`."""
        container = LenientDict(serving_container(raw.plain, names, port))
        options, check = container.inner("logConfiguration").inner("options"), container.inner("healthCheck")
        numbers = {
            "interval": check.number("interval"),
            "retries": check.number("retries"),
            "start_period": check.number("startPeriod"),
        }
        limit = container.number("memory") or raw.number("memory")
        return cls(
            name=tail(raw.text("taskDefinitionArn")),
            status=raw.text("status"),
            cpu=raw.number("cpu"),
            memory=limit,
            architecture=raw.inner("runtimePlatform").text("cpuArchitecture"),
            container=container.text("name"),
            image=container.text("image"),
            ports=tuple(mapped_ports(container.plain)),
            check=HealthCheck(
                command=tuple(check.texts("command")),
                **{name: value for name, value in numbers.items() if value is not None},
            )
            if check.texts("command")
            else None,
            stop_timeout=container.number("stopTimeout") or 30,
            log_group=options.text("awslogs-group"),
            log_prefix=options.text("awslogs-stream-prefix"),
            read_only=container.flag("readonlyRootFilesystem"),
            settings={
                name: HIDDEN if secret_name(name) else masked(value)
                for name, value in _variables(container, "environment", "value")
            },
            secrets=dict(_variables(container, "secrets", "valueFrom")),
            execution_role=raw.text("executionRoleArn"),
            task_role=raw.text("taskRoleArn"),
        )


def secret_values(raw: LenientDict) -> set[str]:
    """Secret values in the environment of any container, to be hidden wherever they occur."""
    variables = [
        pair for container in raw.each("containerDefinitions") for pair in _variables(container, "environment", "value")
    ]
    values = [value for name, value in variables if secret_name(name) and not value.startswith("arn:")]
    return {*values, *(part for value in values for part in re.split(r"[,\s]+", value))}


def _variables(container: LenientDict, key: str, value: str) -> list[tuple[str, str]]:
    return [(entry.text("name"), entry.text(value)) for entry in container.each(key) if entry.text("name")]


def _choose(containers: list[dict[str, Any]], names: Iterable[Any], port: int | None) -> dict[str, Any] | None:
    named = [
        container
        for name in names
        if isinstance(name, str)
        for container in containers
        if _value(container, "name") == name
    ]
    fitting = [item for item in named or containers if port is not None and port in mapped_ports(item)]
    if named:
        return (fitting or named)[0]
    if fitting:
        return next((item for item in fitting if _is_essential(item)), fitting[0])
    likely = [container for container in containers if mapped_ports(container)] or containers
    essential = [item for item in likely if _is_essential(item)]
    return next((some[0] for some in (essential, likely) if len(some) == 1), None)


def _is_sidecar(container: dict[str, Any], proxy: Any) -> bool:
    """Whether it is a log router, a proxy or an agent.

    Args:
        container: of a task definition or of a task.
        proxy: name of the container that is the task's proxy; None where it has none.
    """
    name, image = _value(container, "name"), _value(container, "image")
    return (
        isinstance(_value(container, "firelensConfiguration"), dict)
        or (isinstance(name, str) and (name == proxy or SIDECAR_NAME.fullmatch(name.lower()) is not None))
        or SIDECAR_IMAGE.search(_without_tag(image)) is not None
    )


def _without_tag(image: Any) -> str:
    return re.sub(r"(?::[^/:]*)?(?:@.*)?$", "", image.lower()) if isinstance(image, str) else ""


def _is_essential(container: dict[str, Any]) -> bool:
    return _value(container, "essential") not in (False, "false")


def _objects(container: Any, key: str) -> list[dict[str, Any]]:
    value = _value(container, key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def _value(container: Any, key: str) -> Any:
    """The value under a key; `dict.get` itself, since the `get` of a Part raises where a value is invalid."""
    return dict.get(container, key) if isinstance(container, dict) else None
