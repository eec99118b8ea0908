"""The container ends by itself, or is killed, nearly always for its memory."""

from tests.rollout.causes.evidence import (
    NAME,
    UP,
    Example,
    Miss,
    beside,
    exited,
    listening,
    log,
    log_line,
    make_evidence,
    running,
    task,
    weights,
)
from tests.rollout.causes.messages import TRACE

EXAMPLES = [
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
    Miss("EXITED", make_evidence(exited(1), logs=log(1, *TRACE)), "it is known why"),
    Miss(
        "EXITED",
        make_evidence(exited(1, by="ecs-svc/1"), running_tasks=[running()], service_changes={}, stopped=()),
        "of another deployment",
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
