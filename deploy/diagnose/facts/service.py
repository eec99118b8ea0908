"""The service, its deployments, and the alarms that stop them."""

from datetime import datetime

from deploy.aws.lenient import LenientDict
from deploy.diagnose.facts.fact import Fact


class Deployment(Fact):
    """One of a service."""

    id: str = ""
    status: str = ""
    task_definition: str = ""
    rollout: str = ""
    reason: str = ""
    failed: int = 0
    created: datetime | None = None

    @classmethod
    def of(cls, raw: LenientDict) -> "Deployment":
        """As DescribeServices tells it."""
        return cls(
            id=raw.text("id"),
            status=raw.text("status"),
            task_definition=raw.text("taskDefinition"),
            rollout=raw.text("rolloutState"),
            reason=raw.text("rolloutStateReason"),
            failed=raw.number("failedTasks") or 0,
            created=raw.time("createdAt"),
        )


class ServiceDeployment(Fact):
    """One, as the newer operations tell it, which say why it was taken back."""

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
        """As DescribeServiceDeployments tells it."""
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
    """As it is now."""

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
        """As DescribeServices tells it."""
        network = raw.inner("networkConfiguration").inner("awsvpcConfiguration")
        wired = next((one for one in raw.each("loadBalancers") if one.text("targetGroupArn")), LenientDict(None))
        public = network.text("assignPublicIp")
        return cls(
            status=raw.text("status"),
            desired=raw.number("desiredCount") or 0,
            running=raw.number("runningCount") or 0,
            pending=raw.number("pendingCount") or 0,
            grace=raw.number("healthCheckGracePeriodSeconds") or 0,
            public_ip=public == "ENABLED" if public else None,
            target_group=wired.text("targetGroupArn"),
            port=wired.number("containerPort"),
            subnets=tuple(network.texts("subnets")),
            security_groups=tuple(network.texts("securityGroups")),
            task_definition=raw.text("taskDefinition"),
        )


class Alarm(Fact):
    """One of those that stop a rollout."""

    name: str = ""
    state: str = ""
    reason: str = ""
    updated: datetime | None = None

    @classmethod
    def of(cls, raw: LenientDict) -> "Alarm":
        """As DescribeAlarms tells it."""
        return cls(
            name=raw.text("AlarmName"),
            state=raw.text("StateValue"),
            reason=raw.text("StateReason"),
            updated=raw.time("StateUpdatedTimestamp"),
        )
