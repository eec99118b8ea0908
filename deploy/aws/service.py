"""The ECS service: deployments, service deployments, events; and one snapshot of it with its tasks and targets."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.aws.clients import Clients
from deploy.aws.network import Target, describe_targets
from deploy.aws.task import Task, describe_tasks, serving_names
from deploy.config.plan import Plan
from deploy.lenient import Fact, LenientDict, seconds

NO_REASON = "no reason was given"
SLACK = timedelta(seconds=5)  # between a deployment and its service deployment, of which ECS makes one after the other
# Events of a service; ROLLING_BACK also stands in rolloutStateReason.
DEPLOYMENT_FAILED = re.compile(r"\(deployment (?P<id>[^)\s]+)\) deployment failed")
ROLLING_BACK = re.compile(r"rolling back to (?:deployment(?:Id)? )?(?P<id>ecs-svc/\d+)")


class Event(Fact):
    """A message with its time: an event of the service, a line of a log."""

    at: datetime | None = None
    text: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Event":
        """The event that DescribeServices describes."""
        return cls(at=raw.time("createdAt"), text=raw.text("message"))


class Deployment(Fact):
    """A deployment of the service.

    Attributes:
        id: ecs-svc/….
        status: PRIMARY is what the service should run, ACTIVE what it still runs.
        rollout: IN_PROGRESS, COMPLETED or FAILED.
        reason: ECS's words for it.
        task_definition: ARN.
        desired, running, pending, failed: numbers of tasks.
    """

    id: str = ""
    status: str = ""
    task_definition: str = ""
    rollout: str = ""
    reason: str = ""
    desired: int = 0
    running: int = 0
    pending: int = 0
    failed: int = 0
    created: datetime | None = None

    @classmethod
    def of(cls, raw: LenientDict) -> "Deployment":
        """The deployment that DescribeServices describes."""
        return cls(
            id=raw.text("id"),
            status=raw.text("status"),
            task_definition=raw.text("taskDefinition"),
            rollout=raw.text("rolloutState") or "COMPLETED",
            reason=raw.text("rolloutStateReason"),
            desired=raw.number("desiredCount") or 0,
            running=raw.number("runningCount") or 0,
            pending=raw.number("pendingCount") or 0,
            failed=raw.number("failedTasks") or 0,
            created=raw.time("createdAt"),
        )


class ServiceDeployment(Fact):
    """A service deployment; it says why ECS rolled it back."""

    status: str = ""
    reason: str = ""
    breaker: str = ""
    failures: int | None = None
    threshold: int | None = None
    alarms: tuple[str, ...] = ()
    rollback: str = ""
    created: datetime | None = None

    @classmethod
    def of(cls, raw: LenientDict) -> "ServiceDeployment":
        """The one that DescribeServiceDeployments describes."""
        breaker, alarms = raw.inner("deploymentCircuitBreaker"), raw.inner("alarms")
        return cls(
            status=raw.text("status"),
            reason=raw.text("statusReason"),
            breaker=breaker.text("status"),
            failures=breaker.number("failureCount"),
            threshold=breaker.number("threshold"),
            alarms=tuple(alarms.texts("triggeredAlarmNames")),
            rollback=raw.inner("rollback").text("reason"),
            created=raw.time("createdAt"),
        )


class Service(Fact):
    """The service itself."""

    status: str = ""
    desired: int = 0
    running: int = 0
    pending: int = 0
    grace: int = 0
    public_ip: bool | None = None
    target_group: str = ""
    port: int | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    task_definition: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Service":
        """The service that DescribeServices describes."""
        network = raw.inner("networkConfiguration").inner("awsvpcConfiguration")
        wirings = [wiring for wiring in raw.each("loadBalancers") if wiring.text("targetGroupArn")]
        wiring = next(iter(wirings), LenientDict(None))
        public = network.text("assignPublicIp")
        return cls(
            status=raw.text("status"),
            desired=raw.number("desiredCount") or 0,
            running=raw.number("runningCount") or 0,
            pending=raw.number("pendingCount") or 0,
            grace=raw.number("healthCheckGracePeriodSeconds") or 0,
            public_ip=public == "ENABLED" if public else None,
            target_group=wiring.text("targetGroupArn"),
            port=wiring.number("containerPort"),
            subnets=tuple(network.texts("subnets")),
            security_groups=tuple(network.texts("securityGroups")),
            task_definition=raw.text("taskDefinition"),
        )


class Alarm(Fact):
    """A CloudWatch alarm that stops a deployment."""

    name: str = ""
    state: str = ""
    reason: str = ""
    updated: datetime | None = None

    @classmethod
    def of(cls, raw: LenientDict) -> "Alarm":
        """The alarm that DescribeAlarms describes."""
        return cls(
            name=raw.text("AlarmName"),
            state=raw.text("StateValue"),
            reason=raw.text("StateReason"),
            updated=raw.time("StateUpdatedTimestamp"),
        )


@dataclass(frozen=True, slots=True)
class ServiceSnapshot:
    """The service with its tasks and targets at one moment; `service` is AWS's answer, None where there is none."""

    at: datetime
    service: dict[str, Any] | None = None
    deployments: list[Deployment] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def deployment(self, deployment_id: str) -> Deployment | None:
        """The deployment with an id."""
        return next((deployment for deployment in self.deployments if deployment.id == deployment_id), None)

    @property
    def primary(self) -> Deployment | None:
        """The deployment that the service should run."""
        return next((deployment for deployment in self.deployments if deployment.status == "PRIMARY"), None)

    @property
    def moving(self) -> Deployment | None:
        """A deployment that has not ended yet."""
        return next((deployment for deployment in self.deployments if deployment.rollout == "IN_PROGRESS"), None)


def read_snapshot(clients: Clients, plan: Plan) -> ServiceSnapshot:
    """Read the service, its tasks and its targets."""
    now = datetime.now(UTC)
    service = describe_service(clients, plan)
    if service is None:
        return ServiceSnapshot(now)
    names = serving_names(service, plan)
    return ServiceSnapshot(
        now,
        service,
        deployments(service),
        [Task.of(LenientDict(task), names) for task in describe_tasks(clients, plan)],
        [Target.of(LenientDict(target)) for target in describe_targets(clients, plan)],
        events(service),
    )


def describe_service(clients: Clients, plan: Plan) -> dict[str, Any] | None:
    """The service as boto3 returns it; None where there is none, or only an inactive one."""
    services = clients["ecs"].describe_services(cluster=plan.cluster, services=[plan.service])["services"]
    return services[0] if services and services[0].get("status") != "INACTIVE" else None


def deployments(service: dict[str, Any]) -> list[Deployment]:
    """Deployments of a service that DescribeServices describes, the newest first."""
    listed = map(Deployment.of, LenientDict(service).each("deployments"))
    return sorted(listed, key=lambda deployment: seconds(deployment.created), reverse=True)


def events(service: dict[str, Any]) -> list[Event]:
    """Events of a service that DescribeServices describes, the oldest first."""
    return sorted(map(Event.of, LenientDict(service).each("events")), key=lambda event: seconds(event.at))


def service_deployments(clients: Clients, plan: Plan, since: datetime) -> list[dict[str, Any]]:
    """Service deployments that began since a deployment did, the oldest first, as ListServiceDeployments answers.

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
    running = [entry.get("arn") for entry in current if entry.get("requestedTaskCount", 1)]
    if revision and current and revision not in running:
        return None  # something else runs: a newer update, which the list does not show yet
    return str(rollback.get("reason") or described.get("statusReason") or NO_REASON)
