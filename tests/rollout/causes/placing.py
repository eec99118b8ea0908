"""ECS cannot place tasks: no room, no right to more, or a size that does not exist."""

from tests.rollout.causes.made import NAME, REGION, Example, Miss, definition, deployment, event, seen
from tests.rollout.causes.words import MODEL, ONE, PLACED, STEADY

EXAMPLES = [
    Example(
        "CAPACITY",
        seen(
            events=[
                event(
                    f"{PLACED}Capacity is unavailable at this time. Please try again later or in a different "
                    "availability zone. For more information, see the Troubleshooting section of the Amazon ECS "
                    "Developer Guide."
                )
            ],
            of=ONE,
        ),
        f"no room for a task of this size in {REGION}",
        "Capacity is unavailable",
        False,
    ),
    Example(
        "QUOTA",
        seen(
            events=[event(f"{PLACED}You've reached the limit on the number of vCPUs you can run concurrently.")],
            of=ONE,
        ),
        "no more vCPUs",
        "reached the limit",
        False,
    ),
    Example(
        "SIZE_INVALID",
        seen(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error ClientException: No Fargate configuration "
                    "exists for given values: 1024 CPU, 512 memory.)."
                )
            ],
            of=ONE,
        ),
        "no such size or platform (1024 CPU units, 2048 MiB)",
        "No Fargate configuration",
        True,
    ),
    Example(
        "DEPLOYMENT_CONFIGURATION",
        seen(
            events=[
                event(
                    f"(service {NAME}) was unable to stop or start tasks during a deployment because of the service "
                    "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
                )
            ],
            of=ONE,
        ),
        "forbid both",
        "unable to stop or start",
        True,
    ),
    Example(
        "ECS_THROTTLED",
        seen(events=[event(f"(service {NAME}) operations are being throttled. Will try again later.")], of=ONE),
        "throttled",
        "being throttled",
        False,
    ),
    Example(
        "TASK_DEFINITION_INACTIVE",
        seen(
            task_definition={**definition(), "status": "INACTIVE"},
            of={"runningCount": 1, "deployments": [deployment("COMPLETED")]},
        ),
        f"{NAME}:8 is not ACTIVE",
        "status is INACTIVE",
        True,
    ),
    Example(
        "TASK_DEFINITION_INACTIVE",
        seen(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error ClientException: TaskDefinition is "
                    "inactive)."
                )
            ],
            of=ONE,
        ),
        "no new task can be started",
        "TaskDefinition is inactive",
        True,
        "event",
    ),
    Example(
        "PLACING_REFUSED",
        seen(events=[event(f"{PLACED}Internal error.")], of=ONE),
        "cannot start a task",
        "Internal error",
        False,
    ),
]

MISSES = [
    Miss(
        "CAPACITY",
        seen(alive=MODEL, events=[event(f"{PLACED}Capacity is unavailable at this time.")]),
        "all run that are wanted",
    ),
    Miss(
        "CAPACITY", seen(of=ONE, events=[STEADY, event(f"{PLACED}Capacity is unavailable at this time.")]), "over since"
    ),
    Miss(
        "TASK_DEFINITION_INACTIVE", seen(alive=MODEL, task_definition={**definition(), "status": "INACTIVE"}), "it runs"
    ),
]
