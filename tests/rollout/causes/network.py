"""The load balancer cannot reach the task, or the task cannot reach AWS."""

from tests.rollout.causes.evidence import (
    ACCOUNT,
    GROUP,
    NAME,
    Example,
    Miss,
    deployment,
    event,
    exited,
    healthy,
    make_evidence,
    rule,
    running,
    task,
    unhealthy,
    unstarted,
)
from tests.rollout.causes.messages import IO_TIMEOUT, NO_AUTH_WAY, NOT_FOUND, ONE, OUTSIDE, TIMEOUT, unhealthy_event

EXAMPLES = [
    Example(
        "TARGET_TIMEOUT",
        make_evidence(
            running_tasks=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")], service_changes=ONE
        ),
        "no answer in time",
        "Request timed out",
        False,
    ),
    Example(
        "SECURITY_GROUP_SHUT",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy(TIMEOUT, "Request timed out")],
            rules=[rule(8080)],
            service_changes=ONE,
        ),
        "sg-tasks does not allow the load balancer on port 5000; it allows tcp 8080",
        "Request timed out",
        True,
    ),
    Example(
        "SECURITY_GROUP_SHUT",
        make_evidence(
            task(**OUTSIDE),
            events=[event(unhealthy_event("Request timed out"))],
            rules=[rule(5000, "sg-somebody-elses")],
        ),
        "only from elsewhere",
        "Request timed out",
        True,
        "from elsewhere",
    ),
    Example(
        "SUBNET_NO_EGRESS",
        make_evidence(unstarted(IO_TIMEOUT), subnets="public"),
        "Tasks in subnet-a, subnet-b get no public IP, but their default route, an internet gateway, needs one",
        "i/o timeout",
        True,
    ),
    Example(
        "SUBNET_NO_EGRESS",
        make_evidence(unstarted(NO_AUTH_WAY), subnets="private"),
        "no default route: only VPC endpoints lead out",
        "RequestError",
        True,
        "private",
    ),
    Example(
        "ADDRESSES_EXHAUSTED",
        make_evidence(
            unstarted(
                "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-a': "
                "InsufficientFreeAddressesInSubnet"
            ),
            free=0,
        ),
        "no address (free: subnet-a: 0, subnet-b: 0)",
        "InsufficientFreeAddressesInSubnet",
        False,
    ),
    Example(
        "INTERFACE_FAILED",
        make_evidence(unstarted("Timeout waiting for network interface provisioning to complete.")),
        "network interface",
        "Timeout waiting",
        False,
    ),
    Example(
        "TARGET_TYPE",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error "
                    f"InvalidParameterException: The provided target group {GROUP} has target type instance, which is "
                    "incompatible with the awsvpc network mode specified in the task definition.)"
                )
            ],
            service_changes=ONE,
        ),
        "type instance",
        "incompatible with the awsvpc",
        True,
    ),
    Example(
        "TARGET_TYPE",
        make_evidence(running_tasks=[running()], target_group={"TargetType": "instance"}),
        "type instance",
        "instance",
        True,
        "fact",
    ),
    Example(
        "TARGETS_NOT_REGISTERED",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error The following "
                    "targets are not in the target group VPC 'vpc-11111111': '10.0.2.9')"
                )
            ],
            running_tasks=[running()],
            service_changes={"runningCount": 0, "deployments": [deployment()]},
        ),
        f"could not register the container {NAME} with the target group: The following targets are not in the target "
        "group VPC 'vpc-11111111'",
        "failed to register targets",
        True,
    ),
    Example(
        "TARGETS_NOT_REGISTERED",
        make_evidence(
            events=[
                event(
                    f"service {NAME} failed to register targets in target-group shine with (error User: "
                    f"arn:aws:sts::{ACCOUNT}:assumed-role/elb/ecs-service-scheduler is not authorized to perform: "
                    f"elasticloadbalancing:RegisterTargets on resource: {GROUP} because no identity-based policy "
                    "allows the elasticloadbalancing:RegisterTargets action)"
                )
            ],
            service_changes=ONE,
        ),
        "is not authorized to perform: elasticloadbalancing:RegisterTargets",
        "failed to register targets",
        True,
        "denied",
    ),
    Example(
        "NETWORK_MISSING",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error InvalidGroup.NotFound: The security group "
                    "'sg-tasks' does not exist)."
                )
            ],
            service_changes=ONE,
        ),
        "A security group that the service names does not exist",
        "InvalidGroup.NotFound",
        True,
    ),
    Example(
        "TARGET_GROUP_MISSING",
        make_evidence(
            running_tasks=[running()],
            targets=[
                unhealthy(
                    "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                    state="unused",
                )
            ],
        ),
        "gets no traffic",
        "not configured to receive",
        True,
    ),
    Example(
        "TARGET_GROUP_MISSING",
        make_evidence(running_tasks=[running()], target_group_status="MISSING"),
        "does not exist",
        "there is no target group",
        True,
        "gone",
    ),
]

MISSES = [
    Miss(
        "TARGETS_NOT_REGISTERED",
        make_evidence(
            events=[event(f"(service {NAME}) registered 1 targets in (target-group {GROUP})")],
            running_tasks=[running()],
        ),
        "they were",
    ),
    Miss(
        "TARGETS_NOT_REGISTERED",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error the provided "
                    "target group has target type instance, which is incompatible with the awsvpc network mode.)"
                )
            ],
            service_changes=ONE,
        ),
        "it is known why",
    ),
    Miss("NETWORK_MISSING", make_evidence(unstarted(NOT_FOUND)), "the image does not exist"),
    Miss(
        "SUBNET_NO_EGRESS",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
                "mount.nfs4: Connection reset by peer : unsuccessful EFS utils command execution; code: 32"
            ),
            subnets="public",
        ),
        "a volume lies in the VPC",
    ),
    Miss(
        "SECURITY_GROUP_SHUT",
        make_evidence(running_tasks=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")]),
        "the port is open",
    ),
    Miss(
        "SECURITY_GROUP_SHUT",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy(TIMEOUT, "Request timed out")],
            rules=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}],
        ),
        "all is open to a network",
    ),
    Miss("SECURITY_GROUP_SHUT", make_evidence(running_tasks=[running()], rules=[]), "nothing fails"),
    Miss(
        "SECURITY_GROUP_SHUT",
        make_evidence(running_tasks=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")], security_groups=()),
        "groups were not seen",
    ),
    Miss("TARGET_TIMEOUT", make_evidence(running_tasks=[running()], targets=[healthy()]), "healthy"),
    Miss("SUBNET_NO_EGRESS", make_evidence(unstarted(IO_TIMEOUT), subnets="nat"), "there is a route"),
    Miss("SUBNET_NO_EGRESS", make_evidence(unstarted(IO_TIMEOUT)), "subnets were not seen"),
    Miss("SUBNET_NO_EGRESS", make_evidence(unstarted(NOT_FOUND), subnets="public"), "the registry was reached"),
    Miss("ADDRESSES_EXHAUSTED", make_evidence(exited(1), free=0), "nothing fails"),
    Miss("TARGET_GROUP_MISSING", make_evidence(running_tasks=[running()], target_group=None), "it is there"),
]
