"""What traffic comes through: target group, load balancer, listeners."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent
from deploy.aws.reader import AwsReader
from deploy.findings.finding import Finding, fail, ok, warn
from deploy.verify.account.context import Account


def group(account: Account) -> dict[str, Any] | None:
    """The plan's target group; None where there is none."""
    arn = account.plan.load_balancer.target_group
    try:
        found = account.ask("elbv2", "describe_target_groups", TargetGroupArns=[arn])["TargetGroups"]
    except Absent:
        return None
    return found[0] if found else None


def balancer(account: Account) -> dict[str, Any] | None:
    """The load balancer that the target group is attached to; None where it is attached to none."""
    if not (arns := (group(account) or {}).get("LoadBalancerArns")):
        return None
    try:
        found = account.ask("elbv2", "describe_load_balancers", LoadBalancerArns=arns[:1])["LoadBalancers"]
    except Absent:
        return None
    return found[0] if found else None


def target_group(account: Account) -> Iterator[Finding]:
    """It sends to IP addresses on the contract's port and asks the contract's path."""
    found = group(account)
    if found is None:
        arn = account.plan.load_balancer.target_group
        yield fail(
            "TARGET_GROUP_MISSING",
            f"There is no target group {arn}.",
            ("plan: load_balancer.target_group", arn),
            repair="Create it (type ip, the image's port and health path), or correct the plan.",
        )
        return
    wrong = [*_kind(account, found), *_check(account, found), *_pace(account, found)]
    yield from wrong
    if not wrong:
        yield ok(
            "TARGET_GROUP",
            f"The target group sends to IP addresses on port {found['Port']} and asks {found['HealthCheckPath']}.",
            ("ELB: TargetGroupArn", found["TargetGroupArn"]),
        )


def _kind(account: Account, found: dict[str, Any]) -> Iterator[Finding]:
    port = account.contract.port
    if found["TargetType"] != "ip":
        yield fail(
            "TARGET_TYPE",
            f"The target group has type {found['TargetType']}; tasks in awsvpc mode need type ip.",
            ("ELB: TargetType", found["TargetType"]),
            repair="Create a target group of type ip: the type of one that is there cannot be changed.",
        )
    if found.get("Protocol") != "HTTP" or found.get("ProtocolVersion", "HTTP1") != "HTTP1":
        spoken = f"{found.get('Protocol')} {found.get('ProtocolVersion', '')}".strip()
        yield fail(
            "TARGET_PROTOCOL",
            f"The target group speaks {spoken}, the image plain HTTP/1.1.",
            ("ELB: Protocol, ProtocolVersion", spoken),
            repair="Create a target group with protocol HTTP and version HTTP1.",
        )
    if found.get("Port") != port:
        yield warn(
            "TARGET_PORT",
            f"The target group's default port is {found.get('Port')}, the image listens on {port}; ECS names the port "
            "of each task itself, but whoever registers a target by hand is led astray.",
            ("image contract: port", port),
            ("ELB: Port", found.get("Port")),
            repair=f"Create the target group with port {port}.",
        )


def _check(account: Account, found: dict[str, Any]) -> Iterator[Finding]:
    port, path = account.contract.port, account.contract.health.path
    if found["HealthCheckPort"] not in ("traffic-port", str(port)):
        yield fail(
            "TARGET_HEALTH_PORT",
            f"The target group checks health on port {found['HealthCheckPort']}, the image listens on {port}.",
            ("image contract: port", port),
            ("ELB: HealthCheckPort", found["HealthCheckPort"]),
            repair="Set the target group's health check port to traffic-port.",
        )
    if found.get("HealthCheckPath") != path:
        yield fail(
            "TARGET_PATH",
            f"The target group asks {found.get('HealthCheckPath')}, the image answers health on {path}.",
            ("image contract: health.path", path),
            ("ELB: HealthCheckPath", found.get("HealthCheckPath")),
            repair=f"Set the target group's health check path to {path}.",
        )
    matcher = found.get("Matcher", {}).get("HttpCode", "200")
    if not includes(matcher, 200):
        yield fail(
            "TARGET_MATCHER",
            f"The target group takes {matcher} for healthy, the image answers 200.",
            (f"image contract: {path}", 200),
            ("ELB: Matcher.HttpCode", matcher),
            repair="Set the target group's matcher to 200.",
        )


def includes(matcher: str, status: int) -> bool:
    """Whether a matcher like "200,202" or "200-299" includes a status."""
    for part in matcher.split(","):
        bounds = re.fullmatch(r"\s*(\d{3})(?:-(\d{3}))?\s*", part)
        if bounds and int(bounds[1]) <= status <= int(bounds[2] or bounds[1]):
            return True
    return False


def _pace(account: Account, found: dict[str, Any]) -> Iterator[Finding]:
    interval, start = found["HealthCheckIntervalSeconds"], account.contract.seconds.start
    until = start + interval * found["HealthyThresholdCount"]
    grace, slowest = account.plan.health.grace, account.contract.seconds.slowest_request
    if until > grace:
        yield warn(
            "TARGET_SLOW",
            f"A task needs {until:.0f} s until the load balancer takes it for healthy ({start:g} s to start, "
            f"{found['HealthyThresholdCount']} checks {interval} s apart), but the grace period is {grace} s.",
            ("plan: health.grace", grace),
            ("ELB: HealthCheckIntervalSeconds × HealthyThresholdCount", interval * found["HealthyThresholdCount"]),
            repair="Set the interval to 15 s and the healthy threshold to 2, or lengthen health.grace.",
        )
    given_up = interval * found["UnhealthyThresholdCount"]
    if given_up <= slowest:
        yield warn(
            "TARGET_HASTY",
            f"The target group gives a task up after {given_up} s, a single slow request may take {slowest:g} s.",
            ("image contract: seconds.slowest_request", slowest),
            ("ELB: HealthCheckIntervalSeconds × UnhealthyThresholdCount", given_up),
            repair="Set the interval to 15 s and the unhealthy threshold to 3.",
        )


def draining(account: Account) -> Iterator[Finding]:
    """Tasks finish their requests before they are stopped."""
    if group(account) is None:
        return
    arn, slowest = account.plan.load_balancer.target_group, account.contract.seconds.slowest_request
    found = account.ask("elbv2", "describe_target_group_attributes", TargetGroupArn=arn)["Attributes"]
    told = {one["Key"]: one["Value"] for one in found}
    delay = int(told.get("deregistration_delay.timeout_seconds", 300))  # ELB's default
    stop = int(account.container.get("stopTimeout", account.plan.stop_timeout))
    places = [("ELB: deregistration_delay.timeout_seconds", delay)]
    if delay < slowest:
        yield fail(
            "DEREGISTRATION_SHORT",
            f"Connections are cut {delay} s after a task leaves, a request may take {slowest:g} s.",
            *places,
            ("image contract: seconds.slowest_request", slowest),
            repair=f"Set the deregistration delay to {account.plan.deregistration_delay} s.",
        )
    elif delay >= stop:
        yield warn(
            "DEREGISTRATION_LONG",
            f"The deregistration delay of {delay} s is not below the task's stopTimeout of {stop} s: "
            "the load balancer may still send to a task that is gone.",
            *places,
            ("task definition: stopTimeout", stop),
            repair=f"Set the deregistration delay to {account.plan.deregistration_delay} s.",
        )
    else:
        yield ok("DRAINING", f"A task has {delay} s to finish its requests, {stop} s to stop.", *places)


def load_balancer(account: Account) -> Iterator[Finding]:
    """The target group hangs on an active load balancer whose idle timeout is below the server's keep-alive."""
    if group(account) is None:
        return
    found = balancer(account)
    if found is None:
        yield fail(
            "TARGET_GROUP_DETACHED",
            "The target group is attached to no load balancer: ECS refuses a service with it.",
            ("plan: load_balancer.target_group", account.plan.load_balancer.target_group),
            repair="Let a listener of the load balancer forward to the target group.",
        )
        return
    name, state = found["LoadBalancerName"], found["State"]["Code"]
    if state not in ("active", "active_impaired"):
        yield fail(
            "BALANCER_STATE",
            f"The load balancer {name} is {state}, not active.",
            ("ELB: State.Code", state),
            repair="Wait until it is active; if it is failed, look at its subnets and limits.",
        )
    attributes = account.ask("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=found["LoadBalancerArn"])[
        "Attributes"
    ]
    idle = float({one["Key"]: one["Value"] for one in attributes}.get("idle_timeout.timeout_seconds", 60))
    kept = account.contract.seconds.keep_alive
    places = [("ELB: idle_timeout.timeout_seconds", idle), ("image contract: seconds.keep_alive", kept)]
    if idle >= kept:
        yield fail(
            "IDLE_TIMEOUT",
            f"The load balancer keeps idle connections for {idle:g} s, the server closes them after {kept:g} s: "
            "some requests will end as 502.",
            *places,
            repair="Set the load balancer's idle timeout to 60 s.",
        )
    else:
        yield ok("BALANCER", f"The load balancer {name} is {state}; connections idle {idle:g} s at the most.", *places)


def listeners(account: Account) -> Iterator[Finding]:
    """A listener forwards to the target group, over HTTPS; plain HTTP is redirected."""
    if (found := balancer(account)) is None:
        return
    arn, planned = account.plan.load_balancer.target_group, account.plan.load_balancer.listener
    told = account.ask("elbv2", "describe_listeners", LoadBalancerArn=found["LoadBalancerArn"])["Listeners"]
    forwarding = {one["ListenerArn"] for one in told if arn in targets(account.questions, one)}
    if planned is not None and planned not in {one["ListenerArn"] for one in told}:
        yield fail(
            "LISTENER_MISSING",
            f"The load balancer {found['LoadBalancerName']} has no listener {planned}.",
            ("plan: load_balancer.listener", planned),
            ("ELB: Listeners[].ListenerArn", [one["ListenerArn"] for one in told]),
            repair="Create the listener, or correct load_balancer.listener in the plan.",
        )
    elif not forwarding or (planned is not None and planned not in forwarding):
        yield fail(
            "LISTENER_FORWARD",
            f"{'No listener' if planned is None else f'The listener {planned} does not'} "
            f"forward{'s' if planned is None else ''} to the target group: nobody reaches the tasks.",
            ("plan: load_balancer.target_group", arn),
            ("ELB: listeners that forward to it", sorted(forwarding)),
            repair="Add a rule or a default action that forwards to the target group.",
        )
    else:
        yield ok("LISTENER", "A listener forwards to the target group.", ("ELB: ListenerArn", sorted(forwarding)))
    yield from _https(account, told, forwarding)


def targets(questions: AwsReader, listener: dict[str, Any]) -> set[str]:
    """Target groups that a listener forwards to, by a rule or by default."""
    rules = questions.read("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])["Rules"]
    actions = [*listener.get("DefaultActions", []), *(action for rule in rules for action in rule["Actions"])]
    return {arn for action in actions for arn in forwarded(action)}


def forwarded(action: dict[str, Any]) -> set[str]:
    """Target groups of one action of a listener or rule."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    found = {action.get("TargetGroupArn"), *(one["TargetGroupArn"] for one in groups if one.get("Weight", 1))}
    return {arn for arn in found if arn}


def _https(account: Account, told: list[dict[str, Any]], forwarding: set[str]) -> Iterator[Finding]:
    doubt = fail if account.phase == "full" else warn  # phase full demands HTTPS; before it, it is a debt
    secure = [one for one in told if one["Protocol"] == "HTTPS" and one["ListenerArn"] in forwarding]
    plain = [one for one in told if one["Protocol"] == "HTTP" and one["ListenerArn"] in forwarding]
    if forwarding and not secure:
        yield doubt(
            "HTTPS_MISSING",
            f"No HTTPS listener forwards to the target group, but clients call {account.plan.domain}.",
            ("plan: domain", account.plan.domain),
            ("ELB: Listeners[].Protocol", [one["Protocol"] for one in told]),
            repair="Add an HTTPS listener with a certificate for the domain that forwards to the target group.",
        )
    elif plain:
        ports = ", ".join(str(one["Port"]) for one in plain)
        yield doubt(
            "HTTP_PLAIN",
            f"The HTTP listener on port {ports} forwards photos and keys unencrypted instead of redirecting to HTTPS.",
            ("ELB: Listeners[].Port", [one["Port"] for one in plain]),
            repair="Let the HTTP listener redirect to HTTPS with 301.",
        )
    elif secure:
        yield ok("HTTPS", "Clients come by HTTPS only.", ("ELB: Listeners[].Port", [one["Port"] for one in told]))
