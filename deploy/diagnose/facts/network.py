"""What stands between the load balancer and a task, and between a task and the world."""

from typing import Literal

from deploy.aws.lenient import LenientDict
from deploy.diagnose.facts.fact import Fact

ANYWHERE = ("0.0.0.0/0", "::/0")


class Target(Fact):
    """One task as the load balancer sees it."""

    address: str = ""
    port: int | None = None
    state: str = ""
    reason: str = ""
    description: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Target":
        """As DescribeTargetHealth tells it."""
        target, health = raw.inner("Target"), raw.inner("TargetHealth")
        return cls(
            address=target.text("Id"),
            port=target.number("Port"),
            state=health.text("State"),
            reason=health.text("Reason"),
            description=health.text("Description"),
        )


class TargetGroup(Fact):
    """How the load balancer asks tasks."""

    type: str = ""
    path: str = ""
    port: int | None = None
    health_port: str = ""
    interval: int | None = None
    unhealthy: int | None = None
    balancers: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict) -> "TargetGroup":
        """As DescribeTargetGroups tells it."""
        return cls(
            type=raw.text("TargetType"),
            path=raw.text("HealthCheckPath"),
            port=raw.number("Port"),
            health_port=raw.text("HealthCheckPort"),
            interval=raw.number("HealthCheckIntervalSeconds"),
            unhealthy=raw.number("UnhealthyThresholdCount"),
            balancers=tuple(raw.texts("LoadBalancerArns")),
        )


class Rule(Fact):
    """What a security group lets in."""

    protocol: str = ""
    first: int | None = None
    last: int | None = None
    groups: tuple[str, ...] = ()
    elsewhere: bool = False  # networks or prefix lists, which are not looked into

    @classmethod
    def of(cls, raw: LenientDict) -> "Rule":
        """As DescribeSecurityGroups tells it."""
        lists = ("IpRanges", "Ipv6Ranges", "PrefixListIds")
        return cls(
            protocol=raw.text("IpProtocol"),
            first=raw.number("FromPort"),
            last=raw.number("ToPort"),
            groups=tuple(one.text("GroupId") for one in raw.each("UserIdGroupPairs")),
            elsewhere=any(raw.each(name) for name in lists),
        )

    @property
    def told(self) -> str:
        """For people."""
        if self.protocol == "-1" or self.first is None:
            return "everything"
        return f"{self.protocol} {self.first}" + (f"-{self.last}" if self.last != self.first else "")

    def covers(self, port: int) -> bool:
        """Whether it is about TCP on a port."""
        if self.protocol == "-1":
            return True
        first = 0 if self.first is None else self.first
        last = 65535 if self.last is None else self.last
        return self.protocol in ("tcp", "6") and first <= port <= last


class SecurityGroup(Fact):
    """One of the tasks'."""

    id: str = ""
    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict) -> "SecurityGroup":
        """As DescribeSecurityGroups tells it."""
        return cls(id=raw.text("GroupId"), rules=tuple(map(Rule.of, raw.each("IpPermissions"))))


class Subnet(Fact):
    """Where tasks stand.

    Attributes:
        free: addresses.
        way: of its default route: a gateway to the internet, which wants public addresses; NAT; another; none; or not
            seen.
    """

    id: str = ""
    vpc: str = ""
    free: int | None = None
    way: Literal["internet", "nat", "other", "none", ""] = ""

    @classmethod
    def of(cls, raw: LenientDict, tables: list[LenientDict] | None = None) -> "Subnet":
        """As DescribeSubnets and DescribeRouteTables tell it."""
        name = raw.text("SubnetId")
        return cls(
            id=name,
            vpc=raw.text("VpcId"),
            free=raw.number("AvailableIpAddressCount"),
            way="" if tables is None else _way(name, tables),
        )


def _way(subnet: str, tables: list[LenientDict]) -> Literal["internet", "nat", "other", "none"]:
    links = [(table, link) for table in tables for link in table.each("Associations")]
    own = [table for table, link in links if link.text("SubnetId") == subnet]
    chosen = own or [table for table, link in links if "Main" in link and not link.text("SubnetId")]
    for route in chosen[0].each("Routes") if chosen else []:
        if route.text("DestinationCidrBlock") not in ANYWHERE:
            continue
        if route.text("GatewayId").startswith("igw-"):
            return "internet"
        return "nat" if route.text("NatGatewayId") else "other"
    return "none"
