"""The task definition, reduced to what a diagnosis needs; no value that may be secret is kept."""

import re
from collections.abc import Iterable

from pydantic import Field

from deploy.aws.lenient import LenientDict, tail
from deploy.diagnose.facts.fact import Fact
from deploy.redact import HIDDEN, masked, secret_name
from deploy.taskdef.model import serving_container


class Check(Fact):
    """The container's own health check; ECS's defaults where nothing is set."""

    command: tuple[str, ...] = ()
    interval: int = 30
    retries: int = 3
    start_period: int = 0

    @property
    def patience(self) -> int:
        """Seconds after which a container that never answers is unhealthy."""
        return self.start_period + self.interval * self.retries


class TaskDefinition(Fact):
    """What was to run: the container that serves.

    Attributes:
        name: family:revision.
        check: None where the container has none.
        settings: environment; what may be secret is hidden.
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
    check: Check | None = None
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
        """As DescribeTaskDefinition tells it; names and port of the container that serves, where they are known."""
        container = LenientDict(serving_container(raw.plain, names, port))
        options, check = container.inner("logConfiguration").inner("options"), container.inner("healthCheck")
        given = {
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
            ports=tuple(p for one in container.each("portMappings") if (p := one.number("containerPort")) is not None),
            check=Check(
                command=tuple(check.texts("command")),
                **{name: value for name, value in given.items() if value is not None},
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
    """Values in the environment that are nobody's business, wherever they turn up."""
    given = [_variables(one, "environment", "value") for one in raw.each("containerDefinitions")]
    values = [value for one in given for name, value in one if secret_name(name) and not value.startswith("arn:")]
    return {*values, *(part for value in values for part in re.split(r"[,\s]+", value))}


def _variables(container: LenientDict, key: str, value: str) -> list[tuple[str, str]]:
    return [(one.text("name"), one.text(value)) for one in container.each(key) if one.text("name")]
