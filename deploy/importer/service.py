"""Reads a running service, its task definition and its autoscaling. It only calls AWS's read operations."""

import re
from typing import Any

import boto3

from deploy.aws.clients import Clients
from deploy.aws.errors import Absent
from deploy.aws.reader import AwsReader
from deploy.config import image_contract as contracts
from deploy.config.plan import PlanError
from deploy.findings.finding import CheckSkipped
from deploy.importer.container import read_container
from deploy.importer.load_balancer import read_load_balancer
from deploy.importer.values import ImportedValues
from deploy.taskdef import schema as shape
from deploy.taskdef.model import wired_names
from deploy.verify.account.stores import ECR
from deploy.verify.context import CheckContext
from deploy.verify.task_definition.platform import size

CPU, REQUESTS = "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"
CPU_PERCENT = (10, 90)  # what a plan accepts
NAMES = re.compile(r"(?P<cluster>[a-zA-Z0-9_-]{1,255})/(?P<service>[a-zA-Z0-9_-]{1,255})")


def names(text: str) -> tuple[str, str]:
    """Cluster and service of CLUSTER/SERVICE.

    Raises:
        PlanError: the text has another form.
    """
    match = NAMES.fullmatch(text)
    if match is None:
        raise PlanError(
            f"--from-service is {text[:120]!r}; it takes CLUSTER/SERVICE, such as shine-ml-cluster/shine-api-gateway."
        )
    return match["cluster"], match["service"]


def read(named: str, region: str | None, session: boto3.Session | None = None) -> ImportedValues:
    """Read a plan's values from a running service.

    Args:
        named: CLUSTER/SERVICE.
        region: the session's where none is given.
        session: boto3's; a new one where none is given.

    Raises:
        PlanError: there is no such service, or no region.
        AwsError: AWS did not describe the service or its task definition.
    """
    cluster, service_name = names(named)
    session = session or boto3.Session()
    region = region or session.region_name
    if not region:
        raise PlanError("No region is set; give --region, or set AWS_DEFAULT_REGION.")
    aws = AwsReader(Clients(region, writes=False, session=session))
    service = _describe_service(aws, cluster, service_name)
    described = aws.read("ecs", "describe_task_definition", taskDefinition=service["taskDefinition"])
    task = {key: value for key, value in described["taskDefinition"].items() if key not in shape.read_only()}
    imported = ImportedValues(f"{cluster}/{service_name} in {region}")
    account = str(service["serviceArn"]).split(":")[4]
    imported.values |= {"account": account, "region": region, "cluster": cluster, "service": service_name}
    case = CheckContext(*shape.fit(task), contracts.own(), names=tuple(wired_names(service)))
    container = _serving_container(task, case)
    _read_network(imported, service)
    _read_size(imported, service, task, case)
    for role, key in (("execution", "executionRoleArn"), ("task", "taskRoleArn")):
        imported.set_value(f"roles.{role}", task.get(key), f"The task definition names no {key}.")
    if task.get("family") and task["family"] != service_name:
        imported.values["family"] = task["family"]
    _read_repository(imported, str(container.get("image", "")), service_name)
    read_container(imported, case, task, container)
    if (grace := service.get("healthCheckGracePeriodSeconds")) is not None:
        imported.values["health.grace"] = grace
    alarms = service.get("deploymentConfiguration", {}).get("alarms", {})
    if alarms.get("enable") and alarms.get("alarmNames"):
        imported.values["alarms"] = alarms["alarmNames"]
    with imported.missing_on_error("size.most_tasks"):
        _read_autoscaling(imported, aws, f"service/{cluster}/{service_name}")
    read_load_balancer(imported, aws, service)
    return imported


def _describe_service(aws: AwsReader, cluster: str, name: str) -> dict[str, Any]:
    region = aws.clients.region
    try:
        services = aws.read("ecs", "describe_services", cluster=cluster, services=[name]).get("services", [])
    except Absent:
        raise PlanError(f"There is no cluster {cluster} in {region}.") from None
    if not services or services[0].get("status") == "INACTIVE":
        raise PlanError(f"There is no service {name} in the cluster {cluster} of {region}.")
    service: dict[str, Any] = services[0]
    return service


def _serving_container(task: dict[str, Any], case: CheckContext) -> dict[str, Any]:
    """The container that serves, as the task definition has it."""
    try:
        index = next((index for index, part in enumerate(case.containers) if part is case.serving), None)
    except CheckSkipped:
        raise PlanError("The service's task definition has no container that can be read.") from None
    if index is None:
        raise PlanError(f"In the service's task definition {case.undetermined}.")
    container: dict[str, Any] = task["containerDefinitions"][index]
    return container


def _read_network(imported: ImportedValues, service: dict[str, Any]) -> None:
    network = service.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    reason = "The service has no awsvpc network."
    imported.set_value("network.subnets", network.get("subnets"), reason)
    imported.set_value("network.security_groups", network.get("securityGroups"), reason)
    imported.values["network.assign_public_ip"] = network.get("assignPublicIp") == "ENABLED"


def _read_size(imported: ImportedValues, service: dict[str, Any], task: dict[str, Any], case: CheckContext) -> None:
    for key in ("cpu", "memory"):
        try:
            imported.set_value(f"size.{key}", size(case, key), f"The task definition has no {key} for the task.")
        except CheckSkipped as reason:
            imported.missing[f"size.{key}"] = f"It was {reason}."
    imported.values["size.architecture"] = task.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    imported.set_value("size.tasks", service.get("desiredCount"), "The service is scaled to zero tasks.")


def _read_repository(imported: ImportedValues, image: str, service_name: str) -> None:
    match = ECR.fullmatch(image)
    values = imported.values
    if match is None or (match["account"], match["region"]) != (values["account"], values["region"]):
        reason = f"The image {image} is not in ECR of this account and region; push ours there."
        imported.missing["repository"] = reason
    elif match["repository"] != service_name:
        values["repository"] = match["repository"]


def _read_autoscaling(imported: ImportedValues, aws: AwsReader, resource: str) -> None:
    request = {"ServiceNamespace": "ecs", "ResourceIds": [resource]}
    scalable = aws.read("application-autoscaling", "describe_scalable_targets", **request).get("ScalableTargets", [])
    if not scalable:
        imported.missing["size.most_tasks"] = (
            "The service has no autoscaling; fill in how many tasks there may be at most."
        )
        return
    if least := scalable[0].get("MinCapacity"):
        imported.values["size.tasks"] = least
        imported.missing.pop("size.tasks", None)
    imported.set_value("size.most_tasks", scalable[0].get("MaxCapacity"), "Autoscaling has a maximum of zero tasks.")
    request = {"ServiceNamespace": "ecs", "ResourceId": resource}
    policies = aws.read("application-autoscaling", "describe_scaling_policies", **request).get("ScalingPolicies", [])
    for policy in policies:
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if metric == CPU and CPU_PERCENT[0] <= tracking["TargetValue"] <= CPU_PERCENT[1]:
            imported.values["autoscaling.cpu_percent"] = round(tracking["TargetValue"])
        elif metric == REQUESTS and tracking["TargetValue"] >= 1:
            imported.values["autoscaling.requests_per_target"] = round(tracking["TargetValue"])
        else:
            name = policy.get("PolicyName")
            imported.notes.append(f"A plan cannot express the scaling policy {name}; it stays as it is.")
