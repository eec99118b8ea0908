"""Checks of the security groups: the load balancer reaches the tasks, and tasks reach what they need."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.verify.account.context import Account
from deploy.verify.account.load_balancer import describe_load_balancer
from deploy.verify.account.network import ANYWHERE, endpoints, needed_services, subnets_of

HTTPS = 443


def groups_of(account: Account, names: list[str]) -> dict[str, dict[str, Any]]:
    """The existing security groups, by id."""
    groups: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            for group in account.ask("ec2", "describe_security_groups", GroupIds=[name])["SecurityGroups"]:
                groups[group["GroupId"]] = group
        except Absent:
            continue  # reported by the check `security_groups`
    return groups


def covers(rule: dict[str, Any], port: int) -> bool:
    """Whether a rule includes TCP on a port."""
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] in ("tcp", "6") and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)


def admits(rules: list[dict[str, Any]], port: int, groups: list[str], networks: list[str]) -> bool:
    """Whether rules allow TCP on a port to or from one of the groups, or all of the networks."""
    fitting = [rule for rule in rules if covers(rule, port)]
    if {pair["GroupId"] for rule in fitting for pair in rule.get("UserIdGroupPairs", [])} & set(groups):
        return True
    allowed = [ipaddress.IPv4Network(cidr["CidrIp"]) for rule in fitting for cidr in rule.get("IpRanges", [])]
    return bool(networks) and all(
        any(ipaddress.IPv4Network(network).subnet_of(cidr) for cidr in allowed) for network in networks
    )


def security_groups(account: Account) -> Iterator[Finding]:
    """They exist, in the subnets' VPC."""
    planned = account.plan.network.security_groups
    existing = groups_of(account, planned)
    vpcs = {subnet["VpcId"] for subnet in subnets_of(account, account.plan.network.subnets).values()}
    problems = []
    for name in planned:
        if name not in existing:
            problems.append(
                fail(
                    "SECURITY_GROUP_MISSING",
                    f"The security group {name} does not exist.",
                    ("plan: network.security_groups", name),
                    repair="Correct network.security_groups in the plan.",
                )
            )
        elif vpcs and existing[name]["VpcId"] not in vpcs:
            problems.append(
                fail(
                    "SECURITY_GROUP_VPC",
                    f"The security group {name} is in {existing[name]['VpcId']}, but the subnets are in "
                    f"{', '.join(sorted(vpcs))}.",
                    ("EC2: VpcId of the group", existing[name]["VpcId"]),
                    ("EC2: VpcId of the subnets", sorted(vpcs)),
                    repair="Name a security group of the subnets' VPC.",
                )
            )
    yield from problems
    if not problems:
        yield ok("SECURITY_GROUPS", "The security groups exist.", ("plan: network.security_groups", planned))


def ingress(account: Account) -> Iterator[Finding]:
    """The load balancer, and only it, can reach the contract's port."""
    groups, port = groups_of(account, account.plan.network.security_groups), account.contract.port
    front = describe_load_balancer(account)
    if not groups or front is None:
        return
    rules = [rule for group in groups.values() for rule in group.get("IpPermissions", [])]
    own = front.get("SecurityGroups", [])
    own_subnets = [zone["SubnetId"] for zone in front["AvailabilityZones"]]
    networks = [subnet["CidrBlock"] for subnet in subnets_of(account, own_subnets).values()]
    prefix_list = any(covers(rule, port) and rule.get("PrefixListIds") for rule in rules)
    opened = sorted({_ports(rule) for rule in rules})
    places = [("image contract: port", port), ("EC2: ports that are open", opened)]
    if not admits(rules, port, own, networks):
        if prefix_list:
            yield skip("INGRESS", f"Port {port} is open to a prefix list, which was not read.", *places)
            return
        yield fail(
            "INGRESS_CLOSED",
            f"No security group of the tasks allows the load balancer ({', '.join(own)}) on port {port}; "
            f"open: {', '.join(opened) or 'nothing'}.",
            *places,
            repair=f"Allow TCP {port} from {own[0] if own else 'the load balancer'} in "
            f"{account.plan.network.security_groups[0]}.",
        )
        return
    ranges = [cidr for rule in rules if covers(rule, port) for cidr in rule.get("IpRanges", [])]
    if any(cidr["CidrIp"] == ANYWHERE for cidr in ranges):
        yield warn(
            "INGRESS_OPEN",
            f"Port {port} of the tasks is open to {ANYWHERE}: clients can bypass the load balancer and its HTTPS.",
            *places,
            repair=f"Allow TCP {port} from the load balancer's security group only.",
        )
    else:
        yield ok("INGRESS", f"The load balancer may connect to port {port} of the tasks.", *places)


def _ports(rule: dict[str, Any]) -> str:
    if rule["IpProtocol"] == "-1":
        return "everything"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    return f"{rule['IpProtocol']} {first}" if first == last else f"{rule['IpProtocol']} {first}-{last}"


def balancer_egress(account: Account) -> Iterator[Finding]:
    """The load balancer's own security groups allow it to reach the tasks."""
    front, port = describe_load_balancer(account), account.contract.port
    groups = groups_of(account, (front or {}).get("SecurityGroups", []))
    if not groups:
        return
    rules = [rule for group in groups.values() for rule in group.get("IpPermissionsEgress", [])]
    tasks = account.plan.network.security_groups
    networks = [subnet["CidrBlock"] for subnet in subnets_of(account, account.plan.network.subnets).values()]
    opened = sorted({_ports(rule) for rule in rules})
    if admits(rules, port, tasks, networks):
        yield ok("BALANCER_EGRESS", f"The load balancer's security groups allow port {port} of the tasks.")
    else:
        yield fail(
            "BALANCER_EGRESS_CLOSED",
            f"The load balancer's security groups {', '.join(groups)} do not allow connections to the tasks on port "
            f"{port}; open: {', '.join(opened) or 'nothing'}.",
            ("image contract: port", port),
            ("EC2: outbound ports that are open", opened),
            repair=f"Allow outbound TCP {port} to {tasks[0]} in {next(iter(groups))}.",
        )


def task_egress(account: Account) -> Iterator[Finding]:
    """Tasks may connect to port 443: image, log, secrets and weights use their network interface."""
    groups = groups_of(account, account.plan.network.security_groups)
    if not groups:
        return
    rules = [rule for group in groups.values() for rule in group.get("IpPermissionsEgress", []) if covers(rule, HTTPS)]
    purposes = ", ".join(dict.fromkeys(needed_services(account).values()))
    places = [("needed on port 443", purposes), ("EC2: outbound rules for port 443", len(rules))]
    if admits(rules, HTTPS, [], [ANYWHERE]):
        yield ok("TASK_EGRESS", f"Tasks may connect to port {HTTPS} anywhere.", *places)
    elif rules:
        yield skip("TASK_EGRESS", f"Tasks may connect to port {HTTPS} of some addresses only; these were not checked.")
    else:
        yield fail(
            "TASK_EGRESS_CLOSED",
            f"No security group of the tasks allows outbound port {HTTPS}, which {purposes} need.",
            *places,
            repair=f"Allow outbound TCP {HTTPS} to {ANYWHERE} in {account.plan.network.security_groups[0]}.",
        )


def endpoint_ingress(account: Account) -> Iterator[Finding]:
    """VPC endpoints accept the tasks; private DNS sends them there even where there is a NAT gateway."""
    tasks = account.plan.network.security_groups
    subnets = subnets_of(account, account.plan.network.subnets)
    networks = [subnet["CidrBlock"] for subnet in subnets.values()]
    for vpc in sorted({subnet["VpcId"] for subnet in subnets.values()}):
        for service, endpoint in endpoints(account, vpc).interface.items():
            names = [group["GroupId"] for group in endpoint.get("Groups", [])]
            rules = [rule for group in groups_of(account, names).values() for rule in group.get("IpPermissions", [])]
            if service in needed_services(account) and names and not admits(rules, HTTPS, tasks, networks):
                yield fail(
                    "ENDPOINT_CLOSED",
                    f"The VPC endpoint {endpoint['VpcEndpointId']} of {service} does not accept the tasks on port "
                    f"{HTTPS}.",
                    (f"EC2: security groups of {endpoint['VpcEndpointId']}", names),
                    ("plan: network.security_groups", tasks),
                    repair=f"Allow TCP {HTTPS} from {tasks[0]} in {names[0]}.",
                )
