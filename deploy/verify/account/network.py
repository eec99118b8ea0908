"""Checks of the subnets, and whether tasks in them can reach image, log, secrets and weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.aws.errors import Absent
from deploy.findings.finding import Finding, fail, ok, warn
from deploy.verify.account.context import Account
from deploy.verify.account.load_balancer import describe_load_balancer, describe_target_group

ANYWHERE = "0.0.0.0/0"


def subnets_of(account: Account, names: list[str]) -> dict[str, dict[str, Any]]:
    """The existing subnets, by id."""
    subnets: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            for subnet in account.ask("ec2", "describe_subnets", SubnetIds=[name])["Subnets"]:
                subnets[subnet["SubnetId"]] = subnet
        except Absent:
            continue  # reported by the check `subnets`
    return subnets


def subnets(account: Account) -> Iterator[Finding]:
    """They exist, in the target group's VPC, in two zones that the load balancer serves, with free addresses."""
    planned = account.plan.network.subnets
    existing = subnets_of(account, planned)
    problems = []
    for name in planned:
        if name not in existing:
            problems.append(
                fail(
                    "SUBNET_MISSING",
                    f"The subnet {name} does not exist in {account.plan.region}.",
                    ("plan: network.subnets", name),
                    repair="Correct network.subnets in the plan.",
                )
            )
    if existing:
        problems += [*_vpc(account, existing), *_zones(account, existing), *_addresses(account, existing)]
    yield from problems
    if not problems:
        zones = ", ".join(sorted(subnet["AvailabilityZone"] for subnet in existing.values()))
        yield ok("SUBNETS", f"All {len(existing)} subnets exist, in {zones}.", ("plan: network.subnets", planned))


def _vpc(account: Account, subnets: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    vpcs = {name: subnet["VpcId"] for name, subnet in subnets.items()}
    if len(set(vpcs.values())) > 1:
        yield fail(
            "SUBNETS_VPCS",
            f"The subnets are in several VPCs: {', '.join(f'{name} in {vpc}' for name, vpc in vpcs.items())}.",
            ("EC2: VpcId", vpcs),
            repair="Name subnets of one VPC.",
        )
        return
    vpc, target = next(iter(vpcs.values())), (describe_target_group(account) or {}).get("VpcId")
    if target is not None and target != vpc:
        yield fail(
            "TARGET_VPC",
            f"The target group is in {target}, but the subnets are in {vpc}: tasks cannot be registered.",
            ("ELB: VpcId", target),
            ("EC2: VpcId", vpc),
            repair="Create the target group in the subnets' VPC, or name subnets of the target group's VPC.",
        )


def _zones(account: Account, subnets: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    zones = {name: subnet["AvailabilityZone"] for name, subnet in subnets.items()}
    if len(set(zones.values())) == 1 and account.plan.size.tasks > 1:
        yield warn(
            "SUBNETS_ONE_ZONE",
            f"All subnets are in {next(iter(zones.values()))}: when this zone fails, all {account.plan.size.tasks} "
            "tasks fail.",
            ("EC2: AvailabilityZone", zones),
            repair="Name subnets of two zones or more.",
        )
    served = {zone["ZoneName"] for zone in (describe_load_balancer(account) or {}).get("AvailabilityZones", [])}
    outside = {name: zone for name, zone in zones.items() if served and zone not in served}
    if outside:
        yield fail(
            "TARGET_ZONE",
            f"The load balancer serves {', '.join(sorted(served))} but not "
            f"{', '.join(f'{zone} of {name}' for name, zone in outside.items())}: tasks there stay unused.",
            ("EC2: AvailabilityZone", outside),
            ("ELB: AvailabilityZones", sorted(served)),
            repair="Add a subnet of that zone to the load balancer, or remove it from the plan.",
        )


def _addresses(account: Account, subnets: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    free = {name: subnet["AvailableIpAddressCount"] for name, subnet in subnets.items()}
    needed = 2 * account.plan.size.tasks  # old and new ones side by side
    if sum(free.values()) < needed:
        yield fail(
            "SUBNETS_FULL",
            f"The subnets have {sum(free.values())} free addresses, but a deployment of {account.plan.size.tasks} "
            f"tasks needs {needed}.",
            ("EC2: AvailableIpAddressCount", free),
            ("plan: size.tasks", account.plan.size.tasks),
            repair="Name larger subnets.",
        )


@dataclass
class Route:
    """The default route of a subnet.

    Attributes:
        kind: internet (a gateway; tasks need a public address), nat, other (cannot be checked), none.
        target: for people.
        table: the route table's id; None without one.
        dead: its gateway does not exist or is not available.
    """

    kind: str
    target: str
    table: str | None
    dead: bool = False


def default_route(account: Account, subnet: dict[str, Any]) -> Route:
    """The default route of a subnet, from its own route table, else from the VPC's main one."""
    name = subnet["SubnetId"]
    filters = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
    tables = account.ask("ec2", "describe_route_tables", Filters=filters)["RouteTables"]
    links = [(table, link) for table in tables for link in table.get("Associations", [])]
    own = [table for table, link in links if link.get("SubnetId") == name]
    table = next(iter(own or [table for table, link in links if link.get("Main")]), None)
    if table is None:
        return Route("none", "no route table", None)
    for route in table.get("Routes", []):
        if route.get("DestinationCidrBlock") != ANYWHERE:
            continue
        dead = route.get("State") == "blackhole"
        if str(route.get("GatewayId", "")).startswith("igw-"):
            return Route("internet", route["GatewayId"], table["RouteTableId"], dead)
        if nat := route.get("NatGatewayId"):
            return Route("nat", nat, table["RouteTableId"], dead or not _nat_works(account, nat))
        return Route("other", "a gateway of another kind", table["RouteTableId"], dead)
    return Route("none", "no route to the internet", table["RouteTableId"])


def _nat_works(account: Account, name: str) -> bool:
    try:
        gateways = account.ask("ec2", "describe_nat_gateways", NatGatewayIds=[name])["NatGateways"]
    except Absent:
        return False
    return any(gateway["State"] == "available" for gateway in gateways)


@dataclass
class Endpoints:
    """The endpoints of a VPC.

    Attributes:
        interface: service → endpoint, of those with private DNS.
        tables: route tables with the S3 gateway endpoint.
    """

    interface: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)


def endpoints(account: Account, vpc: str) -> Endpoints:
    """The available endpoints of a VPC."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    available, prefix = Endpoints(), f"com.amazonaws.{account.plan.region}."
    for endpoint in account.ask("ec2", "describe_vpc_endpoints", Filters=filters)["VpcEndpoints"]:
        if endpoint["State"].lower() != "available":
            continue
        name = endpoint["ServiceName"].removeprefix(prefix)
        if endpoint["VpcEndpointType"] == "Gateway" and name == "s3":
            available.tables |= set(endpoint.get("RouteTableIds", []))
        elif endpoint["VpcEndpointType"] == "Interface" and endpoint.get("PrivateDnsEnabled"):
            available.interface[name] = endpoint
    return available


def needed_services(account: Account) -> dict[str, str]:
    """Service that a task must reach → what for; image and log too use the task's own network interface."""
    services = {"ecr.api": "the image", "ecr.dkr": "the image", "logs": "the log", "s3": "the image's layers"}
    if account.contract.egress.get(account.phase) and account.plan.weights is not None:
        services["s3"] += " and the weights"
    for name, arn in account.secrets.items():
        services["ssm" if arn.split(":")[2:3] == ["ssm"] else "secretsmanager"] = f"the secret {name}"
    return services


def egress(account: Account) -> Iterator[Finding]:
    """From every subnet a task can reach all that it needs."""
    public = account.plan.network.assign_public_ip
    for name, subnet in subnets_of(account, account.plan.network.subnets).items():
        route = default_route(account, subnet)
        reachable = route.kind in ("nat", "other") or (route.kind == "internet" and public)
        places = [("plan: network.assign_public_ip", public), (f"EC2: default route of {name}", route.target)]
        if reachable and not route.dead:
            yield ok("EGRESS", f"{name} reaches the internet through {route.target}.", *places)
            continue
        offered = endpoints(account, subnet["VpcId"])
        missing = {
            service: purpose
            for service, purpose in needed_services(account).items()
            if service not in offered.interface and not (service == "s3" and route.table in offered.tables)
        }
        if not missing:
            yield ok("EGRESS", f"{name} reaches what it needs through VPC endpoints.", *places)
            continue
        names = ", ".join(f"{service} ({purpose})" for service, purpose in missing.items())
        if route.dead:
            yield fail(
                "ROUTE_DEAD",
                f"The default route of {name} leads to {route.target}, which does not exist or is not available, and "
                f"there are no endpoints for {names}.",
                *places,
                repair="Let the default route of its route table lead to a working gateway.",
            )
        elif route.kind == "internet":
            yield fail(
                "PUBLIC_IP_OFF",
                f"{name} is a public subnet, but assignPublicIp is DISABLED, and it has no NAT gateway: tasks cannot "
                f"reach {names}.",
                *places,
                repair="Set network.assign_public_ip to true, or name private subnets with a NAT gateway.",
            )
        else:
            yield fail(
                "EGRESS_MISSING",
                f"{name} has no NAT gateway and no VPC endpoints for {names}.",
                *places,
                repair=f"Add a NAT gateway, or the endpoints {', '.join(missing)} (s3 as a gateway on {route.table}).",
            )
