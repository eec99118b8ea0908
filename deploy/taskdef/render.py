"""The task definition, made anew each time out of the plan and the image's contract, and never stored.

Port, health command and minimum come from the contract, which the image itself prints; names, sizes and settings from
`trail.yaml`. So there is one source for each, and no copy that could drift.
"""

import re
from collections.abc import Mapping
from typing import Any

from bentos.skin.settings import Phase
from deploy.config.image_contract import parse
from deploy.config.plan import Plan, PlanError

DIGEST = re.compile("sha256:[0-9a-f]{64}")
FILES = 16384  # open files; a gateway holds two a request, and two for each runner
TMP = "tmp"  # name of the volume
FROM_S3: tuple[Phase, ...] = ("foundation", "full")  # phases that fetch pinned weights
WITH_KEYS: tuple[Phase, ...] = ("full",)  # phases in which callers need a key
METRICS = "SHINE_LOG_EMF"  # what alarms on degraded answers read; without it they have no data, and look quiet
LOG_FORMAT = "SHINE_LOG_FORMAT"  # as text it can hold no metrics
OURS = {"SHINE_PHASE": "the phase itself", "SHINE_WEIGHTS_URI": "weights.uri", "SHINE_WEIGHTS_SHA256": "weights.sha256"}


def image_reference(plan: Plan, digest: str) -> str:
    """The image in the plan's repository, by digest.

    Raises:
        PlanError: it is no digest.
    """
    if not DIGEST.fullmatch(digest):
        raise PlanError(
            f"{digest[:80]!r} is no digest; one reads sha256: and 64 hex digits, as the registry prints it."
        )
    suffix = ".cn" if plan.region.startswith("cn-") else ""
    registry = f"{plan.account}.dkr.ecr.{plan.region}.amazonaws.com{suffix}"
    return f"{registry}/{plan.repository_name}@{digest}"


def environment(plan: Plan, contract: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    """Settings of a phase: its own before those of all phases, and both before what follows from the plan; by name.

    Raises:
        PlanError: the plan sets by hand what follows from the phase.
    """
    known = parse(contract).settings
    secret = {one.name for one in known if one.secret}
    step = plan.phases.get(phase)
    written = {**plan.settings, **(step.settings if step else {})}
    for name, origin in OURS.items():
        if name in written and (plan.weights is not None or name == "SHINE_PHASE"):
            raise PlanError(f"settings: {name} is set by hand, and follows from {origin}; take it out of settings.")
    found = {"SHINE_PHASE": phase, "SHINE_CORS_ORIGINS": plan.front_end}
    if phase in FROM_S3 and plan.weights is not None:
        found |= {"SHINE_WEIGHTS_URI": plan.weights.uri, "SHINE_WEIGHTS_SHA256": plan.weights.sha256}
    if (plan.alarms or plan.infra) and METRICS in {one.name for one in known} and written.get(LOG_FORMAT) != "text":
        found[METRICS] = "true"
    found |= {name: value for name, value in written.items() if name not in secret or name not in plan.secrets}
    return dict(sorted(found.items()))


def secrets(plan: Plan, contract: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    """Settings that come out of a secret; API keys from the phase on in which callers need one."""
    keys = {one.name for one in parse(contract).settings if one.secret}
    wanted = {name: str(arn) for name, arn in plan.secrets.items() if phase in WITH_KEYS or name not in keys}
    return dict(sorted(wanted.items()))


def render(plan: Plan, contract: Mapping[str, Any], image: str, phase: Phase) -> dict[str, Any]:
    """What RegisterTaskDefinition takes.

    Args:
        plan: of the team.
        contract: as the image prints it.
        image: its reference, by digest.
        phase: of the four.

    Raises:
        PlanError: the plan sets by hand what follows from the phase.
    """
    needs = parse(contract)
    log = {"awslogs-group": plan.log_group, "awslogs-region": plan.region, "awslogs-stream-prefix": plan.service}
    container = {
        "name": plan.service,
        "image": image,
        "essential": True,
        "portMappings": [{"containerPort": needs.port, "protocol": "tcp"}],
        "healthCheck": {
            "command": list(needs.health.command),
            "interval": plan.health.interval,
            "timeout": plan.health.timeout,
            "retries": plan.health.retries,
            "startPeriod": plan.health.start_period,
        },
        "stopTimeout": plan.stop_timeout,
        "environment": [{"name": name, "value": value} for name, value in environment(plan, contract, phase).items()],
        "secrets": [{"name": name, "valueFrom": arn} for name, arn in secrets(plan, contract, phase).items()],
        "user": f"{needs.user.uid}:{needs.user.gid}",
        "readonlyRootFilesystem": True,
        # No tmpfs: its files count against the task's memory, and not every Fargate takes it. The volume lies on the
        # task's own disk and goes with the task. It takes the folder's owner and mode from the image only where the
        # image declares it as VOLUME (aws/containers-roadmap#938), as ours does.
        "mountPoints": [
            {"sourceVolume": _volume(path), "containerPath": path, "readOnly": False} for path in needs.writable_paths
        ],
        # No initProcessEnabled: the image was measured and tested with its server as process 1.
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "ulimits": [{"name": "nofile", "softLimit": FILES, "hardLimit": FILES}],
        "logConfiguration": {"logDriver": "awslogs", "options": log},
    }
    return {
        "family": plan.family_name,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": {"cpuArchitecture": plan.size.architecture, "operatingSystemFamily": "LINUX"},
        "cpu": str(plan.size.cpu),
        "memory": str(plan.size.memory),
        "executionRoleArn": plan.roles.execution,
        "taskRoleArn": plan.roles.task,
        "containerDefinitions": [container],
        "volumes": [{"name": _volume(path)} for path in needs.writable_paths],
    }


def _volume(path: str) -> str:
    """A volume's name for a path: tmp for /tmp."""
    return re.sub("[^A-Za-z0-9]+", "-", path).strip("-") or TMP
