"""Builds evidence from AWS's own answers: a service in which nothing is wrong, changed in one way at a time."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.aws.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.aws.service import Alarm, Deployment, Event, Service, ServiceDeployment
from deploy.aws.task import Task
from deploy.diagnose.evidence import Evidence
from deploy.lenient import LenientDict
from deploy.taskdef.model import TaskDefinition

NOW = datetime(2026, 11, 3, 10, 0, 0, tzinfo=UTC)
REGION, ACCOUNT, CLUSTER, NAME = "us-east-1", "123456789012", "shine-ml-cluster", "shine-api-gateway"
DEPLOYMENT, BEFORE = "ecs-svc/4711471147114711471", "ecs-svc/1234123412341234123"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}"
IMAGE = f"{REPOSITORY}@sha256:{'ab' * 32}"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shine-AbCdEf"
EXECUTION, TASK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/shine-execution", f"arn:aws:iam::{ACCOUNT}:role/shine-task"
GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/shine/0123456789abcdef"
REVISION = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{NAME}:8"
COMMAND = ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
EXITED = "Essential container in task exited"
PULLING = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "


@dataclass(frozen=True)
class Example:
    """Evidence of one cause.

    Attributes:
        code: of the cause that must come first.
        evidence: to diagnose.
        sentence: words that the sentence must have.
        line: words that the first line of evidence must have.
        deterministic: whether the diagnosis must be.
        name: distinguishes several examples of one cause.
    """

    code: str
    evidence: Evidence
    sentence: str
    line: str
    deterministic: bool
    name: str = ""


@dataclass(frozen=True)
class Miss:
    """Evidence that looks like a cause, but is not."""

    code: str
    evidence: Evidence
    name: str = field(default="")


def ago(seconds: float) -> datetime:
    """A time before NOW."""
    return NOW - timedelta(seconds=seconds)


def task(
    number: int = 1,
    *,
    reason: str = "",
    container: str = "",
    exit_code: int | None = None,
    code: str = "EssentialContainerExited",
    started: float | None = 100,
    stopped: float | None = 40,
    stopping: float | None = None,
    health: str = "UNKNOWN",
    started_by: str = DEPLOYMENT,
    **more: Any,
) -> dict[str, Any]:
    """A task as DescribeTasks returns it; times are seconds ago."""
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{number:032x}"
    inner: dict[str, Any] = {
        "containerArn": f"{arn}/1",
        "name": NAME,
        "image": IMAGE,
        "lastStatus": "STOPPED" if stopped is not None else "RUNNING",
        "networkInterfaces": [{"attachmentId": "1", "privateIpv4Address": f"10.0.2.{number}"}],
        "healthStatus": health,
    }
    outer: dict[str, Any] = {
        "taskArn": arn,
        "taskDefinitionArn": REVISION,
        "startedBy": started_by,
        "lastStatus": inner["lastStatus"],
        "desiredStatus": inner["lastStatus"],
        "createdAt": ago((started or 100) + 20),
        "healthStatus": health,
        "containers": [inner],
        "group": f"service:{NAME}",
        "launchType": "FARGATE",
    }
    if started is not None:
        outer["startedAt"] = ago(started)
    if stopped is not None:
        outer |= {"stoppedAt": ago(stopped), "stoppingAt": ago(stopped if stopping is None else stopping)}
        outer |= {"stopCode": code, "stoppedReason": reason}
    if exit_code is not None:
        inner["exitCode"] = exit_code
    if container:
        inner["reason"] = container
    return {**outer, **more}


def unstarted(reason: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A task that never started."""
    return task(number, reason=reason, code="TaskFailedToStart", started=None, **more)


def exited(code: int, number: int = 1, **more: Any) -> dict[str, Any]:
    """A task whose container ended by itself."""
    return task(number, reason=EXITED, exit_code=code, **more)


def beside(task: dict[str, Any], name: str = "log_router", exit_code: int | None = None, **more: Any) -> dict[str, Any]:
    """The same task with one more container, which ECS describes first."""
    container: dict[str, Any] = {"name": name, "image": f"{name}:1", "lastStatus": "STOPPED", **more}
    if exit_code is not None:
        container["exitCode"] = exit_code
    return {**task, "containers": [container, *task["containers"]]}


def running(number: int = 9, **more: Any) -> dict[str, Any]:
    """A running task."""
    return task(number, stopped=None, **{"health": "HEALTHY", **more})


def log(number: int, *lines: str, start: float = 100, step: float = 0.5) -> dict[str, list[dict[str, Any]]]:
    """Lines of a task's log, in seconds ago."""
    return {
        f"{number:032x}": [
            {"timestamp": int(ago(start - place * step).timestamp() * 1000), "message": line}
            for place, line in enumerate(lines)
        ]
    }


def log_line(message: str, level: str = "info", logger: str = "bentoml.serve", **fields: Any) -> str:
    """A line as the service writes it."""
    line = {"time": "2026-11-03T09:59:00.000+00:00", "level": level, "logger": logger, "message": message, **fields}
    return json.dumps(line)


def listening(port: int = 5000) -> str:
    """BentoML's line when the service starts."""
    address = f"http://localhost:{port}"
    return log_line(
        f'Starting production HTTP BentoServer from "/app/bento" listening on {address} (Press CTRL+C to quit)'
    )


def weights(reason: str, cause: str) -> str:
    """The model runner's line when it cannot load weights."""
    fields = {"reason": reason, "cause": cause, "next_retry_s": 3.2}
    return log_line("weights cannot be loaded.", "warning", "shine.model", **fields)


UP = (listening(), log_line("Service SkinModel initialized"), log_line("Service Gateway initialized"))


def event(text: str, seconds: float = 60) -> dict[str, Any]:
    """An event of the service."""
    return {"id": f"{seconds}", "createdAt": ago(seconds), "message": text}


def unhealthy(reason: str, description: str, number: int = 9, state: str = "unhealthy") -> dict[str, Any]:
    """An unhealthy target as DescribeTargetHealth returns it."""
    health = {"State": state, "Reason": reason, "Description": description}
    return {"Target": {"Id": f"10.0.2.{number}", "Port": 5000}, "HealthCheckPort": "5000", "TargetHealth": health}


def healthy(number: int = 9) -> dict[str, Any]:
    """A healthy target."""
    return {"Target": {"Id": f"10.0.2.{number}", "Port": 5000}, "TargetHealth": {"State": "healthy"}}


def rule(port: int, group: str = "sg-front") -> dict[str, Any]:
    """A rule of a security group."""
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": group}]}


def deployment(state: str = "IN_PROGRESS", reason: str = "", **more: Any) -> dict[str, Any]:
    """A deployment of the service."""
    reason = reason or f"ECS deployment {DEPLOYMENT} {'in progress' if state == 'IN_PROGRESS' else state.lower()}."
    answer = {"id": DEPLOYMENT, "status": "PRIMARY", "taskDefinition": REVISION, "rolloutState": state}
    return {**answer, "rolloutStateReason": reason, "createdAt": ago(600), "failedTasks": 0, **more}


def definition(**container: Any) -> dict[str, Any]:
    """A task definition as DescribeTaskDefinition returns it: valid but for the changes of its container."""
    options = {"awslogs-group": f"/ecs/{NAME}", "awslogs-region": REGION, "awslogs-stream-prefix": NAME}
    return {
        "taskDefinitionArn": REVISION,
        "family": NAME,
        "revision": 8,
        "status": "ACTIVE",
        "networkMode": "awsvpc",
        "cpu": "1024",
        "memory": "2048",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "executionRoleArn": EXECUTION,
        "taskRoleArn": TASK_ROLE,
        "containerDefinitions": [
            {
                "name": NAME,
                "image": IMAGE,
                "portMappings": [{"containerPort": 5000, "hostPort": 5000, "protocol": "tcp"}],
                "healthCheck": {"command": COMMAND, "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 60},
                "stopTimeout": 60,
                "readonlyRootFilesystem": True,
                "environment": [{"name": "SHINE_PHASE", "value": "full"}],
                "secrets": [{"name": "SHINE_API_KEYS", "valueFrom": f"{SECRET}:api_keys::"}],
                "logConfiguration": {"logDriver": "awslogs", "options": options},
                **container,
            }
        ],
    }


def service(**more: Any) -> dict[str, Any]:
    """A service as DescribeServices returns it: healthy but for the changes."""
    target = {"targetGroupArn": GROUP, "containerName": NAME, "containerPort": 5000}
    network = {"subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-tasks"], "assignPublicIp": "DISABLED"}
    answer = {
        "serviceName": NAME,
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 2,
        "pendingCount": 0,
        "loadBalancers": [target],
        "networkConfiguration": {"awsvpcConfiguration": network},
        "taskDefinition": REVISION,
        "healthCheckGracePeriodSeconds": 120,
        "deployments": [deployment("COMPLETED")],
        "events": [],
    }
    return {**answer, **more}


FAILING: dict[str, Any] = {"runningCount": 0, "deployments": [deployment(failedTasks=2)]}
TARGET_GROUP: dict[str, Any] = {
    "TargetGroupArn": GROUP,
    "TargetType": "ip",
    "Port": 5000,
    "HealthCheckPath": "/health",
    "HealthCheckPort": "traffic-port",
    "HealthCheckIntervalSeconds": 15,
    "UnhealthyThresholdCount": 3,
    "LoadBalancerArns": ["arn:lb"],
}
TABLES: dict[str, list[dict[str, Any]]] = {
    "private": [{"Associations": [{"Main": True}], "Routes": [{"DestinationCidrBlock": "10.0.0.0/16"}]}],
    "nat": [{"Associations": [{"Main": True}], "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "n"}]}],
    "public": [
        {"Associations": [{"Main": True}], "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}]}
    ],
}


def make_evidence(
    *stopped: dict[str, Any],
    running_tasks: list[dict[str, Any]] | None = None,
    logs: dict[str, list[dict[str, Any]]] | None = None,
    events: list[dict[str, Any]] | None = None,
    targets: list[dict[str, Any]] | None = None,
    service_changes: dict[str, Any] | None = None,
    task_definition: dict[str, Any] | None = None,
    target_group: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
    subnets: str = "",
    free: int = 200,
    alarms: list[dict[str, Any]] | None = None,
    service_deployments: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Evidence:
    """Evidence as `gather` builds it from AWS's answers; with a stopped task, of a deployment that fails."""
    raw = service(**(service_changes if service_changes is not None else FAILING if stopped else {}))
    deployments = tuple(Deployment.of(LenientDict(answer)) for answer in raw["deployments"])
    zones = [{"SubnetId": name, "VpcId": "vpc-1", "AvailableIpAddressCount": free} for name in ("subnet-a", "subnet-b")]
    tables = [LenientDict(table) for table in TABLES[subnets]] if subnets else None
    parts: dict[str, Any] = {
        "at": NOW,
        "region": REGION,
        "cluster": CLUSTER,
        "name": NAME,
        "cluster_status": "ACTIVE",
        "service": Service.of(LenientDict(raw)),
        "deployment": DEPLOYMENT,
        "deployments": deployments,
        "service_deployments": tuple(ServiceDeployment.of(LenientDict(answer)) for answer in service_deployments or []),
        "events": tuple(Event.of(LenientDict(answer)) for answer in events or []),
        "definition": TaskDefinition.of(LenientDict(task_definition if task_definition is not None else definition())),
        "stopped": tuple(Task.of(LenientDict(answer)) for answer in stopped),
        "running": tuple(Task.of(LenientDict(answer)) for answer in running_tasks or []),
        "logs": {
            name: tuple(Event(at=LenientDict(line).time("timestamp"), text=line["message"]) for line in lines)
            for name, lines in (logs or {}).items()
        },
        "targets": tuple(Target.of(LenientDict(answer)) for answer in targets or []),
        "target_group": TargetGroup.of(LenientDict({**TARGET_GROUP, **(target_group or {})})),
        "balancer_groups": ("sg-front",),
        "security_groups": (
            SecurityGroup.of(
                LenientDict({"GroupId": "sg-tasks", "IpPermissions": [rule(5000)] if rules is None else rules})
            ),
        ),
        "subnets": tuple(Subnet.of(LenientDict(zone), tables) for zone in zones) if subnets or free < 200 else (),
        "alarms": tuple(Alarm.of(LenientDict(answer)) for answer in alarms or []),
    }
    return Evidence(**{**parts, **more})
