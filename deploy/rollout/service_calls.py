"""The requests to ECS that change the service and its task definition."""

from typing import Any

from deploy.aws import task as tasks
from deploy.aws.clients import Clients
from deploy.config.image_contract import parse
from deploy.config.plan import Plan
from deploy.rollout import autoscaling
from deploy.taskdef.model import serving_container

SET_BY_ECS = {
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


def service_request(plan: Plan, contract: dict[str, Any]) -> dict[str, Any]:
    """What CreateService and UpdateService both take, except the task definition and the number of tasks."""
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


def current_request(service: dict[str, Any]) -> dict[str, Any]:
    """The present settings of a service, in the form of `service_request`."""
    keys = ("networkConfiguration", "loadBalancers", "healthCheckGracePeriodSeconds", "deploymentConfiguration")
    return {key: service[key] for key in keys if service.get(key) not in (None, [], {})}


def comparable(service: dict[str, Any]) -> dict[str, Any]:
    """What a plan decides of a service; lists are sorted where their order has no meaning."""
    network = (service.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    rules = service.get("deploymentConfiguration") or {}
    alarms = rules.get("alarms") or {}
    breaker = rules.get("deploymentCircuitBreaker") or {}
    return {
        "subnets": sorted(network.get("subnets", [])),
        "securityGroups": sorted(network.get("securityGroups", [])),
        "assignPublicIp": network.get("assignPublicIp", "DISABLED"),
        "loadBalancers": [
            {key: balancer.get(key) for key in ("targetGroupArn", "containerName", "containerPort")}
            for balancer in service.get("loadBalancers") or []
        ],
        "healthCheckGracePeriodSeconds": service.get("healthCheckGracePeriodSeconds"),
        "circuitBreaker": {key: breaker.get(key) for key in ("enable", "rollback")},
        "minimumHealthyPercent": rules.get("minimumHealthyPercent"),
        "maximumPercent": rules.get("maximumPercent"),
        "alarms": sorted(alarms.get("alarmNames", [])) if alarms.get("enable") else [],
    }


def create_service(
    clients: Clients, plan: Plan, request: dict[str, Any], task_definition: str, token: str
) -> dict[str, Any]:
    """Create the service; returns it as ECS describes it.

    Args:
        clients: of AWS.
        plan: names the service and its number of tasks.
        request: as `service_request` makes it.
        task_definition: ARN.
        token: with the same token, a repeated call creates no second service.
    """
    service: dict[str, Any] = clients["ecs"].create_service(
        cluster=plan.cluster,
        serviceName=plan.service,
        taskDefinition=task_definition,
        desiredCount=plan.size.tasks,
        launchType="FARGATE",
        clientToken=token,
        **request,
    )["service"]
    return service


def update_service(
    clients: Clients, plan: Plan, request: dict[str, Any], task_definition: str, service: dict[str, Any]
) -> dict[str, Any]:
    """Update the service; autoscaling keeps the number of tasks, unless it is 0. Returns it as ECS describes it.

    Args:
        clients: of AWS.
        plan: names the service.
        request: as `service_request` makes it.
        task_definition: ARN.
        service: as it is before the update.
    """
    request = dict(request)
    if comparable(service)["loadBalancers"] == comparable(request)["loadBalancers"]:
        request.pop("loadBalancers", None)  # sending it again needs one more permission
    if not service.get("desiredCount"):
        request["desiredCount"] = plan.size.tasks
    updated: dict[str, Any] = clients["ecs"].update_service(
        cluster=plan.cluster, service=plan.service, taskDefinition=task_definition, **request
    )["service"]
    return updated


def primary_deployment(service: dict[str, Any]) -> str:
    """Id of the primary deployment in a response of CreateService or UpdateService."""
    return next(str(item["id"]) for item in service["deployments"] if item.get("status") == "PRIMARY")


def stop_all_tasks(clients: Clients, plan: Plan) -> None:
    """Set the desired count to 0; autoscaling is removed first, since it would start tasks again."""
    autoscaling.disable(clients, plan)
    clients["ecs"].update_service(cluster=plan.cluster, service=plan.service, desiredCount=0)


def describe_task_definition(clients: Clients, arn: str) -> dict[str, Any]:
    """A task definition as ECS describes it; an inactive one too."""
    described: dict[str, Any] = clients["ecs"].describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return described


def register_task_definition(clients: Clients, task_definition: dict[str, Any]) -> str:
    """Register a task definition, which may be one that ECS has described; returns its ARN."""
    request = {key: value for key, value in task_definition.items() if key not in SET_BY_ECS}
    return str(clients["ecs"].register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"])


def serving(
    task_definition: dict[str, Any], plan: Plan, contract: dict[str, Any], service: dict[str, Any] | None
) -> dict[str, Any]:
    """The serving container of a task definition; empty if it cannot be determined.

    Args:
        task_definition: as ECS describes it, or as it would be registered.
        plan: names the service.
        contract: of the image.
        service: that runs it, or would run it.
    """
    return serving_container(task_definition, tasks.serving_names(service, plan), parse(contract).port) or {}


def settings_of(container: dict[str, Any], contract: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Environment and secrets of a container; a plain value of a secret setting is masked."""
    secret = {setting.name for setting in parse(contract).settings if setting.secret}
    environment = {
        item["name"]: MASKED if item["name"] in secret else item["value"] for item in container.get("environment", [])
    }
    return environment, {item["name"]: item["valueFrom"] for item in container.get("secrets", [])}
