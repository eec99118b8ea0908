"""Checks of target group, load balancer and listeners."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent
from deploy.aws.reader import AwsReader
from deploy.findings.finding import Finding, fail, ok, warn
from deploy.verify.account.context import Account
from deploy.verify.account.grace_period import grace_period


def describe_target_group(account: Account) -> dict[str, Any] | None:
    """The plan's target group; None where it does not exist."""
    arn = account.plan.load_balancer.target_group
    try:
        groups = account.ask("elbv2", "describe_target_groups", TargetGroupArns=[arn])["TargetGroups"]
    except Absent:
        return None
    return groups[0] if groups else None


def describe_load_balancer(account: Account) -> dict[str, Any] | None:
    """The load balancer that uses the target group; None where none does."""
    if not (arns := (describe_target_group(account) or {}).get("LoadBalancerArns")):
        return None
    try:
        balancers = account.ask("elbv2", "describe_load_balancers", LoadBalancerArns=arns[:1])["LoadBalancers"]
    except Absent:
        return None
    return balancers[0] if balancers else None


def target_group(account: Account) -> Iterator[Finding]:
    """It sends requests to IP addresses on the contract's port and checks the contract's health path."""
    group = describe_target_group(account)
    if group is None:
        arn = account.plan.load_balancer.target_group
        yield fail(
            "TARGET_GROUP_MISSING",
            f"The target group {arn} does not exist.",
            ("plan: load_balancer.target_group", arn),
            repair="Create it (type ip, the image's port and health path), or correct the plan.",
        )
        return
    problems = [
        *_type(account, group),
        *_health_check(account, group),
        *grace_period(account, group),
        *_unhealthy_after(account, group),
    ]
    yield from problems
    if not problems:
        yield ok(
            "TARGET_GROUP",
            f"The target group uses IP addresses on port {group['Port']} and checks {group['HealthCheckPath']}.",
            ("ELB: TargetGroupArn", group["TargetGroupArn"]),
        )


def _type(account: Account, group: dict[str, Any]) -> Iterator[Finding]:
    port = account.contract.port
    if group["TargetType"] != "ip":
        yield fail(
            "TARGET_TYPE",
            f"The target group has type {group['TargetType']}; tasks in awsvpc mode need type ip.",
            ("ELB: TargetType", group["TargetType"]),
            repair="Create a new target group of type ip; the type of an existing one cannot be changed.",
        )
    if group.get("Protocol") != "HTTP" or group.get("ProtocolVersion", "HTTP1") != "HTTP1":
        protocol = f"{group.get('Protocol')} {group.get('ProtocolVersion', '')}".strip()
        yield fail(
            "TARGET_PROTOCOL",
            f"The target group uses {protocol}, but the image serves plain HTTP/1.1.",
            ("ELB: Protocol, ProtocolVersion", protocol),
            repair="Create a target group with protocol HTTP and version HTTP1.",
        )
    if group.get("Port") != port:
        yield warn(
            "TARGET_PORT",
            f"The target group's default port is {group.get('Port')}, but the image listens on {port}. ECS registers "
            "each task with its own port; the default only misleads people who register a target by hand.",
            ("image contract: port", port),
            ("ELB: Port", group.get("Port")),
            repair=f"Create the target group with port {port}.",
        )


def _health_check(account: Account, group: dict[str, Any]) -> Iterator[Finding]:
    port, path = account.contract.port, account.contract.health.path
    if group["HealthCheckPort"] not in ("traffic-port", str(port)):
        yield fail(
            "TARGET_HEALTH_PORT",
            f"The target group checks health on port {group['HealthCheckPort']}, but the image listens on {port}.",
            ("image contract: port", port),
            ("ELB: HealthCheckPort", group["HealthCheckPort"]),
            repair="Set the target group's health check port to traffic-port.",
        )
    if group.get("HealthCheckPath") != path:
        yield fail(
            "TARGET_PATH",
            f"The target group checks {group.get('HealthCheckPath')}, but the image's health path is {path}.",
            ("image contract: health.path", path),
            ("ELB: HealthCheckPath", group.get("HealthCheckPath")),
            repair=f"Set the target group's health check path to {path}.",
        )
    matcher = group.get("Matcher", {}).get("HttpCode", "200")
    if not includes(matcher, 200):
        yield fail(
            "TARGET_MATCHER",
            f"The target group accepts only {matcher} as healthy, but the image answers 200.",
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


def _unhealthy_after(account: Account, group: dict[str, Any]) -> Iterator[Finding]:
    interval, slowest = group["HealthCheckIntervalSeconds"], account.contract.seconds.slowest_request
    unhealthy_after = interval * group["UnhealthyThresholdCount"]
    if unhealthy_after <= slowest:
        yield warn(
            "TARGET_HASTY",
            f"A task is unhealthy after {unhealthy_after} s without an answer, but one slow request may take "
            f"{slowest:g} s.",
            ("image contract: seconds.slowest_request", slowest),
            ("ELB: HealthCheckIntervalSeconds × UnhealthyThresholdCount", unhealthy_after),
            repair="Set the interval to 15 s and the unhealthy threshold to 3.",
        )


def draining(account: Account) -> Iterator[Finding]:
    """Tasks finish their requests before they are stopped."""
    if describe_target_group(account) is None:
        return
    arn, slowest = account.plan.load_balancer.target_group, account.contract.seconds.slowest_request
    pairs = account.ask("elbv2", "describe_target_group_attributes", TargetGroupArn=arn)["Attributes"]
    attributes = {pair["Key"]: pair["Value"] for pair in pairs}
    delay = int(attributes.get("deregistration_delay.timeout_seconds", 300))  # ELB's default
    stop = int(account.container.get("stopTimeout", account.plan.stop_timeout))
    places = [("ELB: deregistration_delay.timeout_seconds", delay)]
    if delay < slowest:
        yield fail(
            "DEREGISTRATION_SHORT",
            f"Connections are closed {delay} s after a task is deregistered, but a request may take {slowest:g} s.",
            *places,
            ("image contract: seconds.slowest_request", slowest),
            repair=f"Set the deregistration delay to {account.plan.deregistration_delay} s.",
        )
    elif delay >= stop:
        yield warn(
            "DEREGISTRATION_LONG",
            f"The deregistration delay of {delay} s is not below the task's stopTimeout of {stop} s: "
            "the load balancer may still use connections to a stopped task.",
            *places,
            ("task definition: stopTimeout", stop),
            repair=f"Set the deregistration delay to {account.plan.deregistration_delay} s.",
        )
    else:
        yield ok("DRAINING", f"A task has {delay} s to finish its requests and {stop} s to stop.", *places)


def load_balancer(account: Account) -> Iterator[Finding]:
    """An active load balancer uses the target group, and its idle timeout is below the server's keep-alive."""
    if describe_target_group(account) is None:
        return
    balancer = describe_load_balancer(account)
    if balancer is None:
        yield fail(
            "TARGET_GROUP_DETACHED",
            "No load balancer uses the target group: ECS refuses a service with it.",
            ("plan: load_balancer.target_group", account.plan.load_balancer.target_group),
            repair="Let a listener of the load balancer forward to the target group.",
        )
        return
    name, state = balancer["LoadBalancerName"], balancer["State"]["Code"]
    if state not in ("active", "active_impaired"):
        yield fail(
            "BALANCER_STATE",
            f"The load balancer {name} is {state}, not active.",
            ("ELB: State.Code", state),
            repair="Wait until it is active; if it has failed, check its subnets and limits.",
        )
    arn = balancer["LoadBalancerArn"]
    pairs = account.ask("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=arn)["Attributes"]
    idle = float({pair["Key"]: pair["Value"] for pair in pairs}.get("idle_timeout.timeout_seconds", 60))
    kept = account.contract.seconds.keep_alive
    places = [("ELB: idle_timeout.timeout_seconds", idle), ("image contract: seconds.keep_alive", kept)]
    if idle >= kept:
        yield fail(
            "IDLE_TIMEOUT",
            f"The load balancer keeps idle connections for {idle:g} s, but the server closes them after {kept:g} s: "
            "some requests will end with 502.",
            *places,
            repair="Set the load balancer's idle timeout to 60 s.",
        )
    else:
        yield ok("BALANCER", f"The load balancer {name} is {state}; its idle timeout is {idle:g} s.", *places)


def listeners(account: Account) -> Iterator[Finding]:
    """A listener forwards to the target group, over HTTPS; plain HTTP is redirected."""
    if (balancer := describe_load_balancer(account)) is None:
        return
    arn, planned = account.plan.load_balancer.target_group, account.plan.load_balancer.listener
    all_of_them = account.ask("elbv2", "describe_listeners", LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    arns = [listener["ListenerArn"] for listener in all_of_them]
    forwarding = {listener["ListenerArn"] for listener in all_of_them if arn in targets(account.reader, listener)}
    if planned is not None and planned not in arns:
        yield fail(
            "LISTENER_MISSING",
            f"The load balancer {balancer['LoadBalancerName']} has no listener {planned}.",
            ("plan: load_balancer.listener", planned),
            ("ELB: Listeners[].ListenerArn", arns),
            repair="Create the listener, or correct load_balancer.listener in the plan.",
        )
    elif not forwarding or (planned is not None and planned not in forwarding):
        yield fail(
            "LISTENER_FORWARD",
            f"{'No listener forwards' if planned is None else f'The listener {planned} does not forward'} "
            "to the target group: no client reaches the tasks.",
            ("plan: load_balancer.target_group", arn),
            ("ELB: listeners that forward to it", sorted(forwarding)),
            repair="Add a rule or a default action that forwards to the target group.",
        )
    else:
        yield ok("LISTENER", "A listener forwards to the target group.", ("ELB: ListenerArn", sorted(forwarding)))
    yield from _https(account, all_of_them, forwarding)


def targets(reader: AwsReader, listener: dict[str, Any]) -> set[str]:
    """Target groups that a listener forwards to, by a rule or by default."""
    rules = reader.read("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])["Rules"]
    actions = [*listener.get("DefaultActions", []), *(action for rule in rules for action in rule["Actions"])]
    return {arn for action in actions for arn in forwarded(action)}


def forwarded(action: dict[str, Any]) -> set[str]:
    """Target groups of one action of a listener or rule."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    arns = {action.get("TargetGroupArn"), *(group["TargetGroupArn"] for group in groups if group.get("Weight", 1))}
    return {arn for arn in arns if arn}


def _https(account: Account, listeners: list[dict[str, Any]], forwarding: set[str]) -> Iterator[Finding]:
    problem = fail if account.phase == "full" else warn  # only phase full demands HTTPS
    used = [listener for listener in listeners if listener["ListenerArn"] in forwarding]
    secure = [listener for listener in used if listener["Protocol"] == "HTTPS"]
    plain = [listener for listener in used if listener["Protocol"] == "HTTP"]
    if forwarding and not secure:
        yield problem(
            "HTTPS_MISSING",
            f"No HTTPS listener forwards to the target group, but clients call {account.plan.domain}.",
            ("plan: domain", account.plan.domain),
            ("ELB: Listeners[].Protocol", [listener["Protocol"] for listener in listeners]),
            repair="Add an HTTPS listener with a certificate for the domain that forwards to the target group.",
        )
    elif plain:
        numbers = ", ".join(str(listener["Port"]) for listener in plain)
        yield problem(
            "HTTP_PLAIN",
            f"The HTTP listener on port {numbers} forwards photos and keys unencrypted and does not redirect to HTTPS.",
            ("ELB: Listeners[].Port", [listener["Port"] for listener in plain]),
            repair="Let the HTTP listener redirect to HTTPS with 301.",
        )
    elif secure:
        ports = [listener["Port"] for listener in listeners]
        yield ok("HTTPS", "Clients connect over HTTPS only.", ("ELB: Listeners[].Port", ports))
