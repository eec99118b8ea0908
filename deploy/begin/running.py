"""Reads what runs: the service, its task definition, its scaling. AWS is only asked."""

import re
from typing import Any

import boto3

from deploy import contract as contracts
from deploy import shape
from deploy.aws import Clients
from deploy.begin import traffic
from deploy.begin.container import of_container
from deploy.begin.seen import Seen
from deploy.case import Case, NotSeen
from deploy.checks.platform import size
from deploy.cloud.asking import Questions
from deploy.cloud.stores import ECR
from deploy.plan import PlanError
from deploy.refusal import Absent
from deploy.serving import wired_names

CPU, REQUESTS = "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"
CPU_PERCENT = (10, 90)  # that a plan takes
NAMES = re.compile(r"(?P<cluster>[a-zA-Z0-9_-]{1,255})/(?P<service>[a-zA-Z0-9_-]{1,255})")


def names(text: str) -> tuple[str, str]:
    """Cluster and service of CLUSTER/SERVICE.

    Raises:
        PlanError: it is no such thing.
    """
    found = NAMES.fullmatch(text)
    if found is None:
        raise PlanError(
            f"--from-service is {text[:120]!r}; it takes CLUSTER/SERVICE, such as shine-ml-cluster/shine-api-gateway."
        )
    return found["cluster"], found["service"]


def read(named: str, region: str | None, session: boto3.Session | None = None) -> Seen:
    """A plan's values out of a service that runs.

    Args:
        named: CLUSTER/SERVICE.
        region: the session's where none is given.
        session: boto3's; a new one where none is given.

    Raises:
        PlanError: there is no such service, or no region.
        AskError: the service or its task definition could not be asked for.
    """
    cluster, service = names(named)
    session = session or boto3.Session()
    region = region or session.region_name
    if not region:
        raise PlanError("No region is set; give --region, or set AWS_DEFAULT_REGION.")
    questions = Questions(Clients(region, writes=False, session=session))
    live = _service(questions, cluster, service)
    described = questions.ask("ecs", "describe_task_definition", taskDefinition=live["taskDefinition"])
    task = {key: one for key, one in described["taskDefinition"].items() if key not in shape.read_only()}
    seen = Seen(f"{cluster}/{service} in {region}")
    account = str(live["serviceArn"]).split(":")[4]
    seen.values |= {"account": account, "region": region, "cluster": cluster, "service": service}
    case = Case(*shape.fit(task), contracts.own(), names=tuple(wired_names(live)))
    container = _serving(task, case)
    _network(seen, live)
    _sizes(seen, live, task, case)
    for role, key in (("execution", "executionRoleArn"), ("task", "taskRoleArn")):
        seen.put(f"roles.{role}", task.get(key), f"The task definition names no {key}.")
    if task.get("family") and task["family"] != service:
        seen.values["family"] = task["family"]
    _repository(seen, str(container.get("image", "")), service)
    of_container(seen, case, task, container)
    if (grace := live.get("healthCheckGracePeriodSeconds")) is not None:
        seen.values["health.grace"] = grace
    alarms = live.get("deploymentConfiguration", {}).get("alarms", {})
    if alarms.get("enable") and alarms.get("alarmNames"):
        seen.values["alarms"] = alarms["alarmNames"]
    with seen.looking_for("size.most_tasks"):
        _scaling(seen, questions, f"service/{cluster}/{service}")
    traffic.of_load_balancer(seen, questions, live)
    return seen


def _service(questions: Questions, cluster: str, service: str) -> dict[str, Any]:
    where = questions.clients.region
    try:
        found = questions.ask("ecs", "describe_services", cluster=cluster, services=[service]).get("services", [])
    except Absent:
        raise PlanError(f"There is no cluster {cluster} in {where}.") from None
    if not found or found[0].get("status") == "INACTIVE":
        raise PlanError(f"There is no service {service} in the cluster {cluster} of {where}.")
    live: dict[str, Any] = found[0]
    return live


def _serving(task: dict[str, Any], case: Case) -> dict[str, Any]:
    """The container that serves, as the task definition has it."""
    try:
        place = next((place for place, one in enumerate(case.containers) if one is case.serving), None)
    except NotSeen:
        raise PlanError("The service's task definition has no container that can be read.") from None
    if place is None:
        raise PlanError(f"In the service's task definition {case.undetermined}.")
    container: dict[str, Any] = task["containerDefinitions"][place]
    return container


def _network(seen: Seen, live: dict[str, Any]) -> None:
    found = live.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    otherwise = "The service has no awsvpc network."
    seen.put("network.subnets", found.get("subnets"), otherwise)
    seen.put("network.security_groups", found.get("securityGroups"), otherwise)
    seen.values["network.assign_public_ip"] = found.get("assignPublicIp") == "ENABLED"


def _sizes(seen: Seen, live: dict[str, Any], task: dict[str, Any], case: Case) -> None:
    for key in ("cpu", "memory"):
        try:
            seen.put(f"size.{key}", size(case, key), f"The task definition names no {key} of the task.")
        except NotSeen as reason:
            seen.missing[f"size.{key}"] = f"It was {reason}."
    seen.values["size.architecture"] = task.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    seen.put("size.tasks", live.get("desiredCount"), "The service is scaled to no task at all.")


def _repository(seen: Seen, image: str, service: str) -> None:
    found = ECR.fullmatch(image)
    if found is None or (found["account"], found["region"]) != (seen.values["account"], seen.values["region"]):
        seen.missing["repository"] = f"The image {image} is not in ECR of this account and region; push ours there."
    elif found["repository"] != service:
        seen.values["repository"] = found["repository"]


def _scaling(seen: Seen, questions: Questions, resource: str) -> None:
    """What scales the service, if anything does."""
    asked = {"ServiceNamespace": "ecs", "ResourceIds": [resource]}
    targets = questions.ask("application-autoscaling", "describe_scalable_targets", **asked).get("ScalableTargets", [])
    if not targets:
        seen.missing["size.most_tasks"] = "Nothing scales this service; say how many tasks there may be at the most."
        return
    if least := targets[0].get("MinCapacity"):
        seen.values["size.tasks"] = least
        seen.missing.pop("size.tasks", None)
    seen.put("size.most_tasks", targets[0].get("MaxCapacity"), "The service may be scaled to no task at all.")
    asked = {"ServiceNamespace": "ecs", "ResourceId": resource}
    policies = questions.ask("application-autoscaling", "describe_scaling_policies", **asked).get("ScalingPolicies", [])
    for one in policies:
        tracking = one.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if metric == CPU and CPU_PERCENT[0] <= tracking["TargetValue"] <= CPU_PERCENT[1]:
            seen.values["autoscaling.cpu_percent"] = round(tracking["TargetValue"])
        elif metric == REQUESTS and tracking["TargetValue"] >= 1:
            seen.values["autoscaling.requests_per_target"] = round(tracking["TargetValue"])
        else:
            seen.notes.append(
                f"The scaling policy {one.get('PolicyName')} is none that a plan knows; it stays as it is."
            )
