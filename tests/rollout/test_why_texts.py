"""Texts as AWS words them: the same cause comes first whether a stopped reason, a container or an event says it.

The words are those of AWS's own documentation and of public bug reports; names and numbers are changed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deploy.aws.service import Event
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.ranking import diagnose
from tests.rollout.causes import messages
from tests.rollout.causes.evidence import (
    ACCOUNT,
    BEFORE,
    DEPLOYMENT,
    FAILING,
    GROUP,
    IMAGE,
    NAME,
    PULLING,
    REGION,
    REPOSITORY,
    SECRET,
    ago,
    beside,
    deployment,
    event,
    exited,
    make_evidence,
    running,
    task,
    unstarted,
)

RESOURCE = "ResourceInitializationError: "
PULL = "CannotPullContainerError: "
EFS = f"{RESOURCE}failed to invoke EFS utils commands to set up EFS volumes: stderr: "
EFS_END = " : unsuccessful EFS utils command execution; code: 32"
SHIM = (
    "CannotStartContainerError: Error response from daemon: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
LOGGING = "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: "
INSTANCE = "was unable to place a task because no container instance met all of its requirements. "
CLOSEST = f"{INSTANCE}The closest matching container-instance 476c4f3985624ef195cfa2ac13e78099 "
NETWORK = "Check your task network configuration. "
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/shine-execution/0123"
SSM = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/shine/keys"

# Said of a task before it runs, by a stopped reason, a container or an event: text, code, words of the sentence.
BEFORE_THE_START: list[tuple[str, str, str]] = [
    # --- the image
    (
        f"{PULL}pull image manifest has been retried 1 time(s): failed to resolve ref {REPOSITORY}:2.0: "
        f"{REPOSITORY}:2.0: not found",
        "IMAGE_MISSING",
        f"{REPOSITORY}:2.0 for the container {NAME}",
    ),
    (
        f'{PULL}inspect image has been retried 1 time(s): failed to resolve ref "{REPOSITORY}:2.0": '
        f"{REPOSITORY}:2.0: not found",
        "IMAGE_MISSING",
        "no such image",
    ),
    (
        f"{PULL}Error response from daemon: manifest for {REPOSITORY}:2.0 not found: manifest unknown: Requested image "
        "not found",
        "IMAGE_MISSING",
        "no such image",
    ),
    (
        f"{PULL}Error response from daemon: repository {REPOSITORY} not found: name unknown: The repository with name "
        f"'{NAME}' does not exist in the registry with id '{ACCOUNT}'",
        "IMAGE_MISSING",
        "no such image",
    ),
    (f"{PULL}invalid reference format", "IMAGE_MISSING", "no valid name of an image"),
    (
        f"{PULL}pull image manifest has been retried 7 time(s): image Manifest does not contain descriptor matching "
        "platform 'linux/amd64'.",
        "IMAGE_ARCHITECTURE",
        "another architecture",
    ),
    (
        f"{PULL}Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries",
        "IMAGE_ARCHITECTURE",
        "another architecture",
    ),
    (f"{SHIM}exec /usr/bin/python: exec format error: unknown", "IMAGE_ARCHITECTURE", "another architecture"),
    (
        f"{PULL}The task can’t pull the image. Check that the role has the permissions to pull images from "
        "the registry.",
        "IMAGE_DENIED",
        "may not pull",
    ),
    (
        f"CannotPullECRContainerError: AccessDeniedException: User: {ROLE} is not authorized to perform: "
        "ecr:GetAuthorizationToken on resource: * status code: 400, request id: 1",
        "IMAGE_DENIED",
        "lacks ecr:GetAuthorizationToken",
    ),
    (
        f"{PULL}pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/shine:latest: "
        "pull access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed",
        "IMAGE_DENIED",
        "docker.io/library/shine:latest",
    ),
    (
        f"{PULL}ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: unexpected status "
        f"code https://prod-{REGION}-starport-layer-bucket.s3.{REGION}.amazonaws.com/abc: 403 Forbidden",
        "IMAGE_DENIED",
        "may not pull",
    ),
    (
        f'{PULL}Error response from daemon: Head "https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/v2/{NAME}/manifests/2"'
        ": no basic auth credentials",
        "IMAGE_DENIED",
        "may not pull",
    ),
    (
        f"{PULL}The task cannot pull '{REPOSITORY}:2.0' from the Amazon ECR repository '{REPOSITORY}'. There is a "
        f"connection issue between the task and Amazon ECR. {NETWORK}",
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (
        f"{RESOURCE}unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There "
        f"is a connection issue between the task and Amazon ECR. {NETWORK}operation error ECR: GetAuthorizationToken, "
        "exceeded maximum number of attempts, 3, https response error StatusCode: 0, RequestID: , request send failed, "
        f'Post "https://api.ecr.{REGION}.amazonaws.com/": dial tcp 44.213.79.104:443: i/o timeout.',
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (
        f"{PULL}API error (500): Get https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/v2/: net/http: request canceled "
        "while waiting for connection",
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (f"{PULL}context canceled", "IMAGE_UNREACHABLE", "cannot be reached"),
    (
        f'{PULL}containerd: pull command failed: time="2026-11-03T10:00:00Z" level=info msg="apply failure, attempting '
        'cleanup" error="failed to extract layer sha256:abcd: context ca...',
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (
        f"{RESOURCE}unable to pull secrets or registry auth: pull command failed: : signal: killed",
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (f"{PULL}Could not reach any registry endpoint", "IMAGE_UNREACHABLE", "cannot be reached"),
    (
        f"{PULL}containerd: pull command failed: panic: runtime error: invalid memory address or nil pointer "
        "dereference",
        "IMAGE_UNREACHABLE",
        "cannot be reached",
    ),
    (
        f"{PULL}pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/envoy:1: "
        "unexpected status code [manifests 1]: 429 Too Many Requests - Server message: toomanyrequests: You have "
        "reached your pull rate limit. You may increase the limit by authenticating and upgrading",
        "REGISTRY_LIMIT",
        "docker.io/library/envoy:1",
    ),
    (f"{PULL}ERROR: toomanyrequests: Too Many Requests.", "REGISTRY_LIMIT", "rate limit"),
    (
        f"{PULL}ref pull has been retried 1 time(s): failed to extract layer sha256:abcd: mount callback failed on "
        "/tmp/containerd-mount1: write /tmp/containerd-mount1/lib: no space left on device: unknown",
        "DISK_FULL",
        "No space is left",
    ),
    (
        f"{PULL}write /var/lib/docker/tmp/GetImageBlob111111111: no space left on device",
        "DISK_FULL",
        f"for the container {NAME}",
    ),
    (
        "CannotCreateContainerError: API error (500): devmapper: Thin Pool has 4350 free data blocks which is less "
        "than minimum required 4454 free data blocks.",
        "DISK_FULL",
        "No space is left",
    ),
    # --- secrets
    (
        f"{PULLING}unable to get registry auth from asm: service call has been retried 1 time(s): asm fetching secret "
        f"from the service for {SECRET}: AccessDeniedException: User: {ROLE} is not authorized to perform: "
        "secretsmanager:GetSecretValue",
        "SECRET_DENIED",
        "lacks secretsmanager:GetSecretValue",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{SECRET} from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        "SECRET_MISSING",
        f"{SECRET} of SHINE_API_KEYS for the container {NAME}",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{SECRET} from secrets manager: InvalidRequestException: You can't perform this operation on the secret "
        "because it was marked for deletion.",
        "SECRET_MISSING",
        "marked for deletion",
    ),
    (
        f"Fetching secret data from SSM Parameter Store in {REGION}: invalid parameters: /shine/keys",
        "SECRET_MISSING",
        "cannot find",
    ),
    (
        f"{PULLING}unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm "
        "parameters: /api//new-relic-license-key",
        "SECRET_MISSING",
        "cannot find",
    ),
    (
        f"{PULLING}unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
        f"AccessDeniedException: User: {ROLE} is not authorized to perform: ssm:GetParameters on resource: {SSM} "
        "because no identity-based policy allows the ssm:GetParameters action status code: 400",
        "SECRET_DENIED",
        "lacks ssm:GetParameters",
    ),
    (
        f"Fetching secret data from AWS Secrets Manager in region {REGION}: secret {SECRET}: AccessDeniedException: "
        f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: {SECRET}",
        "SECRET_DENIED",
        "lacks secretsmanager:GetSecretValue",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{SECRET} from secrets manager: AccessDeniedException: Access to KMS is not allowed status code: 400",
        "KMS_DENIED",
        "kms:Decrypt",
    ),
    (
        f"{PULLING}unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
        f"AccessDeniedException: User: {ROLE} is not authorized to perform: kms:Decrypt on resource: "
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
        "KMS_DENIED",
        "kms:Decrypt",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{SECRET} from secrets manager: DecryptionFailure: Secrets Manager can't decrypt the protected secret text "
        "using the provided KMS key.",
        "KMS_DENIED",
        "its key is disabled",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from "
        "Secrets Manager did not contain json key api_keys",
        "SECRET_KEY_MISSING",
        f"no key api_keys in the secret for the container {NAME}",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): invalid character 'o' "
        "in literal true (expecting 'r') looking for beginning of value",
        "SECRET_KEY_MISSING",
        "no JSON object",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): unexpected ARN format "
        "with parameters when trying to retrieve ASM secret",
        "SECRET_ARN",
        "wrong form",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        "x from secrets manager: ValidationException: Invalid name. Must be a valid name containing alphanumeric "
        "characters, or any of the following: -/_+=.@!",
        "SECRET_ARN",
        "wrong form",
    ),
    (
        f"{RESOURCE}unable to pull secrets or registry auth: unable to retrieve secret from asm: There is a connection "
        f"issue between the task and AWS Secrets Manager. {NETWORK}failed to fetch secret {SECRET} from secrets "
        "manager: operation error Secrets Manager: GetSecretValue, https response error StatusCode: 0, RequestID: , "
        "canceled, context deadline exceeded.",
        "SECRET_UNREACHABLE",
        "cannot be reached",
    ),
    (
        f"{RESOURCE}unable to pull secrets or registry auth: unable to retrieve secrets from ssm: The task cannot pull "
        "secrets from AWS Systems Manager. There is a connection issue between the task and AWS Systems Manager "
        f"Parameter Store. {NETWORK}RequestCanceled: request context canceled caused by: context deadline exceeded",
        "SECRET_UNREACHABLE",
        "cannot be reached",
    ),
    # --- the log
    (
        f"{RESOURCE}failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined in "
        "the task definition. There is a connection issue between the task and Amazon CloudWatch. Check your network "
        "configuration. : signal: killed",
        "LOG_UNREACHABLE",
        f"The container {NAME} does not start because CloudWatch Logs cannot be reached",
    ),
    (
        f"{RESOURCE}failed to validate logger args: create stream has been retried 1 times: failed to create "
        "Cloudwatch log stream: RequestError: send request failed caused by: Post "
        f'"https://logs.{REGION}.amazonaws.com/": dial tcp '
        "52.46.1.2:443: i/o timeout : exit status 1",
        "LOG_UNREACHABLE",
        "CloudWatch Logs cannot be reached",
    ),
    (
        f"{LOGGING}dial tcp 10.0.3.4:514: connect: connection refused",
        "LOG_UNREACHABLE",
        "the server of its log driver cannot be reached",
    ),
    (
        f"{LOGGING}failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
        "exist. status code: 400, request id: 7463029c-9f12-4e3f-b914-f",
        "LOG_GROUP_MISSING",
        f"its log group /ecs/{NAME} does not exist",
    ),
    (
        f"{RESOURCE}failed to validate logger args: create stream has been retried 1 times: failed to create "
        "Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1",
        "LOG_GROUP_MISSING",
        "does not exist",
    ),
    (
        f"{LOGGING}failed to create Cloudwatch log group: AccessDeniedException: User: {ROLE} is not authorized to "
        "perform: logs:CreateLogGroup",
        "LOG_DENIED",
        "lacks logs:CreateLogGroup",
    ),
    (
        f"{RESOURCE}failed to validate logger args: create stream has been retried 1 times: failed to create "
        "Cloudwatch log stream: AccessDeniedException: User: arn:aws:sts::1...",
        "LOG_DENIED",
        "permission to write its log",
    ),
    (
        f"{RESOURCE}failed to validate logger args: unable to get awslogs driver arguments: awslogs-region is required",
        "LOG_OPTIONS",
        "logConfiguration is wrong",
    ),
    (f"{LOGGING}unknown log opt 'awslogs-streamprefix' for awslogs log driver", "LOG_OPTIONS", "is wrong"),
    (f"{LOGGING}dial unix /var/run/fluent.sock: connect: no such file or directory", "LOG_UNREACHABLE", "log driver"),
    # --- environment files, roles, throttling
    (
        f"{RESOURCE}failed to download env files: file download command: non empty error stream: RequestCanceled: "
        "request context canceled caused by: context deadline exceeded",
        "ENVIRONMENT_FILE",
        "S3 cannot be reached",
    ),
    (
        f"{RESOURCE}failed to download env files: file download command: non empty error stream: service call has been "
        "retried 1 time(s): AccessDenied: Access Denied status code: 403",
        "ENVIRONMENT_FILE",
        "may not read it",
    ),
    (
        f"{RESOURCE}failed to download env files: file download command: non empty error stream: NoSuchKey: The "
        "specified key does not exist. status code: 404",
        "ENVIRONMENT_FILE",
        "it does not exist",
    ),
    (
        f"ECS was unable to assume the role 'arn:aws:iam::{ACCOUNT}:role/shine-execution' that was provided for this "
        "task. Please verify that the role being passed has the proper trust relationship and permissions",
        "ROLE_NOT_ASSUMED",
        "shine-execution",
    ),
    (
        f"{PULLING}unable to retrieve secret from asm: service call has been retried 5 time(s): ThrottlingException: "
        "Rate exceeded",
        "CALL_THROTTLED",
        "throttles",
    ),
    # --- volumes
    (f"{EFS}mount.nfs4: Connection reset by peer{EFS_END}", "VOLUME_FAILED", "its server does not answer"),
    (f"{EFS}b'mount.nfs4: Connection timed out'{EFS_END}", "VOLUME_FAILED", "its server does not answer"),
    (
        f"{EFS}Mount attempt 1/3 failed due to timeout after 15 sec, wait 0 sec before next attempt. b'mount.nfs4: "
        f"Connection timed out'{EFS_END}",
        "VOLUME_FAILED",
        "its server does not answer",
    ),
    (
        f'{EFS}Failed to resolve "fs-06642d00e4ec726.efs.{REGION}.amazonaws.com" - check that your file system ID is '
        "correct, and ensure that the VPC has an EFS mount target for this file system ID. Attempting to lookup mount "
        "target ip address using botocore. Failed to import necessary dependency botocore : unsuccessful EFS utils "
        "command execution; code: 1",
        "VOLUME_FAILED",
        "cannot be resolved",
    ),
    (
        f"{EFS}b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'{EFS_END}",
        "VOLUME_FAILED",
        "access is denied",
    ),
    (
        f"{EFS}b'mount.nfs4: mounting fs-1.efs.{REGION}.amazonaws.com:/data failed, reason given by server: No such "
        f"file or directory'{EFS_END}",
        "VOLUME_FAILED",
        "the folder to mount does not exist",
    ),
    (
        f'{SHIM}error during container init: error mounting "/var/lib/ecs/app.conf" to rootfs at "/app/app.conf": not '
        "a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?",
        "VOLUME_FAILED",
        "cannot be mounted",
    ),
    (
        "CannotCreateVolumeError: Error response from daemon: create ecs-shine-1: VolumeDriver.Create: mount failed",
        "VOLUME_FAILED",
        "cannot be mounted",
    ),
    (
        "CannotCreateContainerError: Error response from daemon: failed to chown /data: operation not permitted",
        "VOLUME_FAILED",
        "access is denied",
    ),
    # --- the container
    (
        "CannotStartContainerError: Error response from daemon: driver failed programming external connectivity on "
        "endpoint ecs-shine-1: Bind for 0.0.0.0:5000 failed: port is already allocated",
        "PORT_TAKEN",
        "another process of its host",
    ),
    (
        f'{SHIM}exec: "/app/start.sh": stat /app/start.sh: no such file or directory: unknown',
        "ENTRY_POINT_MISSING",
        f"The container {NAME} cannot start: /app/start.sh is not in the image",
    ),
    (f'{SHIM}exec: "/app/start.sh": permission denied: unknown', "ENTRY_POINT_MISSING", "may not be executed"),
    (
        "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime "
        "task: OCI runtime "
        'create failed: container_linux.go:370: starting container process caused: exec: "/opt/bin/run.sh": stat '
        "/opt/bin/run.sh...no such file or direct...",
        "ENTRY_POINT_MISSING",
        "/opt/bin/run.sh is not in the image",
    ),
    (
        "CannotStartContainerError: API error (500): Cannot start container 54b6caa1f3d8: [8] System error: "
        "exec: \"node "
        'index.js -t sockets_transport -i 0": executable file not found in $PATH',
        "ENTRY_POINT_MISSING",
        "because the whole command is one word",
    ),
    (
        "CannotStartContainerError: Error response from daemon: unable to find user app: no matching entries in passwd "
        "file",
        "USER_MISSING",
        "the user app is not in the image",
    ),
    (
        f"{SHIM}container init was OOM-killed (memory limit too low?): unknown",
        "OUT_OF_MEMORY",
        f"The container {NAME} used more memory than its limit of 2048 MiB",
    ),
    (
        "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 3m0s",
        "START_TIMEOUT",
        NAME,
    ),
    ("DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s", "START_TIMEOUT", NAME),
    (
        "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
        "START_TIMEOUT",
        NAME,
    ),
    # --- network
    (
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet "
        "'subnet-a': InsufficientFreeAddressesInSubnet",
        "ADDRESSES_EXHAUSTED",
        "no address",
    ),
    ("Timeout waiting for network interface provisioning to complete.", "INTERFACE_FAILED", "network interface"),
    (
        "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-a': "
        "InvalidSubnetID.NotFound",
        "NETWORK_MISSING",
        "A subnet that the service names does not exist",
    ),
    # --- placement
    (
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "CAPACITY",
        "no capacity",
    ),
    ("You’ve reached the limit on the number of vCPUs you can run concurrently", "QUOTA", "more vCPUs"),
    ("You've reached the limit on the number of tasks you can run concurrently", "QUOTA", "more tasks"),
    ("The requested MEMORY configuration is above your limit.", "QUOTA", "more MEMORY"),
    (
        f"{RESOURCE}Unable to launch instance(s) for capacity provider shine. UnfulfillableCapacity: Unable to fulfill "
        "capacity due to your request configuration.",
        "CAPACITY",
        "capacity provider",
    ),
    (
        f"{RESOURCE}Unable to launch instance(s) for capacity provider shine. MaxSpotInstanceCountExceeded: Max spot "
        "instance count exceeded.",
        "QUOTA",
        "EC2 instances",
    ),
    ("TaskFailedToStart: RESOURCE:MEMORY", "NO_INSTANCE", "enough memory"),
    ("TaskFailedToStart: RESOURCE:GPU", "NO_INSTANCE", "free GPU"),
    ("TaskFailedToStart: RESOURCE:ENI", "NO_INSTANCE", "network interface"),
    ("TaskFailedToStart: ATTRIBUTE", "NO_INSTANCE", "an attribute"),
    ("TaskFailedToStart: MemberOf placement constraint unsatisfied", "NO_INSTANCE", "placement constraints"),
    ("TaskFailedToStart: EMPTY CAPACITY PROVIDER", "NO_INSTANCE", "there is none"),
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A text, where it stands, and the cause that must come first."""

    evidence: Evidence
    code: str
    sentence: str


def placed(text: str) -> Evidence:
    """An event of a service of which no task runs."""
    full = f"{messages.PLACED}{text.rstrip('.')}."
    tired = event(f"(service {NAME}) is unable to consistently start tasks successfully.", 30)
    return make_evidence(events=[tired, event(full, 31)], service_changes=FAILING)


def stopped(text: str) -> Evidence:
    """Two tasks that stopped for this reason."""
    return make_evidence(unstarted(text, 1), unstarted(text, 2))


def in_container(text: str) -> Evidence:
    """A task that says nothing itself; its container does."""
    reason, code = "Task failed to start", "TaskFailedToStart"
    return make_evidence(task(reason=reason, container=text, code=code, started=None))


def placed_beside_others(text: str) -> Evidence:
    """An event in ECS's older form, while all tasks of the deployment before still run."""
    deployments = [deployment(desiredCount=2), deployment("COMPLETED", id=BEFORE)]
    events = [event(f"service {NAME} was unable to place a task. Reason: {text}")]
    return make_evidence(events=events, service_changes={"deployments": deployments})


PLACES: dict[str, Callable[[str], Evidence]] = {
    "reason": stopped,
    "container": in_container,
    "event": placed,
    "event beside others": placed_beside_others,
}
ROWS = {
    f"{place}: {text[:60]} … {text[-40:]}": Row(build(text), code, sentence)
    for text, code, sentence in BEFORE_THE_START
    for place, build in PLACES.items()
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_text_has_the_same_cause_wherever_aws_says_it(row: Row) -> None:
    first = diagnose(row.evidence)[0]
    assert first.code == row.code, first
    assert row.sentence in first.sentence
    assert first.evidence[0].startswith(("stopped task 0000000", "event 2026-11-03"))


# Whole events: text, code, words of the sentence.
EVENTS: list[tuple[str, str, str]] = [
    (f"(service {NAME}) {CLOSEST}has insufficient CPU units available.", "NO_INSTANCE", "enough CPU units"),
    (f"(service {NAME}) {CLOSEST}has insufficient memory available.", "NO_INSTANCE", "enough memory"),
    (f"(service {NAME}) {CLOSEST}is already using a port required by your task.", "NO_INSTANCE", "port"),
    (f"(service {NAME}) {CLOSEST}is missing an attribute required by your task.", "NO_INSTANCE", "attribute"),
    (f'(service {NAME}) {CLOSEST}encountered error "AGENT".', "NO_INSTANCE", "agent"),
    (f"(service {NAME}) {CLOSEST}doesn't have the agent connected.", "NO_INSTANCE", "agent"),
    (
        f"(service {NAME}) {INSTANCE}Reason: No Container Instances were found in your cluster. For more information, "
        "see the Troubleshooting section.",
        "NO_INSTANCE",
        "there is none",
    ),
    (
        f"(service {NAME}) was unable to reach steady state. Reason: No Container Instances were found in your "
        "capacity provider.",
        "NO_INSTANCE",
        "there is none",
    ),
    (
        f"(service {NAME}) was unable to place tasks in your cluster because the tasks provisioning capacity limit was "
        "exceeded.",
        "QUOTA",
        "PROVISIONING",
    ),
    (f"(service {NAME}) could not launch 3 tasks for deployment {DEPLOYMENT}.", "PLACING_REFUSED", "start a task"),
    (f"{messages.PLACED}Internal error.", "PLACING_REFUSED", "start a task"),
    (
        f"(service {NAME}) failed to launch a task with (error ClientException: TaskDefinition is inactive).",
        "TASK_DEFINITION_INACTIVE",
        "not ACTIVE",
    ),
    (
        f"(service {NAME}) failed to launch a task with (error ECS was unable to assume the role "
        "'arn:aws:iam::1:role/x' that was provided for this task.).",
        "ROLE_NOT_ASSUMED",
        "role/x",
    ),
    (f"(service {NAME}) operations are being throttled. Will try again later.", "ECS_THROTTLED", "throttled"),
    (
        f"(service {NAME}) was unable to reach steady state because task set (ecs-svc/1) was unable to scale in. "
        "Reason: The number of protected tasks are more than the desired count of tasks",
        "TASKS_PROTECTED",
        "protected",
    ),
    (
        f"(service {NAME}) (task 9d85800c30b349039d104d52b506b930) (port 5000) is unhealthy in (target-group {GROUP}) "
        "due to (reason Health checks failed with these codes: [503]).",
        "HEALTH_STATUS",
        f"gets 503: the service fails. It calls the container {NAME} on port 5000.",
    ),
    (
        f"(service {NAME}) (port 5000) is unhealthy in (target-group {GROUP}) due to (reason Health checks failed with "
        "these codes: [404]).",
        "HEALTH_PATH_MISSING",
        "gets 404",
    ),
    (
        f"(service {NAME}) (port 5000) is unhealthy in (target-group {GROUP}) due to (reason Request timed out).",
        "TARGET_TIMEOUT",
        "no answer in time",
    ),
    (
        f"(service {NAME}) (port 5000) is unhealthy in (target-group {GROUP}) due to (reason Health checks failed).",
        "HEALTH_BALANCER",
        "health check on /health fails",
    ),
    (
        f"(service {NAME}) (instance i-0abc) is unhealthy in (elb shine) due to (reason Instance has failed at least "
        "the UnhealthyThreshold number of health checks consecutively.)",
        "HEALTH_BALANCER",
        "health check on /health fails",
    ),
    (
        f"(service {NAME}) (task 0668979337dc48ebb791640cd1162053) failed container health checks.",
        "HEALTH_CONTAINER",
        f"The container {NAME} runs",
    ),
    (
        f"(service {NAME}) has started 1 tasks: (task 0668). Amazon ECS replaced 1 tasks due to an unhealthy status.",
        "HEALTH_REPLACED",
        "a health check fails",
    ),
    (
        f"(service {NAME}) task set (ecs-svc/1) (task 9d85800c) is not healthy in target-group ({GROUP}) due to TARGET "
        "GROUP IS NOT FOUND.",
        "TARGET_GROUP_MISSING",
        "does not exist",
    ),
    (
        f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error The following targets are "
        "not in the target group VPC 'vpc-11111111': 'i-0381a63c79abcf413')",
        "TARGETS_NOT_REGISTERED",
        "not in the target group VPC",
    ),
    (
        f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error TooManyTargets: The "
        "maximum number of targets has been reached)",
        "TARGETS_NOT_REGISTERED",
        "TooManyTargets",
    ),
    (
        f"(service {NAME}) failed to deregister targets in (target-group {GROUP}) with (error Throttling: "
        "Rate exceeded)",
        "TARGETS_NOT_REGISTERED",
        "Rate exceeded",
    ),
    (
        "IAM permissions policies have been misconfigured or changed, and ECS can no longer maintain your service",
        "ECS_ROLE_DENIED",
        "a permission",
    ),
    (
        "IAM trust relationship has been misconfigured or changed, and ECS can no longer maintain your service",
        "ROLE_NOT_ASSUMED",
        "does not trust",
    ),
    (
        f"(service {NAME}) failed to launch a task with (error Unable to assume the service linked role. Please verify "
        "that the ECS service linked role exists.).",
        "ECS_ROLE_DENIED",
        "does not exist",
    ),
    (f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: tasks failed to start.", "CIRCUIT_BREAKER", "Too"),
    (f"service {NAME} deployment failed: tasks failed to start.", "CIRCUIT_BREAKER", "Too many tasks failed"),
    (f"(service {NAME}) is unable to consistently start tasks successfully.", "TASKS_MISSING", "0 of 2 tasks run"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "sentence"), EVENTS, ids=[text[-70:] for text, *_ in EVENTS])
def test_an_event_alone_has_its_cause_and_is_never_fine(text: str, code: str, sentence: str) -> None:
    first = diagnose(make_evidence(events=[event(text)], service_changes=FAILING))[0]
    assert first.code == code, first
    assert sentence in first.sentence
    assert not first.harmless


@pytest.mark.parametrize("pending", [0, 1, 2])
@pytest.mark.parametrize("state", ["IN_PROGRESS", "COMPLETED", "FAILED"])
def test_a_service_of_which_nothing_runs_is_never_fine(pending: int, state: str) -> None:
    changes = {"runningCount": 0, "pendingCount": pending, "deployments": [deployment(state)]}
    assert not any(cause.harmless for cause in diagnose(make_evidence(service_changes=changes)))


INFORMATION = [
    f"(service {NAME}) registered 2 targets in (target-group {GROUP})",
    f"(service {NAME}) deregistered 2 targets in (target-group {GROUP})",
    f"(service {NAME}) has begun draining connections on 2 tasks.",
    f"(service {NAME}) has stopped 2 running tasks: (task 9d85800c30b349039d104d52b506b930).",
    f"(service {NAME}) stopped 2 pending tasks.",
    f"(service {NAME}) (deployment {DEPLOYMENT}) deployment completed.",
    f"(service {NAME}) is not AZ balanced with 3 tasks in eu-central-1a, 1 tasks in eu-central-1c. AZ Rebalancing in "
    "progress.",
    f"(service {NAME}) has started 1 tasks in eu-central-1a to AZ Rebalance: (task 8378fd0fc0d744109128c8d6a0b71524).",
]


@pytest.mark.parametrize("text", INFORMATION)
def test_an_event_that_only_informs_is_no_cause(text: str) -> None:
    evidence = make_evidence(events=[event(text)], running_tasks=messages.MODEL)
    assert [cause.code for cause in diagnose(evidence)] == ["NOTHING_WRONG"]


def test_an_event_counts_no_more_once_a_task_has_started_after_it() -> None:
    text = f"{messages.PLACED}{messages.NOT_FOUND}."
    changes = {"runningCount": 1, "deployments": [deployment()]}
    before = make_evidence(events=[event(text, 50)], running_tasks=[running(started=200)], service_changes=changes)
    assert diagnose(before)[0].code == "IMAGE_MISSING"
    after = make_evidence(events=[event(text, 50)], running_tasks=[running(started=20)], service_changes=changes)
    assert "IMAGE_MISSING" not in {cause.code for cause in diagnose(after)}


def test_after_a_rollback_the_events_say_why_where_ecs_has_forgotten_the_tasks() -> None:
    failed = Event(at=ago(60), text=f"{messages.PLACED}{messages.NOT_FOUND}.")
    back = make_evidence(service_changes={"deployments": [deployment("COMPLETED", id=BEFORE)]})
    events = [Event(at=ago(30), text=messages.BACK[0]["message"]), failed]
    first = diagnose(back.model_copy(update={"events": tuple(events)}))[0]
    assert first.code == "IMAGE_MISSING"


SIDECARS: dict[str, tuple[str, str, str]] = {
    "image": (
        f"{PULL}pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/fluent:9: "
        "docker.io/library/fluent:9: not found",
        "IMAGE_MISSING",
        "ECS cannot pull docker.io/library/fluent:9 for the container log_router",
    ),
    "image without a name": (f"{PULL}context canceled", "IMAGE_UNREACHABLE", "the image for the container log_router"),
    "entry point": (
        f'{SHIM}exec: "/fluent": no such file or directory: unknown',
        "ENTRY_POINT_MISSING",
        "The container log_router cannot start",
    ),
    "log group": (
        f"{LOGGING}failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
        "exist.",
        "LOG_GROUP_MISSING",
        "The container log_router does not start because its log group does not exist.",
    ),
    "disk": (f"{PULL}write /x: no space left on device", "DISK_FULL", "for the container log_router"),
}


@pytest.mark.parametrize(("text", "code", "sentence"), SIDECARS.values(), ids=SIDECARS)
def test_what_ecs_says_of_a_sidecar_names_the_sidecar(text: str, code: str, sentence: str) -> None:
    stopped = task(reason="Task failed to start", code="TaskFailedToStart", started=None)
    first = diagnose(make_evidence(beside(stopped, reason=text)))[0]
    assert first.code == code, first
    assert sentence in first.sentence
    assert ", container log_router" in first.evidence[0]
    assert IMAGE not in first.sentence


def test_where_the_service_could_not_start_a_sidecar_that_was_stopped_is_no_reason() -> None:
    stopped = beside(unstarted("Task failed to start"), exit_code=0)
    assert diagnose(make_evidence(stopped))[0].code == "TASK_STOPPED"
    assert diagnose(make_evidence(beside(unstarted("Task failed to start"), exit_code=1)))[0].code == "SIDECAR_EXITED"


def test_a_sidecar_that_ended_in_a_task_that_runs_is_no_cause() -> None:
    evidence = make_evidence(running_tasks=[beside(running(8), exit_code=1), beside(running(9), exit_code=137)])
    assert [cause.code for cause in diagnose(evidence)] == ["NOTHING_WRONG"]


def test_without_the_task_definition_the_container_is_told_by_its_name() -> None:
    for outer, code, name in (
        (beside(exited(1), exit_code=143), "EXITED", NAME),
        (beside(exited(143), exit_code=1), "SIDECAR_EXITED", "log_router"),
        (beside(exited(143), "worker", exit_code=137), "SIDECAR_EXITED", "worker"),
    ):
        first = diagnose(make_evidence(outer, task_definition={}, definition=None))[0]
        assert first.code == code, first
        assert name in first.sentence


def test_a_reason_of_the_whole_task_does_not_name_a_container_that_it_may_not_mean() -> None:
    stopped = beside(unstarted("ResourceInitializationError: failed to create the sandbox"))
    assert "a container of the task" in diagnose(make_evidence(stopped))[0].sentence
    own = beside(unstarted(messages.NOT_FOUND))  # names the image of the serving container
    assert f"for the container {NAME}" in diagnose(make_evidence(own))[0].sentence


def test_nothing_points_to_a_place_in_the_output() -> None:
    for evidence in (
        make_evidence(exited(1), unseen=("Alarms: no",)),
        make_evidence(service=None, cluster_status=None, unseen=("The service: no",)),
        make_evidence(events=messages.BACK, service_changes={"deployments": [deployment("COMPLETED", id=BEFORE)]}),
    ):
        for cause in diagnose(evidence):
            assert not re.search(r"(?i)\b(?:see|read|causes?) (?:below|above)\b", f"{cause.sentence} {cause.repair}")
