"""IAM: the policy that a rollout needs, the resource that an action reads, and what the policies of a role allow."""

import fnmatch
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from deploy.config.plan import Plan

TASKS = "ecs-tasks.amazonaws.com"  # the service that assumes the roles of a task
Statements = list[dict[str, Any]]
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

    It is for a role of people, or of CI; not for the service's own two roles, nor for `trail infra apply`, which needs
    nearly every permission once. IAM takes at most 6,144 characters, white space not counted.

    Raises:
        PlanError: the plan names no place for the record.
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
            condition={"StringEquals": {"iam:PassedToService": TASKS}},
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
    record, weights = plan.record_location(), plan.weights.uri if plan.weights is not None else None
    buckets = sorted({_bucket(partition, uri) for uri in (record, weights) if uri})
    statements = [
        _allow("List", ("s3:ListBucket",), *buckets),
        _allow("Record", ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), _objects(partition, record)),
    ]
    if weights is not None:
        statements.append(_allow("Weights", ("s3:GetObject",), _objects(partition, weights)))
    if secrets := _secrets(plan, "secretsmanager"):
        # The value is read to check its JSON keys, and for the API key that gates use (unless TRAIL_API_KEY is set).
        statements.append(
            _allow("Secrets", ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"), *secrets)
        )
    if parameters := _secrets(plan, "ssm"):
        statements.append(_allow("Parameters", ("ssm:GetParameter",), *parameters))
    return statements


def _objects(partition: str, uri: str) -> str:
    return f"arn:{partition}:s3:::{uri.removeprefix('s3://').rstrip('/')}/*"


def _bucket(partition: str, uri: str) -> str:
    return f"arn:{partition}:s3:::{uri.removeprefix('s3://').partition('/')[0]}"


def _allow(
    name: str, actions: Iterable[str], *resources: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if condition is None else {**statement, "Condition": condition}


def resource(plan: Plan, action: str) -> str | list[str]:
    """The ARN of what an action of preflight reads, where AWS's message does not name it.

    Several where the plan names several; an asterisk where it names none, or where AWS knows no narrower resource
    (elasticloadbalancing:Describe…, ec2:Describe…).
    """
    partition = plan.roles.task.split(":")[1]
    here = f"{plan.region}:{plan.account}"
    repository = f"arn:{partition}:ecr:{here}:repository/{plan.repository_name}"
    named = {
        "ecs:DescribeClusters": [f"arn:{partition}:ecs:{here}:cluster/{plan.cluster}"],
        "ecs:DescribeServices": [f"arn:{partition}:ecs:{here}:service/{plan.cluster}/{plan.service}"],
        "ecr:DescribeRepositories": [repository],
        "ecr:DescribeImages": [repository],
        "iam:GetRole": [plan.roles.execution, plan.roles.task],
        "secretsmanager:DescribeSecret": _secrets(plan, "secretsmanager"),
        "ssm:GetParameter": _secrets(plan, "ssm"),
    }
    if plan.weights is not None:
        bucket, _, prefix = plan.weights.uri.removeprefix("s3://").partition("/")
        key = "/".join(part for part in (bucket, prefix.strip("/"), "*") if part)
        named |= {
            "s3:GetObject": [f"arn:{partition}:s3:::{key}"],
            "s3:ListBucket": [_bucket(partition, plan.weights.uri)],
        }
    arns = named.get(action) or ["*"]
    return arns if len(arns) > 1 else arns[0]


def _secrets(plan: Plan, service: str) -> list[str]:
    """ARNs of the plan's secrets in secretsmanager or ssm, without JSON keys."""
    return sorted({":".join(arn.split(":")[:7]) for arn in plan.secrets.values() if arn.split(":")[2] == service})


def statements(document: Any) -> Statements:
    """The statements of a policy document, which boto3 gives as an object or as text."""
    content = json.loads(unquote(document)) if isinstance(document, str) else document
    return [dict(entry) for entry in _listed(content.get("Statement", []))]


def trusts_tasks(trust_policy: Statements) -> bool:
    """Whether ECS tasks may assume a role with this trust policy."""
    for entry in trust_policy:
        principal = entry.get("Principal", {})
        services = _listed(principal.get("Service", [])) if isinstance(principal, dict) else []
        actions = _listed(entry.get("Action", []))
        if entry["Effect"] == "Allow" and TASKS in services and {"sts:AssumeRole", "sts:*"} & set(actions):
            return True
    return False


def allowed(policies: Statements, action: str, resource: str) -> bool | None:
    """Whether a role's own policies allow an action; None where that depends on a condition.

    Permissions boundaries are not read.
    """
    verdict: bool | None = False
    for entry in policies:
        if not (_matches(entry, "Action", action, fold=True) and _matches(entry, "Resource", resource, fold=False)):
            continue
        certain = not entry.get("Condition")
        if entry["Effect"] == "Deny":
            return False if certain else None
        if verdict is not True:
            verdict = True if certain else None
    return verdict


def _matches(entry: dict[str, Any], key: str, value: str, *, fold: bool) -> bool:
    negated = f"Not{key}" in entry
    patterns = [str(pattern) for pattern in _listed(entry.get(f"Not{key}" if negated else key, []))]
    if fold:
        value, patterns = value.lower(), [pattern.lower() for pattern in patterns]
    # A pattern of IAM's has * and ?, and no [ ].
    return negated != any(fnmatch.fnmatchcase(value, pattern.replace("[", "[[]")) for pattern in patterns)


def _listed(value: Any) -> list[Any]:
    """IAM writes a single value without its list."""
    return value if isinstance(value, list) else [value]
