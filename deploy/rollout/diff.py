"""What a rollout would change, in words, and the calls that change it."""

from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from deploy.aws import task as tasks
from deploy.aws.clients import Clients
from deploy.config.image_contract import parse
from deploy.config.plan import Plan
from deploy.taskdef.model import serving_container
from deploy.text import printable

WRITTEN_BY_ECS = {
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
}
MASKED = "(a secret, not shown)"
MOST_SHOWN = 90  # characters of a value
CPU_UNITS = 1024
ROOM = 0.6  # a task is joined by another at this share of what it was measured to answer
TAKEN = "shine-trail"  # prefix of the names of scaling policies


def service_request(plan: Plan, contract: dict[str, Any]) -> dict[str, Any]:
    """What CreateService and UpdateService both take, but for the task definition and the number of tasks."""
    alarms = {"alarmNames": sorted(plan.alarms), "enable": bool(plan.alarms), "rollback": bool(plan.alarms)}
    return {
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": list(plan.network.subnets),
                "securityGroups": list(plan.network.security_groups),
                "assignPublicIp": "ENABLED" if plan.network.assign_public_ip else "DISABLED",
            }
        },
        "loadBalancers": [
            {
                "targetGroupArn": plan.load_balancer.target_group,
                "containerName": plan.service,
                "containerPort": parse(contract).port,
            }
        ],
        "healthCheckGracePeriodSeconds": plan.health.grace,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
            "alarms": alarms,
        },
    }


def difference(before: dict[str, Any] | None, after: dict[str, Any], secret: Iterable[str] = ()) -> list[str]:
    """Lines that say what differs, each "place: before → after"; values of secret settings are not shown.

    Args:
        before: a task definition as ECS describes it, or a service's settings; None where there is none.
        after: as it would be.
        secret: names of settings whose plain value is a secret.
    """
    old, new = flat(before or {}), flat(after)
    lines = []
    for place in sorted(old.keys() | new.keys()):
        if old.get(place) != new.get(place):
            hidden = place.rpartition("environment.")[2] in set(secret)
            shown = [
                MASKED if hidden and place in side else printable(str(side.get(place, "nothing")), MOST_SHOWN)
                for side in (old, new)
            ]
            lines.append(f"{place}: {shown[1]}" if before is None else f"{place}: {shown[0]} → {shown[1]}")
    return lines


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Every leaf by its place; what ECS fills in by itself, and what is empty, left out."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if place or key not in WRITTEN_BY_ECS}
        if kept.get("hostPort") == kept.get("containerPort"):  # awsvpc knows no other
            kept.pop("hostPort", None)
        return {at: one for key, part in kept.items() for at, one in flat(part, f"{place}.{key}".lstrip(".")).items()}
    if isinstance(value, list):
        if value and all(isinstance(one, dict) and "name" in one for one in value):
            named = {str(one["name"]): one.get("value", one.get("valueFrom", one)) for one in value}
            return flat(named, place)
        if not all(isinstance(one, dict | list) for one in value):
            return {place: " ".join(map(str, value))} if value else {}
        return {at: one for number, part in enumerate(value) for at, one in flat(part, f"{place}[{number}]").items()}
    return {} if value in (None, "", False, 0) else {place: value}


def service_difference(found: dict[str, Any] | None, wanted: dict[str, Any]) -> list[str]:
    """Lines for what differs between the service and what it should be; order of subnets and groups does not count."""
    if found is None:
        return difference(None, ordered(wanted))
    return difference(ordered({key: found.get(key) for key in wanted}), ordered(wanted))


def ordered(service: dict[str, Any]) -> dict[str, Any]:
    """With lists in which order does not count sorted, and nothing but what a plan decides."""
    network = (service.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    rules = service.get("deploymentConfiguration") or {}
    alarms = rules.get("alarms") or {}
    breaker = rules.get("deploymentCircuitBreaker") or {}
    return {
        "subnets": sorted(network.get("subnets", [])),
        "securityGroups": sorted(network.get("securityGroups", [])),
        "assignPublicIp": network.get("assignPublicIp", "DISABLED"),
        "loadBalancers": [
            {key: one.get(key) for key in ("targetGroupArn", "containerName", "containerPort")}
            for one in service.get("loadBalancers") or []
        ],
        "healthCheckGracePeriodSeconds": service.get("healthCheckGracePeriodSeconds"),
        "circuitBreaker": {key: breaker.get(key) for key in ("enable", "rollback")},
        "minimumHealthyPercent": rules.get("minimumHealthyPercent"),
        "maximumPercent": rules.get("maximumPercent"),
        "alarms": sorted(alarms.get("alarmNames", [])) if alarms.get("enable") else [],
    }


def task_definition(clients: Clients, arn: str) -> dict[str, Any]:
    """As ECS describes it, also an inactive one."""
    found: dict[str, Any] = clients["ecs"].describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return found


def register(clients: Clients, task: dict[str, Any]) -> str:
    """Its ARN."""
    return str(clients["ecs"].register_task_definition(**task)["taskDefinition"]["taskDefinitionArn"])


def registrable(found: dict[str, Any]) -> dict[str, Any]:
    """A described task definition as RegisterTaskDefinition takes it."""
    return {key: value for key, value in found.items() if key not in WRITTEN_BY_ECS}


def create(clients: Clients, plan: Plan, service: dict[str, Any], task: str, token: str) -> dict[str, Any]:
    """The service, new.

    Args:
        service: as `service_request` makes it.
        task: ARN of the task definition.
        token: repeated with the same one, the call makes no second service.
    """
    made: dict[str, Any] = clients["ecs"].create_service(
        cluster=plan.cluster,
        serviceName=plan.service,
        taskDefinition=task,
        desiredCount=plan.size.tasks,
        launchType="FARGATE",
        clientToken=token,
        **service,
    )["service"]
    return made


def update(clients: Clients, plan: Plan, service: dict[str, Any], task: str, found: dict[str, Any]) -> dict[str, Any]:
    """The service, changed. The number of tasks is autoscaling's, except where there are none.

    Args:
        service: as `service_request` makes it.
        task: ARN of the task definition.
        found: the service as it is.
    """
    request = dict(service)
    if ordered(found)["loadBalancers"] == ordered(request)["loadBalancers"]:
        request.pop("loadBalancers", None)  # naming it again would need one more permission
    if not found.get("desiredCount"):
        request["desiredCount"] = plan.size.tasks
    made: dict[str, Any] = clients["ecs"].update_service(
        cluster=plan.cluster, service=plan.service, taskDefinition=task, **request
    )["service"]
    return made


def primary_of(made: dict[str, Any]) -> str:
    """Id of the deployment that an answer of CreateService or UpdateService tells of."""
    return next(str(one["id"]) for one in made["deployments"] if one.get("status") == "PRIMARY")


def wired_now(found: dict[str, Any]) -> dict[str, Any]:
    """What a service is set to now, in the form of `service_request`."""
    keys = ("networkConfiguration", "loadBalancers", "healthCheckGracePeriodSeconds", "deploymentConfiguration")
    return {key: found[key] for key in keys if found.get(key) not in (None, [], {})}


def stop_all_tasks(clients: Clients, plan: Plan) -> None:
    """Desired count 0, where nothing is proven that could run instead; autoscaling would bring the tasks back."""
    unscale(clients, plan)
    clients["ecs"].update_service(cluster=plan.cluster, service=plan.service, desiredCount=0)


def resource(plan: Plan) -> dict[str, str]:
    """How Application Auto Scaling names the service."""
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{plan.cluster}/{plan.service}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }


def requests_per_target(plan: Plan, contract: dict[str, Any]) -> int:
    """A minute; of the plan, else a share of what the image was measured to answer on one CPU."""
    if plan.autoscaling.requests_per_target is not None:
        return plan.autoscaling.requests_per_target
    measured = (contract.get("measured") or {}).get("photos_per_minute") or 300  # an image that does not say
    return max(1, round(ROOM * measured * plan.size.cpu / CPU_UNITS))


def scale(clients: Clients, plan: Plan, contract: dict[str, Any]) -> None:
    """Let the number of tasks follow CPU and requests; repeated, it changes nothing."""
    scaling = clients["application-autoscaling"]
    scaling.register_scalable_target(
        **resource(plan), MinCapacity=plan.size.tasks, MaxCapacity=max(plan.size.tasks, plan.size.most_tasks)
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
            "TargetValue": float(requests_per_target(plan, contract)),
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": label,
            },
        }
    for name, policy in policies.items():
        scaling.put_scaling_policy(
            **resource(plan),
            PolicyName=f"{TAKEN}-{plan.service}-{name}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=policy,
        )


def unscale(clients: Clients, plan: Plan) -> None:
    """Leave the number of tasks alone; where nothing scaled it, nothing happens."""
    try:
        clients["application-autoscaling"].deregister_scalable_target(**resource(plan))
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code != "ObjectNotFoundException" and "No scalable target" not in message:  # emulators call it otherwise
            raise


def serving(
    task: dict[str, Any], plan: Plan, contract: dict[str, Any], service: dict[str, Any] | None
) -> dict[str, Any]:
    """The container of a task definition that serves; empty where none can be chosen.

    Args:
        task: as ECS describes it, or as it would be registered.
        plan, contract: of the rollout.
        service: that runs it, or would.
    """
    return serving_container(task, tasks.serving_names(service, plan), parse(contract).port) or {}


def settings_of(container: dict[str, Any], contract: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Environment and secrets of a container; a secret that stands there plainly is masked."""
    secret = {one.name for one in parse(contract).settings if one.secret}
    environment = {
        one["name"]: MASKED if one["name"] in secret else one["value"] for one in container.get("environment", [])
    }
    return environment, {one["name"]: one["valueFrom"] for one in container.get("secrets", [])}
