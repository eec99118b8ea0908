"""Autoscaling of the service: by average CPU, and by requests per target."""

from typing import Any

from botocore.exceptions import ClientError

from deploy.aws.clients import Clients
from deploy.config.plan import Plan

CPU_UNITS = 1024
LOAD_SHARE = 0.4  # of the measured throughput, from which a task is added: docs/capacity.md
PHOTOS_PER_MINUTE = 300  # throughput of one CPU, if the image's contract does not say
POLICY_PREFIX = "shine-trail"


def enable(clients: Clients, plan: Plan, contract: dict[str, Any]) -> None:
    """Scale the service between the plan's bounds; can be repeated."""
    scaling = clients["application-autoscaling"]
    scaling.register_scalable_target(
        **_target(plan), MinCapacity=plan.size.tasks, MaxCapacity=max(plan.size.tasks, plan.size.most_tasks)
    )
    group = clients["elbv2"].describe_target_groups(TargetGroupArns=[plan.load_balancer.target_group])["TargetGroups"]
    balancers = group[0].get("LoadBalancerArns", [])
    policies: dict[str, dict[str, Any]] = {
        "cpu": {
            "TargetValue": float(plan.autoscaling.cpu_percent),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        }
    }
    if balancers:
        label = balancers[0].split("loadbalancer/", 1)[1] + "/" + plan.load_balancer.target_group.rsplit(":", 1)[1]
        policies["requests"] = {
            "TargetValue": float(_requests_per_target(plan, contract)),
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": label,
            },
        }
    for name, policy in policies.items():
        scaling.put_scaling_policy(
            **_target(plan),
            PolicyName=f"{POLICY_PREFIX}-{plan.service}-{name}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=policy,
        )


def disable(clients: Clients, plan: Plan) -> None:
    """Stop scaling the service; does nothing if it is not scaled."""
    try:
        clients["application-autoscaling"].deregister_scalable_target(**_target(plan))
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code != "ObjectNotFoundException" and "No scalable target" not in message:  # emulators use another code
            raise


def _target(plan: Plan) -> dict[str, str]:
    """The service as Application Auto Scaling names it."""
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{plan.cluster}/{plan.service}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }


def _requests_per_target(plan: Plan, contract: dict[str, Any]) -> int:
    """Requests a minute: the plan's, else a share of the throughput that was measured for the image on one CPU."""
    if plan.autoscaling.requests_per_target is not None:
        return plan.autoscaling.requests_per_target
    measured = (contract.get("measured") or {}).get("photos_per_minute") or PHOTOS_PER_MINUTE
    return max(1, round(LOAD_SHARE * measured * plan.size.cpu / CPU_UNITS))
