"""What the service really runs, for `trail status`, which shows it beside the record."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.aws.clients import Clients
from deploy.aws.errors import describe
from deploy.aws.service import Deployment, ServiceSnapshot, read_snapshot
from deploy.config.plan import Plan
from deploy.record.progress import current
from deploy.record.text import short
from deploy.record.trail import Attempt, Record
from deploy.rollout.wait import failure_reason
from deploy.text import printable


@dataclass(frozen=True)
class LiveStatus:
    """What the service runs: lines for people, plain data for programs."""

    lines: list[str]
    data: dict[str, Any]


def live_status(plan: Plan, clients: Clients, record: Record) -> LiveStatus:
    """Read the service from AWS and compare it with the record; an error from AWS becomes a line.

    Args:
        plan: names the service.
        clients: of AWS; nothing is written.
        record: of the service.
    """
    try:
        snapshot = read_snapshot(clients, plan)
    except (ClientError, BotoCoreError) as error:
        reason = describe(error)
        return LiveStatus([f"AWS:   the service cannot be read: {printable(reason, 300)}"], {"error": reason})
    primary = snapshot.primary
    if snapshot.service is None or primary is None:
        return LiveStatus(
            [f"AWS:   there is no service {plan.service} in the cluster {plan.cluster}."], {"service": None}
        )
    data = _data(snapshot, primary)
    digests = f" {', '.join(short(digest) for digest in data['digests'])}" if data["digests"] else ""
    lines = [
        f"AWS:   {data['task_definition']}, {data['running']} of {data['desired']} tasks run{digests}, "
        f"{data['healthy']} of {len(snapshot.targets)} targets healthy"
    ]
    if snapshot.moving is not None:
        moving = snapshot.moving
        lines.append(f"       {moving.id} is in progress: {moving.running} of {moving.desired} tasks run.")
    if not primary.desired:
        lines.append("       The desired count is 0, so nothing serves.")
    running = [attempt for attempt in record.attempts if attempt.outcome == "running"]
    for attempt in running:
        if attempt.deployment not in (None, primary.id):
            reason = failure_reason(snapshot, str(attempt.deployment)) or ""
            if reason:
                lines.append(f"       {attempt.deployment} of phase {attempt.phase} failed: {printable(reason, 300)}.")
    recorded = current(record).attempt
    expected = _task_definition(recorded) if recorded is not None else None
    ours = {expected, *(_task_definition(attempt) for attempt in running)}
    if expected is not None and primary.task_definition not in ours:
        data["differs_from_record"] = True
        lines.append(f"       The record expects {_name(expected)}: the service was changed without this tool.")
    return LiveStatus(lines, data)


def _task_definition(attempt: Attempt) -> str | None:
    return attempt.deployed.task_definition if attempt.deployed is not None else None


def _data(snapshot: ServiceSnapshot, primary: Deployment) -> dict[str, Any]:
    running = [task for task in snapshot.tasks if task.status == "RUNNING"]
    return {
        "deployment": primary.id,
        "rollout": primary.rollout,
        "task_definition": _name(primary.task_definition),
        "desired": primary.desired,
        "running": len(running),
        "digests": sorted({task.digest for task in running if task.digest}),
        "healthy": sum(target.state == "healthy" for target in snapshot.targets),
        "targets": dict(Counter(target.state for target in snapshot.targets)),
        "differs_from_record": False,
    }


def _name(arn: str) -> str:
    """shine-api-gateway:12 of a task definition's ARN."""
    return printable(arn.rpartition("/")[2] or arn, 120)
