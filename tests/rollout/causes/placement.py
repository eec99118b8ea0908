"""ECS cannot place tasks: no capacity, no quota, or a size that Fargate does not offer."""

from tests.rollout.causes.evidence import NAME, REGION, Example, Miss, definition, deployment, event, make_evidence
from tests.rollout.causes.messages import MODEL, ONE, PLACED, STEADY

EXAMPLES = [
    Example(
        "CAPACITY",
        make_evidence(
            events=[
                event(
                    f"{PLACED}Capacity is unavailable at this time. Please try again later or in a different "
                    "availability zone. For more information, see the Troubleshooting section of the Amazon ECS "
                    "Developer Guide."
                )
            ],
            service_changes=ONE,
        ),
        f"no capacity for a task of this size in {REGION}",
        "Capacity is unavailable",
        False,
    ),
    Example(
        "QUOTA",
        make_evidence(
            events=[event(f"{PLACED}You've reached the limit on the number of vCPUs you can run concurrently.")],
            service_changes=ONE,
        ),
        "may not run more vCPUs",
        "reached the limit",
        False,
    ),
    Example(
        "NO_INSTANCE",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) was unable to place a task because no container instance met all of its "
                    "requirements. The closest matching (container-instance af580523fe1022f095e) has insufficient "
                    "memory available. For more information, see the Troubleshooting section."
                )
            ],
            service_changes=ONE,
        ),
        "No EC2 instance of the cluster can run the task: none has enough memory left.",
        "insufficient memory",
        False,
    ),
    Example(
        "SIZE_INVALID",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error ClientException: No Fargate configuration "
                    "exists for given values: 1024 CPU, 512 memory.)."
                )
            ],
            service_changes=ONE,
        ),
        "no such size or platform (1024 CPU units, 2048 MiB)",
        "No Fargate configuration",
        True,
    ),
    Example(
        "DEPLOYMENT_CONFIGURATION",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) was unable to stop or start tasks during a deployment because of the service "
                    "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
                )
            ],
            service_changes=ONE,
        ),
        "forbid ECS both to stop an old task and to start a new one",
        "unable to stop or start",
        True,
    ),
    Example(
        "ECS_THROTTLED",
        make_evidence(
            events=[event(f"(service {NAME}) operations are being throttled. Will try again later.")],
            service_changes=ONE,
        ),
        "throttled",
        "being throttled",
        False,
    ),
    Example(
        "TASK_DEFINITION_INACTIVE",
        make_evidence(
            task_definition={**definition(), "status": "INACTIVE"},
            service_changes={"runningCount": 1, "deployments": [deployment("COMPLETED")]},
        ),
        f"{NAME}:8 is not ACTIVE",
        "status is INACTIVE",
        True,
    ),
    Example(
        "TASK_DEFINITION_INACTIVE",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error ClientException: TaskDefinition is "
                    "inactive)."
                )
            ],
            service_changes=ONE,
        ),
        "cannot start new tasks",
        "TaskDefinition is inactive",
        True,
        "event",
    ),
    Example(
        "PLACING_REFUSED",
        make_evidence(events=[event(f"{PLACED}Internal error.")], service_changes=ONE),
        "cannot start a task",
        "Internal error",
        False,
    ),
]

MISSES = [
    Miss(
        "NO_INSTANCE",
        make_evidence(events=[event(f"{PLACED}Capacity is unavailable at this time.")], service_changes=ONE),
        "Fargate has none",
    ),
    Miss(
        "CAPACITY",
        make_evidence(running_tasks=MODEL, events=[event(f"{PLACED}Capacity is unavailable at this time.")]),
        "all desired tasks run",
    ),
    Miss(
        "CAPACITY",
        make_evidence(service_changes=ONE, events=[STEADY, event(f"{PLACED}Capacity is unavailable at this time.")]),
        "over since",
    ),
    Miss(
        "TASK_DEFINITION_INACTIVE",
        make_evidence(running_tasks=MODEL, task_definition={**definition(), "status": "INACTIVE"}),
        "it runs",
    ),
]
