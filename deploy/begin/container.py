"""Reads the container that serves: settings, secrets by their ARN, health check, log. No secret value is copied."""

from collections.abc import Mapping
from typing import Any

from deploy.begin.seen import Seen, fits
from deploy.case import Case
from deploy.codes import CHECKS, run
from deploy.plan import Origin, S3Uri

URI, PIN, ORIGINS, PHASE = "SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256", "SHINE_CORS_ORIGINS", "SHINE_PHASE"
RATE = "SHINE_RATE_PER_MINUTE"  # counts by API key, which only phase full has
CHECK = {"interval": "interval", "timeout": "timeout", "retries": "retries", "startPeriod": "start_period"}
NOT_IN_A_PLAN = ("command", "entryPoint", "environmentFiles")  # what a container may have, and ours has not


def of_container(seen: Seen, case: Case, task: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    """All of a container that a plan holds."""
    given = {one.get("name", ""): one.get("value", "") for one in container.get("environment", [])}
    _settings(seen, case, given)
    _weights(seen, given)
    _front_end(seen, given)
    _secrets(seen, container)
    _log(seen, container)
    check = container.get("healthCheck", {})
    seen.values |= {f"health.{ours}": check[name] for name, ours in CHECK.items() if check.get(name) is not None}
    if not check:
        seen.notes.append("The container has no health check; the plan gives it the image's own.")
    if (stop := container.get("stopTimeout")) is not None:
        seen.values["stop_timeout"] = stop
    beside = [str(one.get("name")) for one in task["containerDefinitions"] if one is not container]
    if beside:
        seen.notes.append(f"A plan has one container; {', '.join(beside)} beside it would be gone.")
    held = [name for name in NOT_IN_A_PLAN if container.get(name)]
    if held:
        seen.notes.append(f"The container's {', '.join(held)} has no place in a plan: the image brings its own.")


def _settings(seen: Seen, case: Case, given: dict[str, str]) -> None:
    """Settings of the image, but those that have a place of their own; what may be a secret stays where it is."""
    known = {one.name: one for one in case.contract.settings}
    found = {name: value for name, value in given.items() if name in known and not known[name].secret and value}
    for name in (URI, PIN, PHASE):
        found.pop(name, None)
    if "," not in found.get(ORIGINS, ""):
        found.pop(ORIGINS, None)
    seen.values["phases.full.settings"] = {RATE: found.pop(RATE)} if RATE in found else {}
    seen.values["settings"] = dict(sorted(found.items()))
    seen.findings += [one for one in run(CHECKS["SECRET_IN_PLAIN"], case) if one.level in ("FAIL", "WARN")]
    others = sorted(name for name in given if name not in known and name)
    if others:
        seen.notes.append(f"Not copied, since they are no settings of the image: {', '.join(others)}.")


def _weights(seen: Seen, given: dict[str, str]) -> None:
    uri, pin = given.get(URI, ""), given.get(PIN, "")
    if not uri:
        seen.missing["weights"] = f"The service sets no {URI}; phases foundation and full need weights."
        return
    told = f"{URI} is {uri}, and a plan takes weights from s3://bucket/prefix."
    seen.put("weights.uri", uri if fits(S3Uri, uri) else None, told)
    seen.put("weights.sha256", pin, f"The service sets no {PIN}; it is the sha256 of {uri}/manifest.json.")


def _front_end(seen: Seen, given: dict[str, str]) -> None:
    origins = [one.strip() for one in given.get(ORIGINS, "").split(",") if one.strip()]
    usable = [one for one in origins if fits(Origin, one)]
    why = f"{ORIGINS} names no origin with https://." if origins else f"The service sets no {ORIGINS}."
    seen.put("front_end", next(iter(usable), None), f"{why} It is the origin of the page that calls the service.")
    if len(origins) > 1:
        seen.notes.append(f"{ORIGINS} names {len(origins)} origins: all stay in settings, the first is front_end.")


def _secrets(seen: Seen, container: Mapping[str, Any]) -> None:
    region, account = seen.values["region"], seen.values["account"]
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    found = {}
    for one in container.get("secrets", []):
        name, place = one.get("name", ""), one.get("valueFrom", "")
        if not place.startswith("arn:"):  # a parameter of the same region may be named without the rest
            place = f"arn:{partition}:ssm:{region}:{account}:parameter/{place.lstrip('/')}"
        found[name] = place
    told = "The task definition names no secret; phase full needs SHINE_API_KEYS out of one (`make key` makes a key)."
    seen.put("secrets", found, told)


def _log(seen: Seen, container: Mapping[str, Any]) -> None:
    log = container.get("logConfiguration", {})
    options = log.get("options", {})
    driver = log.get("logDriver", "none")
    seen.put("log_group", options.get("awslogs-group"), f"The container's log driver is {driver}, which has no group.")
    other = options.get("awslogs-region", seen.values["region"])
    if other != seen.values["region"]:
        seen.notes.append(f"The container logs to {other}; a plan has one region for all.")
