"""The grace period of health checks, against the time that a task needs until it is healthy."""

from collections.abc import Iterator
from typing import Any

from deploy.findings.finding import Finding, warn
from deploy.verify.account.context import Account


def grace_period(account: Account, group: dict[str, Any]) -> Iterator[Finding]:
    """The load balancer reports a new task healthy before the grace period ends."""
    interval, start = group["HealthCheckIntervalSeconds"], account.contract.seconds.start
    until, grace = start + interval * group["HealthyThresholdCount"], account.plan.health.grace
    if until > grace:
        yield warn(
            "TARGET_SLOW",
            f"A task needs {until:.0f} s until the load balancer reports it healthy ({start:g} s to start, "
            f"{group['HealthyThresholdCount']} checks {interval} s apart), but the grace period is {grace} s.",
            ("plan: health.grace", grace),
            ("ELB: HealthCheckIntervalSeconds × HealthyThresholdCount", interval * group["HealthyThresholdCount"]),
            repair="Set the interval to 15 s and the healthy threshold to 2, or raise health.grace.",
        )
