"""Gates about what stands around the service: HTTPS, keys, secrets, logs, alarms, autoscaling."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.probe_load import Outcome
from deploy.gates.replies import Unexpected, error_of, refusal
from deploy.gates.target import KEY_VARIABLE, KeyUnknown, LiveTarget, seek_key
from deploy.text import printable, words

LOG_LAG = timedelta(seconds=60)  # within which a line has arrived in CloudWatch, nearly always
SKEW = timedelta(minutes=5)  # by which this machine's clock may differ
CPU, REQUESTS = "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"
PERMANENT = (301, 308)
WRONG_KEY = "trail-asks-with-a-wrong-key"
MISSING, WRONG = "api_key_missing", "api_key_wrong"


def logs(live: LiveTarget, seen: Observation) -> GateOutcome:
    """The line of a request that the canary sent is in CloudWatch Logs, as JSON."""
    group = live.plan.log_group
    outcome = _logged(seen)
    if outcome is None:
        return failed("No request of the canary was answered yet, so none can be looked for in the log.", None, group)
    pages = (
        live.clients["logs"]
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            filterPattern=f'"{outcome.id}"',
            startTime=int(1000 * (outcome.sent - SKEW).timestamp()),
        )
    )
    messages = [str(one.get("message", "")) for page in pages for one in page.get("events", [])]
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
        f"Request {outcome.id} is not in {group} yet; lines take up to a minute. If none come, the execution role may "
        "not write there, or the task definition logs elsewhere.",
        outcome.id,
        group,
    )


def _logged(seen: Observation) -> Outcome | None:
    """The newest answered request whose line should have arrived, else the oldest."""
    answered = [one for one in seen.canary.outcomes if one.answered]
    before = datetime.now(UTC) - LOG_LAG
    return next((one for one in reversed(answered) if one.sent <= before), answered[0] if answered else None)


def _json(message: str) -> dict[str, Any]:
    try:
        found = json.loads(message)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def alarms(live: LiveTarget, _: Observation) -> GateOutcome:
    """The plan's alarms are there, and none is in ALARM; one without data is quiet."""
    wanted = live.plan.alarms
    if not wanted:
        return failed("The plan names no alarms; `trail infra apply` prints those that it makes.", {}, "none in ALARM")
    told = live.clients["cloudwatch"].describe_alarms(
        AlarmNames=wanted, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
    )
    found = {one["AlarmName"]: one for kind in ("MetricAlarms", "CompositeAlarms") for one in told.get(kind) or []}
    states = {name: str(one.get("StateValue")) for name, one in found.items() if name in wanted}
    if missing := [name for name in wanted if name not in states]:
        return failed(f"These alarms of the plan do not exist: {words(missing)}.", states, "none in ALARM")
    if loud := [name for name, state in states.items() if state == "ALARM"]:
        why = "; ".join(printable(str(found[name].get("StateReason") or ""), 200) for name in loud).strip("; .")
        return failed(f"In ALARM: {words(loud)}{f' ({why})' if why else ''}.", states, "none in ALARM")
    return passed(f"All {len(states)} alarms are there and quiet.", states, "none in ALARM")


def autoscaling(live: LiveTarget, _: Observation) -> GateOutcome:
    """The service scales between the plan's bounds, by CPU and by requests per target."""
    plan, client = live.plan, live.clients["application-autoscaling"]
    asked = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    name = f"service/{plan.cluster}/{plan.service}"
    targets = client.describe_scalable_targets(ResourceIds=[name], **asked)["ScalableTargets"]
    policies = client.describe_scaling_policies(ResourceId=name, **asked)["ScalingPolicies"]
    tracked = {
        (one.get("TargetTrackingScalingPolicyConfiguration") or {})
        .get("PredefinedMetricSpecification", {})
        .get("PredefinedMetricType")
        for one in policies
    }
    value: dict[str, Any] = {"by": sorted(filter(None, tracked))}
    limit = {"least": plan.size.tasks, "most": plan.size.most_tasks, "by": sorted((CPU, REQUESTS))}
    if not targets:
        return failed(
            f"{name} does not scale by itself. `trail up` sets that up, by size.tasks, size.most_tasks and autoscaling "
            "in the plan, and says why where it cannot.",
            value,
            limit,
        )
    value |= {"least": targets[0]["MinCapacity"], "most": targets[0]["MaxCapacity"]}
    if (value["least"], value["most"]) != (limit["least"], limit["most"]):
        return failed(
            f"It scales between {value['least']} and {value['most']} tasks, the plan says between {limit['least']} and "
            f"{limit['most']}.",
            value,
            limit,
        )
    if (targets[0].get("SuspendedState") or {}).get("DynamicScalingOutSuspended"):
        return failed("Scaling out is suspended.", value, limit)
    if lacking := [one for one in (CPU, REQUESTS) if one not in tracked]:
        return failed(f"No target-tracking policy follows {' and '.join(lacking)}.", value, limit)
    return passed(f"It scales between {value['least']} and {value['most']} tasks by CPU and by requests.", value, limit)


def https(live: LiveTarget, seen: Observation) -> GateOutcome:
    """Clients come by HTTPS, and HTTP is redirected there; where the service is asked by HTTP, listeners are judged."""
    url = httpx.URL(live.base_url)
    if url.scheme != "https":
        return _listeners(live)
    seen.health  # noqa: B018  over TLS, its certificate verified
    plain = url.copy_with(scheme="http", port=None, raw_path=str(live.contract["health"]["path"]).encode())
    try:
        answer = live.http.get(plain)
    except httpx.HTTPError:
        return failed(
            f"{live.base_url} answers by HTTPS, but {plain} not at all, where a redirect should be.", None, 301
        )
    target = answer.headers.get("location", "")
    value = {"status": answer.status_code, "location": target, "asked": "the service"}
    if answer.status_code not in PERMANENT or not target.startswith("https://"):
        return failed(
            f"{plain} answers {answer.status_code} and not a permanent redirect to HTTPS: photos and keys can be sent "
            "in the clear.",
            value,
            301,
        )
    return passed(f"{live.base_url} answers by HTTPS, and HTTP is redirected there.", value, 301)


def _listeners(live: LiveTarget) -> GateOutcome:
    client, asked = live.clients["elbv2"], f"{live.base_url} is asked by HTTP, so the listeners are judged: "
    groups = client.describe_target_groups(TargetGroupArns=[live.plan.load_balancer.target_group])["TargetGroups"]
    balancers = groups[0].get("LoadBalancerArns") if groups else None
    if not balancers:
        raise Unexpected(f"{asked}the target group is attached to no load balancer.")
    told = client.describe_listeners(LoadBalancerArn=balancers[0])["Listeners"]
    protocols = [f"{one.get('Protocol')} {one.get('Port')}" for one in told]
    value, limit = {"listeners": protocols, "asked": "listeners"}, "HTTPS, and HTTP with a redirect"
    if not any(one.get("Protocol") == "HTTPS" for one in told):
        return failed(f"{asked}there is none for HTTPS.", value, limit)
    plain = [one for one in told if one.get("Protocol") == "HTTP"]
    if not plain or not all(_redirects(one) for one in plain):
        return failed(f"{asked}HTTP is not redirected to HTTPS for good.", value, limit)
    return passed(f"{asked}HTTPS is there, and HTTP redirects to it.", value, limit)


def _redirects(listener: dict[str, Any]) -> bool:
    actions = listener.get("DefaultActions") or []
    kinds = [one.get("RedirectConfig") or {} for one in actions if one.get("Type") == "redirect"]
    return any(one.get("Protocol") == "HTTPS" and one.get("StatusCode") == "HTTP_301" for one in kinds)


def keys(live: LiveTarget, seen: Observation) -> GateOutcome:
    """Without a key and with a wrong one nobody is let in; with a right one the service answers."""
    path = "/version"
    without, wrong = seen.get(path, {}), seen.get(path, {"x-api-key": WRONG_KEY})
    value: dict[str, Any] = {"without": without.status_code, "wrong": wrong.status_code}
    limit = {"without": 401, "wrong": 401, "right": 200}
    if without.status_code != 401 or error_of(without)[0] != MISSING:
        return failed(
            f"GET {path} without a key answers {refusal(without)}, and not 401: is SHINE_API_KEYS set?", value, limit
        )
    if wrong.status_code != 401 or error_of(wrong)[0] != WRONG:
        return failed(f"GET {path} with a wrong key answers {refusal(wrong)}, and not 401.", value, limit)
    if live.api_key is None:
        return failed(_no_key(live), value, limit)
    right = seen.get(path)
    value["right"] = right.status_code
    if right.status_code != 200:
        return failed(f"GET {path} with the key that is known here answers {refusal(right)}.", value, limit)
    return passed(
        "Without a key and with a wrong one nobody is let in; with the right one the service answers.", value, limit
    )


def _no_key(live: LiveTarget) -> str:
    """Why no key is known, and how to give one."""
    try:
        seek_key(live.plan, live.clients, {})
    except KeyUnknown as unknown:
        return str(unknown)
    return f"No API key is known to ask with; give one in {KEY_VARIABLE}."


def secrets(live: LiveTarget, _: Observation) -> GateOutcome:
    """No secret of the image stands in plain in the task definition."""
    names = {one["name"] for one in live.contract["settings"] if one.get("secret")}
    told = live.clients["ecs"].describe_task_definition(taskDefinition=live.task_definition)["taskDefinition"]
    containers = told.get("containerDefinitions") or []
    plain = sorted(
        {str(one.get("name")) for container in containers for one in container.get("environment") or []} & names
    )
    if plain:
        return failed(
            f"{words(plain)} stands in plain in the environment of the task definition: store it as a secret, and give "
            "out a new one, since it has been seen.",
            plain,
            [],
        )
    hidden = sorted({str(one.get("name")) for container in containers for one in container.get("secrets") or []})
    return passed(f"No secret stands in plain in the task definition; by reference come {words(hidden)}.", plain, [])
