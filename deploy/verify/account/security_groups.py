"""Security groups: the load balancer gets in, tasks get out."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.verify.account.context import Account
from deploy.verify.account.load_balancer import balancer
from deploy.verify.account.network import ANYWHERE, endpoints, needed, subnets_of

HTTPS = 443


def groups_of(account: Account, names: list[str]) -> dict[str, dict[str, Any]]:
    """The security groups that are there, by id."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            for one in account.ask("ec2", "describe_security_groups", GroupIds=[name])["SecurityGroups"]:
                found[one["GroupId"]] = one
        except Absent:
            continue  # told of by `security_groups`
    return found


def covers(rule: dict[str, Any], port: int) -> bool:
    """Whether a rule is about TCP on a port."""
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] in ("tcp", "6") and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)


def admits(rules: list[dict[str, Any]], port: int, groups: list[str], networks: list[str]) -> bool:
    """Whether rules let TCP on a port through to or from one of the groups, or all of the networks."""
    fitting = [rule for rule in rules if covers(rule, port)]
    if {pair["GroupId"] for rule in fitting for pair in rule.get("UserIdGroupPairs", [])} & set(groups):
        return True
    cidrs = [ipaddress.ip_network(one["CidrIp"]) for rule in fitting for one in rule.get("IpRanges", [])]
    wanted = [ipaddress.ip_network(one) for one in networks]
    return bool(wanted) and all(
        any(isinstance(one, ipaddress.IPv4Network) and network.subnet_of(one) for one in cidrs)  # type: ignore[arg-type]
        for network in wanted
    )


def security_groups(account: Account) -> Iterator[Finding]:
    """They are there and in the subnets' VPC."""
    planned = account.plan.network.security_groups
    found = groups_of(account, planned)
    vpcs = {one["VpcId"] for one in subnets_of(account, account.plan.network.subnets).values()}
    wrong = []
    for name in planned:
        if name not in found:
            wrong.append(
                fail(
                    "SECURITY_GROUP_MISSING",
                    f"There is no security group {name}.",
                    ("plan: network.security_groups", name),
                    repair="Correct network.security_groups in the plan.",
                )
            )
        elif vpcs and found[name]["VpcId"] not in vpcs:
            wrong.append(
                fail(
                    "SECURITY_GROUP_VPC",
                    f"The security group {name} is in {found[name]['VpcId']}, the subnets are in "
                    f"{', '.join(sorted(vpcs))}.",
                    ("EC2: VpcId of the group", found[name]["VpcId"]),
                    ("EC2: VpcId of the subnets", sorted(vpcs)),
                    repair="Name a security group of the subnets' VPC.",
                )
            )
    yield from wrong
    if not wrong:
        yield ok("SECURITY_GROUPS", "The security groups are there.", ("plan: network.security_groups", planned))


def ingress(account: Account) -> Iterator[Finding]:
    """The load balancer reaches the contract's port; nobody else does."""
    found, port = groups_of(account, account.plan.network.security_groups), account.contract.port
    front = balancer(account)
    if not found or front is None:
        return
    rules = [rule for one in found.values() for rule in one.get("IpPermissions", [])]
    own = front.get("SecurityGroups", [])
    zones = [one["SubnetId"] for one in front["AvailabilityZones"]]
    networks = [one["CidrBlock"] for one in subnets_of(account, zones).values()]
    lists = any(covers(rule, port) and rule.get("PrefixListIds") for rule in rules)
    opened = sorted({told for rule in rules if (told := _ports(rule))})
    places = [("image contract: port", port), ("EC2: ports that are let in", opened)]
    if not admits(rules, port, own, networks):
        if lists:
            yield skip("INGRESS", f"Port {port} is open to a prefix list, which is not looked into.", *places)
            return
        yield fail(
            "INGRESS_CLOSED",
            f"No security group of the tasks lets the load balancer ({', '.join(own)}) in on port {port}; "
            f"let in is {', '.join(opened) or 'nothing'}.",
            *places,
            repair=f"Allow TCP {port} from {own[0] if own else 'the load balancer'} in "
            f"{account.plan.network.security_groups[0]}.",
        )
        return
    world = [r for r in rules if covers(r, port) and any(one["CidrIp"] == ANYWHERE for one in r.get("IpRanges", []))]
    if world:
        yield warn(
            "INGRESS_OPEN",
            f"Port {port} of the tasks is open to {ANYWHERE}, past the load balancer and its HTTPS.",
            *places,
            repair=f"Allow TCP {port} from the load balancer's security group only.",
        )
    else:
        yield ok("INGRESS", f"The load balancer is let in on port {port}.", *places)


def _ports(rule: dict[str, Any]) -> str:
    if rule["IpProtocol"] == "-1":
        return "everything"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    return f"{rule['IpProtocol']} {first}" if first == last else f"{rule['IpProtocol']} {first}-{last}"


def balancer_egress(account: Account) -> Iterator[Finding]:
    """The load balancer's own security groups let it out to the tasks."""
    front, port = balancer(account), account.contract.port
    found = groups_of(account, (front or {}).get("SecurityGroups", []))
    if not found:
        return
    rules = [rule for one in found.values() for rule in one.get("IpPermissionsEgress", [])]
    tasks = account.plan.network.security_groups
    networks = [one["CidrBlock"] for one in subnets_of(account, account.plan.network.subnets).values()]
    if admits(rules, port, tasks, networks):
        yield ok("BALANCER_EGRESS", f"The load balancer may send to port {port}.")
    else:
        yield fail(
            "BALANCER_EGRESS_CLOSED",
            f"The load balancer's security groups {', '.join(found)} do not let it out to the tasks on port {port}; "
            f"let out is {', '.join(sorted({_ports(rule) for rule in rules})) or 'nothing'}.",
            ("image contract: port", port),
            ("EC2: ports that are let out", sorted({_ports(rule) for rule in rules})),
            repair=f"Allow TCP {port} out to {tasks[0]} in {next(iter(found))}.",
        )


def task_egress(account: Account) -> Iterator[Finding]:
    """Tasks get out to port 443: image, log, secrets and weights take their network interface."""
    found = groups_of(account, account.plan.network.security_groups)
    if not found:
        return
    rules = [rule for one in found.values() for rule in one.get("IpPermissionsEgress", []) if covers(rule, HTTPS)]
    purposes = ", ".join(dict.fromkeys(needed(account).values()))
    places = [("needed on port 443", purposes), ("EC2: rules out to port 443", len(rules))]
    if admits(rules, HTTPS, [], [ANYWHERE]):
        yield ok("TASK_EGRESS", f"Tasks may connect to port {HTTPS} anywhere.", *places)
    elif rules:
        yield skip("TASK_EGRESS", f"Tasks may connect to port {HTTPS} of some places; whether those suffice is open.")
    else:
        yield fail(
            "TASK_EGRESS_CLOSED",
            f"No security group of the tasks lets them out to port {HTTPS}, which {purposes} need.",
            *places,
            repair=f"Allow TCP {HTTPS} out to {ANYWHERE} in {account.plan.network.security_groups[0]}.",
        )


def endpoint_ingress(account: Account) -> Iterator[Finding]:
    """VPC endpoints let tasks in; private DNS sends them there even where a NAT gateway would do."""
    tasks = account.plan.network.security_groups
    standing = subnets_of(account, account.plan.network.subnets)
    for vpc in sorted({one["VpcId"] for one in standing.values()}):
        networks = [one["CidrBlock"] for one in standing.values()]
        for service, one in endpoints(account, vpc).interface.items():
            names = [group["GroupId"] for group in one.get("Groups", [])]
            rules = [rule for own in groups_of(account, names).values() for rule in own.get("IpPermissions", [])]
            if service in needed(account) and names and not admits(rules, HTTPS, tasks, networks):
                yield fail(
                    "ENDPOINT_CLOSED",
                    f"The VPC endpoint {one['VpcEndpointId']} of {service} does not let the tasks in on port {HTTPS}.",
                    (f"EC2: security groups of {one['VpcEndpointId']}", names),
                    ("plan: network.security_groups", tasks),
                    repair=f"Allow TCP {HTTPS} from {tasks[0]} in {names[0]}.",
                )
