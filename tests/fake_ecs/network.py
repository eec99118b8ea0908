"""Decides by moto's routes and security groups which connections AWS's network would allow."""

from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs.account import Account

ANYWHERE = "0.0.0.0/0"


def gets_out(account: Account, subnet: str, public_address: bool, service: str) -> bool:
    """Whether a task in a subnet reaches a service of AWS: through a gateway, or an endpoint."""
    result = account.ask("ec2", "describe_subnets", SubnetIds=[subnet])["Subnets"][0]
    vpc = [{"Name": "vpc-id", "Values": [result["VpcId"]]}]
    tables = account.ask("ec2", "describe_route_tables", Filters=vpc)["RouteTables"]
    own = [item for item in tables if any(link.get("SubnetId") == subnet for link in item["Associations"])]
    main = [item for item in tables if any(link.get("Main") for link in item["Associations"])]
    table = (own or main)[0]
    for route in table["Routes"]:
        if route.get("DestinationCidrBlock") != ANYWHERE or route.get("State") == "blackhole":
            continue
        if nat := route.get("NatGatewayId"):
            gateways = account.ask("ec2", "describe_nat_gateways", NatGatewayIds=[nat])["NatGateways"]
            return any(gateway["State"] == "available" for gateway in gateways)
        return public_address or not str(route.get("GatewayId", "")).startswith("igw-")
    for endpoint in account.ask("ec2", "describe_vpc_endpoints", Filters=vpc)["VpcEndpoints"]:
        if endpoint["ServiceName"] == f"com.amazonaws.{account.region}.{service}":
            return endpoint["VpcEndpointType"] == "Interface" or table["RouteTableId"] in endpoint.get(
                "RouteTableIds", []
            )
    return False


def let_in(account: Account, target_group: str, groups: list[str], port: int) -> bool:
    """Whether the target group's load balancer may connect to a port behind security groups."""
    expected = account.ask("elbv2", "describe_target_groups", TargetGroupArns=[target_group])["TargetGroups"][0]
    arns = expected["LoadBalancerArns"]
    if not arns:
        return False
    front = account.ask("elbv2", "describe_load_balancers", LoadBalancerArns=arns)["LoadBalancers"][0]
    try:
        own = account.ask("ec2", "describe_security_groups", GroupIds=groups)["SecurityGroups"]
    except ClientError:
        return False
    return any(_admits(rule, port, front["SecurityGroups"]) for item in own for rule in item["IpPermissions"])


def _admits(rule: dict[str, Any], port: int, sources: list[str]) -> bool:
    if rule["IpProtocol"] != "-1" and not rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535):
        return False
    named = {pair["GroupId"] for pair in rule["UserIdGroupPairs"]}
    # Any range is taken for one that holds the load balancer; the rollout's own check is the stricter one.
    return bool(named & set(sources)) or bool(rule["IpRanges"])
