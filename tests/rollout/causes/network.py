"""Nobody gets in to the task, or the task does not get out."""

from tests.rollout.causes.made import (
    Example,
    Miss,
    event,
    exited,
    healthy,
    rule,
    running,
    seen,
    task,
    unhealthy,
    unstarted,
)
from tests.rollout.causes.words import IO_TIMEOUT, NO_AUTH_WAY, NOT_FOUND, ONE, OUTSIDE, TIMEOUT, unwell

EXAMPLES = [
    Example(
        "TARGET_TIMEOUT",
        seen(alive=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")], of=ONE),
        "no answer in time",
        "Request timed out",
        False,
    ),
    Example(
        "SECURITY_GROUP_SHUT",
        seen(alive=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")], rules=[rule(8080)], of=ONE),
        "sg-tasks does not let the load balancer in on port 5000; let in is tcp 8080",
        "Request timed out",
        True,
    ),
    Example(
        "SECURITY_GROUP_SHUT",
        seen(task(**OUTSIDE), events=[event(unwell("Request timed out"))], rules=[rule(5000, "sg-somebody-elses")]),
        "from elsewhere only",
        "Request timed out",
        True,
        "from elsewhere",
    ),
    Example(
        "SUBNET_NO_EGRESS",
        seen(unstarted(IO_TIMEOUT), subnets="public"),
        "is public (its default route is an internet gateway), and tasks get no public IP",
        "i/o timeout",
        True,
    ),
    Example(
        "SUBNET_NO_EGRESS",
        seen(unstarted(NO_AUTH_WAY), subnets="private"),
        "no default route: only VPC endpoints lead out",
        "RequestError",
        True,
        "private",
    ),
    Example(
        "ADDRESSES_EXHAUSTED",
        seen(
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
        seen(unstarted("Timeout waiting for network interface provisioning to complete.")),
        "network interface",
        "Timeout waiting",
        False,
    ),
]

MISSES = [
    Miss(
        "SECURITY_GROUP_SHUT",
        seen(alive=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")]),
        "the port is open",
    ),
    Miss(
        "SECURITY_GROUP_SHUT",
        seen(
            alive=[running()],
            targets=[unhealthy(TIMEOUT, "Request timed out")],
            rules=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}],
        ),
        "all is open to a network",
    ),
    Miss("SECURITY_GROUP_SHUT", seen(alive=[running()], rules=[]), "nobody complains"),
    Miss(
        "SECURITY_GROUP_SHUT",
        seen(alive=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")], security_groups=()),
        "groups were not seen",
    ),
    Miss("TARGET_TIMEOUT", seen(alive=[running()], targets=[healthy()]), "healthy"),
    Miss("SUBNET_NO_EGRESS", seen(unstarted(IO_TIMEOUT), subnets="nat"), "there is a way"),
    Miss("SUBNET_NO_EGRESS", seen(unstarted(IO_TIMEOUT)), "subnets were not seen"),
    Miss("SUBNET_NO_EGRESS", seen(unstarted(NOT_FOUND), subnets="public"), "the registry was reached"),
    Miss("ADDRESSES_EXHAUSTED", seen(exited(1), free=0), "nobody complains"),
]
