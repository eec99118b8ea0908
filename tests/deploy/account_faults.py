"""What can be wrong with an account: each fault is made in moto, in the plan or in the task definition."""

import json
from collections.abc import Callable
from typing import Any

from bentos.skin.model.pointer import version_folder
from tests.deploy.aws import ACCOUNT, BUCKET, FOLDER, GROUP, NAME, REGION, REPOSITORY, Good

CLUSTER = "shine-ml-cluster"
OTHER_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:gone-AbCdEf:api_keys::"
FAULTS: dict[str, tuple[str, Callable[[Good], Any]]] = {}
"""Code → level and what makes it."""


def fault(code: str, level: str = "FAIL") -> Callable[[Callable[[Good], Any]], Callable[[Good], Any]]:
    """Register a fault under the code that it must be found by."""

    def keep(make: Callable[[Good], Any]) -> Callable[[Good], Any]:
        assert code not in FAULTS
        FAULTS[code] = (level, make)
        return make

    return keep


def network(good: Good, **changes: Any) -> None:
    good.replan(network={**good.plan.network.model_dump(), **changes})


def image(good: Good, name: str) -> None:
    good.container["image"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}"


# --- account, cluster, service -------------------------------------------------------------------------------------


@fault("ACCOUNT_WRONG")
def _(good: Good) -> None:
    # Names of another account everywhere would be other faults; only who asks is wrong here.
    good.stand_in("sts", "GetCallerIdentity", lambda answer: answer.update(Account="999999999999"))


@fault("CLUSTER_INACTIVE")
def _(good: Good) -> None:
    good.stand_in("ecs", "DescribeClusters", lambda answer: answer["clusters"][0].update(status="INACTIVE"))


@fault("CLUSTER_MISSING")
def _(good: Good) -> None:
    good.client("ecs").delete_service(cluster=CLUSTER, service=NAME, force=True)
    good.replan(cluster="shine-ml-clutser")


@fault("SERVICE_DRAINING")
def _(good: Good) -> None:
    good.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0].update(status="DRAINING"))


@fault("SERVICE_CONTROLLER")
def _(good: Good) -> None:
    changed = {"deploymentController": {"type": "CODE_DEPLOY"}}
    good.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0].update(changed))


@fault("SERVICE_TARGET_GROUP")
def _(good: Good) -> None:
    good.rewire(targetGroupArn=good.target_group("other"))


@fault("SERVICE_CONTAINER")
def _(good: Good) -> None:
    good.rewire(containerName="app")


@fault("SERVICE_PORT")
def _(good: Good) -> None:
    good.rewire(containerPort=8080)


@fault("DEPLOYMENT_RUNNING")
def _(good: Good) -> None:
    changed = {"rolloutState": "IN_PROGRESS"}
    good.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0]["deployments"][0].update(changed))


@fault("DEPLOYMENT_FAILED", "WARN")
def _(good: Good) -> None:
    changed = {"rolloutState": "FAILED"}
    good.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0]["deployments"][0].update(changed))


# --- roles ---------------------------------------------------------------------------------------------------------


@fault("ROLES_SHARED")
def _(good: Good) -> None:
    both = good.policy("shine-execution")["Statement"] + good.policy("shine-task")["Statement"]
    good.permit("shine-task", both)
    good.task_definition["executionRoleArn"] = good.ids["shine-task"]


@fault("EXECUTION_ROLE_MISSING")
def _(good: Good) -> None:
    good.task_definition["executionRoleArn"] = f"arn:aws:iam::{ACCOUNT}:role/gone"


@fault("TASK_ROLE_MISSING")
def _(good: Good) -> None:
    good.task_definition["taskRoleArn"] = f"arn:aws:iam::{ACCOUNT}:role/gone"


@fault("EXECUTION_ROLE_TRUST")
def _(good: Good) -> None:
    good.trust("shine-execution", "ec2.amazonaws.com")


@fault("TASK_ROLE_TRUST")
def _(good: Good) -> None:
    good.trust("shine-task", "lambda.amazonaws.com")


@fault("EXECUTION_ROLE_MAY_NOT")
def _(good: Good) -> None:
    good.permit("shine-execution", good.policy("shine-execution")["Statement"][:2])  # not the secrets


@fault("TASK_ROLE_MAY_NOT")
def _(good: Good) -> None:
    denied = {"Effect": "Deny", "Action": "s3:Get*", "Resource": "*"}
    good.permit("shine-task", [*good.policy("shine-task")["Statement"], denied])


# --- image, log, secrets, weights, quota ---------------------------------------------------------------------------


@fault("REPOSITORY_MISSING")
def _(good: Good) -> None:
    good.client("ecr").delete_repository(repositoryName=REPOSITORY, force=True)


@fault("REPOSITORY_MUTABLE", "WARN")
def _(good: Good) -> None:
    good.client("ecr").put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability="MUTABLE")


@fault("IMAGE_MISSING")
def _(good: Good) -> None:
    image(good, f"{REPOSITORY}@sha256:{'0' * 64}")


@fault("IMAGE_TAG")
def _(good: Good) -> None:
    image(good, f"{REPOSITORY}:one")


@fault("IMAGE_REPOSITORY", "WARN")
def _(good: Good) -> None:
    good.replan(repository="shine")


@fault("LOG_GROUP_MISSING")
def _(good: Good) -> None:
    good.client("logs").delete_log_group(logGroupName=GROUP)
    good.client("logs").create_log_group(logGroupName=f"{GROUP}-old")  # a longer name is another group


@fault("LOG_RETENTION", "WARN")
def _(good: Good) -> None:
    good.client("logs").delete_retention_policy(logGroupName=GROUP)


@fault("LOG_GROUP_OTHER", "WARN")
def _(good: Good) -> None:
    good.client("logs").create_log_group(logGroupName="/ecs/other")
    good.client("logs").put_retention_policy(logGroupName="/ecs/other", retentionInDays=30)
    good.container["logConfiguration"]["options"]["awslogs-group"] = "/ecs/other"


@fault("SECRET_MISSING")
def _(good: Good) -> None:
    good.container["secrets"][0]["valueFrom"] = OTHER_SECRET


@fault("SECRET_DELETED")
def _(good: Good) -> None:
    good.client("secretsmanager").delete_secret(SecretId=good.ids["secret"])


@fault("SECRET_KEY_MISSING")
def _(good: Good) -> None:
    good.container["secrets"][0]["valueFrom"] = f"{good.ids['secret']}:api_key::"


@fault("WEIGHTS_BUCKET")
def _(good: Good) -> None:
    good.replan(weights={"uri": f"s3://{BUCKET}-gone/{FOLDER}", "sha256": good.ids["pin"]})
    allowed = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
    good.permit("shine-task", allowed)


@fault("WEIGHTS_MISSING")
def _(good: Good) -> None:
    good.client("s3").delete_object(Bucket=BUCKET, Key=f"{FOLDER}/manifest.json")


@fault("WEIGHTS_PIN")
def _(good: Good) -> None:
    good.replan(weights={"uri": f"s3://{BUCKET}/{FOLDER}", "sha256": "0" * 64})


@fault("WEIGHTS_CORRUPT")
def _(good: Good) -> None:
    good.put(f"{FOLDER}/current.json", b"{}")


@fault("WEIGHTS_SIZE")
def _(good: Good) -> None:
    good.put(f"{FOLDER}/model.onnx", b"cut")


@fault("QUOTA_CPUS")
def _(good: Good) -> None:
    good.quota(6.0)


# --- load balancer -------------------------------------------------------------------------------------------------


@fault("TARGET_GROUP_MISSING")
def _(good: Good) -> None:
    gone = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/gone/0123456789abcdef"
    good.replan(load_balancer={"target_group": gone})
    good.rewire(targetGroupArn=gone)


@fault("TARGET_TYPE")
def _(good: Good) -> None:
    good.wire(good.target_group("other", TargetType="instance"))


@fault("TARGET_PROTOCOL")
def _(good: Good) -> None:
    good.wire(good.target_group("other", Protocol="HTTPS"))


@fault("TARGET_PORT", "WARN")
def _(good: Good) -> None:
    good.wire(good.target_group("other", Port=8080))


@fault("TARGET_HEALTH_PORT")
def _(good: Good) -> None:
    good.wire(good.target_group("other", HealthCheckPort="8080"))


@fault("TARGET_PATH")
def _(good: Good) -> None:
    good.wire(good.target_group("other", HealthCheckPath="/"))


@fault("TARGET_MATCHER")
def _(good: Good) -> None:
    good.wire(good.target_group("other", Matcher={"HttpCode": "201-299,302"}))


@fault("TARGET_SLOW", "WARN")
def _(good: Good) -> None:
    good.wire(good.target_group("other", HealthCheckIntervalSeconds=30, HealthyThresholdCount=5))


@fault("TARGET_HASTY", "WARN")
def _(good: Good) -> None:
    changes = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4}
    good.wire(good.target_group("other", **changes, HealthyThresholdCount=2, UnhealthyThresholdCount=2))


@fault("TARGET_VPC")
def _(good: Good) -> None:
    vpc = good.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    good.wire(good.target_group("other", VpcId=vpc))


@fault("TARGET_GROUP_DETACHED")
def _(good: Good) -> None:
    lone = good.target_group("other")
    good.replan(load_balancer={"target_group": lone})
    good.rewire(targetGroupArn=lone)


@fault("DEREGISTRATION_SHORT")
def _(good: Good) -> None:
    good.attribute(good.ids["target_group"], "deregistration_delay.timeout_seconds", "0")


@fault("DEREGISTRATION_LONG", "WARN")
def _(good: Good) -> None:
    good.attribute(good.ids["target_group"], "deregistration_delay.timeout_seconds", "300")


@fault("BALANCER_STATE")
def _(good: Good) -> None:
    changed = {"State": {"Code": "failed"}}
    good.stand_in("elbv2", "DescribeLoadBalancers", lambda answer: answer["LoadBalancers"][0].update(changed))


@fault("IDLE_TIMEOUT")
def _(good: Good) -> None:
    good.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=good.ids["balancer"], Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "120"}]
    )


@fault("LISTENER_MISSING")
def _(good: Good) -> None:
    gone = good.ids["https"][:-16] + "0123456789abcdef"
    good.replan(load_balancer={"target_group": good.ids["target_group"], "listener": gone})


@fault("LISTENER_FORWARD")
def _(good: Good) -> None:
    good.replan(load_balancer={"target_group": good.ids["target_group"], "listener": good.ids["http"]})


@fault("HTTPS_MISSING")
def _(good: Good) -> None:
    elb, arn = good.client("elbv2"), good.ids["target_group"]
    elb.delete_listener(ListenerArn=good.ids["https"])
    elb.modify_listener(ListenerArn=good.ids["http"], DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}])
    good.replan(load_balancer={"target_group": arn})


@fault("HTTP_PLAIN")
def _(good: Good) -> None:
    forward = [{"Type": "forward", "TargetGroupArn": good.ids["target_group"]}]
    good.client("elbv2").modify_listener(ListenerArn=good.ids["http"], DefaultActions=forward)


# --- network -------------------------------------------------------------------------------------------------------


@fault("SUBNET_MISSING")
def _(good: Good) -> None:
    network(good, subnets=[good.ids["private_a"], good.ids["private_b"], "subnet-00000000000000000"])


@fault("SUBNETS_VPCS")
def _(good: Good) -> None:
    ec2 = good.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24", AvailabilityZone=f"{REGION}b")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=good.ids["nat"])
    ec2.associate_route_table(RouteTableId=table, SubnetId=made)
    network(good, subnets=[good.ids["private_a"], made])


@fault("SUBNETS_ONE_ZONE", "WARN")
def _(good: Good) -> None:
    network(good, subnets=[good.ids["private_a"]])


@fault("SUBNETS_FULL")
def _(good: Good) -> None:
    good.stand_in(
        "ec2",
        "DescribeSubnets",
        lambda answer: [subnet.update(AvailableIpAddressCount=1) for subnet in answer["Subnets"]],
    )


@fault("TARGET_ZONE")
def _(good: Good) -> None:
    made = good.client("ec2").create_subnet(
        VpcId=good.ids["vpc"], CidrBlock="10.0.9.0/24", AvailabilityZone=f"{REGION}c"
    )["Subnet"]["SubnetId"]
    good.client("ec2").associate_route_table(RouteTableId=good.ids["table_private"], SubnetId=made)
    network(good, subnets=[good.ids["private_a"], made])


@fault("EGRESS_MISSING")
def _(good: Good) -> None:
    good.no_nat()
    for service in ("ecr.api", "ecr.dkr", "s3", "secretsmanager"):
        good.endpoint(service)  # all but logs


@fault("PUBLIC_IP_OFF")
def _(good: Good) -> None:
    network(good, subnets=[good.ids["public_a"], good.ids["public_b"]])


@fault("ROUTE_DEAD")
def _(good: Good) -> None:
    good.client("ec2").delete_nat_gateway(NatGatewayId=good.ids["nat"])


@fault("SECURITY_GROUP_MISSING")
def _(good: Good) -> None:
    network(good, security_groups=[good.ids["tasks"], "sg-00000000000000000"])


@fault("SECURITY_GROUP_VPC")
def _(good: Good) -> None:
    ec2 = good.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_security_group(GroupName="elsewhere", Description="elsewhere", VpcId=vpc)["GroupId"]
    network(good, security_groups=[good.ids["tasks"], made])


@fault("INGRESS_CLOSED")
def _(good: Good) -> None:
    good.keep_out("tasks")
    good.let_in("tasks", 8080, {"UserIdGroupPairs": [{"GroupId": good.ids["front"]}]})


@fault("INGRESS_OPEN", "WARN")
def _(good: Good) -> None:
    good.let_in("tasks", 5000, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]})


@fault("BALANCER_EGRESS_CLOSED")
def _(good: Good) -> None:
    good.keep_in("front")


@fault("TASK_EGRESS_CLOSED")
def _(good: Good) -> None:
    good.keep_in("tasks")


@fault("ENDPOINT_CLOSED")
def _(good: Good) -> None:
    good.endpoint("ecr.api")
    good.keep_out("endpoints")


def publish(good: Good, version: str, manifest: bytes, files: dict[str, bytes], pin: str) -> str:
    """Put a bundle into its own version folder; the folder's name."""
    folder = version_folder(version, pin)
    for name, body in {**files, "manifest.json": manifest}.items():
        good.put(f"{FOLDER}/{folder}/{name}", body)
    return folder


def point(good: Good, folder: str, version: str, pin: str) -> None:
    """Let current.json name a version folder."""
    output = {"format_version": 1, "folder": folder, "version": version, "sha256": pin}
    good.put(f"{FOLDER}/current.json", json.dumps(output).encode())
