"""Gates on what surrounds the service: logs, alarms, autoscaling, HTTPS, API keys, secrets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.probe_load import Outcome
from deploy.gates.responses import UnexpectedResponse, describe_error, error_of
from deploy.gates.target import KEY_VARIABLE, KeyUnknown, LiveTarget, find_key
from deploy.text import printable, words

LOG_LAG = timedelta(seconds=60)  # nearly every line arrives in CloudWatch within it
CLOCK_SKEW = timedelta(minutes=5)  # of this machine
CPU, REQUESTS = "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"
PERMANENT = (301, 308)
WRONG_KEY = "a-wrong-key-sent-by-trail"
MISSING, WRONG = "api_key_missing", "api_key_wrong"


def logs(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The line of a request of the probe load is in CloudWatch Logs, as JSON."""
    group = live.plan.log_group
    outcome = _request_to_find(observation)
    if outcome is None:
        return failed("No request of the probe load has succeeded yet, so the log cannot be checked.", None, group)
    pages = (
        live.clients["logs"]
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            filterPattern=f'"{outcome.id}"',
            startTime=int(1000 * (outcome.sent - CLOCK_SKEW).timestamp()),
        )
    )
    messages = [str(event.get("message", "")) for page in pages for event in page.get("events", [])]
    lines = [line for line in map(_json, messages) if line.get("request_id") == outcome.id]
    if lines:
        return passed(f"The line of request {outcome.id} is in {group}, as JSON.", outcome.id, group)
    if messages:
        return failed(
            f"Request {outcome.id} is in {group}, but not as a JSON line: SHINE_LOG_FORMAT must be json.",
            outcome.id,
            group,
        )
    return failed(
        f"Request {outcome.id} is not in {group} yet; lines take up to a minute. If none arrive, the execution role "
        "lacks permission to write there, or the task definition logs elsewhere.",
        outcome.id,
        group,
    )


def _request_to_find(observation: Observation) -> Outcome | None:
    """The newest answered request whose line should have arrived, else the oldest."""
    answered = [outcome for outcome in observation.probe_load.outcomes if outcome.answered]
    before = datetime.now(UTC) - LOG_LAG
    return next(
        (outcome for outcome in reversed(answered) if outcome.sent <= before), answered[0] if answered else None
    )


def _json(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def alarms(live: LiveTarget, _: Observation) -> GateOutcome:
    """The plan's alarms exist, and none is in ALARM; INSUFFICIENT_DATA passes."""
    planned = live.plan.alarms
    if not planned:
        return failed(
            "The plan names no alarms; `trail infra apply` prints those that it creates.", {}, "none in ALARM"
        )
    response = live.clients["cloudwatch"].describe_alarms(
        AlarmNames=planned, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
    )
    described = {
        alarm["AlarmName"]: alarm for kind in ("MetricAlarms", "CompositeAlarms") for alarm in response.get(kind) or []
    }
    states = {name: str(alarm.get("StateValue")) for name, alarm in described.items() if name in planned}
    if missing := [name for name in planned if name not in states]:
        return failed(f"These alarms of the plan do not exist: {words(missing)}.", states, "none in ALARM")
    if active := [name for name, state in states.items() if state == "ALARM"]:
        why = "; ".join(printable(str(described[name].get("StateReason") or ""), 200) for name in active).strip("; .")
        return failed(f"In ALARM: {words(active)}{f' ({why})' if why else ''}.", states, "none in ALARM")
    return passed(f"All {len(states)} alarms exist, and none is in ALARM.", states, "none in ALARM")


def autoscaling(live: LiveTarget, _: Observation) -> GateOutcome:
    """The service scales between the plan's bounds, by CPU and by requests per target."""
    plan, client = live.plan, live.clients["application-autoscaling"]
    dimension = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    name = f"service/{plan.cluster}/{plan.service}"
    targets = client.describe_scalable_targets(ResourceIds=[name], **dimension)["ScalableTargets"]
    policies = client.describe_scaling_policies(ResourceId=name, **dimension)["ScalingPolicies"]
    tracked = {
        (policy.get("TargetTrackingScalingPolicyConfiguration") or {})
        .get("PredefinedMetricSpecification", {})
        .get("PredefinedMetricType")
        for policy in policies
    }
    value: dict[str, Any] = {"by": sorted(filter(None, tracked))}
    limit = {"least": plan.size.tasks, "most": plan.size.most_tasks, "by": sorted((CPU, REQUESTS))}
    if not targets:
        return failed(
            f"{name} has no autoscaling. `trail up` enables it by size.tasks, size.most_tasks and autoscaling in the "
            "plan, and says why if it cannot.",
            value,
            limit,
        )
    value |= {"least": targets[0]["MinCapacity"], "most": targets[0]["MaxCapacity"]}
    if (value["least"], value["most"]) != (limit["least"], limit["most"]):
        return failed(
            f"The service scales between {value['least']} and {value['most']} tasks; the plan says {limit['least']} to "
            f"{limit['most']}.",
            value,
            limit,
        )
    if (targets[0].get("SuspendedState") or {}).get("DynamicScalingOutSuspended"):
        return failed("Scaling out is suspended.", value, limit)
    if missing := [metric for metric in (CPU, REQUESTS) if metric not in tracked]:
        return failed(f"No target-tracking policy uses {' and '.join(missing)}.", value, limit)
    return passed(
        f"The service scales between {value['least']} and {value['most']} tasks by CPU and by requests.", value, limit
    )


def https(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The service answers by HTTPS and redirects HTTP to it; with a base URL of HTTP, the listeners are checked."""
    url = httpx.URL(live.base_url)
    if url.scheme != "https":
        return _listeners(live)
    observation.health  # noqa: B018  over TLS, which verifies the certificate
    plain = url.copy_with(scheme="http", port=None, raw_path=str(live.contract["health"]["path"]).encode())
    try:
        response = live.http.get(plain)
    except httpx.HTTPError:
        return failed(
            f"{live.base_url} answers by HTTPS, but {plain} does not answer; it should redirect to HTTPS.", None, 301
        )
    target = response.headers.get("location", "")
    value = {"status": response.status_code, "location": target, "asked": "the service"}
    if response.status_code not in PERMANENT or not target.startswith("https://"):
        return failed(
            f"{plain} answers {response.status_code} instead of a permanent redirect to HTTPS: photos and keys can be "
            "sent unencrypted.",
            value,
            301,
        )
    return passed(f"{live.base_url} answers by HTTPS, and HTTP is redirected to it.", value, 301)


def _listeners(live: LiveTarget) -> GateOutcome:
    client = live.clients["elbv2"]
    prefix = f"{live.base_url} is HTTP, so the listeners are checked instead: "
    groups = client.describe_target_groups(TargetGroupArns=[live.plan.load_balancer.target_group])["TargetGroups"]
    balancers = groups[0].get("LoadBalancerArns") if groups else None
    if not balancers:
        raise UnexpectedResponse(f"{prefix}the target group is attached to no load balancer.")
    listeners = client.describe_listeners(LoadBalancerArn=balancers[0])["Listeners"]
    protocols = [f"{listener.get('Protocol')} {listener.get('Port')}" for listener in listeners]
    value, limit = {"listeners": protocols, "asked": "listeners"}, "HTTPS, and HTTP with a redirect"
    if not any(listener.get("Protocol") == "HTTPS" for listener in listeners):
        return failed(f"{prefix}none is for HTTPS.", value, limit)
    plain = [listener for listener in listeners if listener.get("Protocol") == "HTTP"]
    if not plain or not all(_redirects(listener) for listener in plain):
        return failed(f"{prefix}HTTP is not permanently redirected to HTTPS.", value, limit)
    return passed(f"{prefix}there is one for HTTPS, and HTTP is redirected to it.", value, limit)


def _redirects(listener: dict[str, Any]) -> bool:
    actions = listener.get("DefaultActions") or []
    redirects = [action.get("RedirectConfig") or {} for action in actions if action.get("Type") == "redirect"]
    return any(item.get("Protocol") == "HTTPS" and item.get("StatusCode") == "HTTP_301" for item in redirects)


def keys(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The service refuses requests without an API key and with a wrong one, and accepts the right one."""
    path = "/version"
    without, wrong = observation.get(path, {}), observation.get(path, {"x-api-key": WRONG_KEY})
    value: dict[str, Any] = {"without": without.status_code, "wrong": wrong.status_code}
    limit = {"without": 401, "wrong": 401, "right": 200}
    if without.status_code != 401 or error_of(without)[0] != MISSING:
        return failed(
            f"GET {path} without a key answers {describe_error(without)}, not 401: is SHINE_API_KEYS set?", value, limit
        )
    if wrong.status_code != 401 or error_of(wrong)[0] != WRONG:
        return failed(f"GET {path} with a wrong key answers {describe_error(wrong)}, not 401.", value, limit)
    if live.api_key is None:
        return failed(_no_key(live), value, limit)
    right = observation.get(path)
    value["right"] = right.status_code
    if right.status_code != 200:
        return failed(f"GET {path} with the right key answers {describe_error(right)}.", value, limit)
    return passed(
        "The service refuses requests without an API key and with a wrong one, and accepts the right one.", value, limit
    )


def _no_key(live: LiveTarget) -> str:
    """Why no API key is known, and how to give one."""
    try:
        find_key(live.plan, live.clients, {})
    except KeyUnknown as error:
        return str(error)
    return f"No API key is known; give one in {KEY_VARIABLE}."


def secrets(live: LiveTarget, _: Observation) -> GateOutcome:
    """No secret setting has a plain value in the task definition."""
    names = {setting["name"] for setting in live.contract["settings"] if setting.get("secret")}
    described = live.clients["ecs"].describe_task_definition(taskDefinition=live.task_definition)["taskDefinition"]
    containers = described.get("containerDefinitions") or []
    plain = sorted(
        {str(item.get("name")) for container in containers for item in container.get("environment") or []} & names
    )
    if plain:
        return failed(
            f"The task definition has the value of {words(plain)} in plain text: store it as a secret, and replace the "
            "value, since it was visible.",
            plain,
            [],
        )
    referenced = sorted({str(item.get("name")) for container in containers for item in container.get("secrets") or []})
    sentence = f"The task definition has no secret in plain text; these are references: {words(referenced)}."
    return passed(sentence, plain, [])
