"""The container does not start, ends by itself, or is killed, nearly always for its memory."""

from tests.rollout.causes.evidence import (
    NAME,
    UP,
    Example,
    Miss,
    beside,
    definition,
    exited,
    listening,
    log,
    log_line,
    make_evidence,
    running,
    task,
    unstarted,
    weights,
)
from tests.rollout.causes.messages import OCI, TRACE

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
        "DEPENDENCY_MISSING",
        make_evidence(exited(1), logs=log(1, *TRACE)),
        "onnxruntime is not in",
        "No module named",
        True,
    ),
    Example(
        "DEPENDENCY_MISSING",
        make_evidence(
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
        make_evidence(
            exited(1), logs=log(1, "shine: SHINE_PHAZE is not a setting of this service; did you mean SHINE_PHASE?")
        ),
        "SHINE_PHAZE is not a setting of this service; did you mean SHINE_PHASE?",
        "SHINE_PHAZE",
        True,
    ),
    Example(
        "SETTING_REFUSED",
        make_evidence(
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
        make_evidence(exited(1), logs=log(1, "shine: PORT is 'http', which is not a port number from 1 to 65535.")),
        "PORT is 'http'",
        "not a port number",
        True,
        "port",
    ),
    Example(
        "PORT_TAKEN",
        make_evidence(exited(1), logs=log(1, listening(), "OSError: [Errno 98] Address already in use")),
        "cannot listen on 5000",
        "already in use",
        True,
    ),
    Example(
        "NOT_WRITABLE",
        make_evidence(exited(1), logs=log(1, "OSError: [Errno 30] Read-only file system: '/home/bentoml/bentos'")),
        "/home/bentoml/bentos; readonlyRootFilesystem is set",
        "Read-only file system",
        True,
    ),
    Example("CRASHED", make_evidence(exited(139), logs=log(1, *UP)), "exit code 139: SIGSEGV", "exit code 139", False),
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
    Example(
        "EXITED",
        make_evidence(exited(3), logs=log(1, listening(), "RuntimeError: the moon is in the wrong house")),
        "exit code 3; the last log line: RuntimeError: the moon",
        "exit code 3",
        False,
    ),
    Example(
        "EXITED", make_evidence(exited(0)), "exit code 0; its log is empty", "exit code 0", False, "without a word"
    ),
    Example(
        "EXITED",
        make_evidence(beside(exited(1), "aws-guardduty-agent-ab12", 137)),
        f"The container {NAME} ended by itself with exit code 1",
        f"{NAME}: exit code 1, aws-guardduty-agent-ab12: exit code 137",
        False,
        "and an agent with it",
    ),
    Example(
        "EXITED",
        make_evidence(beside(exited(0), "envoy", 143)),
        f"The container {NAME} ended by itself with exit code 0",
        f"{NAME}: exit code 0",
        False,
        "with 0, and its proxy after it",
    ),
    Example(
        "EXITED",
        make_evidence(
            beside(
                exited(1), "aws-guardduty-agent-1", 137, reason="OutOfMemoryError: Container killed due to memory usage"
            )
        ),
        f"The container {NAME} ended by itself with exit code 1",
        f"{NAME}: exit code 1",
        False,
        "and an agent ran out of memory",
    ),
    Example(
        "SIDECAR_EXITED",
        make_evidence(beside(exited(143), exit_code=1), logs=log(1, *UP)),
        f"The sidecar log_router ended by itself with exit code 1; ECS then stopped the task, the container {NAME} too "
        "(exit code 143).",
        f"log_router: exit code 1, {NAME}: exit code 143",
        False,
    ),
    Example(
        "SIDECAR_EXITED",
        make_evidence(beside(exited(143), "envoy", 0)),
        "The sidecar envoy ended by itself with exit code 0",
        "envoy: exit code 0",
        False,
        "with 0",
    ),
    Example(
        "SIDECAR_EXITED",
        make_evidence(beside(exited(0), "worker", 1), logs=log(1, *TRACE[:3])),
        "The sidecar worker ended by itself with exit code 1",
        "worker: exit code 1",
        False,
        "of an unknown name",
    ),
    Example(
        "SIDECAR_EXITED",
        make_evidence(beside(exited(143), exit_code=137)),
        "The sidecar log_router was killed, with exit code 137",
        "log_router: exit code 137",
        False,
        "killed",
    ),
    Example(
        "OUT_OF_MEMORY",
        make_evidence(
            beside(exited(143), exit_code=137, reason="OutOfMemoryError: Container killed due to memory usage")
        ),
        "The container log_router used more memory than its limit, and the kernel killed it.",
        "container log_router 2026-11-03 09:59:20 UTC: OutOfMemoryError",
        False,
        "of a sidecar",
    ),
    Example(
        "OUT_OF_MEMORY",
        make_evidence(
            beside(task(reason="OutOfMemoryError: Container killed due to memory usage", exit_code=137), exit_code=143)
        ),
        f"The container {NAME} used more memory than its limit of 2048 MiB",
        "OutOfMemoryError",
        False,
        "of the task",
    ),
    Example(
        "KILLED",
        make_evidence(beside(exited(137), exit_code=143), logs=log(1, *UP)),
        f"The container {NAME} was killed (exit code 137)",
        f"{NAME}: exit code 137",
        False,
        "beside a sidecar",
    ),
    Example(
        "MEMORY_BELOW_MINIMUM",
        make_evidence(
            exited(1), logs=log(1, "shine: the memory limit is 512 MiB; this image needs 900 MiB, measured under load.")
        ),
        "has 512 MiB of memory, but the image needs 900 MiB",
        "the memory limit is 512",
        True,
    ),
    Example(
        "OUT_OF_MEMORY",
        make_evidence(
            exited(137, container="OutOfMemoryError: Container killed due to memory usage"), logs=log(1, *UP)
        ),
        "limit of 2048 MiB",
        "OutOfMemoryError",
        False,
    ),
    Example(
        "OUT_OF_MEMORY",
        make_evidence(exited(0, container="OutOfMemoryError: Container killed due to memory usage")),
        "more memory than its limit",
        "OutOfMemoryError",
        False,
        "whatever the exit code",
    ),
    Example(
        "KILLED",
        make_evidence(exited(137), logs=log(1, *UP)),
        "limit of 2048 MiB is the first suspect",
        "exit code 137",
        False,
    ),
    Example(
        "STOP_TIMEOUT",
        make_evidence(
            task(
                reason=f"Scaling activity initiated by (deployment {NAME})",
                code="ServiceSchedulerInitiated",
                exit_code=137,
                started=4000,
                stopping=100,
                stopped=38,
            ),
            service_changes={},
        ),
        "did not end within 60 s",
        "exit code 137",
        False,
    ),
]

MISSES = [
    Miss("KILLED", make_evidence(beside(exited(1), exit_code=137)), "a sidecar was"),
    Miss("KILLED", make_evidence(beside(exited(143), exit_code=137)), "a sidecar was killed first"),
    Miss("EXITED", make_evidence(beside(exited(143), exit_code=1)), "a sidecar did"),
    Miss("SIDECAR_EXITED", make_evidence(beside(exited(1), exit_code=143)), "the serving container did"),
    Miss(
        "SIDECAR_EXITED",
        make_evidence(beside(exited(137), "aws-guardduty-agent-1", exit_code=1)),
        "nothing stops with this agent",
    ),
    Miss(
        "SIDECAR_EXITED",
        make_evidence(
            beside(
                task(reason="Task failed ELB health checks", code="ServiceSchedulerInitiated", exit_code=0), exit_code=1
            )
        ),
        "ECS stopped the task",
    ),
    Miss(
        "DEPENDENCY_MISSING",
        make_evidence(beside(exited(143), exit_code=1), logs=log(1, *TRACE)),
        "the sidecar ended, whatever the service logs",
    ),
    Miss(
        "STOP_TIMEOUT",
        make_evidence(
            beside(
                task(
                    reason="Scaling activity initiated by (deployment x)",
                    code="ServiceSchedulerInitiated",
                    exit_code=0,
                    stopping=100,
                    stopped=38,
                ),
                exit_code=137,
            )
        ),
        "a sidecar's",
    ),
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
        "DEPENDENCY_MISSING",
        make_evidence(running_tasks=[running()], logs=log(9, "ModuleNotFoundError: No module named 'torch'")),
        "it runs all the same",
    ),
    Miss(
        "SETTING_REFUSED",
        make_evidence(exited(1), logs=log(1, "shine: the memory limit is 512 MiB; this image needs 900 MiB.")),
        "memory",
    ),
    Miss(
        "SETTING_REFUSED",
        make_evidence(exited(1), logs=log(1, log_line("SHINE_PHASE is full"))),
        "a setting in a log line",
    ),
    Miss("CRASHED", make_evidence(exited(1)), "an error is no crash"),
    Miss(
        "ENTRY_POINT_MISSING",
        make_evidence(exited(1), logs=log(1, "curl: not found")),
        "exit code 1 is the program's own",
    ),
    Miss("EXITED", make_evidence(exited(1), logs=log(1, *TRACE)), "it is known why"),
    Miss(
        "EXITED",
        make_evidence(exited(1, by="ecs-svc/1"), running_tasks=[running()], service_changes={}, stopped=()),
        "of another deployment",
    ),
    Miss(
        "ENTRY_POINT_MISSING", make_evidence(exited(1), task_definition=definition(command=["serve"])), "no word of it"
    ),
    Miss("OUT_OF_MEMORY", make_evidence(exited(137)), "ECS names no reason"),
    Miss("KILLED", make_evidence(exited(143)), "ended when it was asked to"),
    Miss(
        "KILLED",
        make_evidence(
            task(reason="Task failed container health checks", code="ServiceSchedulerInitiated", exit_code=137)
        ),
        "by ECS",
    ),
    Miss(
        "STOP_TIMEOUT",
        make_evidence(
            task(
                reason="Scaling activity initiated by (deployment x)",
                code="ServiceSchedulerInitiated",
                exit_code=137,
                stopping=100,
                stopped=95,
            )
        ),
        "killed at once",
    ),
    Miss("STOP_TIMEOUT", make_evidence(exited(137, stopping=200, stopped=40)), "it was not stopped"),
    Miss(
        "MEMORY_BELOW_MINIMUM",
        make_evidence(running_tasks=[running()], logs=log(9, weights("weights_missing", "the memory limit is 5 MiB"))),
        "a line of something else",
    ),
]
