"""Tasks of a service and their containers, running and stopped, as ECS describes them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from deploy.aws.clients import Clients
from deploy.config.plan import Plan
from deploy.lenient import Fact, LenientDict, tail
from deploy.taskdef.model import container_of_task, wired_names

DESCRIBED_MOST = 100  # tasks that DescribeTasks takes at a time
BY_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
# Stopped by a person, by autoscaling or by AWS for its own reasons; nothing is wrong with what ran.
STOPPED_BY_OTHERS = frozenset({"UserInitiated", "SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
STOPPED_BY_OTHERS_REASON = re.compile(
    r"^Scaling activity initiated by|^Task stopped by (?:user|\(deployment )|performing maintenance on the underlying|"
    r"Spot Task was interrupted|^Host EC2|deregistration forced by user"
)
OUT_OF_MEMORY = "OutOfMemory"


class Container(Fact):
    """A container of a task."""

    name: str = ""
    exit_code: int | None = None
    reason: str = ""
    health: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Container":
        """The container that DescribeTasks describes."""
        return cls(
            name=raw.text("name"),
            exit_code=raw.number("exitCode"),
            reason=raw.text("reason"),
            health=raw.text("healthStatus"),
        )


class Task(Fact):
    """A task, running or stopped.

    Attributes:
        id: the last part of its ARN.
        started_by: the deployment's id.
        started, stopping, stopped: times of the containers; started is None where none ever ran.
        address: private, by which the target group knows it; empty where it has none.
        digest: of the image that the serving container runs; None where neither ECS nor the image names it.
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
    digest: str | None = None
    containers: tuple[Container, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict, names: Sequence[str] = ()) -> "Task":
        """The task that DescribeTasks describes; names of the container that serves, where they are known."""
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
            health=raw.text("healthStatus") or "UNKNOWN",
            address=next(iter(addresses(raw.plain)), ""),
            digest=digest_of(raw.plain, names),
            containers=tuple(map(Container.of, raw.each("containers"))),
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
        """The first exit code of its containers that is not 0, else 0 where any container ended."""
        codes = [container.exit_code for container in self.containers if container.exit_code is not None]
        return next((code for code in codes if code), codes[0] if codes else None)

    @property
    def reasons(self) -> list[str]:
        """Why it stopped, in ECS's words; those of the containers first, which say more."""
        reasons = [*(container.reason for container in self.containers), self.stopped_reason]
        return list(dict.fromkeys(reason for reason in reasons if reason))

    @property
    def stopped_by_others(self) -> bool:
        """Whether it was stopped by no fault of its own."""
        if any(OUT_OF_MEMORY in reason for reason in self.reasons):
            return False
        return self.stop_code in STOPPED_BY_OTHERS or STOPPED_BY_OTHERS_REASON.search(self.stopped_reason) is not None

    @property
    def unhealthy(self) -> bool:
        """Whether a container's own health check fails."""
        return "UNHEALTHY" in {self.health, *(container.health for container in self.containers)}


def describe_tasks(clients: Clients, plan: Plan, status: str = "RUNNING") -> list[dict[str, Any]]:
    """Tasks of all deployments of the service whose desired status is RUNNING, or STOPPED, as boto3 returns them."""
    ecs = clients["ecs"]
    pages = ecs.get_paginator("list_tasks").paginate(
        cluster=plan.cluster, serviceName=plan.service, desiredStatus=status
    )
    arns = [arn for page in pages for arn in page.get("taskArns", [])]
    tasks: list[dict[str, Any]] = []
    for first in range(0, len(arns), DESCRIBED_MOST):
        chunk = arns[first : first + DESCRIBED_MOST]
        tasks += ecs.describe_tasks(cluster=plan.cluster, tasks=chunk).get("tasks", [])
    # An emulator may list the tasks of all services, and with any status.
    groups = (None, "", f"service:{plan.service}")
    return [task for task in tasks if task.get("group") in groups and task.get("desiredStatus", status) == status]


def serving_names(service: dict[str, Any] | None, plan: Plan) -> list[str]:
    """Names of the container that serves: those that the service's load balancer names, else the rollout's own."""
    return wired_names(service, plan.load_balancer.target_group) or [plan.service]


def digest_of(task: dict[str, Any], names: Sequence[str]) -> str | None:
    """Digest of the image that the serving container of a task runs; None where neither ECS nor the image names it.

    Args:
        task: as DescribeTasks has it.
        names: of the container that serves; see `serving_names`.
    """
    container = LenientDict(container_of_task(task, names))
    return container.text("imageDigest") or named_digest(container.text("image"))


def named_digest(image: Any) -> str | None:
    """Digest in an image's reference; None where it names a tag."""
    match = BY_DIGEST.search(image) if isinstance(image, str) else None
    return match[1] if match else None


def addresses(task: Any) -> list[str]:
    """Private addresses of a task, IPv4 before IPv6; in awsvpc mode networkBindings are empty."""
    raw = LenientDict(task)
    interfaces = [inner for container in raw.each("containers") for inner in container.each("networkInterfaces")]
    texts = [inner.text(key) for inner in interfaces for key in ("privateIpv4Address", "ipv6Address")]
    details = [detail for attachment in raw.each("attachments") for detail in attachment.each("details")]
    names = ("privateipv4address", "privateipv6address")
    texts += [detail.text("value") for detail in details if detail.text("name").lower() in names]
    return sorted(dict.fromkeys(text for text in texts if text), key=lambda text: ":" in text)
