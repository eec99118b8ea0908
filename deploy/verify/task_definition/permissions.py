"""Can the service write where it must, and nowhere else; does it run as its own user and with its own role."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from deploy.text import shown, words
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

FOLDERS = ("SHINE_CACHE_DIR", "BENTOML_HOME", "TMPDIR", "HOME")  # variables that name a folder for writing
READ_ONLY = "readonlyRootFilesystem"
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+|[\w+=,.@-]{1,64}", re.ASCII)  # an ARN, or a name


def writable(context: CheckContext) -> list[str]:
    """Paths of volumes that the container may write to."""
    mounts = [mount for mount in context.container.get("mountPoints", []) if mount.get("readOnly", False) is not True]
    tmpfs = context.container.get("linuxParameters", {}).get("tmpfs", [])
    return [mount.get("containerPath", "") for mount in (*mounts, *tmpfs)]


def within(path: str, folders: list[str]) -> bool:
    """Whether a path lies in one of the folders."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders if folder)


@check("ROOT_WRITABLE")
def root(context: CheckContext) -> Iterator[Violation]:
    if not context.container.get(READ_ONLY, False):
        yield warn(
            f"{READ_ONLY} is not true, but the image writes only to {words(context.contract.writable_paths)}.",
            f"Set {READ_ONLY} to true, with a volume on {words(context.contract.writable_paths)}.",
            context.in_container(READ_ONLY, False),
            context.in_contract("writable_paths", context.contract.writable_paths),
        )


@check("NOT_WRITABLE")
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


@check("FOLDER_NOT_WRITABLE")
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


@check("MOUNT")
def mounts(context: CheckContext) -> Iterator[Violation]:
    volumes = [volume.get("name") for volume in context.task.get("volumes", [])]
    earlier: list[str] = []
    for index, mount in enumerate(context.container.get("mountPoints", [])):
        volume, path = mount.get("sourceVolume"), mount.get("containerPath") or ""
        if volume not in volumes:
            yield fail(
                f"mountPoints[{index}] mounts the volume {shown(volume)}; the volumes are {words(volumes)}.",
                f'Add {{"name": {shown(volume or "tmp")}}} to volumes.',
                context.in_container(f"mountPoints[{index}].sourceVolume", volume),
                context.in_task("volumes", volumes),
            )
        if not path.startswith("/") or path in earlier:
            what = "is not absolute" if not path.startswith("/") else "is mounted twice"
            sentence = f"mountPoints[{index}] has the path {shown(path)}, which {what}."
            yield fail(
                sentence,
                "Give it an absolute path of its own.",
                context.in_container(f"mountPoints[{index}].containerPath", path),
            )
        earlier.append(path)


@check("TMPFS")
def tmpfs(context: CheckContext) -> Iterator[Violation]:
    for mount in context.container.get("linuxParameters", {}).get("tmpfs", []):
        path = mount.get("containerPath")
        yield warn(
            f"{shown(path)} is a tmpfs, which Fargate may refuse and which uses the task's memory.",
            "Use an entry of volumes and a mount instead.",
            context.in_container("linuxParameters.tmpfs", path),
        )


@check("USER_ROOT")
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
def ulimits(context: CheckContext) -> Iterator[Violation]:
    for index, ulimit in enumerate(context.container.get("ulimits", [])):
        soft, hard = ulimit.get("softLimit"), ulimit.get("hardLimit")
        if soft > hard >= 0:
            yield fail(
                f"The ulimit {ulimit.get('name')} has the soft limit {soft} above its hard limit {hard}.",
                f"Set softLimit to {hard}.",
                context.in_container(f"ulimits[{index}].softLimit", soft),
                context.in_container(f"ulimits[{index}].hardLimit", hard),
            )


@check("ROLE_ARN")
def arn(context: CheckContext) -> Iterator[Violation]:
    for key in ("executionRoleArn", "taskRoleArn"):
        value = context.task.get(key)
        if value and not ROLE.fullmatch(value):
            yield fail(
                f"{key} is {shown(value)}, which is not a role; a role looks like arn:aws:iam::123456789012:role/name.",
                f"Set {key} to the ARN of a role.",
                context.in_task(key, value),
            )


@check("EXECUTION_ROLE_MISSING")
def execution(context: CheckContext) -> Iterator[Violation]:
    if not context.task.get("executionRoleArn"):
        yield fail(
            "executionRoleArn is missing, so ECS can neither pull the image nor write its log.",
            "Set executionRoleArn to a role with AmazonECSTaskExecutionRolePolicy.",
            context.in_task("executionRoleArn", None),
        )


@check("TASK_ROLE_MISSING")
def task(context: CheckContext) -> Iterator[Violation]:
    uri = context.environment.get("SHINE_WEIGHTS_URI", "")
    if not context.task.get("taskRoleArn") and uri.startswith("s3://"):
        yield fail(
            f"taskRoleArn is missing, and SHINE_WEIGHTS_URI is {shown(uri)}, which the service reads with that role.",
            "Set taskRoleArn to a role that may read the weights.",
            context.in_task("taskRoleArn", None),
            context.in_container("environment SHINE_WEIGHTS_URI", uri),
        )


@check("ROLES_SAME")
def same(context: CheckContext) -> Iterator[Violation]:
    role, execution = context.task.get("taskRoleArn"), context.task.get("executionRoleArn")
    if role and role == execution:
        yield warn(
            f"taskRoleArn and executionRoleArn are both {shown(role)}.",
            "Give the service its own role, which may read its weights and nothing else.",
            context.in_task("taskRoleArn", role),
            context.in_task("executionRoleArn", execution),
        )
