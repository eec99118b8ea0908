"""Nobody gets in to the task, or the task does not get out."""

import re

from deploy.diagnose.causes.health import outside
from deploy.diagnose.causes.image import NO_WAY
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, events, reasons, shown
from deploy.diagnose.registry import LIKELY, SAID, SEEN, CauseMatch, by_words, cause, sign

TIMEOUT = re.compile(r"Target\.Timeout|Request timed out", re.IGNORECASE)
EXHAUSTED = re.compile(
    r"InsufficientFreeAddresses|(?:not enough|insufficient) free (?:IP )?(?:addresses|IPs?)|does not have enough free|"
    r"NetworkInterfaceLimitExceeded|(?:maximum|limit)[^\n]{0,30} number of network interfaces",
    re.IGNORECASE,
)
INTERFACE = re.compile(
    r"network interface provisioning|creat\w+ network interface|Network interface[^\n]*(?:fail|timed out|timeout)|"
    r"unexpected EC2 error",
    re.IGNORECASE,
)
BEFORE = re.compile(r"CannotPull|ResourceInitialization|registry auth|retrieve secret|logger args|log stream")


@cause(
    "SECURITY_GROUP_SHUT",
    "The tasks' security group keeps the load balancer out",
    looks="Target.Timeout, `Request timed out`, and no ingress rule for the container's port.",
    repair="Allow TCP on the container's port from the load balancer's security group; `trail infra apply` does.",
    weight=SAID,
    deterministic=True,
)
def shut(seen: Evidence) -> CauseMatch | None:
    timeouts = [one for one in outside(seen) if TIMEOUT.search(one.text)]
    port = _port(seen)
    if not timeouts or port is None or not seen.security_groups:
        return None
    rules = [rule for group in seen.security_groups for rule in group.rules]
    covering = [rule for rule in rules if rule.covers(port)]
    front = set(seen.balancer_groups)
    if any(rule.elsewhere or not front or not rule.groups or front & set(rule.groups) for rule in covering):
        return None
    groups = ", ".join(one.id for one in seen.security_groups)
    opened = ", ".join(sorted({rule.text for rule in rules})) or "nothing"
    sentence = f"{groups} does not let the load balancer in on port {port}; let in is {opened}."
    if covering:
        sentence = f"{groups} lets port {port} in from elsewhere only, not from the load balancer ({', '.join(front)})."
    repair = f"Allow TCP {port} in {groups} from {', '.join(front) or 'the load balancer'}; `trail infra apply` does."
    fact = Quote(f"security group {groups}", f"ingress: {opened}")
    return sign(sentence, [timeouts[0], fact, *timeouts[1:]], repair=repair)


def _port(seen: Evidence) -> int | None:
    ports = [one.port for one in seen.targets if one.port]
    ports += [seen.service.port] if seen.service is not None and seen.service.port else []
    return next(iter([*ports, *(seen.definition.ports if seen.definition else ())]), None)


@cause(
    "TARGET_TIMEOUT",
    "Tasks do not answer the load balancer in time",
    looks="Target.Timeout, though the security group lets it in.",
    repair="Look at network ACLs and at the load balancer's own egress rules; then at the task: CPU at its limit, or "
    "a service that accepts and does not answer.",
    weight=LIKELY,
)
def timeout(seen: Evidence) -> CauseMatch | None:
    timeouts = [one for one in outside(seen) if TIMEOUT.search(one.text)]
    if not timeouts or shut(seen) is not None:
        return None
    return sign("The load balancer's health checks get no answer in time.", timeouts)


@cause(
    "SUBNET_NO_EGRESS",
    "The tasks' subnet leads nowhere",
    looks="Image, secrets or log cannot be reached, and the subnet is public without public IPs, or has no default "
    "route.",
    repair="Set network.assign_public_ip in the plan, or name private subnets with a NAT gateway, or add the "
    "endpoints ecr.api, ecr.dkr, logs, secretsmanager and s3.",
    weight=SAID,
    deterministic=True,
)
def no_egress(seen: Evidence) -> CauseMatch | None:
    quotes = [one for one in reasons(seen.failed) if BEFORE.search(one.text) and NO_WAY.search(one.text)]
    if not quotes or seen.service is None:
        return None
    public = seen.service.public_ip
    hidden = [one for one in seen.subnets if one.way == "internet" and public is False]
    lost = [one for one in seen.subnets if one.way == "none"]
    if hidden:
        names = ", ".join(shown(one.id, 40) for one in hidden)
        sentence = (
            f"{names} is public (its default route is an internet gateway), and tasks get no public IP: no way out."
        )
        facts = [
            Quote(f"subnet {one.id}", "default route to an internet gateway; assignPublicIp DISABLED") for one in hidden
        ]
        return sign(sentence, [quotes[0], *facts, *quotes[1:]])
    if lost:
        names = ", ".join(shown(one.id, 40) for one in lost)
        sentence = f"{names} has no default route: only VPC endpoints lead out, and one is missing or shut."
        facts = [Quote(f"subnet {one.id}", "no default route") for one in lost]
        return sign(sentence, [quotes[0], *facts, *quotes[1:]], weight=SEEN + 0.05)
    return None


@cause(
    "ADDRESSES_EXHAUSTED",
    "The subnets have no address left",
    looks="`InsufficientFreeAddressesInSubnet`, or the limit of network interfaces, in an event or a stopped reason.",
    repair="Name larger subnets or further ones in network.subnets (each task takes an address, twice as many during "
    "a deployment), or free some.",
    weight=SAID,
)
def exhausted(seen: Evidence) -> CauseMatch | None:
    free = [Quote(f"subnet {one.id}", f"{one.free} addresses free") for one in seen.subnets if one.free is not None]
    told = ", ".join(f"{shown(one.id, 40)}: {one.free}" for one in seen.subnets if one.free is not None)
    sentence = f"Tasks get no address{f' (free: {told})' if told else ''}."
    return by_words([*reasons(seen.failed), *events(seen)], EXHAUSTED, sentence, *free)


@cause(
    "INTERFACE_FAILED",
    "AWS could not make the task's network interface",
    looks="`Timeout waiting for network interface provisioning to complete`, `unexpected EC2 error while attempting "
    "to Create Network Interface`.",
    repair="Wait: ECS tries again. If it stays: the service-linked role AWSServiceRoleForECS, and the subnets and "
    "groups that are named.",
    weight=SEEN,
)
def interface(seen: Evidence) -> CauseMatch | None:
    quotes = [one for one in [*reasons(seen.failed), *events(seen)] if not EXHAUSTED.search(one.text)]
    return by_words(quotes, INTERFACE, "AWS could not make the network interface of a task.")
