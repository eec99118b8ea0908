"""What the look at AWS needs a permission on, where AWS's own message does not name it but the plan does."""

from deploy.config.plan import Plan

ANY = "*"  # also where AWS knows no narrower resource: elasticloadbalancing:Describe…, ec2:Describe…


def resource(plan: Plan, action: str) -> str | list[str]:
    """The ARN of what an action reads, several where the plan names several; an asterisk where it names none."""
    partition = plan.roles.task.split(":")[1]
    here = f"{plan.region}:{plan.account}"
    repository = f"arn:{partition}:ecr:{here}:repository/{plan.repository_name}"
    secrets = sorted({":".join(arn.split(":")[:7]) for arn in plan.secrets.values()})
    named = {
        "ecs:DescribeClusters": [f"arn:{partition}:ecs:{here}:cluster/{plan.cluster}"],
        "ecs:DescribeServices": [f"arn:{partition}:ecs:{here}:service/{plan.cluster}/{plan.service}"],
        "ecr:DescribeRepositories": [repository],
        "ecr:DescribeImages": [repository],
        "iam:GetRole": [plan.roles.execution, plan.roles.task],
        "secretsmanager:DescribeSecret": [arn for arn in secrets if ":secretsmanager:" in arn],
        "ssm:GetParameter": [arn for arn in secrets if ":ssm:" in arn],
    }
    if plan.weights is not None:
        bucket, _, prefix = plan.weights.uri.removeprefix("s3://").partition("/")
        key = "/".join(part for part in (bucket, prefix.strip("/"), "*") if part)
        named |= {"s3:GetObject": [f"arn:{partition}:s3:::{key}"], "s3:ListBucket": [f"arn:{partition}:s3:::{bucket}"]}
    found = named.get(action) or [ANY]
    return found if len(found) > 1 else found[0]
