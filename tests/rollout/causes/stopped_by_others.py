"""Tasks that others stopped: AWS for its own reasons, or people."""

from tests.rollout.causes.made import Example, Miss, exited, seen, task

EXAMPLES = [
    Example(
        "HOST_MAINTENANCE",
        seen(
            task(
                reason="ECS is performing maintenance on the underlying infrastructure hosting the task.",
                code="ServiceSchedulerInitiated",
            ),
            of={},
        ),
        "took the host of a task away",
        "performing maintenance",
        False,
    ),
    Example(
        "SPOT_INTERRUPTION",
        seen(task(reason="Your Spot Task was interrupted.", code="SpotInterruption", exit_code=137), of={}),
        "Fargate Spot took",
        "Spot Task",
        False,
    ),
    Example(
        "STOPPED_BY_USER",
        seen(task(reason="Task stopped by user", code="UserInitiated", exit_code=0), of={}),
        "by a person or a tool",
        "Task stopped by user",
        False,
    ),
]

MISSES = [
    Miss("STOPPED_BY_USER", seen(exited(1)), "it ended by itself"),
]
