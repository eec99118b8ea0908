"""The network of a service: targets and target group, security groups, subnets and their default routes."""

from typing import Any, Literal

from deploy.aws.clients import Clients
from deploy.config.plan import Plan
from deploy.lenient import Fact, LenientDict

ANYWHERE = ("0.0.0.0/0", "::/0")


class Target(Fact):
    """A task as the load balancer sees it."""

    address: str = ""
    port: int | None = None
    state: str = ""
    reason: str = ""
    description: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Target":
        """The target that DescribeTargetHealth describes."""
        target, health = raw.inner("Target"), raw.inner("TargetHealth")
        return cls(
            address=target.text("Id"),
            port=target.number("Port"),
            state=health.text("State"),
            reason=health.text("Reason"),
            description=health.text("Description"),
        )

    @property
    def why(self) -> str:
        """Why it is in its state: a sentence, else a code; empty where there is neither."""
        return self.description or self.reason


class TargetGroup(Fact):
    """How the load balancer checks the health of tasks."""

    type: str = ""
    path: str = ""
    port: int | None = None
    health_port: str = ""
    interval: int | None = None
    unhealthy: int | None = None
    balancers: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict) -> "TargetGroup":
        """The target group that DescribeTargetGroups describes."""
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
    """An ingress rule of a security group."""

    protocol: str = ""
    first: int | None = None
    last: int | None = None
    groups: tuple[str, ...] = ()
    elsewhere: bool = False  # networks or prefix lists, which are not read

    @classmethod
    def of(cls, raw: LenientDict) -> "Rule":
        """The rule that DescribeSecurityGroups describes."""
        lists = ("IpRanges", "Ipv6Ranges", "PrefixListIds")
        return cls(
            protocol=raw.text("IpProtocol"),
            first=raw.number("FromPort"),
            last=raw.number("ToPort"),
            groups=tuple(pair.text("GroupId") for pair in raw.each("UserIdGroupPairs")),
            elsewhere=any(raw.each(name) for name in lists),
        )

    @property
    def text(self) -> str:
        """Protocol and ports, for people."""
        if self.protocol == "-1" or self.first is None:
            return "everything"
        return f"{self.protocol} {self.first}" + (f"-{self.last}" if self.last != self.first else "")

    def covers(self, port: int) -> bool:
        """Whether it allows TCP on a port."""
        if self.protocol == "-1":
            return True
        first = 0 if self.first is None else self.first
        last = 65535 if self.last is None else self.last
        return self.protocol in ("tcp", "6") and first <= port <= last


class SecurityGroup(Fact):
    """A security group of the tasks."""

    id: str = ""
    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, raw: LenientDict) -> "SecurityGroup":
        """The group that DescribeSecurityGroups describes."""
        return cls(id=raw.text("GroupId"), rules=tuple(map(Rule.of, raw.each("IpPermissions"))))


class Subnet(Fact):
    """A subnet of the tasks.

    Attributes:
        free: addresses.
        way: its default route: an internet gateway, which needs public addresses; NAT; another; none; or empty where
            it could not be read.
    """

    id: str = ""
    vpc: str = ""
    free: int | None = None
    way: Literal["internet", "nat", "other", "none", ""] = ""

    @classmethod
    def of(cls, raw: LenientDict, tables: list[LenientDict] | None = None) -> "Subnet":
        """The subnet that DescribeSubnets describes, with the route that DescribeRouteTables describes."""
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


def describe_targets(clients: Clients, plan: Plan) -> list[dict[str, Any]]:
    """Targets of the plan's target group with their health, as boto3 returns them."""
    answer = clients["elbv2"].describe_target_health(TargetGroupArn=plan.load_balancer.target_group)
    targets: list[dict[str, Any]] = answer.get("TargetHealthDescriptions", [])
    return targets
