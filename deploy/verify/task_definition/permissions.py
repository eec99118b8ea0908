"""Can the service write where it must, and nowhere else; does it run as its own user, and with roles that fit."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from deploy.text import shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

FOLDERS = ("SHINE_CACHE_DIR", "BENTOML_HOME", "TMPDIR", "HOME")  # variables that name a folder for writing
READ_ONLY = "readonlyRootFilesystem"
ROLES = ("executionRoleArn", "taskRoleArn")
ROLE = re.compile(  # an ARN, or a name
    r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/[\w+=,.@/-]+|[\w+=,.@-]{1,64}", re.ASCII
)
PRIVATE_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.")  # ECR; its public gallery needs no credentials


def writable(context: CheckContext) -> list[str]:
    """Paths of volumes that the container may write to."""
    mounts = [mount for mount in context.container.get("mountPoints", []) if mount.get("readOnly", False) is not True]
    tmpfs = context.container.get("linuxParameters", {}).get("tmpfs", [])
    return [mount.get("containerPath", "") for mount in (*mounts, *tmpfs)]


def within(path: str, folders: list[str]) -> bool:
    """Whether a path lies in one of the folders."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders if folder)


@check("ROOT_WRITABLE", needs="contract")
def root(context: CheckContext) -> Iterator[Violation]:
    if not context.container.get(READ_ONLY, False):
        yield warn(
            f"{READ_ONLY} is not true, but the image writes only to {words(context.contract.writable_paths)}.",
            f"Set {READ_ONLY} to true, with a volume on {words(context.contract.writable_paths)}.",
            context.in_container(READ_ONLY, False),
            context.in_contract("writable_paths", context.contract.writable_paths),
        )


@check("NOT_WRITABLE", needs="contract")
def needed(context: CheckContext) -> Iterator[Violation]:
    if not context.container.get(READ_ONLY, False):
        return
    for path in context.contract.writable_paths:
        if not within(path, writable(context)):
            yield fail(
                f"{READ_ONLY} is true, but no writable volume is mounted on {path}, where the image writes.",
                f'Add {{"name": "tmp"}} to volumes, and mount it on {path}.',
                context.in_container("mountPoints", writable(context)),
                context.in_contract("writable_paths", path),
            )


@check("FOLDER_NOT_WRITABLE", needs="contract")
def folders(context: CheckContext) -> Iterator[Violation]:
    allowed = [*context.contract.writable_paths, *writable(context)]
    for name in FOLDERS:
        path = context.environment.get(name, "")
        if path and context.container.get(READ_ONLY, False) and not within(path, allowed):
            yield fail(
                f"{name} is {shown(path)}, but the service may write only to {words(allowed)}.",
                f"Set {name} to a folder in one of them, or remove it.",
                context.in_container(f"environment {name}", path),
                context.in_contract("writable_paths", context.contract.writable_paths),
            )


@check("TMPFS", needs="contract")
def tmpfs(context: CheckContext) -> Iterator[Violation]:
    for mount in context.container.get("linuxParameters", {}).get("tmpfs", []):
        path = mount.get("containerPath")
        yield warn(
            f"{shown(path)} is a tmpfs, whose files use the task's memory.",
            "Use an entry of volumes and a mount instead.",
            context.in_container("linuxParameters.tmpfs", path),
        )


@check("USER_ROOT", needs="contract")
def user(context: CheckContext) -> Iterator[Violation]:
    stated = context.container.get("user")
    if stated is not None and stated.partition(":")[0].strip() in ("root", "0", ""):
        own = f"{context.contract.user.uid}:{context.contract.user.gid}"
        yield warn(
            f"user is {shown(stated)}, which is root; the image's own user is {own}.",
            f"Set user to {own}, or remove it.",
            context.in_container("user", stated),
            context.in_contract("user", own),
        )


@check("ULIMITS")
@each_container
def ulimits(_context: CheckContext, container: Container) -> Iterator[Violation]:
    for index, ulimit in enumerate(container.part.get("ulimits", [])):
        soft, hard = ulimit.get("softLimit"), ulimit.get("hardLimit")
        if soft > hard >= 0:
            yield fail(
                container.says(
                    f"the ulimit {ulimit.get('name')} has the soft limit {soft} above its hard limit {hard}."
                ),
                f"Set softLimit to {hard}.",
                container.place(f"ulimits[{index}].softLimit", soft),
                container.place(f"ulimits[{index}].hardLimit", hard),
            )


@check("ROLE_ARN")
def arn(context: CheckContext) -> Iterator[Violation]:
    for key in ROLES:
        value = context.task.get(key)
        if value and not ROLE.fullmatch(value):
            yield fail(
                f"{key} is {shown(value)}, which is not a role; a role looks like arn:aws:iam::123456789012:role/name.",
                f"Set {key} to the ARN of a role.",
                context.in_task(key, value),
            )


@check("ROLE_ACCOUNT")
def account(context: CheckContext) -> Iterator[Violation]:
    arns = {key: context.task.get(key) or "" for key in ROLES}
    accounts = {
        key: match["account"] for key, arn in arns.items() if (match := ROLE.fullmatch(arn)) and match["account"]
    }
    expected = context.account or accounts.get("executionRoleArn", "")
    for key, account in accounts.items():
        if account != expected and expected:
            owner = "the plan's account is" if context.account else "the execution role is of"
            yield warn(
                f"{key} is a role of the account {account}, but {owner} {expected}; ECS can only pass a role of "
                "its own account to a task.",
                "Name a role of the account in which the task runs; that role may assume one of another account.",
                context.in_task(key, arns[key]),
            )


def needs_execution_role(context: CheckContext) -> list[str]:
    """What ECS itself does for the task with the execution role, in words; on EC2 the instance's role does a part."""
    needs = []
    for part in context.containers:
        configuration = part.get("logConfiguration", {})
        if context.fargate and PRIVATE_REGISTRY.match(part.get("image", "")):
            needs.append("pull the image")
        if context.fargate and configuration.get("logDriver") == "awslogs":
            needs.append("write the log")
        if part.get("secrets") or configuration.get("secretOptions"):
            needs.append("read the secrets")
        if part.get("repositoryCredentials"):
            needs.append("read the registry's credentials")
        if part.get("environmentFiles"):
            needs.append("read the environment files")
    return list(dict.fromkeys(needs))


@check("EXECUTION_ROLE_MISSING")
def execution(context: CheckContext) -> Iterator[Violation]:
    if not context.task.get("executionRoleArn") and (needs := needs_execution_role(context)):
        yield fail(
            f"executionRoleArn is missing, so ECS cannot {' and '.join(needs)}.",
            "Set executionRoleArn to a role with AmazonECSTaskExecutionRolePolicy.",
            context.in_task("executionRoleArn", None),
        )


@check("TASK_ROLE_MISSING", needs="contract")
def task(context: CheckContext) -> Iterator[Violation]:
    uri = context.environment.get("SHINE_WEIGHTS_URI", "")
    if not context.task.get("taskRoleArn") and uri.startswith("s3://"):
        yield fail(
            f"taskRoleArn is missing, and SHINE_WEIGHTS_URI is {shown(uri)}, which the service reads with that role.",
            "Set taskRoleArn to a role that may read the weights.",
            context.in_task("taskRoleArn", None),
            context.in_container("environment SHINE_WEIGHTS_URI", uri),
        )


@check("ROLES_SAME", needs="contract")
def same(context: CheckContext) -> Iterator[Violation]:
    role, execution = context.task.get("taskRoleArn"), context.task.get("executionRoleArn")
    if role and role == execution:
        yield warn(
            f"taskRoleArn and executionRoleArn are both {shown(role)}.",
            "Give the service its own role, which may read its weights and nothing else.",
            context.in_task("taskRoleArn", role),
            context.in_task("executionRoleArn", execution),
        )
