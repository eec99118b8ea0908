"""What ECS refuses of a service before it starts a task, in its own words."""

from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs.account import Account
from tests.fake_ecs.errors import InvalidParameter


def checked(
    account: Account,
    definition: dict[str, Any],
    network: dict[str, Any],
    balancers: list[dict[str, Any]],
    grace: int | None,
) -> None:
    """Look at network, containers and target groups.

    Raises:
        InvalidParameter: as ECS words it.
    """
    if definition.get("networkMode") == "awsvpc" and not network.get("awsvpcConfiguration", {}).get("subnets"):
        raise InvalidParameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if network:
        _network(account, network["awsvpcConfiguration"])
    if grace and not balancers:
        raise InvalidParameter("Health check grace period is only valid for services configured to use load balancers")
    for balancer in balancers:
        _container(definition, balancer)
        _group(account, definition, balancer["targetGroupArn"])


def _network(account: Account, wanted: dict[str, Any]) -> None:
    for name in wanted["subnets"]:
        try:
            account.ask("ec2", "describe_subnets", SubnetIds=[name])
        except ClientError:
            raise InvalidParameter(
                "Error retrieving subnet information for "
                f"[{name}]: The subnet ID '{name}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
            ) from None
    for name in wanted.get("securityGroups", []):
        try:
            account.ask("ec2", "describe_security_groups", GroupIds=[name])
        except ClientError:
            raise InvalidParameter(
                "Error retrieving security group information for "
                f"[{name}]: The security group '{name}' does not exist (ErrorCode: InvalidGroup.NotFound)"
            ) from None


def wired(definition: dict[str, Any], balancers: list[dict[str, Any]]) -> dict[str, Any]:
    """The container that load balancers send to; the first where none is named."""
    containers: list[dict[str, Any]] = definition["containerDefinitions"]
    names = [balancer["containerName"] for balancer in balancers]
    return next((container for container in containers if container["name"] in names), containers[0])


def _container(definition: dict[str, Any], wired: dict[str, Any]) -> None:
    name, port = wired["containerName"], wired["containerPort"]
    result = next((item for item in definition["containerDefinitions"] if item["name"] == name), None)
    if result is None:
        raise InvalidParameter(f"The container {name} does not exist in the task definition.")
    if port not in [mapping["containerPort"] for mapping in result.get("portMappings", [])]:
        raise InvalidParameter(f"The container {name} did not have a container port {port} defined.")


def _group(account: Account, definition: dict[str, Any], arn: str) -> None:
    try:
        group = account.ask("elbv2", "describe_target_groups", TargetGroupArns=[arn])["TargetGroups"][0]
    except ClientError:
        raise InvalidParameter(f"Unable to assume role and validate the specified targetGroupArn: {arn}.") from None
    if definition.get("networkMode") == "awsvpc" and group["TargetType"] != "ip":
        raise InvalidParameter(
            f"The provided target group {arn} has target type {group['TargetType']}, which is incompatible with the "
            "awsvpc network mode specified in the task definition."
        )
    if not group["LoadBalancerArns"]:
        raise InvalidParameter(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")
