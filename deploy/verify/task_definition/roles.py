"""Who the task is, and who starts it."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.text import shown
from deploy.verify.context import CheckContext

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+|[\w+=,.@-]{1,64}", re.ASCII)  # an ARN, or a name


@check(
    "ROLE_ARN",
    "Roles are named by what can be a role",
    why="arn:aws:iam::<12 digits>:role/<name>; users, policies and instance profiles are refused.",
)
def arn(case: CheckContext) -> Iterator[Violation]:
    for key in ("executionRoleArn", "taskRoleArn"):
        value = case.task.get(key)
        if value and not ROLE.fullmatch(value):
            yield fail(
                f"{key} is {shown(value)}, which is no role; one reads arn:aws:iam::123456789012:role/name.",
                f"Set {key} to the ARN of a role.",
                case.at(key, value),
            )


@check(
    "EXECUTION_ROLE_MISSING",
    "There is an execution role",
    why="On Fargate ECS itself pulls the image, opens the log stream and reads the secrets, by the execution role.",
)
def execution(case: CheckContext) -> Iterator[Violation]:
    if not case.task.get("executionRoleArn"):
        yield fail(
            "executionRoleArn is missing, so ECS can neither pull the image nor write its log.",
            "Set executionRoleArn to a role with AmazonECSTaskExecutionRolePolicy.",
            case.at("executionRoleArn", None),
        )


@check(
    "TASK_ROLE_MISSING",
    "There is a task role where the service needs one",
    why="The service reads its weights from S3 by the task role. Without one it has no credentials at all.",
)
def task(case: CheckContext) -> Iterator[Violation]:
    uri = case.environment.get("SHINE_WEIGHTS_URI", "")
    if not case.task.get("taskRoleArn") and uri.startswith("s3://"):
        yield fail(
            f"taskRoleArn is missing, and SHINE_WEIGHTS_URI is {shown(uri)}, which the service reads by that role.",
            "Set taskRoleArn to a role that may read the weights.",
            case.at("taskRoleArn", None),
            case.inside("environment SHINE_WEIGHTS_URI", uri),
        )


@check(
    "ROLES_SAME",
    "The task role is not the execution role",
    why="The execution role reads secrets and pulls images. A service that has it too can read every secret that ECS "
    "can, when it only needs its weights.",
    incident=9,
)
def same(case: CheckContext) -> Iterator[Violation]:
    role, execution = case.task.get("taskRoleArn"), case.task.get("executionRoleArn")
    if role and role == execution:
        yield warn(
            f"taskRoleArn and executionRoleArn are both {shown(role)}.",
            "Give the service a role of its own, which may read its weights and nothing else.",
            case.at("taskRoleArn", role),
            case.at("executionRoleArn", execution),
        )
