"""Are the task's volumes ones that ECS can mount, and does each mount name one of them."""

import re
from collections.abc import Iterator

from deploy.taskdef.schema import Part
from deploy.text import shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
SOURCES = (
    "host", "dockerVolumeConfiguration", "efsVolumeConfiguration", "fsxWindowsFileServerVolumeConfiguration",
    "s3filesVolumeConfiguration",
)  # fmt: skip
ABSOLUTE = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")  # on Linux; on Windows a drive or a named pipe
FILE_SYSTEM = re.compile(r"(?:arn:aws[a-z-]*:elasticfilesystem:[a-z0-9-]+:\d{12}:file-system/)?fs-[0-9a-f]{8,40}")
ACCESS_POINT = re.compile(r"(?:arn:aws[a-z-]*:elasticfilesystem:[a-z0-9-]+:\d{12}:access-point/)?fsap-[0-9a-f]{8,40}")
ENABLED = "ENABLED"


@check("VOLUME")
def volumes(context: CheckContext) -> Iterator[Violation]:
    names: list[str | None] = []
    for index, volume in enumerate(context.task.get("volumes", [])):
        name = volume.get("name")
        place = context.in_task(f"volumes[{index}].name", name)
        if name in names:
            yield fail(f"Two volumes are named {shown(name)}.", "Remove one of them, or rename it.", place)
        elif name is None or not NAME.fullmatch(name):
            sentence = (
                f"volumes[{index}] has the name {shown(name)}; ECS accepts letters, digits, hyphens, underscores."
            )
            yield fail(sentence, "Give it another name, in mountPoints too.", place)
        names.append(name)
        sources = [key for key in SOURCES if volume.get(key)]
        sources += ["configuredAtLaunch"] if volume.get("configuredAtLaunch") else []
        if len(sources) > 1:
            yield fail(
                f"The volume {shown(name)} has {' and '.join(sources)}; a volume has one source.",
                "Keep one of them.",
                context.in_task(f"volumes[{index}]", sources),
            )


@check("MOUNT")
@each_container
def mounts(context: CheckContext, container: Container) -> Iterator[Violation]:
    volumes = [volume.get("name") for volume in context.task.get("volumes", [])]
    earlier: list[str] = []
    for index, mount in enumerate(container.part.get("mountPoints", [])):
        volume, path = mount.get("sourceVolume"), mount.get("containerPath") or ""
        if volume not in volumes:
            yield fail(
                container.says(
                    f"mountPoints[{index}] mounts the volume {shown(volume)}; the volumes are {words(volumes)}."
                ),
                f'Add {{"name": {shown(volume or "tmp")}}} to volumes.',
                container.place(f"mountPoints[{index}].sourceVolume", volume),
                context.in_task("volumes", volumes),
            )
        if not ABSOLUTE.match(path) or path in earlier:
            what = "is mounted twice" if path in earlier and path else "is not absolute"
            yield fail(
                container.says(f"mountPoints[{index}] has the path {shown(path)}, which {what}."),
                "Give it an absolute path of its own.",
                container.place(f"mountPoints[{index}].containerPath", path),
            )
        earlier.append(path)
    names = [item.name for item in context.each]
    for index, other in enumerate(container.part.get("volumesFrom", [])):
        source = other.get("sourceContainer")
        if source not in names or source == container.name:
            yield fail(
                container.says(f"volumesFrom[{index}] names the container {shown(source)}; there are {words(names)}."),
                "Name another container of the task.",
                container.place(f"volumesFrom[{index}].sourceContainer", source),
            )


@check("EFS_VOLUME")
def efs(context: CheckContext) -> Iterator[Violation]:
    for index, volume in enumerate(context.task.get("volumes", [])):
        if (efs := volume.get("efsVolumeConfiguration")) is not None:
            yield from _efs(context, efs, f"volumes[{index}].efsVolumeConfiguration", shown(volume.get("name")))


def _efs(context: CheckContext, efs: Part, path: str, name: str) -> Iterator[Violation]:
    file_system, root = efs.get("fileSystemId", ""), efs.get("rootDirectory") or "/"
    authorization = efs.get("authorizationConfig", {})
    access_point, iam = authorization.get("accessPointId"), authorization.get("iam") == ENABLED
    encrypted = efs.get("transitEncryption") == ENABLED
    if not FILE_SYSTEM.fullmatch(file_system):
        yield fail(
            f"The volume {name} has the file system {shown(file_system)}; an id looks like fs-0123456789abcdef0.",
            "Copy the id of the file system from EFS.",
            context.in_task(f"{path}.fileSystemId", file_system),
        )
    if context.windows:
        yield fail(
            f"The volume {name} is on EFS, which Windows containers cannot mount.",
            "Use FSx for Windows File Server.",
            context.in_task(path, "an EFS volume"),
        )
    if access_point and not ACCESS_POINT.fullmatch(access_point):
        yield fail(
            f"The volume {name} has the access point {shown(access_point)}; an id looks like fsap-0123456789abcdef0.",
            "Copy the id of the access point from EFS.",
            context.in_task(f"{path}.authorizationConfig.accessPointId", access_point),
        )
    if access_point and root != "/":
        yield fail(
            f"The volume {name} has the rootDirectory {shown(root)} and an access point, which has a root of its own: "
            "ECS refuses both together.",
            "Remove rootDirectory.",
            context.in_task(f"{path}.rootDirectory", root),
        )
    elif not root.startswith("/"):
        yield fail(
            f"The volume {name} has the rootDirectory {shown(root)}, which is not absolute.",
            "Begin it with a slash.",
            context.in_task(f"{path}.rootDirectory", root),
        )
    if (access_point or iam) and not encrypted:
        what = " and ".join([*(["an access point"] if access_point else []), *(["IAM authorization"] if iam else [])])
        yield fail(
            f"The volume {name} uses {what}, but transitEncryption is not ENABLED: ECS refuses it.",
            "Set transitEncryption to ENABLED.",
            context.in_task(f"{path}.transitEncryption", efs.get("transitEncryption")),
        )
    if iam and not context.task.get("taskRoleArn"):
        yield warn(
            f"The volume {name} is mounted with IAM authorization, but the task has no role to authorize.",
            "Set taskRoleArn to a role with elasticfilesystem:ClientMount.",
            context.in_task("taskRoleArn", None),
        )


@check("FSX_VOLUME")
def fsx(context: CheckContext) -> Iterator[Violation]:
    for index, volume in enumerate(context.task.get("volumes", [])):
        if (fsx := volume.get("fsxWindowsFileServerVolumeConfiguration")) is None:
            continue
        path = f"volumes[{index}].fsxWindowsFileServerVolumeConfiguration"
        system = context.task.get("runtimePlatform", {}).get("operatingSystemFamily")
        reason = "which Fargate cannot mount" if context.fargate else "which only Windows containers can mount"
        if context.fargate or (system is not None and not context.windows):
            yield fail(
                f"The volume {shown(volume.get('name'))} is on FSx for Windows File Server, {reason}.",
                "Use EFS." if not context.windows else "Run the task on EC2.",
                context.in_task(path, "an FSx volume"),
            )
        credentials = fsx.get("authorizationConfig").get("credentialsParameter", "")
        if not re.match(r"arn:aws[a-z-]*:(?:secretsmanager|ssm):", credentials):
            yield fail(
                f"The volume {shown(volume.get('name'))} has the credentials {shown(credentials)}, which are no ARN.",
                "Name the ARN of a secret or a parameter.",
                context.in_task(f"{path}.authorizationConfig.credentialsParameter", credentials),
            )
