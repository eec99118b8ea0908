"""The service as ECS and the load balancer tell of it at one moment, in the few words that a rollout needs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.aws import Clients
from deploy.plan import Plan

CHUNK = 100  # tasks that describe_tasks takes


@dataclass(frozen=True, slots=True)
class Deployment:
    """One of the service.

    Attributes:
        id: ecs-svc/….
        status: PRIMARY is what the service wants, ACTIVE what is on its way out.
        rollout: IN_PROGRESS, COMPLETED or FAILED.
        reason: ECS's words for it.
        task_definition: ARN.
        desired, running, pending, failed: tasks.
        created: UTC.
    """

    id: str
    status: str
    rollout: str
    reason: str
    task_definition: str
    desired: int
    running: int
    pending: int
    failed: int
    created: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """One task; `address` as in awsvpc mode, where networkBindings stay empty."""

    id: str
    status: str
    health: str
    deployment: str
    digest: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the target group."""

    address: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """What ECS says of the service, in its own words."""

    id: str
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it at one moment; `service` is AWS's answer, None where there is no service."""

    at: datetime
    service: dict[str, Any] | None = None
    deployments: list[Deployment] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def deployment(self, name: str) -> Deployment | None:
        """One by its id."""
        return next((one for one in self.deployments if one.id == name), None)

    @property
    def primary(self) -> Deployment | None:
        """The one that the service wants."""
        return next((one for one in self.deployments if one.status == "PRIMARY"), None)

    @property
    def moving(self) -> Deployment | None:
        """One that has not ended yet."""
        return next((one for one in self.deployments if one.rollout == "IN_PROGRESS"), None)


def service(clients: Clients, plan: Plan) -> dict[str, Any] | None:
    """AWS's answer; None where the service is not there, or is gone."""
    found = clients["ecs"].describe_services(cluster=plan.cluster, services=[plan.service])["services"]
    return found[0] if found and found[0].get("status") != "INACTIVE" else None


def picture(clients: Clients, plan: Plan) -> Picture:
    """Ask for all of it."""
    now = datetime.now(UTC)
    found = service(clients, plan)
    if found is None:
        return Picture(now)
    return Picture(now, found, deployments(found), tasks(clients, plan), targets(clients, plan), events(found))


def deployments(found: dict[str, Any]) -> list[Deployment]:
    """Of AWS's answer, the newest first."""
    made = [
        Deployment(
            id=str(one["id"]),
            status=str(one.get("status", "")),
            rollout=str(one.get("rolloutState", "COMPLETED")),
            reason=str(one.get("rolloutStateReason", "")),
            task_definition=str(one.get("taskDefinition", "")),
            desired=int(one.get("desiredCount", 0)),
            running=int(one.get("runningCount", 0)),
            pending=int(one.get("pendingCount", 0)),
            failed=int(one.get("failedTasks", 0)),
            created=one.get("createdAt", datetime.now(UTC)),
        )
        for one in found.get("deployments", [])
    ]
    return sorted(made, key=lambda one: one.created, reverse=True)


def tasks(clients: Clients, plan: Plan) -> list[Task]:
    """Those that run or are about to."""
    ecs = clients["ecs"]
    pages = ecs.get_paginator("list_tasks").paginate(cluster=plan.cluster, serviceName=plan.service)
    arns = [arn for page in pages for arn in page.get("taskArns", [])]
    found = []
    for first in range(0, len(arns), CHUNK):
        found += ecs.describe_tasks(cluster=plan.cluster, tasks=arns[first : first + CHUNK]).get("tasks", [])
    return [task(one) for one in found]


def task(found: dict[str, Any]) -> Task:
    """Of AWS's answer."""
    containers = found.get("containers", [])
    image = str(containers[0].get("image", "")) if containers else ""
    digest = containers[0].get("imageDigest") if containers else None
    return Task(
        id=str(found.get("taskArn", "")).rsplit("/", 1)[-1],
        status=str(found.get("lastStatus", "")),
        health=str(found.get("healthStatus", "UNKNOWN")),
        deployment=str(found.get("startedBy", "")),
        digest=digest or (image.partition("@")[2] or None),
        address=address(found),
    )


def address(found: dict[str, Any]) -> str | None:
    """The task's own, by its network interface."""
    for container in found.get("containers", []):
        for interface in container.get("networkInterfaces", []):
            if interface.get("privateIpv4Address"):
                return str(interface["privateIpv4Address"])
    for attachment in found.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail.get("name") == "privateIPv4Address":
                return str(detail.get("value"))
    return None


def targets(clients: Clients, plan: Plan) -> list[Target]:
    """Of the plan's target group."""
    answer = clients["elbv2"].describe_target_health(TargetGroupArn=plan.load_balancer.target_group)
    return [
        Target(
            address=str(one["Target"]["Id"]),
            state=str(one.get("TargetHealth", {}).get("State", "")),
            reason=str(one.get("TargetHealth", {}).get("Description") or one.get("TargetHealth", {}).get("Reason", "")),
        )
        for one in answer.get("TargetHealthDescriptions", [])
    ]


def events(found: dict[str, Any]) -> list[Event]:
    """Oldest first."""
    told = [
        Event(str(one.get("id", "")), one["createdAt"], str(one.get("message", ""))) for one in found.get("events", [])
    ]
    return sorted(told, key=lambda one: one.at)
