"""What stands around the tasks: load balancer, network, alarms."""

from deploy.config.plan import Plan
from deploy.diagnose.facts.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.diagnose.facts.service import Alarm, Service
from deploy.diagnose.reader import AwsReader

MISSING = "MISSING"  # where AWS says that there is no such thing


class Surroundings:
    """Of one service.

    Args:
        asking: of AWS.
        plan: says where to look where the service itself does not.
        service: as it is; None where it was not seen.
    """

    def __init__(self, asking: AwsReader, plan: Plan, service: Service | None) -> None:
        self._asking, self._ask, self._plan, self._service = asking, asking.ask, plan, service or Service()
        self._arn = self._service.target_group or plan.load_balancer.target_group

    def targets(self) -> tuple[Target, ...]:
        """Tasks as the load balancer sees them."""
        part = "health of the targets"
        answer = self._ask(part, "elbv2", "describe_target_health", TargetGroupArn=self._arn)
        return tuple(map(Target.of, answer.each("TargetHealthDescriptions"))) if answer is not None else ()

    def target_group(self) -> tuple[TargetGroup | None, str]:
        """How the load balancer asks them; None, and MISSING where there is none."""
        part = "the target group"
        answer = self._ask(part, "elbv2", "describe_target_groups", TargetGroupArns=[self._arn])
        raw = next(iter(answer.each("TargetGroups")), None) if answer is not None else None
        return (TargetGroup.of(raw), "") if raw is not None else (None, MISSING if part in self._asking.absent else "")

    def balancer_groups(self, group: TargetGroup | None) -> tuple[str, ...]:
        """Security groups of the load balancer."""
        if group is None or not group.balancers:
            return ()
        arns = list(group.balancers)
        answer = self._ask("the load balancer", "elbv2", "describe_load_balancers", LoadBalancerArns=arns)
        balancers = answer.each("LoadBalancers") if answer is not None else []
        return tuple(name for one in balancers for name in one.texts("SecurityGroups"))

    def security_groups(self) -> tuple[SecurityGroup, ...]:
        """Of the tasks."""
        names = list(self._service.security_groups or self._plan.network.security_groups)
        answer = self._ask("the security groups", "ec2", "describe_security_groups", GroupIds=names)
        return tuple(map(SecurityGroup.of, answer.each("SecurityGroups"))) if answer is not None else ()

    def subnets(self) -> tuple[Subnet, ...]:
        """Where tasks stand, and how they get out."""
        names = list(self._service.subnets or self._plan.network.subnets)
        answer = self._ask("the subnets", "ec2", "describe_subnets", SubnetIds=names)
        raw = answer.each("Subnets") if answer is not None else []
        if not (vpcs := sorted({one.text("VpcId") for one in raw} - {""})):
            return ()
        filters = [{"Name": "vpc-id", "Values": vpcs}]
        answer = self._ask("the route tables", "ec2", "describe_route_tables", Filters=filters)
        tables = answer.each("RouteTables") if answer is not None else None
        return tuple(Subnet.of(one, tables) for one in raw)

    def alarms(self) -> tuple[Alarm, ...]:
        """Those that the plan names."""
        if not self._plan.alarms:
            return ()
        answer = self._ask("alarms", "cloudwatch", "describe_alarms", AlarmNames=list(self._plan.alarms))
        if answer is None:
            return ()
        return tuple(map(Alarm.of, [*answer.each("MetricAlarms"), *answer.each("CompositeAlarms")]))
