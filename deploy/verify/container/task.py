"""What a task definition says of the container that is tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.config.image_contract import Contract
from deploy.taskdef import size
from deploy.taskdef.model import mapped_ports, serving_container

CPU_UNITS = 1024
WAIT_MOST_S = 150.0


@dataclass(frozen=True, slots=True)
class Task:
    """What the task definition says of the container, with ECS's defaults, seconds and MiB."""

    memory_mib: int
    cpus: float
    architecture: str
    port: int | None
    command: list[str]
    timeout: float
    start_period: float
    patience: float
    stop: float
    container: dict[str, Any]


def task(task_definition: dict[str, Any], contract: Contract, names: Sequence[str] = ()) -> Task:
    """Read a task definition.

    Args:
        task_definition: as it would be registered, without values that cannot be read.
        contract: of the image.
        names: of the container that serves, where they are known.
    """
    container = serving_container(task_definition, names, contract.port) or {}
    check = container.get("healthCheck", {})
    start = float(check.get("startPeriod", 0))
    cpu, memory = (size.read(str(task_definition.get(key) or ""), key) for key in ("cpu", "memory"))
    return Task(
        memory_mib=int(container.get("memory") or memory or 2048),
        cpus=int(cpu or container.get("cpu") or CPU_UNITS) / CPU_UNITS,
        architecture=task_definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64"),
        port=next(iter(mapped_ports(container)), None),
        command=list(check.get("command", [])),
        timeout=float(check.get("timeout", 5)),
        start_period=start,
        patience=min(WAIT_MOST_S, start + float(check.get("interval", 30)) * int(check.get("retries", 3))),
        stop=float(container.get("stopTimeout", 30)),
        container=container,
    )
