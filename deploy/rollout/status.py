"""What runs in truth, beside what the record says, for `trail status`."""

from collections import Counter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.aws.clients import Clients
from deploy.aws.errors import describe
from deploy.aws.service import Deployment, ServiceSnapshot, read_snapshot
from deploy.cli.record import LiveStatus
from deploy.config.plan import Plan
from deploy.record.progress import current
from deploy.record.text import short
from deploy.record.trail import Attempt, Record
from deploy.rollout.wait import failure
from deploy.text import printable


def now(plan: Plan, clients: Clients, record: Record) -> LiveStatus:
    """Ask AWS; never raises: what cannot be asked is a line too.

    Args:
        plan: names the service.
        clients: that write nothing.
        record: what of it should run, or is on its way, is compared with what does.
    """
    try:
        seen = read_snapshot(clients, plan)
    except (ClientError, BotoCoreError) as error:
        why = describe(error)
        return LiveStatus([f"AWS:   what runs cannot be asked: {printable(why, 300)}"], {"error": why})
    if seen.service is None or seen.primary is None:
        return LiveStatus(
            [f"AWS:   there is no service {plan.service} in the cluster {plan.cluster}."], {"service": None}
        )
    data = _data(seen, seen.primary)
    lines = [
        f"AWS:   {data['task_definition']}, {data['running']} of {data['desired']} tasks run"
        f"{' ' + ', '.join(short(one) for one in data['digests']) if data['digests'] else ''}, "
        f"{data['healthy']} of {len(seen.targets)} targets healthy"
    ]
    if seen.moving is not None:
        lines.append(f"       {seen.moving.id} is on its way: {seen.moving.running} of {seen.moving.desired} tasks.")
    if not seen.primary.desired:
        lines.append("       Its desired count is 0: nothing serves.")
    for one in record.attempts:
        if one.outcome == "running" and one.deployment not in (None, seen.primary.id):
            reason = failure(seen, str(one.deployment))
            if reason is not None:
                lines.append(f"       {one.deployment} of phase {one.phase} failed: {printable(reason, 300)}.")
    known = current(record).attempt
    wanted = _task_definition(known) if known is not None else None
    ours = {wanted, *(_task_definition(one) for one in record.attempts if one.outcome == "running")}
    if wanted is not None and seen.primary.task_definition not in ours:
        data["differs_from_record"] = True
        lines.append(f"       Not what the record knows ({_name(wanted)}): it was changed past this tool.")
    return LiveStatus(lines, data)


def _task_definition(attempt: Attempt) -> str | None:
    return attempt.deployed.task_definition if attempt.deployed is not None else None


def _data(seen: ServiceSnapshot, wanted: Deployment) -> dict[str, Any]:
    running = [one for one in seen.tasks if one.status == "RUNNING"]
    return {
        "deployment": wanted.id,
        "rollout": wanted.rollout,
        "task_definition": _name(wanted.task_definition),
        "desired": wanted.desired,
        "running": len(running),
        "digests": sorted({one.digest for one in running if one.digest}),
        "healthy": sum(one.state == "healthy" for one in seen.targets),
        "targets": dict(Counter(one.state for one in seen.targets)),
        "differs_from_record": False,
    }


def _name(arn: str) -> str:
    """shine-api-gateway:12 of a task definition's ARN."""
    return printable(arn.rpartition("/")[2] or arn, 120)
