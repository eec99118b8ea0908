"""Where tasks stand: subnets, and whether image, logs, secrets and weights can be reached from them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.aws.errors import Absent
from deploy.findings.finding import Finding, fail, ok, warn
from deploy.verify.account.context import Account
from deploy.verify.account.load_balancer import balancer, group

ANYWHERE = "0.0.0.0/0"


def subnets_of(account: Account, names: list[str]) -> dict[str, dict[str, Any]]:
    """The subnets that are there, by id."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            for one in account.ask("ec2", "describe_subnets", SubnetIds=[name])["Subnets"]:
                found[one["SubnetId"]] = one
        except Absent:
            continue  # told of by `subnets`
    return found


def subnets(account: Account) -> Iterator[Finding]:
    """They are there, in the target group's VPC, in two zones that the load balancer serves, with room."""
    planned = account.plan.network.subnets
    found = subnets_of(account, planned)
    wrong = []
    for name in planned:
        if name not in found:
            wrong.append(
                fail(
                    "SUBNET_MISSING",
                    f"There is no subnet {name} in {account.plan.region}.",
                    ("plan: network.subnets", name),
                    repair="Correct network.subnets in the plan.",
                )
            )
    if found:
        wrong += [*_vpc(account, found), *_zones(account, found), *_room(account, found)]
    yield from wrong
    if not wrong:
        zones = ", ".join(sorted(one["AvailabilityZone"] for one in found.values()))
        yield ok("SUBNETS", f"All {len(found)} subnets are there, in {zones}.", ("plan: network.subnets", planned))


def _vpc(account: Account, found: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    vpcs = {name: one["VpcId"] for name, one in found.items()}
    if len(set(vpcs.values())) > 1:
        yield fail(
            "SUBNETS_VPCS",
            f"The subnets lie in several VPCs: {', '.join(f'{name} in {vpc}' for name, vpc in vpcs.items())}.",
            ("EC2: VpcId", vpcs),
            repair="Name subnets of one VPC.",
        )
        return
    vpc, target = next(iter(vpcs.values())), (group(account) or {}).get("VpcId")
    if target is not None and target != vpc:
        yield fail(
            "TARGET_VPC",
            f"The target group is in {target}, the subnets are in {vpc}: tasks cannot be registered.",
            ("ELB: VpcId", target),
            ("EC2: VpcId", vpc),
            repair="Create the target group in the subnets' VPC, or name subnets of the target group's VPC.",
        )


def _zones(account: Account, found: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    zones = {name: one["AvailabilityZone"] for name, one in found.items()}
    if len(set(zones.values())) == 1 and account.plan.size.tasks > 1:
        yield warn(
            "SUBNETS_ONE_ZONE",
            f"All subnets lie in {next(iter(zones.values()))}: {account.plan.size.tasks} tasks fail together with it.",
            ("EC2: AvailabilityZone", zones),
            repair="Name subnets of two zones at least.",
        )
    served = {one["ZoneName"] for one in (balancer(account) or {}).get("AvailabilityZones", [])}
    outside = {name: zone for name, zone in zones.items() if served and zone not in served}
    if outside:
        yield fail(
            "TARGET_ZONE",
            f"The load balancer serves {', '.join(sorted(served))} but not "
            f"{', '.join(f'{zone} of {name}' for name, zone in outside.items())}: tasks there stay unused.",
            ("EC2: AvailabilityZone", outside),
            ("ELB: AvailabilityZones", sorted(served)),
            repair="Add a subnet of that zone to the load balancer, or take it out of the plan.",
        )


def _room(account: Account, found: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    free = {name: one["AvailableIpAddressCount"] for name, one in found.items()}
    needed = 2 * account.plan.size.tasks  # old and new ones side by side
    if sum(free.values()) < needed:
        yield fail(
            "SUBNETS_FULL",
            f"The subnets have {sum(free.values())} free addresses, a deployment of {account.plan.size.tasks} tasks "
            f"needs {needed}.",
            ("EC2: AvailableIpAddressCount", free),
            ("plan: size.tasks", account.plan.size.tasks),
            repair="Name larger subnets.",
        )


@dataclass
class Way:
    """How a subnet reaches the outside.

    Attributes:
        kind: internet (a gateway; wants a public address), nat, other (cannot be judged), none.
        told: for people.
        table: the route table's id; None where there is none.
        dead: the default route leads nowhere.
    """

    kind: str
    told: str
    table: str | None
    dead: bool = False


def way(account: Account, subnet: dict[str, Any]) -> Way:
    """The default route of a subnet: of its own route table, else of the VPC's main one."""
    name = subnet["SubnetId"]
    filters = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
    tables = account.ask("ec2", "describe_route_tables", Filters=filters)["RouteTables"]
    links = [(one, link) for one in tables for link in one.get("Associations", [])]
    own = [one for one, link in links if link.get("SubnetId") == name]
    table = next(iter(own or [one for one, link in links if link.get("Main")]), None)
    if table is None:
        return Way("none", "no route table", None)
    for route in table.get("Routes", []):
        if route.get("DestinationCidrBlock") != ANYWHERE:
            continue
        dead = route.get("State") == "blackhole"
        if str(route.get("GatewayId", "")).startswith("igw-"):
            return Way("internet", route["GatewayId"], table["RouteTableId"], dead)
        if nat := route.get("NatGatewayId"):
            return Way("nat", nat, table["RouteTableId"], dead or not _nat_works(account, nat))
        return Way("other", "a gateway of another kind", table["RouteTableId"], dead)
    return Way("none", "no route to the internet", table["RouteTableId"])


def _nat_works(account: Account, name: str) -> bool:
    try:
        found = account.ask("ec2", "describe_nat_gateways", NatGatewayIds=[name])["NatGateways"]
    except Absent:
        return False
    return any(one["State"] == "available" for one in found)


@dataclass
class Endpoints:
    """What a VPC's endpoints offer.

    Attributes:
        interface: service → endpoint, of those that answer under the service's usual name.
        tables: route tables with the S3 gateway.
    """

    interface: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)


def endpoints(account: Account, vpc: str) -> Endpoints:
    """Those of a VPC that are available."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    found, prefix = Endpoints(), f"com.amazonaws.{account.plan.region}."
    for one in account.ask("ec2", "describe_vpc_endpoints", Filters=filters)["VpcEndpoints"]:
        if one["State"].lower() != "available":
            continue
        name = one["ServiceName"].removeprefix(prefix)
        if one["VpcEndpointType"] == "Gateway" and name == "s3":
            found.tables |= set(one.get("RouteTableIds", []))
        elif one["VpcEndpointType"] == "Interface" and one.get("PrivateDnsEnabled"):
            found.interface[name] = one
    return found


def needed(account: Account) -> dict[str, str]:
    """Service → what for, that a task must reach; image and logs take the task's own network interface."""
    services = {"ecr.api": "the image", "ecr.dkr": "the image", "logs": "the log", "s3": "the image's layers"}
    if account.contract.egress.get(account.phase) and account.plan.weights is not None:
        services["s3"] += " and the weights"
    for name, arn in account.secrets.items():
        services["ssm" if arn.split(":")[2:3] == ["ssm"] else "secretsmanager"] = f"the secret {name}"
    return services


def egress(account: Account) -> Iterator[Finding]:
    """From every subnet, all that a task needs can be reached."""
    public = account.plan.network.assign_public_ip
    for name, subnet in subnets_of(account, account.plan.network.subnets).items():
        found = way(account, subnet)
        reachable = found.kind in ("nat", "other") or (found.kind == "internet" and public)
        places = [("plan: network.assign_public_ip", public), (f"EC2: default route of {name}", found.told)]
        if reachable and not found.dead:
            yield ok("EGRESS", f"{name} reaches the internet through {found.told}.", *places)
            continue
        offered = endpoints(account, subnet["VpcId"])
        lacking = {
            service: purpose
            for service, purpose in needed(account).items()
            if service not in offered.interface and not (service == "s3" and found.table in offered.tables)
        }
        if not lacking:
            yield ok("EGRESS", f"{name} reaches what it needs through VPC endpoints.", *places)
            continue
        told = ", ".join(f"{service} ({purpose})" for service, purpose in lacking.items())
        if found.dead:
            yield fail(
                "ROUTE_DEAD",
                f"The default route of {name} leads to {found.told}, which is not there or not available; "
                f"no endpoints for {told}.",
                *places,
                repair="Let the route table's default route lead to a gateway that works.",
            )
        elif found.kind == "internet":
            yield fail(
                "PUBLIC_IP_OFF",
                f"{name} is a public subnet, but assignPublicIp is DISABLED, and there is no NAT: tasks cannot reach "
                f"{told}.",
                *places,
                repair="Set network.assign_public_ip to true, or name private subnets with a NAT gateway.",
            )
        else:
            yield fail(
                "EGRESS_MISSING",
                f"{name} has no NAT gateway and no VPC endpoints for {told}.",
                *places,
                repair=f"Add a NAT gateway, or the endpoints {', '.join(lacking)} (s3 as a gateway on {found.table}).",
            )
