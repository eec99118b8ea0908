"""Reads the serving container: settings, ARNs of secrets, health check, log group. It copies no secret value."""

from collections.abc import Mapping
from typing import Any

from deploy.config.plan import Origin, S3Uri
from deploy.importer.values import ImportedValues, fits
from deploy.verify.context import CheckContext
from deploy.verify.registry import CHECKS, run_check

URI, SHA256, ORIGINS, PHASE = "SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256", "SHINE_CORS_ORIGINS", "SHINE_PHASE"
RATE = "SHINE_RATE_PER_MINUTE"  # counts by API key, which only phase full has
HEALTH_KEYS = {"interval": "interval", "timeout": "timeout", "retries": "retries", "startPeriod": "start_period"}
NOT_IN_A_PLAN = ("command", "entryPoint", "environmentFiles")  # ECS has them; our image brings its own


def read_container(
    imported: ImportedValues, case: CheckContext, task: Mapping[str, Any], container: Mapping[str, Any]
) -> None:
    """Read what a plan says of a container.

    Args:
        imported: takes the values; has region and account already.
        case: the task definition for checks.
        task: the task definition as ECS describes it.
        container: the serving one of its containers.
    """
    environment = {entry.get("name", ""): entry.get("value", "") for entry in container.get("environment", [])}
    _read_settings(imported, case, environment)
    _read_weights(imported, environment)
    _read_front_end(imported, environment)
    _read_secrets(imported, container)
    _read_log_group(imported, container)
    health_check = container.get("healthCheck", {})
    imported.values |= {
        f"health.{key}": health_check[name] for name, key in HEALTH_KEYS.items() if health_check.get(name) is not None
    }
    if not health_check:
        imported.notes.append("The container has no health check; the plan gives it the image's own.")
    if (stop_timeout := container.get("stopTimeout")) is not None:
        imported.values["stop_timeout"] = stop_timeout
    sidecars = [str(other.get("name")) for other in task["containerDefinitions"] if other is not container]
    if sidecars:
        imported.notes.append(f"A plan has one container; a rollout would remove {', '.join(sidecars)}.")
    dropped = [name for name in NOT_IN_A_PLAN if container.get(name)]
    if dropped:
        imported.notes.append(f"The container's {', '.join(dropped)} is not copied: the image brings its own.")


def _read_settings(imported: ImportedValues, case: CheckContext, environment: dict[str, str]) -> None:
    """Settings of the image, without those that have a key of their own in a plan and those that may be secret."""
    known = {setting.name: setting for setting in case.contract.settings}
    settings = {
        name: value for name, value in environment.items() if name in known and not known[name].secret and value
    }
    for name in (URI, SHA256, PHASE):
        settings.pop(name, None)
    if "," not in settings.get(ORIGINS, ""):
        settings.pop(ORIGINS, None)
    imported.values["phases.full.settings"] = {RATE: settings.pop(RATE)} if RATE in settings else {}
    imported.values["settings"] = dict(sorted(settings.items()))
    findings = run_check(CHECKS["SECRET_IN_PLAIN"], case)
    imported.findings += [finding for finding in findings if finding.level in ("FAIL", "WARN")]
    others = sorted(name for name in environment if name not in known and name)
    if others:
        imported.notes.append(f"Not copied, because they are no settings of the image: {', '.join(others)}.")


def _read_weights(imported: ImportedValues, environment: dict[str, str]) -> None:
    uri, sha256 = environment.get(URI, ""), environment.get(SHA256, "")
    if not uri:
        imported.missing["weights"] = f"The service does not set {URI}; phases foundation and full need weights."
        return
    reason = f"{URI} is {uri}; a plan takes weights from s3://bucket/prefix."
    imported.set_value("weights.uri", uri if fits(S3Uri, uri) else None, reason)
    reason = f"The service does not set {SHA256}; it is the sha256 of {uri}/manifest.json."
    imported.set_value("weights.sha256", sha256, reason)


def _read_front_end(imported: ImportedValues, environment: dict[str, str]) -> None:
    origins = [origin.strip() for origin in environment.get(ORIGINS, "").split(",") if origin.strip()]
    usable = [origin for origin in origins if fits(Origin, origin)]
    reason = f"{ORIGINS} has no origin with https://." if origins else f"The service does not set {ORIGINS}."
    imported.set_value(
        "front_end", next(iter(usable), None), f"{reason} Fill in the origin of the page that calls the service."
    )
    if len(origins) > 1:
        imported.notes.append(f"{ORIGINS} names {len(origins)} origins: all stay in settings, the first is front_end.")


def _read_secrets(imported: ImportedValues, container: Mapping[str, Any]) -> None:
    region, account = imported.values["region"], imported.values["account"]
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    arns = {}
    for secret in container.get("secrets", []):
        name, arn = secret.get("name", ""), secret.get("valueFrom", "")
        if not arn.startswith("arn:"):  # ECS takes the bare name of a parameter in the same region
            arn = f"arn:{partition}:ssm:{region}:{account}:parameter/{arn.lstrip('/')}"
        arns[name] = arn
    reason = "The task definition names no secret; phase full needs SHINE_API_KEYS from one (`make key` makes a key)."
    imported.set_value("secrets", arns, reason)


def _read_log_group(imported: ImportedValues, container: Mapping[str, Any]) -> None:
    log = container.get("logConfiguration", {})
    options = log.get("options", {})
    driver = log.get("logDriver", "none")
    reason = f"The container's log driver is {driver}, which has no log group."
    imported.set_value("log_group", options.get("awslogs-group"), reason)
    log_region = options.get("awslogs-region", imported.values["region"])
    if log_region != imported.values["region"]:
        imported.notes.append(f"The container logs to {log_region}; a plan has one region for everything.")
