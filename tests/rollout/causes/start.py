"""The container runtime cannot start the container: its program, its user or a volume is missing."""

from tests.rollout.causes.evidence import (
    NAME,
    Example,
    Miss,
    definition,
    exited,
    log,
    make_evidence,
    task,
    unstarted,
)
from tests.rollout.causes.messages import OCI

EXAMPLES = [
    Example(
        "ENTRY_POINT_MISSING",
        make_evidence(
            task(
                reason="Task failed to start",
                container=f'{OCI}exec: "/app/entrypoint": stat /app/entrypoint: no such file or directory: unknown',
                code="TaskFailedToStart",
                started=None,
            )
        ),
        "/app/entrypoint is not in the image",
        "no such file",
        True,
    ),
    Example(
        "ENTRY_POINT_MISSING",
        make_evidence(unstarted(f'{OCI}exec: "serve": executable file not found in $PATH')),
        "serve is not in the image",
        "executable file not found",
        True,
        "path",
    ),
    Example(
        "ENTRY_POINT_MISSING",
        make_evidence(exited(127), logs=log(1, "/app/entrypoint: 10: exec: bentoml: not found")),
        "bentoml is not in the image",
        "exec: bentoml",
        True,
        "shell",
    ),
    Example(
        "ENTRY_POINT_MISSING",
        make_evidence(
            unstarted(
                "CannotStartContainerError: Error response from daemon: failed to create shim task: OCI runtime create "
                'failed: runc create failed: unable to start container process: exec: "gunicorn app:app --bind :5000": '
                "executable file not found in $PATH: unknown"
            )
        ),
        f"The container {NAME} cannot start: gunicorn app:app --bind :5000 is not in the image, because the whole "
        "command is one word",
        "gunicorn app:app",
        True,
        "one word",
    ),
    Example(
        "USER_MISSING",
        make_evidence(
            unstarted(
                "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: "
                "unable to find user shine: no matching entries in passwd file"
            )
        ),
        f"The container {NAME} cannot start: the user shine is not in the image.",
        "unable to find user",
        True,
    ),
    Example(
        "START_TIMEOUT",
        make_evidence(
            unstarted("ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 3m0s")
        ),
        "gave up waiting",
        "timed out after waiting",
        False,
    ),
    Example(
        "VOLUME_FAILED",
        make_evidence(
            unstarted("CannotCreateVolumeError: unable to copy contents to volume on host: context canceled")
        ),
        "cannot be mounted",
        "CannotCreateVolumeError",
        False,
    ),
    Example(
        "VOLUME_FAILED",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
                "b'mount.nfs4: Connection timed out' : unsuccessful EFS utils command execution; code: 32"
            ),
            subnets="public",
        ),
        f"A volume of the container {NAME} cannot be mounted: its server does not answer.",
        "mount.nfs4",
        False,
        "NFS",
    ),
    Example(
        "CONTAINER_NOT_STARTED",
        make_evidence(
            unstarted(
                f"{OCI}error during container init: error creating device nodes: mknod /dev/null: errno 524: unknown"
            )
        ),
        "cannot start",
        "errno 524",
        False,
    ),
]

MISSES = [
    Miss(
        "USER_MISSING",
        make_evidence(exited(1), logs=log(1, "unable to find user shine: no matching entries in passwd file")),
        "the program's own words",
    ),
    Miss(
        "VOLUME_FAILED",
        make_evidence(
            unstarted(
                "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer sha256:ab: "
                "failed to mount /tmp/containerd-mount1: no space left on device"
            )
        ),
        "a layer of the image",
    ),
    Miss(
        "ENTRY_POINT_MISSING",
        make_evidence(exited(1), logs=log(1, "curl: not found")),
        "exit code 1 is the program's own",
    ),
    Miss(
        "ENTRY_POINT_MISSING", make_evidence(exited(1), task_definition=definition(command=["serve"])), "no word of it"
    ),
]
