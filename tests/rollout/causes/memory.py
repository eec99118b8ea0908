"""The container was killed, nearly always for its memory."""

from tests.rollout.causes.made import NAME, UP, Example, Miss, exited, log, running, seen, task, weights

EXAMPLES = [
    Example(
        "MEMORY_BELOW_MINIMUM",
        seen(
            exited(1), logs=log(1, "shine: the memory limit is 512 MiB; this image needs 900 MiB, measured under load.")
        ),
        "has 512 MiB of memory, the image needs 900 MiB",
        "the memory limit is 512",
        True,
    ),
    Example(
        "OUT_OF_MEMORY",
        seen(exited(137, container="OutOfMemoryError: Container killed due to memory usage"), logs=log(1, *UP)),
        "limit of 2048 MiB",
        "OutOfMemoryError",
        False,
    ),
    Example(
        "OUT_OF_MEMORY",
        seen(exited(0, container="OutOfMemoryError: Container killed due to memory usage")),
        "more memory than its limit",
        "OutOfMemoryError",
        False,
        "whatever the exit code",
    ),
    Example(
        "KILLED", seen(exited(137), logs=log(1, *UP)), "limit of 2048 MiB is the first suspect", "exit code 137", False
    ),
    Example(
        "STOP_TIMEOUT",
        seen(
            task(
                reason=f"Scaling activity initiated by (deployment {NAME})",
                code="ServiceSchedulerInitiated",
                exit_code=137,
                started=4000,
                stopping=100,
                stopped=38,
            ),
            of={},
        ),
        "not ended after 60 s",
        "exit code 137",
        False,
    ),
]

MISSES = [
    Miss("OUT_OF_MEMORY", seen(exited(137)), "killed without a word"),
    Miss("KILLED", seen(exited(143)), "ended when it was asked to"),
    Miss(
        "KILLED",
        seen(task(reason="Task failed container health checks", code="ServiceSchedulerInitiated", exit_code=137)),
        "by ECS",
    ),
    Miss(
        "STOP_TIMEOUT",
        seen(
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
    Miss("STOP_TIMEOUT", seen(exited(137, stopping=200, stopped=40)), "nobody stopped it"),
    Miss(
        "MEMORY_BELOW_MINIMUM",
        seen(alive=[running()], logs=log(9, weights("weights_missing", "the memory limit is 5 MiB"))),
        "a line of something else",
    ),
]
