"""What those who roll out must be allowed in AWS, as a policy: for a role of people, or of CI.

The service's own two roles are another matter (`trail infra`, or the team's); so is what `trail infra apply` makes
once, for which whoever does it may nearly everything anyway.
"""

from collections.abc import Iterable
from typing import Any

from deploy.config.plan import Plan
from deploy.record.store import location

VERSION = "2012-10-17"  # of the policy language
LOOKS = {
    "application-autoscaling": ("DescribeScalableTargets", "DescribeScalingPolicies"),
    "cloudwatch": ("DescribeAlarms",),
    "ec2": (
        "DescribeNatGateways",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcEndpoints",
    ),
    "ecr": ("DescribeImages", "DescribeRepositories", "GetAuthorizationToken"),
    "ecs": (
        "DescribeClusters",
        "DescribeServiceDeployments",
        "DescribeServices",
        "DescribeTaskDefinition",
        "DescribeTasks",
        "ListServiceDeployments",
        "ListTasks",
    ),
    "elasticloadbalancing": (
        "DescribeListeners",
        "DescribeLoadBalancerAttributes",
        "DescribeLoadBalancers",
        "DescribeRules",
        "DescribeTargetGroupAttributes",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
    ),
    "iam": (
        "GetPolicy",
        "GetPolicyVersion",
        "GetRole",
        "GetRolePolicy",
        "ListAttachedRolePolicies",
        "ListRolePolicies",
        "SimulatePrincipalPolicy",
    ),
    "logs": ("DescribeLogGroups",),
    "servicequotas": ("GetServiceQuota",),
}
LINKED = ("ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com")  # roles that AWS makes at the first use


def policy(plan: Plan) -> dict[str, Any]:
    """For preflight, up, rollback, resume, why, status and record; at most 6,144 characters without white space.

    Raises:
        PlanError: the plan does not say where the record is.
    """
    partition = plan.roles.task.split(":")[1]

    def arn(service: str, rest: str) -> str:
        return f"arn:{partition}:{service}:{plan.region}:{plan.account}:{rest}"

    at = f"{plan.cluster}/{plan.service}"
    groups = (f"log-group:{plan.log_group}", f"log-group:{plan.log_group}:*")
    statements = [
        _allow("Look", (f"{service}:{action}" for service, actions in LOOKS.items() for action in actions), "*"),
        _allow("ReadLogs", ("logs:FilterLogEvents", "logs:GetLogEvents"), *(arn("logs", one) for one in groups)),
        _allow(
            "Deploy",
            ("ecs:CreateService", "ecs:UpdateService", "ecs:StopServiceDeployment"),
            arn("ecs", f"service/{at}"),
            arn("ecs", f"service-deployment/{at}/*"),
        ),
        _allow("Register", ("ecs:RegisterTaskDefinition",), "*"),  # knows no narrower resource
        _allow(
            "HandRolesToTasks",
            ("iam:PassRole",),
            *sorted({plan.roles.execution, plan.roles.task}),
            condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        _allow(
            "FirstUseInAccount",
            ("iam:CreateServiceLinkedRole",),
            f"arn:{partition}:iam::{plan.account}:role/aws-service-role/*",
            condition={"StringEquals": {"iam:AWSServiceName": list(LINKED)}},
        ),
        _allow(
            "Push",
            (
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ),
            arn("ecr", f"repository/{plan.repository_name}"),
        ),
        _allow(
            "Scale",
            (
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
            ),
            arn("application-autoscaling", "scalable-target/*"),
        ),
        # The alarms of target tracking: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/auto-scaling-IAM.html
        _allow(
            "ScaleByAlarms",
            ("cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"),
            arn("cloudwatch", f"alarm:TargetTracking-service/{at}-*"),
        ),
        *_stores(plan, partition),
    ]
    return {"Version": VERSION, "Statement": statements}


def _stores(plan: Plan, partition: str) -> list[dict[str, Any]]:
    """Record, weights and secrets."""
    record, weights = location(plan), plan.weights.uri if plan.weights is not None else None
    buckets = sorted({one.removeprefix("s3://").partition("/")[0] for one in (record, weights) if one})
    made = [
        _allow("List", ("s3:ListBucket",), *(f"arn:{partition}:s3:::{one}" for one in buckets)),
        _allow("Record", ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), _objects(partition, record)),
    ]
    if weights is not None:
        made.append(_allow("Weights", ("s3:GetObject",), _objects(partition, weights)))
    secrets = sorted({":".join(one.split(":")[:7]) for one in plan.secrets.values()})
    if held := [one for one in secrets if ":secretsmanager:" in one]:
        # The value: whether a key of its JSON is there, and the API key that gates ask with (or TRAIL_API_KEY).
        made.append(_allow("Secrets", ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"), *held))
    if held := [one for one in secrets if ":ssm:" in one]:
        made.append(_allow("Parameters", ("ssm:GetParameter",), *held))
    return made


def _objects(partition: str, uri: str) -> str:
    return f"arn:{partition}:s3:::{uri.removeprefix('s3://').rstrip('/')}/*"


def _allow(
    name: str, actions: Iterable[str], *resources: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    made = {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return made if condition is None else {**made, "Condition": condition}
