"""Tasks and their containers, running and stopped."""

import re
from datetime import datetime

from deploy.aws.lenient import LenientDict, tail
from deploy.diagnose.facts.fact import Fact

# Stopped by others, or by AWS for its own reasons; nothing is wrong with what ran.
TAKEN = frozenset({"UserInitiated", "SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
TAKEN_WORDS = re.compile(
    r"^Scaling activity initiated by|^Task stopped by (?:user|\(deployment )|performing maintenance on the underlying|"
    r"Spot Task was interrupted|^Host EC2|deregistration forced by user"
)
OUT_OF_MEMORY = "OutOfMemory"


class Container(Fact):
    """One of a task."""

    name: str = ""
    exit_code: int | None = None
    reason: str = ""
    health: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Container":
        """Of a task."""
        return cls(
            name=raw.text("name"),
            exit_code=raw.number("exitCode"),
            reason=raw.text("reason"),
            health=raw.text("healthStatus"),
        )


class Task(Fact):
    """One, running or stopped.

    Attributes:
        id: the last part of its ARN.
        started_by: the deployment's id.
        started, stopping, stopped: of the containers; started is None where none ever ran.
        address: private, by which the target group knows it.
    """

    id: str = ""
    task_definition: str = ""
    started_by: str = ""
    status: str = ""
    stop_code: str = ""
    stopped_reason: str = ""
    created: datetime | None = None
    started: datetime | None = None
    stopping: datetime | None = None
    stopped: datetime | None = None
    health: str = ""
    address: str = ""
    containers: tuple[Container, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict) -> "Task":
        """As DescribeTasks tells it."""
        containers = raw.each("containers")
        addresses = [face.text("privateIpv4Address") for one in containers for face in one.each("networkInterfaces")]
        details = [one for link in raw.each("attachments") for one in link.each("details")]
        addresses += [one.text("value") for one in details if one.text("name").lower() == "privateipv4address"]
        return cls(
            id=tail(raw.text("taskArn")),
            task_definition=raw.text("taskDefinitionArn"),
            started_by=raw.text("startedBy"),
            status=raw.text("lastStatus"),
            stop_code=raw.text("stopCode"),
            stopped_reason=raw.text("stoppedReason"),
            created=raw.time("createdAt"),
            started=raw.time("startedAt"),
            stopping=raw.time("stoppingAt"),
            stopped=raw.time("stoppedAt") or raw.time("executionStoppedAt"),
            health=raw.text("healthStatus"),
            address=next(filter(None, addresses), ""),
            containers=tuple(map(Container.of, containers)),
        )

    @property
    def ended(self) -> datetime | None:
        """When it began to stop, or stopped, as far as is known."""
        return self.stopping or self.stopped

    @property
    def age(self) -> float | None:
        """Seconds from its start until it began to stop."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    @property
    def exit_code(self) -> int | None:
        """Of the container that failed first of all: the first that is not 0, else 0 where any ended."""
        codes = [one.exit_code for one in self.containers if one.exit_code is not None]
        return next((one for one in codes if one), codes[0] if codes else None)

    @property
    def reasons(self) -> list[str]:
        """Why it stopped, in ECS's words: the containers' own first, which tell more."""
        told = [one.reason for one in self.containers if one.reason]
        return list(dict.fromkeys(told + ([self.stopped_reason] if self.stopped_reason else [])))

    @property
    def taken(self) -> bool:
        """Whether it was stopped by no fault of its own."""
        if any(OUT_OF_MEMORY in one for one in self.reasons):
            return False
        return self.stop_code in TAKEN or TAKEN_WORDS.search(self.stopped_reason) is not None

    @property
    def unhealthy(self) -> bool:
        """By the container's own check."""
        return "UNHEALTHY" in {self.health, *(one.health for one in self.containers)}
