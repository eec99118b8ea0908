"""A task as DescribeTasks tells it."""

from typing import Any

from tests.deploy.aws import ACCOUNT, REGION
from tests.plane.account import CLUSTER
from tests.plane.task import Task

CLUSTER_ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"


def task(one: Task) -> dict[str, Any]:
    """All that there is to tell; what is not known yet is left out, as ECS does."""
    subnets = one.revision["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
    details = [{"name": "subnetId", "value": subnets[0]}, {"name": "networkInterfaceId", "value": one.interface}]
    if one.address:
        details.append({"name": "privateIPv4Address", "value": one.address})
    attached = "DELETED" if one.status == "STOPPED" else "ATTACHED" if one.address else "ATTACHING"
    told = {
        "taskArn": one.arn,
        "clusterArn": CLUSTER_ARN,
        "taskDefinitionArn": one.definition["taskDefinitionArn"],
        "group": f"service:{one.service}",
        "startedBy": one.started_by,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "availabilityZone": f"{REGION}a",
        "lastStatus": one.status,
        "desiredStatus": one.desired,
        "healthStatus": one.health,
        "cpu": str(one.definition.get("cpu", "")),
        "memory": str(one.definition.get("memory", "")),
        "connectivity": "CONNECTED",
        "createdAt": one.created,
        "version": 1,
        "overrides": {"containerOverrides": [{"name": one.container["name"]}], "inferenceAcceleratorOverrides": []},
        "tags": [],
        "attachments": [
            {"id": one.interface[4:], "type": "ElasticNetworkInterface", "status": attached, "details": details}
        ],
        "containers": [_container(one)],
        "stoppedReason": one.reason,
        "stopCode": one.code,
        **one.times,
    }
    return {name: value for name, value in told.items() if value is not None}


def _container(one: Task) -> dict[str, Any]:
    last = {"STOPPED": "STOPPED", "DEPROVISIONING": "STOPPED", "RUNNING": "RUNNING", "DEACTIVATING": "RUNNING"}
    interfaces = []
    if one.address:
        interfaces.append({"attachmentId": one.interface[4:], "privateIpv4Address": one.address})
    told = {
        "containerArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container/{CLUSTER}/{one.id}/{one.interface[4:]}",
        "taskArn": one.arn,
        "name": one.container["name"],
        "image": one.container["image"],
        "imageDigest": one.digest,
        "runtimeId": f"{one.id}-0" if one.digest else None,
        "lastStatus": last.get(one.status, "PENDING"),
        "exitCode": one.exit_code,
        "reason": one.container_reason or (one.reason if one.code == "TaskFailedToStart" else None),
        "healthStatus": one.health,
        "networkBindings": [],  # always so in awsvpc mode
        "networkInterfaces": interfaces,
        "managedAgents": [],
    }
    return {name: value for name, value in told.items() if value is not None}
