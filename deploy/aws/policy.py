"""The IAM policy for whoever rolls out: a role of people, or of CI.

It is not for the service's own two roles, nor for `trail infra apply`, which needs nearly every permission once.
"""

from collections.abc import Iterable
from typing import Any

from deploy.config.plan import Plan
from deploy.record.store import location

VERSION = "2012-10-17"  # of the policy language
READS = {
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
SERVICE_LINKED = (
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
)  # AWS makes these roles at first use


def policy(plan: Plan) -> dict[str, Any]:
    """The policy for preflight, up, rollback, resume, why, status and record.

    IAM takes at most 6,144 characters, white space not counted.

    Raises:
        PlanError: the plan does not say where the record is.
    """
    partition = plan.roles.task.split(":")[1]

    def arn(service: str, rest: str) -> str:
        return f"arn:{partition}:{service}:{plan.region}:{plan.account}:{rest}"

    service_path = f"{plan.cluster}/{plan.service}"
    groups = (f"log-group:{plan.log_group}", f"log-group:{plan.log_group}:*")
    statements = [
        _allow("Describe", (f"{service}:{action}" for service, actions in READS.items() for action in actions), "*"),
        _allow("ReadLogs", ("logs:FilterLogEvents", "logs:GetLogEvents"), *(arn("logs", group) for group in groups)),
        _allow(
            "Deploy",
            ("ecs:CreateService", "ecs:UpdateService", "ecs:StopServiceDeployment"),
            arn("ecs", f"service/{service_path}"),
            arn("ecs", f"service-deployment/{service_path}/*"),
        ),
        _allow("Register", ("ecs:RegisterTaskDefinition",), "*"),  # the action has no narrower resource
        _allow(
            "PassRoles",
            ("iam:PassRole",),
            *sorted({plan.roles.execution, plan.roles.task}),
            condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        _allow(
            "FirstUseInAccount",
            ("iam:CreateServiceLinkedRole",),
            f"arn:{partition}:iam::{plan.account}:role/aws-service-role/*",
            condition={"StringEquals": {"iam:AWSServiceName": list(SERVICE_LINKED)}},
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
            arn("cloudwatch", f"alarm:TargetTracking-service/{service_path}-*"),
        ),
        *_stores(plan, partition),
    ]
    return {"Version": VERSION, "Statement": statements}


def _stores(plan: Plan, partition: str) -> list[dict[str, Any]]:
    """Statements for record, weights and secrets."""
    record, weights = location(plan), plan.weights.uri if plan.weights is not None else None
    buckets = sorted({uri.removeprefix("s3://").partition("/")[0] for uri in (record, weights) if uri})
    statements = [
        _allow("List", ("s3:ListBucket",), *(f"arn:{partition}:s3:::{bucket}" for bucket in buckets)),
        _allow("Record", ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), _objects(partition, record)),
    ]
    if weights is not None:
        statements.append(_allow("Weights", ("s3:GetObject",), _objects(partition, weights)))
    arns = sorted({":".join(arn.split(":")[:7]) for arn in plan.secrets.values()})
    if secrets := [arn for arn in arns if ":secretsmanager:" in arn]:
        # The value is read to check its JSON keys, and for the API key that gates use (unless TRAIL_API_KEY is set).
        statements.append(
            _allow("Secrets", ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"), *secrets)
        )
    if parameters := [arn for arn in arns if ":ssm:" in arn]:
        statements.append(_allow("Parameters", ("ssm:GetParameter",), *parameters))
    return statements


def _objects(partition: str, uri: str) -> str:
    return f"arn:{partition}:s3:::{uri.removeprefix('s3://').rstrip('/')}/*"


def _allow(
    name: str, actions: Iterable[str], *resources: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if condition is None else {**statement, "Condition": condition}
