"""Renders the task definition from the plan and the image's contract; it is never stored.

Port, health command and minimum come from the contract, which the image itself prints; names, sizes and settings from
`trail.yaml`. So each value has one source, and no copy can drift.
"""

import re
from collections.abc import Mapping
from typing import Any

from bentos.skin.settings import Phase
from deploy.config.image_contract import parse
from deploy.config.plan import Plan, PlanError

DIGEST = re.compile("sha256:[0-9a-f]{64}")
FILES = 16384  # open files; a gateway holds two for each request, and two for each runner
TMP = "tmp"  # name of the volume
FROM_S3: tuple[Phase, ...] = ("foundation", "full")  # phases that fetch pinned weights
WITH_KEYS: tuple[Phase, ...] = ("full",)  # phases in which callers need a key
METRICS = "SHINE_LOG_EMF"  # alarms on degraded answers read these metrics; without data they stay quiet
LOG_FORMAT = "SHINE_LOG_FORMAT"  # the format text cannot hold metrics
DERIVED = {
    "SHINE_PHASE": "the phase itself",
    "SHINE_WEIGHTS_URI": "weights.uri",
    "SHINE_WEIGHTS_SHA256": "weights.sha256",
}


def image_reference(plan: Plan, digest: str) -> str:
    """Reference of an image in the plan's repository, by digest.

    Raises:
        PlanError: the digest is malformed.
    """
    if not DIGEST.fullmatch(digest):
        raise PlanError(
            f"{digest[:80]!r} is no digest; a digest is sha256: and 64 hex digits, as the registry prints it."
        )
    suffix = ".cn" if plan.region.startswith("cn-") else ""
    registry = f"{plan.account}.dkr.ecr.{plan.region}.amazonaws.com{suffix}"
    return f"{registry}/{plan.repository_name}@{digest}"


def environment(plan: Plan, contract: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    """Settings of a phase, sorted: its own override those of all phases, and both override what the plan implies.

    Raises:
        PlanError: the plan sets a setting that follows from the phase.
    """
    known = parse(contract).settings
    secret = {setting.name for setting in known if setting.secret}
    phase_plan = plan.phases.get(phase)
    written = {**plan.settings, **(phase_plan.settings if phase_plan else {})}
    for name, origin in DERIVED.items():
        if name in written and (plan.weights is not None or name == "SHINE_PHASE"):
            raise PlanError(f"settings: {name} follows from {origin}; remove it from settings.")
    settings = {"SHINE_PHASE": phase, "SHINE_CORS_ORIGINS": plan.front_end}
    if phase in FROM_S3 and plan.weights is not None:
        settings |= {"SHINE_WEIGHTS_URI": plan.weights.uri, "SHINE_WEIGHTS_SHA256": plan.weights.sha256}
    if (
        (plan.alarms or plan.infra)
        and METRICS in {setting.name for setting in known}
        and written.get(LOG_FORMAT) != "text"
    ):
        settings[METRICS] = "true"
    settings |= {name: value for name, value in written.items() if name not in secret or name not in plan.secrets}
    return dict(sorted(settings.items()))


def secrets(plan: Plan, contract: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    """Settings that come from a secret; API keys only in phases in which callers need one."""
    keys = {setting.name for setting in parse(contract).settings if setting.secret}
    arns = {name: str(arn) for name, arn in plan.secrets.items() if phase in WITH_KEYS or name not in keys}
    return dict(sorted(arns.items()))


def render(plan: Plan, contract: Mapping[str, Any], image: str, phase: Phase) -> dict[str, Any]:
    """The task definition, as RegisterTaskDefinition takes it.

    Args:
        plan: of the team.
        contract: as the image prints it.
        image: its reference, by digest.
        phase: one of the four.

    Raises:
        PlanError: the plan sets a setting that follows from the phase.
    """
    parsed = parse(contract)
    log = {"awslogs-group": plan.log_group, "awslogs-region": plan.region, "awslogs-stream-prefix": plan.service}
    container = {
        "name": plan.service,
        "image": image,
        "essential": True,
        "portMappings": [{"containerPort": parsed.port, "protocol": "tcp"}],
        "healthCheck": {
            "command": list(parsed.health.command),
            "interval": plan.health.interval,
            "timeout": plan.health.timeout,
            "retries": plan.health.retries,
            "startPeriod": plan.health.start_period,
        },
        "stopTimeout": plan.stop_timeout,
        "environment": [{"name": name, "value": value} for name, value in environment(plan, contract, phase).items()],
        "secrets": [{"name": name, "valueFrom": arn} for name, arn in secrets(plan, contract, phase).items()],
        "user": f"{parsed.user.uid}:{parsed.user.gid}",
        "readonlyRootFilesystem": True,
        # No tmpfs: its files count against the task's memory, and not every Fargate takes it. The volume lies on the
        # task's own disk and goes with the task. It takes the folder's owner and mode from the image only where the
        # image declares it as VOLUME (aws/containers-roadmap#938), as ours does.
        "mountPoints": [
            {"sourceVolume": _volume(path), "containerPath": path, "readOnly": False} for path in parsed.writable_paths
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
        "volumes": [{"name": _volume(path)} for path in parsed.writable_paths],
    }


def _volume(path: str) -> str:
    """A volume's name for a path: tmp for /tmp."""
    return re.sub("[^A-Za-z0-9]+", "-", path).strip("-") or TMP
