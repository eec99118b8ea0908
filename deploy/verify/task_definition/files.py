"""Can the service write where it must, and nowhere else; and as whom."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.text import shown, words
from deploy.verify.context import CheckContext

FOLDERS = ("SHINE_CACHE_DIR", "BENTOML_HOME", "TMPDIR", "HOME")  # variables that say where to write
READ_ONLY = "readonlyRootFilesystem"


def writable(case: CheckContext) -> list[str]:
    """Paths of volumes that the container may write to."""
    mounts = [one for one in case.container.get("mountPoints", []) if one.get("readOnly", False) is not True]
    memory = case.container.get("linuxParameters", {}).get("tmpfs", [])
    return [one.get("containerPath", "") for one in (*mounts, *memory)]


def within(path: str, folders: list[str]) -> bool:
    """Whether a path lies in one of the folders."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders if folder)


@check(
    "ROOT_WRITABLE",
    "The root file system is read-only",
    why="Nothing that gets into the container can then leave anything there; the image is tested this way.",
)
def root(case: CheckContext) -> Iterator[Violation]:
    if not case.container.get(READ_ONLY, False):
        yield warn(
            f"{READ_ONLY} is not true, and the image writes to {words(case.contract.writable_paths)} alone.",
            f"Set {READ_ONLY} to true, with a volume on {words(case.contract.writable_paths)}.",
            case.inside(READ_ONLY, False),
            case.asked("writable_paths", case.contract.writable_paths),
        )


@check(
    "NOT_WRITABLE",
    "The image can write where it must",
    why="With a read-only root and no volume on /tmp the service cannot even start.",
)
def needed(case: CheckContext) -> Iterator[Violation]:
    if not case.container.get(READ_ONLY, False):
        return
    for path in case.contract.writable_paths:
        if not within(path, writable(case)):
            yield fail(
                f"{READ_ONLY} is true, and the image writes to {path}, where no volume lies that it may write to.",
                f'Add {{"name": "tmp"}} to volumes, and mount it on {path}.',
                case.inside("mountPoints", writable(case)),
                case.asked("writable_paths", path),
            )


@check(
    "FOLDER_NOT_WRITABLE",
    "Folders that settings name can be written to",
    why="A cache folder on the read-only root cannot be made; weights would be fetched anew at each start, or never.",
)
def folders(case: CheckContext) -> Iterator[Violation]:
    may = [*case.contract.writable_paths, *writable(case)]
    for name in FOLDERS:
        path = case.environment.get(name, "")
        if path and case.container.get(READ_ONLY, False) and not within(path, may):
            yield fail(
                f"{name} is {shown(path)}, and the service may write to {words(may)} alone.",
                f"Set {name} to a folder in there, or take it out.",
                case.inside(f"environment {name}", path),
                case.asked("writable_paths", case.contract.writable_paths),
            )


@check(
    "MOUNT",
    "Each mount names a volume that is there, and a path of its own",
    why="ECS refuses a mount whose volume is not among volumes.",
)
def mounts(case: CheckContext) -> Iterator[Violation]:
    there = [one.get("name") for one in case.task.get("volumes", [])]
    seen: list[str] = []
    for place, one in enumerate(case.container.get("mountPoints", [])):
        volume, path = one.get("sourceVolume"), one.get("containerPath") or ""
        if volume not in there:
            yield fail(
                f"mountPoints[{place}] mounts {shown(volume)}; there are {words(there)}.",
                f'Add {{"name": {shown(volume or "tmp")}}} to volumes.',
                case.inside(f"mountPoints[{place}].sourceVolume", volume),
                case.at("volumes", there),
            )
        if not path.startswith("/") or path in seen:
            what = "is not absolute" if not path.startswith("/") else "is mounted twice"
            sentence = f"mountPoints[{place}] has the path {shown(path)}, which {what}."
            yield fail(sentence, "Give it a path.", case.inside(f"mountPoints[{place}].containerPath", path))
        seen.append(path)


@check(
    "TMPFS",
    "No memory is spent on files",
    why="Documentation disagrees on whether Fargate takes linuxParameters.tmpfs, and its files count against the "
    "task's memory. A volume lies on the task's own disk.",
)
def tmpfs(case: CheckContext) -> Iterator[Violation]:
    for one in case.container.get("linuxParameters", {}).get("tmpfs", []):
        path = one.get("containerPath")
        yield warn(
            f"{shown(path)} is a tmpfs, which Fargate may refuse and which takes the task's memory.",
            "Use an entry of volumes and a mount instead.",
            case.inside("linuxParameters.tmpfs", path),
        )


@check(
    "USER_ROOT",
    "The service does not run as root",
    why="The image has a user of its own and needs no other; whoever breaks out of a process of root is root.",
)
def user(case: CheckContext) -> Iterator[Violation]:
    stated = case.container.get("user")
    if stated is not None and stated.partition(":")[0].strip() in ("root", "0", ""):
        own = f"{case.contract.user.uid}:{case.contract.user.gid}"
        yield warn(
            f"user is {shown(stated)}, which is root, and the image's own is {own}.",
            f"Set user to {own}, or take it out.",
            case.inside("user", stated),
            case.asked("user", own),
        )


@check(
    "ULIMITS",
    "Limits of processes are in order",
    why="A soft limit above its hard limit is refused when the container starts.",
)
def ulimits(case: CheckContext) -> Iterator[Violation]:
    for place, one in enumerate(case.container.get("ulimits", [])):
        soft, hard = one.get("softLimit"), one.get("hardLimit")
        if soft > hard >= 0:
            yield fail(
                f"The limit {one.get('name')} is {soft} soft and {hard} hard; the soft one must not be above.",
                f"Set softLimit to {hard}.",
                case.inside(f"ulimits[{place}].softLimit", soft),
                case.inside(f"ulimits[{place}].hardLimit", hard),
            )
