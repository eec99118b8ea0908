"""Messages of ECS and of the service, as stopped reasons, events and logs have them."""

from typing import Any

from tests.rollout.causes.evidence import (
    ACCOUNT,
    BEFORE,
    COMMAND,
    DEPLOYMENT,
    GROUP,
    IMAGE,
    NAME,
    PULLING,
    REGION,
    deployment,
    event,
    log_line,
    running,
)

PULL = "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
NOT_FOUND = (
    f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {IMAGE}: "
    f"{IMAGE}: not found"
)
FORBIDDEN = (
    f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {IMAGE}: pulling "
    f"from host {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com failed with status code [manifests sha256:abab]: 403 Forbidden"
)
NO_TOKEN = (
    f"{PULLING}unable to retrieve ecr registry auth: service call has been retried 1 time(s): "
    "AccessDeniedException: User: "
    f"arn:aws:sts::{ACCOUNT}:assumed-role/shine-execution/0123 is not authorized to perform: "
    "ecr:GetAuthorizationToken on "
    "resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action status code: 400"
)
IO_TIMEOUT = (
    f"{PULL}failed to resolve ref {IMAGE}: failed to do request: Head "
    f'"https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/v2/'
    f'{NAME}/manifests/sha256:abab": dial tcp 54.240.1.2:443: i/o timeout'
)
NO_AUTH_WAY = (
    f"{PULLING}unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send "
    "request "
    f'failed caused by: Post "https://api.ecr.{REGION}.amazonaws.com/": dial tcp 52.46.1.2:443: i/o timeout. Please '
    "check "
    "your task network configuration."
)
ASM = f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): "
OTHER = "arn:aws:sts::123456789012:assumed-role/shine-execution/0123"
OCI = (
    "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: failed "
    "to create "
    "shim task: OCI runtime create failed: runc create failed: unable to start container process: "
)
LOGGER = (
    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
    "create Cloudwatch log stream: "
)
NO_PERMISSION = (
    "CannotPullContainerError: The task can't pull the image. Check that the role has the permissions to pull images "
    "from the registry."
)
NO_CONNECTION = (
    "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from "
    "Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration."
)
NO_LOG = (
    "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon CloudWatch log group "
    "defined in the task definition. There is a connection issue between the task and Amazon CloudWatch."
)
TRACE = (
    "Traceback (most recent call last):",
    '  File "/app/.venv/bin/bentoml", line 8, in <module>',
    "    sys.exit(cli())",
    "ModuleNotFoundError: No module named 'onnxruntime'",
)
INSIDE: dict[str, Any] = {
    "reason": "Task failed container health checks",
    "code": "ServiceSchedulerInitiated",
    "exit_code": 137,
}
OUTSIDE: dict[str, Any] = {
    "reason": f"Task failed ELB health checks in (target-group {GROUP})",
    "code": "ServiceSchedulerInitiated",
    "exit_code": 0,
}
CURL: dict[str, Any] = {
    "command": ["CMD-SHELL", "curl -f http://localhost:5000/health || exit 1"],
    "interval": 10,
    "startPeriod": 60,
}
ELSEWHERE: dict[str, Any] = {
    "command": [*COMMAND[:3], COMMAND[3].replace("5000", "8080")],
    "interval": 10,
    "startPeriod": 60,
}
MISMATCH, TIMEOUT = "Target.ResponseCodeMismatch", "Target.Timeout"
ONE: dict[str, Any] = {"runningCount": 1, "deployments": [deployment()]}
REFUSED = "S3 refuses (AccessDenied): allow s3:GetObject on arn:aws:s3:::shine-weights/face-skin/*."
PLACED = f"(service {NAME}) was unable to place a task. Reason: "
BREAKER = "ECS deployment circuit breaker: tasks failed to start."
MODEL = [running(8), running(9)]
BACK = [
    event(f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: tasks failed to start.", 30),
    event(f"(service {NAME}) rolling back to deployment {BEFORE}.", 29),
]


def unhealthy_event(reason: str) -> str:
    """ECS's message that a target is unhealthy."""
    return f"(service {NAME}) (port 5000) is unhealthy in (target-group {GROUP}) due to (reason {reason})."


STEADY = event(f"(service {NAME}) has reached a steady state.", 10)
LOADED = log_line("weights are in service", logger="shine.model", version="1.0.0")
