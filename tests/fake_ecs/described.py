"""Tasks, services and deployments in the form of ECS's Describe operations."""

import hashlib
from typing import Any

from tests.deploy.aws import ACCOUNT, REGION
from tests.fake_ecs.account import CLUSTER, CLUSTER_ARN
from tests.fake_ecs.service import Deployment, Release, Revision, Service
from tests.fake_ecs.task import Task


def task(one: Task) -> dict[str, Any]:
    """A task as in DescribeTasks; fields that are not known yet are left out, as ECS does."""
    subnets = one.revision["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
    details = [{"name": "subnetId", "value": subnets[0]}, {"name": "networkInterfaceId", "value": one.interface}]
    if one.address:
        details.append({"name": "privateIPv4Address", "value": one.address})
    attached = "DELETED" if one.status == "STOPPED" else "ATTACHED" if one.address else "ATTACHING"
    output = {
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
        "containers": [
            _container(one) if container is one.container else _beside(one, container)
            for container in one.definition["containerDefinitions"]
        ],
        "stoppedReason": one.reason,
        "stopCode": one.code,
        **one.times,
    }
    return {name: value for name, value in output.items() if value is not None}


def _beside(one: Task, container: dict[str, Any]) -> dict[str, Any]:
    """A sidecar with its own image."""
    output = _container(one)
    digest = f"sha256:{hashlib.sha256(container['image'].encode()).hexdigest()}"
    return {**output, "name": container["name"], "image": container["image"], "imageDigest": digest}


def _container(one: Task) -> dict[str, Any]:
    last = {"STOPPED": "STOPPED", "DEPROVISIONING": "STOPPED", "RUNNING": "RUNNING", "DEACTIVATING": "RUNNING"}
    interfaces = []
    if one.address:
        interfaces.append({"attachmentId": one.interface[4:], "privateIpv4Address": one.address})
    output = {
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
    return {name: value for name, value in output.items() if value is not None}


def whole_service(service: Service) -> dict[str, Any]:
    """A service as in DescribeServices."""
    counted = [item for item in service.tasks if item.desired == "RUNNING"]
    current = service.primary.revision
    revisions = {item.revision.arn: item.revision for item in service.shown}  # two deployments may be of the same
    output = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": CLUSTER_ARN,
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": sum(item.status == "RUNNING" for item in counted),
        "pendingCount": sum(item.status != "RUNNING" for item in counted),
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "taskDefinition": current.definition["taskDefinitionArn"],
        "deploymentConfiguration": service.configuration,
        "deployments": [deployment(service, item) for item in service.shown],
        "events": list(service.events),
        "createdAt": service.created,
        "loadBalancers": current.load_balancers,
        "networkConfiguration": current.network,
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
        "healthCheckGracePeriodSeconds": service.grace,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "createdBy": f"arn:aws:iam::{ACCOUNT}:root",
        "enableECSManagedTags": bool(service.asked.get("enableECSManagedTags", False)),
        "propagateTags": service.asked.get("propagateTags", "NONE"),
        "enableExecuteCommand": bool(service.asked.get("enableExecuteCommand", False)),
        "availabilityZoneRebalancing": service.asked.get("availabilityZoneRebalancing", "ENABLED"),
        "tags": service.tags,
        "currentServiceRevisions": [counted_revision(service, item) for item in revisions.values()],
    }
    if service.release:
        output["currentServiceDeployment"] = service.release.arn
    return output


def deployment(service: Service, one: Deployment) -> dict[str, Any]:
    """A deployment, as listed in a service's `deployments`."""
    own = service.of(one)
    return {
        "id": one.id,
        "status": one.status,
        "taskDefinition": one.revision.definition["taskDefinitionArn"],
        "desiredCount": one.desired if one.status == "PRIMARY" else len(own),
        "runningCount": sum(task.status == "RUNNING" for task in own),
        "pendingCount": sum(task.status != "RUNNING" for task in own),
        "failedTasks": one.failed,
        "createdAt": one.created,
        "updatedAt": one.updated,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "networkConfiguration": one.revision.network,
        "rolloutState": one.rollout,
        "rolloutStateReason": one.reason,
    }


def counted_revision(service: Service, wanted: Revision) -> dict[str, Any]:
    """A service revision with its numbers of tasks."""
    ids = {item.id for item in service.deployments if item.revision is wanted}
    own = [item for item in service.tasks if item.deployment in ids and item.desired == "RUNNING"]
    running = sum(item.status == "RUNNING" for item in own)
    primary = service.primary.revision is wanted
    return {
        "arn": wanted.arn,
        "requestedTaskCount": service.desired if primary else 0,
        "runningTaskCount": running,
        "pendingTaskCount": len(own) - running,
    }


def release(service: Service, one: Release) -> dict[str, Any]:
    """A service deployment as in DescribeServiceDeployments."""
    output = {
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": CLUSTER_ARN,
        "createdAt": one.created,
        "startedAt": one.created,
        "updatedAt": one.updated,
        "finishedAt": one.finished,
        "stoppedAt": one.stopped,
        "status": one.status,
        "statusReason": one.status_reason,
        "sourceServiceRevisions": [counted_revision(service, source) for source in one.sources],
        "targetServiceRevision": counted_revision(service, one.target),
        "deploymentConfiguration": service.configuration,
        "deploymentCircuitBreaker": {
            "status": one.breaker,
            "failureCount": one.failures,
            "threshold": one.threshold,
        },
        "rollback": one.rollback,
    }
    if one.alarms != "DISABLED":
        names = service.configuration.get("alarms", {}).get("alarmNames", [])
        output["alarms"] = {"status": one.alarms, "alarmNames": names, "triggeredAlarmNames": one.triggered}
    return {name: value for name, value in output.items() if value is not None}


def revision(service: Service, one: Revision) -> dict[str, Any]:
    """A service revision as in DescribeServiceRevisions."""
    digests = {task.container["image"]: task.digest for task in service.tasks if task.digest}
    images = []
    for container in one.definition["containerDefinitions"]:
        image = {"containerName": container["name"], "image": container["image"]}
        if digest := digests.get(container["image"]):
            image["imageDigest"] = digest
        images.append(image)
    return {
        "serviceRevisionArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": CLUSTER_ARN,
        "taskDefinition": one.definition["taskDefinitionArn"],
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "loadBalancers": one.load_balancers,
        "networkConfiguration": one.network,
        "containerImages": images,
        "createdAt": one.created,
    }
