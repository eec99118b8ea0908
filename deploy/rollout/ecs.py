"""The service as ECS and the load balancer tell of it at one moment, in the few words that a rollout needs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy import running
from deploy.aws import Clients
from deploy.plan import Plan

NO_REASON = "no reason was given"
SLACK = timedelta(seconds=5)  # between a deployment and its service deployment, of which ECS makes one after the other


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


def picture(clients: Clients, plan: Plan) -> Picture:
    """Ask for all of it."""
    now = datetime.now(UTC)
    found = running.service(clients, plan)
    if found is None:
        return Picture(now)
    return Picture(
        now,
        found,
        deployments(found),
        [task(one, plan.service) for one in running.tasks(clients, plan)],
        [target(one) for one in running.targets(clients, plan)],
        events(found),
    )


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


def task(found: dict[str, Any], name: str) -> Task:
    """Of AWS's answer; the container is the one of that name."""
    return Task(
        id=str(found.get("taskArn", "")).rsplit("/", 1)[-1],
        status=str(found.get("lastStatus", "")),
        health=str(found.get("healthStatus", "UNKNOWN")),
        deployment=str(found.get("startedBy", "")),
        digest=running.digest_of(found, name),
        address=next(iter(running.addresses(found)), None),
    )


def target(found: dict[str, Any]) -> Target:
    """Of AWS's answer."""
    health = found.get("TargetHealth", {})
    return Target(
        address=str(found["Target"]["Id"]),
        state=str(health.get("State", "")),
        reason=str(health.get("Description") or health.get("Reason", "")),
    )


def events(found: dict[str, Any]) -> list[Event]:
    """Oldest first."""
    told = [
        Event(str(one.get("id", "")), one["createdAt"], str(one.get("message", ""))) for one in found.get("events", [])
    ]
    return sorted(told, key=lambda one: one.at)


def service_deployments(clients: Clients, plan: Plan, since: datetime) -> list[dict[str, Any]]:
    """Those that have begun since a deployment did, the oldest first, as ListServiceDeployments answers.

    Every update that begins a deployment makes one. A rollback by ECS makes none: it is a part of the one that failed.

    Raises:
        ClientError, BotoCoreError, ResponseParserError: of AWS; not every endpoint knows the call.
    """
    after = since - SLACK
    answer = clients.few_tries("ecs").list_service_deployments(
        cluster=plan.cluster, service=plan.service, createdAt={"after": after}
    )
    begun = [brief for brief in answer.get("serviceDeployments", []) if brief["createdAt"] >= after]
    return sorted(begun, key=lambda brief: brief["createdAt"])


def rollback_reason(clients: Clients, service: dict[str, Any], service_deployment: dict[str, Any]) -> str | None:
    """Why ECS rolled a service deployment back to what the service runs now, in ECS's words; None where it did not.

    Args:
        clients: of AWS.
        service: as DescribeServices answers.
        service_deployment: as ListServiceDeployments answers.

    Raises:
        ClientError, BotoCoreError, ResponseParserError: of AWS.
    """
    if service_deployment.get("status") not in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"):
        return None
    arns = [service_deployment["serviceDeploymentArn"]]
    answer = clients.few_tries("ecs").describe_service_deployments(serviceDeploymentArns=arns)
    described = next(iter(answer.get("serviceDeployments", [])), service_deployment)
    rollback = described.get("rollback") or {}
    revision, current = rollback.get("serviceRevisionArn"), service.get("currentServiceRevisions") or []
    runs = [one.get("arn") for one in current if one.get("requestedTaskCount", 1)]
    if revision and current and revision not in runs:
        return None  # something else runs: a newer update, which the list does not show yet
    return str(rollback.get("reason") or described.get("statusReason") or NO_REASON)
