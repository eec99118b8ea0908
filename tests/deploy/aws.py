"""A whole account in moto in which nothing is wrong, to break one thing of at a time."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto.iam.exceptions import IAMException
from moto.iam.responses import IamResponse

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan, parse
from tests.moto_state import Snapshot

REGION, ACCOUNT = "us-east-1", "123456789012"
NAME, GROUP, REPOSITORY = "shine-api-gateway", "/ecs/shine-api-gateway", "shine-api-gateway"
BUCKET, FOLDER = "shine-weights", "face-skin"
SECRET_VALUE = "9b1c-never-to-be-seen"  # noqa: S105  made up
MOTO = {"MOTO_ECS_SERVICE_RUNNING": "2"}  # as many tasks as are desired: the deployment is complete
CLIENTS: dict[str, Any] = {}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
EXECUTION = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": "*",
        },
        {"Effect": "Allow", "Action": "logs:*", "Resource": f"arn:aws:logs:*:*:log-group:{GROUP}:*"},
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
    ],
}
TASK = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    ],
}


def _refuse(_: IamResponse) -> None:
    raise IAMException("InvalidInput", "moto simulates no policies.")


# moto lacks it, and fails with a status of 500, which is one that is waited for and asked again.
setattr(IamResponse, "simulate_principal_policy", _refuse)  # noqa: B010  which mypy does not know


class Good:
    """The account. It is made in this process, where the server that is looked at keeps its state: 60 requests less.

    Args:
        bundle: weights to publish.
        contract: of the image.

    Attributes:
        ids: what was made, by name.
        plan, task_definition: that fit it; tests change them.
        session: with which the account is looked at.
    """

    def __init__(self, bundle: Path, contract: Contract) -> None:
        self._bundle, self.contract = bundle, contract
        self.ids: dict[str, str] = {}
        self.session = boto3.Session()
        self._network()
        self._balancer()
        self._stores()
        self._roles()
        self.plan = self._plan()
        self.task_definition = self._task_definition()
        self._service()

    def keep(self) -> None:
        """Remember the account as it is now."""
        self._kept = (Snapshot(), self.ids, self.plan, self.task_definition)
        self.restore()

    def restore(self) -> None:
        """Bring back the account that was kept, and a session without stand-ins: as good as a new account."""
        snapshot, ids, self.plan, task_definition = self._kept
        snapshot.restore()
        self.ids, self.task_definition = dict(ids), copy.deepcopy(task_definition)
        self.session = boto3.Session()

    def client(self, service: str) -> Any:
        """A client that may do all."""
        if service not in CLIENTS:
            CLIENTS[service] = boto3.client(
                service,
                config=Config(ignore_configured_endpoint_urls=True),
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106  moto takes any
            )
        return CLIENTS[service]

    def _network(self) -> None:
        ec2, ids = self.client("ec2"), self.ids
        ids["vpc"] = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        for number, name in enumerate(("public_a", "public_b", "private_a", "private_b")):
            ids[name] = ec2.create_subnet(
                VpcId=ids["vpc"], CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=REGION + name[-1]
            )["Subnet"]["SubnetId"]
        ids["igw"] = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=ids["igw"], VpcId=ids["vpc"])
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        ids["nat"] = ec2.create_nat_gateway(SubnetId=ids["public_a"], AllocationId=address)["NatGateway"][
            "NatGatewayId"
        ]
        for kind, way in (("public", {"GatewayId": ids["igw"]}), ("private", {"NatGatewayId": ids["nat"]})):
            table = ids[f"table_{kind}"] = ec2.create_route_table(VpcId=ids["vpc"])["RouteTable"]["RouteTableId"]
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
            for zone in "ab":
                ec2.associate_route_table(RouteTableId=table, SubnetId=ids[f"{kind}_{zone}"])
        for name in ("front", "tasks", "endpoints"):
            ids[name] = ec2.create_security_group(GroupName=name, Description=name, VpcId=ids["vpc"])["GroupId"]
        self.let_in("front", 443, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
        self.let_in("tasks", 5000, {"UserIdGroupPairs": [{"GroupId": ids["front"]}]})
        self.let_in("endpoints", 443, {"UserIdGroupPairs": [{"GroupId": ids["tasks"]}]})

    def let_in(self, group: str, port: int, whom: dict[str, Any]) -> None:
        """Allow TCP on a port into a security group."""
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **whom}
        self.client("ec2").authorize_security_group_ingress(GroupId=self.ids[group], IpPermissions=[rule])

    def keep_out(self, group: str) -> None:
        """Nothing gets into a security group any more."""
        ec2 = self.client("ec2")
        rules = ec2.describe_security_groups(GroupIds=[self.ids[group]])["SecurityGroups"][0]["IpPermissions"]
        ec2.revoke_security_group_ingress(GroupId=self.ids[group], IpPermissions=rules)

    def keep_in(self, group: str) -> None:
        """Nothing gets out of a security group any more."""
        ec2 = self.client("ec2")
        rules = ec2.describe_security_groups(GroupIds=[self.ids[group]])["SecurityGroups"][0]["IpPermissionsEgress"]
        ec2.revoke_security_group_egress(GroupId=self.ids[group], IpPermissions=rules)

    def endpoint(self, service: str) -> None:
        """A VPC endpoint: s3 as a gateway of the private route table, others as interfaces."""
        kind: dict[str, Any] = (
            {"VpcEndpointType": "Gateway", "RouteTableIds": [self.ids["table_private"]]}
            if service == "s3"
            else {
                "VpcEndpointType": "Interface",
                "SubnetIds": [self.ids["private_a"]],
                "SecurityGroupIds": [self.ids["endpoints"]],
                "PrivateDnsEnabled": True,
            }
        )
        self.client("ec2").create_vpc_endpoint(
            VpcId=self.ids["vpc"], ServiceName=f"com.amazonaws.{REGION}.{service}", **kind
        )

    def no_nat(self) -> None:
        """Private subnets lose their default route."""
        self.client("ec2").delete_route(RouteTableId=self.ids["table_private"], DestinationCidrBlock="0.0.0.0/0")

    def target_group(self, name: str, **changes: Any) -> str:
        """A target group that is right but for the changes; its ARN."""
        expected = {
            "Protocol": "HTTP",
            "Port": 5000,
            "VpcId": self.ids["vpc"],
            "TargetType": "ip",
            "HealthCheckPath": "/health",
            "HealthCheckPort": "traffic-port",
            "HealthCheckIntervalSeconds": 15,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 3,
            "Matcher": {"HttpCode": "200"},
            **changes,
        }
        arn: str = self.client("elbv2").create_target_group(Name=name, **expected)["TargetGroups"][0]["TargetGroupArn"]
        self.attribute(arn, "deregistration_delay.timeout_seconds", "30")
        return arn

    def attribute(self, arn: str, key: str, value: str) -> None:
        """Set an attribute of a target group."""
        self.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}]
        )

    def wire(self, arn: str) -> None:
        """Let the listener forward to this target group, service and plan included."""
        self.client("elbv2").delete_listener(ListenerArn=self.ids["https"])
        self.ids["target_group"] = arn
        self._https()
        self.replan(load_balancer={"target_group": arn, "listener": self.ids["https"]})
        self.rewire()

    def _balancer(self) -> None:
        elb, ids = self.client("elbv2"), self.ids
        ids["balancer"] = elb.create_load_balancer(
            Name="shine", Subnets=[ids["public_a"], ids["public_b"]], SecurityGroups=[ids["front"]]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        ids["target_group"] = self.target_group("shine")
        self._https()
        redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        ids["http"] = elb.create_listener(
            LoadBalancerArn=ids["balancer"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}],
        )["Listeners"][0]["ListenerArn"]

    def _https(self) -> None:
        certificate = self.client("acm").request_certificate(DomainName="api.example.com")["CertificateArn"]
        self.ids["https"] = self.client("elbv2").create_listener(
            LoadBalancerArn=self.ids["balancer"],
            Protocol="HTTPS",
            Port=443,
            Certificates=[{"CertificateArn": certificate}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.ids["target_group"]}],
        )["Listeners"][0]["ListenerArn"]

    def _stores(self) -> None:
        self.client("logs").create_log_group(logGroupName=GROUP)
        self.client("logs").put_retention_policy(logGroupName=GROUP, retentionInDays=30)
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": f"sha256:{'1' * 64}", "size": 7},
            "layers": [{"digest": f"sha256:{'2' * 64}", "size": 7}],
        }
        pushed = ecr.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageTag="one")
        self.ids["digest"] = pushed["image"]["imageId"]["imageDigest"]
        self.ids["secret"] = self.client("secretsmanager").create_secret(
            Name="shine", SecretString=json.dumps({"api_keys": SECRET_VALUE})
        )["ARN"]
        self.client("s3").create_bucket(Bucket=BUCKET)
        for name in (MODEL, METRICS, MANIFEST):
            self.put(f"{FOLDER}/{name}", (self._bundle / name).read_bytes())
        self.ids["pin"] = hashlib.sha256((self._bundle / MANIFEST).read_bytes()).hexdigest()

    def put(self, key: str, body: bytes) -> None:
        """Put an object into the bucket of the weights."""
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def _roles(self) -> None:
        iam = self.client("iam")
        for name, policy in (("shine-execution", EXECUTION), ("shine-task", TASK)):
            role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
            self.ids[name] = role["Arn"]

    def _plan(self) -> Plan:
        ids = self.ids
        return parse(
            {
                "account": ACCOUNT,
                "region": REGION,
                "network": {"subnets": [ids["private_a"], ids["private_b"]], "security_groups": [ids["tasks"]]},
                "roles": {"task": ids["shine-task"], "execution": ids["shine-execution"]},
                "load_balancer": {"target_group": ids["target_group"], "listener": ids["https"]},
                "domain": "https://api.example.com",
                "front_end": "https://www.example.com",
                "secrets": {"SHINE_API_KEYS": f"{ids['secret']}:api_keys::"},
                "weights": {"uri": f"s3://{BUCKET}/{FOLDER}", "sha256": ids["pin"]},
            },
            "trail.yaml",
        )

    def replan(self, **changes: Any) -> None:
        """Change the plan."""
        self.plan = parse({**self.plan.model_dump(), **changes}, "trail.yaml")

    def _task_definition(self) -> dict[str, Any]:
        host = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
        options = {"awslogs-group": GROUP, "awslogs-region": REGION, "awslogs-stream-prefix": "shine"}
        return {
            "family": NAME,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "1024",
            "memory": "2048",
            "executionRoleArn": self.ids["shine-execution"],
            "taskRoleArn": self.ids["shine-task"],
            "containerDefinitions": [
                {
                    "name": "shine",
                    "memory": 2048,
                    "image": f"{host}/{REPOSITORY}@{self.ids['digest']}",
                    "portMappings": [{"containerPort": 5000, "protocol": "tcp"}],
                    "secrets": [{"name": "SHINE_API_KEYS", "valueFrom": f"{self.ids['secret']}:api_keys::"}],
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                    "stopTimeout": 60,
                }
            ],
        }

    @property
    def container(self) -> dict[str, Any]:
        """The container of the task definition."""
        result: dict[str, Any] = self.task_definition["containerDefinitions"][0]
        return result

    def _service(self, **wiring: Any) -> None:
        ecs = self.client("ecs")
        ecs.create_cluster(clusterName="shine-ml-cluster")
        ecs.register_task_definition(**self.task_definition)
        wired = {"targetGroupArn": self.ids["target_group"], "containerName": "shine", "containerPort": 5000, **wiring}
        ecs.create_service(
            cluster="shine-ml-cluster",
            serviceName=NAME,
            taskDefinition=NAME,
            desiredCount=2,
            loadBalancers=[wired],
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": [self.ids["private_a"], self.ids["private_b"]],
                    "securityGroups": [self.ids["tasks"]],
                }
            },
        )

    def rewire(self, **wiring: Any) -> None:
        """Create the service anew with another wiring."""
        self.client("ecs").delete_service(cluster="shine-ml-cluster", service=NAME, force=True)
        self._service(**wiring)

    def policy(self, role: str) -> dict[str, Any]:
        """What a role may do."""
        result: dict[str, Any] = self.client("iam").get_role_policy(RoleName=role, PolicyName="own")["PolicyDocument"]
        return result

    def permit(self, role: str, statements: list[dict[str, Any]]) -> None:
        """Let a role do this and nothing else."""
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client("iam").put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=document)

    def trust(self, role: str, service: str) -> None:
        """Let a service, and no other, take a role."""
        document = json.dumps(TRUST).replace("ecs-tasks.amazonaws.com", service)
        self.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=document)

    def stand_in(self, service: str, operation: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change an answer on its way to the look, where moto cannot be brought into that state."""
        self.session.events.register(
            f"after-call.{service}.{operation}", lambda parsed, **_: change(parsed) if parsed else None
        )

    def quota(self, cpus: float) -> None:
        """Moto knows no quota of Fargate's: it is answered for."""

        def answer(model: Any, **_: Any) -> Any:
            if model.name == "GetServiceQuota":
                return AWSResponse("", 200, {}, None), {"Quota": {"Value": cpus}}
            return None

        self.session.events.register("before-call.service-quotas", answer)
