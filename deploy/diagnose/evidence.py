"""Everything that bears on what is failing now, as plain data that can be saved and sent to a colleague."""

from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from deploy.aws.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.aws.service import Alarm, Deployment, Event, Service, ServiceDeployment
from deploy.aws.task import Task
from deploy.config import files as reading
from deploy.lenient import Fact
from deploy.record.trail import Outcome
from deploy.taskdef.model import TaskDefinition

MAX_BYTES = 1 << 23  # of a file of evidence
MISSING = "MISSING"  # status of what AWS says does not exist


class EvidenceError(Exception):
    """A file of evidence cannot be read or written; the message is one sentence."""


class Recorded(Fact):
    """The attempt that failed last, as the trail record has it.

    Attributes:
        id: of the attempt.
        title: of its cause, in a few words.
        gate: the cause is a gate that failed, and none of the table.
        base_url: where its gates asked the service; None: at the plan's domain.
    """

    id: str = ""
    phase: str = ""
    outcome: Outcome = "running"
    cause: str = ""
    title: str = ""
    gate: bool = False
    sentence: str = ""
    evidence: tuple[str, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    deployment: str = ""
    base_url: str | None = None


class Evidence(Fact):
    """What AWS says about one service.

    Attributes:
        at: when it was gathered, UTC.
        region, cluster, name: of the service.
        cluster_status: in ECS's words; MISSING; or None where it could not be read.
        service: its status is MISSING where there is none; None where it could not be read.
        deployment: id of the one that is diagnosed: the one that was asked for, the last that failed, or the newest.
        deployments: of the service, the newest first.
        service_deployments: the newest first; empty where the endpoint does not know them.
        events: of the service, the newest first.
        definition: of the deployment that is diagnosed.
        stopped, running: its tasks, the newest first; what is pending counts as running.
        logs: task → its last lines, and warnings before them, the oldest first.
        targets, target_group: as the load balancer sees the tasks; None where it could not be read.
        target_group_status: MISSING where there is none.
        balancer_groups, security_groups: of the load balancer (by id) and of the tasks.
        subnets: of the tasks; read only where a task could not start.
        alarms: those of the plan.
        recorded: what the trail record knows of a failure, where it was read; `gather` reads AWS alone.
        unseen: what could not be read, and why.
    """

    at: datetime | None = None
    region: str = ""
    cluster: str = ""
    name: str = ""
    cluster_status: str | None = None
    service: Service | None = None
    deployment: str = ""
    deployments: tuple[Deployment, ...] = ()
    service_deployments: tuple[ServiceDeployment, ...] = ()
    events: tuple[Event, ...] = ()
    definition: TaskDefinition | None = None
    stopped: tuple[Task, ...] = ()
    running: tuple[Task, ...] = ()
    logs: dict[str, tuple[Event, ...]] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    target_group: TargetGroup | None = None
    target_group_status: str = ""
    balancer_groups: tuple[str, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    recorded: Recorded | None = None
    unseen: tuple[str, ...] = ()

    @property
    def failed(self) -> list[Task]:
        """Tasks that stopped by a fault of their own, the newest first."""
        return [task for task in self.stopped if not task.stopped_by_others]

    @property
    def subject(self) -> Deployment | None:
        """The deployment that is diagnosed, where the service still lists it."""
        return next((deployment for deployment in self.deployments if deployment.id == self.deployment), None)


def read(path: Path) -> Evidence:
    """Read a file that `save` wrote.

    Raises:
        EvidenceError: it is missing, too large, or no evidence.
    """
    try:
        return Evidence.model_validate_json(reading.content(path, MAX_BYTES, "evidence, such as --save writes"))
    except reading.Unreadable as error:
        raise EvidenceError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EvidenceError(f"{path} is no evidence such as --save writes: {place}: {first['msg']}.") from None


def save(evidence: Evidence, path: Path) -> None:
    """Write a file, for a colleague without access.

    Raises:
        EvidenceError: it cannot be written.
    """
    try:
        path.write_text(evidence.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}.") from None
