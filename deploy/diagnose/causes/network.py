"""The load balancer cannot reach the task, or the task cannot reach AWS."""

import re

from deploy.aws.network import Subnet
from deploy.diagnose.cause import Cause, CauseMatch, Weight, match_words, matched
from deploy.diagnose.causes.health import balancer_failures
from deploy.diagnose.containers import serving_name, the_container
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    UNREACHABLE,
    VOLUME,
    Quote,
    deployment_events,
    failed_reasons,
    matching,
    missing_permission,
    reasons_and_events,
    safe,
    start_failures,
    unhealthy_targets,
)

TIMEOUT = re.compile(r"(?i)Target\.Timeout|Request timed out")
EXHAUSTED = re.compile(
    r"InsufficientFreeAddresses|(?:not enough|insufficient|no) (?:free|available)? ?(?:IP )?(?:addresses|IPs?)\b|"
    r"does not have enough free|NetworkInterfaceLimitExceeded|"
    r"(?:maximum|limit)[^\n]{0,30} number of network interfaces",
    re.IGNORECASE,
)
INTERFACE = re.compile(
    r"(?i)network interface provisioning|creat\w+ network interface|"
    r"(?:Network interface|\bENI\b)[^\n]*(?:fail|timed out|timeout)|"
    r"unexpected EC2 error"
)
BEFORE_START = re.compile(
    r"CannotPull|ResourceInitialization|registry auth|retrieve secret|logger args|log stream|env files"
)
WRONG_TYPE = re.compile(r"(?i)target type instance|incompatible with the awsvpc network mode")
NO_BALANCER = re.compile(
    r"(?i)does not have an associated load balancer|TARGET GROUP IS NOT FOUND|TargetGroupNotFound|"
    r"target groups?[^\n]* (?:not found|do(?:es)? not exist)"
)
NOT_REGISTERED = re.compile(r"failed to (?:de)?register targets?[^\n]*?\(error (?P<error>.*?)\)?\.?$", re.DOTALL)
OTHER_VPC = re.compile(r"not in the target group VPC|different VPC")
NO_NETWORK = re.compile(
    r"(?P<what>subnet|group|security group)\w*\.NotFound|"
    r"The (?P<named>subnet|security group)s? [^\n]{0,200}?do(?:es)? not exist",
    re.IGNORECASE,
)


def timeouts(evidence: Evidence) -> list[Quote]:
    """Health checks of the load balancer that got no answer in time."""
    return [quote for quote in balancer_failures(evidence) if TIMEOUT.search(quote.text)]


def security_group_shut(evidence: Evidence) -> CauseMatch | None:
    """Checks time out, and no ingress rule allows the load balancer on the container's port."""
    quotes, port = timeouts(evidence), _port(evidence)
    if not quotes or port is None or not evidence.security_groups:
        return None
    rules = [rule for group in evidence.security_groups for rule in group.rules]
    covering = [rule for rule in rules if rule.covers(port)]
    balancer = set(evidence.balancer_groups)
    if any(rule.elsewhere or not balancer or not rule.groups or balancer & set(rule.groups) for rule in covering):
        return None
    groups = ", ".join(group.id for group in evidence.security_groups)
    allowed = ", ".join(sorted({rule.text for rule in rules})) or "nothing"
    sentence = f"{groups} does not allow the load balancer on port {port}; it allows {allowed}."
    if covering:
        sentence = (
            f"{groups} allows port {port} only from elsewhere, not from the load balancer ({', '.join(balancer)})."
        )
    repair = (
        f"Allow TCP {port} in {groups} from {', '.join(balancer) or 'the load balancer'}; `trail infra apply` does."
    )
    rules_quote = Quote(f"security group {groups}", f"ingress: {allowed}")
    return matched(sentence, [quotes[0], rules_quote, *quotes[1:]], repair=repair)


def _port(evidence: Evidence) -> int | None:
    ports = [target.port for target in evidence.targets if target.port]
    ports += [evidence.service.port] if evidence.service is not None and evidence.service.port else []
    return next(iter([*ports, *(evidence.definition.ports if evidence.definition else ())]), None)


def target_timeout(evidence: Evidence) -> CauseMatch | None:
    """Checks time out, and the security group does not explain it."""
    quotes = timeouts(evidence)
    if not quotes or security_group_shut(evidence) is not None:
        return None
    return matched("", quotes)


def no_egress(evidence: Evidence) -> CauseMatch | None:
    """AWS cannot be reached before the start, and the routes of the subnets show why."""
    reasons = [quote for quote in start_failures(evidence) if not VOLUME.search(quote.text)]
    quotes = [quote for quote in reasons if BEFORE_START.search(quote.text) and UNREACHABLE.search(quote.text)]
    if not quotes or evidence.service is None:
        return None
    without_ip = evidence.service.public_ip is False
    if public := [subnet for subnet in evidence.subnets if subnet.way == "internet" and without_ip]:
        sentence = (
            f"Tasks in {_names(public)} get no public IP, but their default route, an internet gateway, needs one."
        )
        facts = _facts(public, "default route to an internet gateway; assignPublicIp DISABLED")
        return matched(sentence, [quotes[0], *facts, *quotes[1:]])
    if isolated := [subnet for subnet in evidence.subnets if subnet.way == "none"]:
        names, facts = _names(isolated), _facts(isolated, "no default route")
        sentence = (
            f"Tasks in {names} have no default route: only VPC endpoints lead out, and one is missing or blocked."
        )
        return matched(sentence, [quotes[0], *facts, *quotes[1:]], weight=Weight.TWO_FACTS + 0.05)
    return None


def _names(subnets: list[Subnet]) -> str:
    return ", ".join(safe(subnet.id, 40) for subnet in subnets)


def _facts(subnets: list[Subnet], fact: str) -> list[Quote]:
    return [Quote(f"subnet {subnet.id}", fact) for subnet in subnets]


def addresses_exhausted(evidence: Evidence) -> CauseMatch | None:
    """AWS says that addresses or interfaces are used up; shows the free addresses of the subnets."""
    quotes = [quote for quote, _ in matching(reasons_and_events(evidence), EXHAUSTED)]
    if not quotes:
        return None
    subnets = [subnet for subnet in evidence.subnets if subnet.free is not None]
    free = ", ".join(f"{safe(subnet.id, 40)}: {subnet.free}" for subnet in subnets)
    facts = [Quote(f"subnet {subnet.id}", f"{subnet.free} addresses free") for subnet in subnets]
    return matched(f"Tasks get no address{f' (free: {free})' if free else ''}.", [*quotes, *facts])


def target_type(evidence: Evidence) -> CauseMatch | None:
    """The target group does not take addresses."""
    events = [*deployment_events(evidence), *failed_reasons(evidence)]
    quotes = [quote for quote, _ in matching(events, WRONG_TYPE)]
    group, kind = evidence.target_group, "instance"
    if group is not None and group.type in ("instance", "lambda", "alb"):
        kind = group.type
        quotes.append(Quote("target group", f"TargetType is {kind}"))
    if not quotes:
        return None
    return matched(f"Tasks in awsvpc mode need a target group of type ip; this one is of type {kind}.", quotes)


def target_group_missing(evidence: Evidence) -> CauseMatch | None:
    """The target group does not exist, has no load balancer, or its targets are unused."""
    quotes = [quote for quote, _ in matching(deployment_events(evidence), NO_BALANCER)]
    unused = [quote for quote in unhealthy_targets(evidence) if quote.text.startswith("unused")]
    if evidence.target_group_status and evidence.service is not None and evidence.service.target_group:
        quotes.append(Quote("load balancer", f"there is no target group {evidence.service.target_group}"))
    if not quotes and not unused:
        return None
    problem = (
        "does not exist, or has no load balancer" if quotes else "gets no traffic: no listener or zone leads to it"
    )
    return matched(f"The service's target group {problem}.", [*quotes, *unused])


def not_registered(evidence: Evidence) -> CauseMatch | None:
    """ECS could not register tasks with the target group, for a reason that no other cause states."""
    quotes = [quote for quote in deployment_events(evidence) if not WRONG_TYPE.search(quote.text)]
    matches = [pair for pair in matching(quotes, NOT_REGISTERED) if not NO_BALANCER.search(pair[0].text)]
    if not matches:
        return None
    error, permission = matches[0][1]["error"], missing_permission(matches[0][0].text)
    repair, permanent = None, bool(permission)
    if permission:
        repair = (
            f"Allow {permission} to the role that ECS uses for load balancers: AWSServiceRoleForECS, or the role that "
            "the service names."
        )
    elif OTHER_VPC.search(error):
        repair, permanent = "Make the target group in the VPC of the tasks' subnets; a target group cannot move.", True
    sentence = (
        f"ECS could not register {the_container(serving_name(evidence))} with the target group: "
        f"{safe(error, 300).rstrip('.')}."
    )
    return matched(sentence, [quote for quote, _ in matches], repair=repair, deterministic=permanent)


def network_missing(evidence: Evidence) -> CauseMatch | None:
    """A subnet or a security group of the service does not exist."""
    matches = matching(reasons_and_events(evidence), NO_NETWORK)
    if not matches:
        return None
    what = (matches[0][1]["what"] or matches[0][1]["named"]).lower()
    name = "subnet" if what == "subnet" else "security group"
    return matched(f"A {name} that the service names does not exist.", [quote for quote, _ in matches])


CAUSES = (
    Cause(
        "SECURITY_GROUP_SHUT",
        "The tasks' security group does not allow the load balancer",
        looks="Target.Timeout, `Request timed out`, and no ingress rule for the container's port.",
        repair="Allow TCP on the container's port from the load balancer's security group; `trail infra apply` does.",
        weight=Weight.STATED,
        deterministic=True,
        match=security_group_shut,
    ),
    Cause(
        "TARGET_TIMEOUT",
        "The load balancer's health checks get no answer in time",
        looks="Target.Timeout, although the security group allows it.",
        repair="Check network ACLs and the egress rules of the load balancer's security group; then the task: CPU at "
        "its limit, or a service that accepts connections and does not answer.",
        weight=Weight.LIKELY,
        match=target_timeout,
    ),
    Cause(
        "SUBNET_NO_EGRESS",
        "The tasks' subnet has no route out",
        looks="Image, secrets or log cannot be reached; the subnet is public without public IPs, or has no route out.",
        repair="Set network.assign_public_ip in the plan, or name private subnets with a NAT gateway, or add the VPC "
        "endpoints ecr.api, ecr.dkr, logs, secretsmanager and s3.",
        weight=Weight.STATED,
        deterministic=True,
        match=no_egress,
    ),
    Cause(
        "ADDRESSES_EXHAUSTED",
        "The subnets have no free address",
        looks="`InsufficientFreeAddressesInSubnet`, or the limit of network interfaces, in an event or a reason.",
        repair="Name larger or additional subnets in network.subnets (each task needs an address, and during a "
        "deployment twice as many are needed), or free some.",
        weight=Weight.STATED,
        match=addresses_exhausted,
    ),
    Cause(
        "INTERFACE_FAILED",
        "AWS could not create the task's network interface",
        looks="`Timeout waiting for network interface provisioning`, `… attempting to Create Network Interface`.",
        repair="Wait: ECS tries again. If it persists, check the service-linked role AWSServiceRoleForECS, and the "
        "subnets and security groups that the message names.",
        weight=Weight.TWO_FACTS,
        match=match_words(
            reasons_and_events,
            INTERFACE,
            excluding=re.compile(f"{EXHAUSTED.pattern}|{NO_NETWORK.pattern}", re.IGNORECASE),
        ),
    ),
    Cause(
        "NETWORK_MISSING",
        "A subnet or a security group of the service does not exist",
        looks="`InvalidSubnetID.NotFound`, `InvalidGroup.NotFound` in an event or a reason.",
        repair="Correct network.subnets and network.security_groups in the plan, then run `trail up` again.",
        weight=Weight.STATED,
        deterministic=True,
        match=network_missing,
    ),
    Cause(
        "TARGETS_NOT_REGISTERED",
        "ECS could not register the tasks with the target group",
        looks="event: `failed to register targets in (target-group …) with (error …)`.",
        repair="Read the error in the evidence: it is the load balancer's own. `trail preflight` compares target "
        "group, network and service.",
        weight=Weight.STATED,
        match=not_registered,
    ),
    Cause(
        "TARGET_TYPE",
        "The target group is of type instance",
        looks="`… has target type instance, which is incompatible with the awsvpc network mode`.",
        repair="Create a target group of type ip (the type cannot be changed). `trail infra apply` does.",
        weight=Weight.STATED,
        deterministic=True,
        match=target_type,
    ),
    Cause(
        "TARGET_GROUP_MISSING",
        "The target group does not exist, or gets no traffic",
        looks="TargetGroupNotFound; `The target group … does not have an associated load balancer`; targets `unused`.",
        repair="Let a listener of the load balancer forward to the target group, and enable the load balancer in the "
        "zones of the tasks' subnets; `trail preflight` says which is missing.",
        weight=Weight.STATED,
        deterministic=True,
        match=target_group_missing,
    ),
)
