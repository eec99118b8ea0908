"""What AWS tells of the service that runs: itself, its tasks, its targets; plain data, as boto3 returns it."""

import re
from collections.abc import Sequence
from typing import Any

from deploy.aws.clients import Clients
from deploy.config.plan import Plan
from deploy.taskdef.model import container_of_task, wired_names

DESCRIBED_MOST = 100  # tasks that DescribeTasks takes at a time
BY_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")


def service(clients: Clients, plan: Plan) -> dict[str, Any] | None:
    """The ECS service; None where it is not there, or is gone."""
    found = clients["ecs"].describe_services(cluster=plan.cluster, services=[plan.service])["services"]
    return found[0] if found and found[0].get("status") != "INACTIVE" else None


def tasks(clients: Clients, plan: Plan, status: str = "RUNNING") -> list[dict[str, Any]]:
    """Tasks of the service, of all its deployments, that should run; or those that should be STOPPED."""
    ecs = clients["ecs"]
    pages = ecs.get_paginator("list_tasks").paginate(
        cluster=plan.cluster, serviceName=plan.service, desiredStatus=status
    )
    arns = [arn for page in pages for arn in page.get("taskArns", [])]
    found: list[dict[str, Any]] = []
    for first in range(0, len(arns), DESCRIBED_MOST):
        some = arns[first : first + DESCRIBED_MOST]
        found += ecs.describe_tasks(cluster=plan.cluster, tasks=some).get("tasks", [])
    # An emulator may list the tasks of all services, and with whatever status.
    group = f"service:{plan.service}"
    return [
        one for one in found if one.get("group") in (None, "", group) and one.get("desiredStatus", status) == status
    ]


def targets(clients: Clients, plan: Plan) -> list[dict[str, Any]]:
    """Targets of the plan's target group, with their health."""
    answer = clients["elbv2"].describe_target_health(TargetGroupArn=plan.load_balancer.target_group)
    found: list[dict[str, Any]] = answer.get("TargetHealthDescriptions", [])
    return found


def serving_names(service: dict[str, Any] | None, plan: Plan) -> list[str]:
    """Names of the container that serves: as the service's load balancer has it, else as a rollout names it."""
    return wired_names(service, plan.load_balancer.target_group) or [plan.service]


def digest_of(task: dict[str, Any], names: Sequence[str]) -> str | None:
    """Digest of the image that the serving container of a task runs; None where neither ECS nor the image names it.

    Args:
        task: as DescribeTasks has it.
        names: of the container that serves; see `serving_names`.
    """
    container = container_of_task(task, names) or {}
    if digest := container.get("imageDigest"):
        return str(digest)
    return named_digest(container.get("image"))


def named_digest(image: Any) -> str | None:
    """Digest in an image's reference; None where it names a tag."""
    found = BY_DIGEST.search(image) if isinstance(image, str) else None
    return found[1] if found else None


def addresses(task: dict[str, Any]) -> list[str]:
    """Private ones, IPv4 before IPv6; networkBindings are empty in awsvpc mode."""
    told: list[Any] = []
    for container in task.get("containers") or []:
        for interface in container.get("networkInterfaces") or []:
            told += [interface.get("privateIpv4Address"), interface.get("ipv6Address")]
    for attachment in task.get("attachments") or []:
        for detail in attachment.get("details") or []:
            if detail.get("name") in ("privateIPv4Address", "privateIPv6Address"):
                told.append(detail.get("value"))
    found = list(dict.fromkeys(str(one) for one in told if one))
    return sorted(found, key=lambda one: ":" in one)
