"""The container does not start, or ends at once."""

from tests.rollout.causes.made import (
    UP,
    Example,
    Miss,
    definition,
    exited,
    listening,
    log,
    running,
    said,
    seen,
    task,
    unstarted,
)
from tests.rollout.causes.words import OCI, TRACE

EXAMPLES = [
    Example(
        "ENTRY_POINT_MISSING",
        seen(
            task(
                reason="Task failed to start",
                container=f'{OCI}exec: "/app/entrypoint": stat /app/entrypoint: no such file or directory: unknown',
                code="TaskFailedToStart",
                started=None,
            )
        ),
        "/app/entrypoint is not there",
        "no such file",
        True,
    ),
    Example(
        "ENTRY_POINT_MISSING",
        seen(unstarted(f'{OCI}exec: "serve": executable file not found in $PATH')),
        "serve is not there",
        "executable file not found",
        True,
        "path",
    ),
    Example(
        "ENTRY_POINT_MISSING",
        seen(exited(127), logs=log(1, "/app/entrypoint: 10: exec: bentoml: not found")),
        "bentoml is not there",
        "exec: bentoml",
        True,
        "shell",
    ),
    Example(
        "DEPENDENCY_MISSING", seen(exited(1), logs=log(1, *TRACE)), "onnxruntime is not in", "No module named", True
    ),
    Example(
        "DEPENDENCY_MISSING",
        seen(
            exited(1),
            logs=log(1, "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"),
        ),
        "libGL.so.1",
        "ImportError",
        True,
        "library",
    ),
    Example(
        "SETTING_REFUSED",
        seen(exited(1), logs=log(1, "shine: SHINE_PHAZE is not a setting of this service; did you mean SHINE_PHASE?")),
        "SHINE_PHAZE is not a setting of this service; did you mean SHINE_PHASE?",
        "SHINE_PHAZE",
        True,
    ),
    Example(
        "SETTING_REFUSED",
        seen(
            exited(1),
            logs=log(
                1,
                "shine: SHINE_RATE_PER_MINUTE is '600', which cannot be used: it counts by API key, and "
                "SHINE_API_KEYS is not set.",
            ),
        ),
        "SHINE_RATE_PER_MINUTE is '600'",
        "counts by API key",
        True,
        "value",
    ),
    Example(
        "SETTING_REFUSED",
        seen(exited(1), logs=log(1, "shine: PORT is 'http', which is not a port number from 1 to 65535.")),
        "PORT is 'http'",
        "not a port number",
        True,
        "port",
    ),
    Example(
        "PORT_TAKEN",
        seen(exited(1), logs=log(1, listening(), "OSError: [Errno 98] Address already in use")),
        "cannot listen on 5000",
        "already in use",
        True,
    ),
    Example(
        "NOT_WRITABLE",
        seen(exited(1), logs=log(1, "OSError: [Errno 30] Read-only file system: '/home/bentoml/bentos'")),
        "/home/bentoml/bentos; readonlyRootFilesystem is set",
        "Read-only file system",
        True,
    ),
    Example("CRASHED", seen(exited(139), logs=log(1, *UP)), "exit code 139: SIGSEGV", "exit code 139", False),
    Example(
        "START_TIMEOUT",
        seen(unstarted("ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 3m0s")),
        "gave up waiting",
        "timed out after waiting",
        False,
    ),
    Example(
        "VOLUME_FAILED",
        seen(unstarted("CannotCreateVolumeError: unable to copy contents to volume on host: context canceled")),
        "cannot be mounted",
        "CannotCreateVolumeError",
        False,
    ),
    Example(
        "CONTAINER_NOT_STARTED",
        seen(
            unstarted(
                f"{OCI}error during container init: error creating device nodes: mknod /dev/null: errno 524: unknown"
            )
        ),
        "cannot start",
        "errno 524",
        False,
    ),
    Example(
        "EXITED",
        seen(exited(3), logs=log(1, listening(), "RuntimeError: the moon is in the wrong house")),
        "exit code 3; its last words: RuntimeError: the moon",
        "exit code 3",
        False,
    ),
    Example("EXITED", seen(exited(0)), "exit code 0; it wrote nothing", "exit code 0", False, "without a word"),
]

MISSES = [
    Miss(
        "DEPENDENCY_MISSING",
        seen(alive=[running()], logs=log(9, "ModuleNotFoundError: No module named 'torch'")),
        "it runs all the same",
    ),
    Miss(
        "SETTING_REFUSED",
        seen(exited(1), logs=log(1, "shine: the memory limit is 512 MiB; this image needs 900 MiB.")),
        "memory",
    ),
    Miss("SETTING_REFUSED", seen(exited(1), logs=log(1, said("SHINE_PHASE is full"))), "a setting that is told"),
    Miss("CRASHED", seen(exited(1)), "an error is no crash"),
    Miss("ENTRY_POINT_MISSING", seen(exited(1), logs=log(1, "curl: not found")), "exit code 1 is the program's own"),
    Miss("EXITED", seen(exited(1), logs=log(1, *TRACE)), "it is known why"),
    Miss("EXITED", seen(exited(1, by="ecs-svc/1"), alive=[running()], of={}, stopped=()), "of another deployment"),
    Miss("ENTRY_POINT_MISSING", seen(exited(1), task_definition=definition(command=["serve"])), "no word of it"),
]
