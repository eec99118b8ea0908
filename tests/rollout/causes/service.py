"""The service as a whole: whether it exists, who stopped tasks or the deployment, alarms, and when nothing is wrong."""

from tests.rollout.causes.evidence import (
    BEFORE,
    CLUSTER,
    DEPLOYMENT,
    FAILING,
    NAME,
    REGION,
    UP,
    Example,
    Miss,
    ago,
    deployment,
    event,
    exited,
    healthy,
    log,
    make_evidence,
    running,
    task,
    unhealthy,
    unstarted,
)
from tests.rollout.causes.messages import BACK, MODEL, NO_TOKEN, NOT_FOUND, PLACED, TIMEOUT

EXAMPLES = [
    Example(
        "CLUSTER_MISSING",
        make_evidence(cluster_status="MISSING", service=None, service_changes={"status": "MISSING"}),
        f"The cluster {CLUSTER} does not exist in {REGION}",
        "MISSING",
        True,
    ),
    Example(
        "CLUSTER_MISSING",
        make_evidence(cluster_status="INACTIVE", service_changes={"status": "MISSING"}),
        "is INACTIVE",
        "INACTIVE",
        True,
        "deleted",
    ),
    Example(
        "SERVICE_MISSING",
        make_evidence(service_changes={"status": "MISSING", "desiredCount": 0, "runningCount": 0, "deployments": []}),
        f"The service {NAME} does not exist in cluster {CLUSTER}",
        "MISSING",
        True,
    ),
    Example(
        "SERVICE_MISSING",
        make_evidence(service_changes={"status": "DRAINING", "desiredCount": 0, "runningCount": 0}),
        "is being deleted",
        "DRAINING",
        True,
        "draining",
    ),
    Example(
        "DESIRED_ZERO",
        make_evidence(service_changes={"desiredCount": 0, "runningCount": 0}),
        "desired count is 0",
        "desired 0, running 0",
        False,
    ),
    Example(
        "CIRCUIT_BREAKER",
        make_evidence(events=BACK, service_changes={"deployments": [deployment("COMPLETED", id=BEFORE)]}),
        "went back to the deployment before",
        "tasks failed to start",
        False,
    ),
    Example(
        "DEPLOYMENT_STOPPED",
        make_evidence(
            running_tasks=MODEL,
            service_deployments=[
                {"status": "STOPPED", "statusReason": "Service deployment was stopped.", "createdAt": ago(300)}
            ],
        ),
        "stopped by a request",
        "STOPPED",
        False,
    ),
    Example(
        "TASK_STOPPED",
        make_evidence(
            task(reason="The moon is in the wrong house", code="ServiceSchedulerInitiated"), logs=log(1, *UP)
        ),
        "stopped: The moon is in the wrong house",
        "The moon",
        False,
    ),
    Example(
        "TASKS_MISSING",
        make_evidence(service_changes={"runningCount": 1, "deployments": [deployment("COMPLETED")]}),
        "1 of 2 tasks run",
        "desired 2, running 1",
        False,
    ),
    Example(
        "TASKS_MISSING",
        make_evidence(
            events=[event(f"(service {NAME}) is unable to consistently start tasks successfully.")],
            service_changes={"runningCount": 0, "pendingCount": 1, "deployments": [deployment()]},
        ),
        "0 of 2 tasks run",
        "unable to consistently",
        False,
        "event",
    ),
    Example(
        "TASKS_MISSING",
        make_evidence(service_changes={"runningCount": 0, "pendingCount": 2, "deployments": [deployment()]}),
        "0 of 2 tasks run; the deployment is in progress since 2026-11-03 09:50:00 UTC, and ECS gives no reason yet",
        "desired 2, running 0, pending 2",
        False,
        "none at all",
    ),
    Example(
        "TASKS_PROTECTED",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) was unable to reach steady state because (taskSet {BEFORE}) was unable to scale "
                    "in due to (reason 2 tasks under protection)"
                )
            ],
            running_tasks=MODEL,
            service_changes={"deployments": [deployment()]},
        ),
        "protected from scale-in",
        "2 tasks under protection",
        False,
    ),
    Example(
        "ECS_ROLE_DENIED",
        make_evidence(
            events=[
                event(
                    f"{PLACED}ResourceInitializationError: Unable to launch instance(s) for capacity provider managed. "
                    "UnauthorizedOperation: You are not authorized to perform this operation. User: "
                    "arn:aws:sts::1:assumed-role/ecsInfrastructureRole/ECSManagedInstances is not authorized to "
                    "perform: iam:PassRole on resource: arn:aws:iam::1:role/instances"
                )
            ],
            service_changes=FAILING,
        ),
        "lacks iam:PassRole",
        "iam:PassRole",
        False,
    ),
    Example(
        "NOT_SEEN",
        make_evidence(
            service=None,
            cluster_status=None,
            unseen=("The service: the credentials lack ecs:DescribeServices.",),
        ),
        "nothing can be said about it",
        "ecs:DescribeServices",
        False,
    ),
    Example(
        "SCALED_IN",
        make_evidence(
            task(
                reason=f"Scaling activity initiated by (deployment {DEPLOYMENT})",
                code="ServiceSchedulerInitiated",
                exit_code=0,
            ),
            service_changes={},
            targets=[healthy(8), healthy(9)],
        ),
        "Nothing is wrong: tasks were stopped because fewer are desired",
        "Scaling activity",
        False,
    ),
    Example(
        "IN_PROGRESS",
        make_evidence(
            running_tasks=[running()],
            service_changes={"runningCount": 1, "pendingCount": 1, "deployments": [deployment()]},
        ),
        "in progress since 2026-11-03 09:50:00 UTC, 1 of 2 tasks run",
        "IN_PROGRESS",
        False,
    ),
    Example(
        "NOTHING_WRONG",
        make_evidence(running_tasks=MODEL, targets=[healthy(8), healthy(9)], logs=log(9, *UP)),
        "2 of 2 tasks run, 2 of 2 targets are healthy",
        "",
        False,
    ),
    Example(
        "HOST_MAINTENANCE",
        make_evidence(
            task(
                reason="ECS is performing maintenance on the underlying infrastructure hosting the task.",
                code="ServiceSchedulerInitiated",
            ),
            service_changes={},
        ),
        "stopped a task for maintenance of its host",
        "performing maintenance",
        False,
    ),
    Example(
        "SPOT_INTERRUPTION",
        make_evidence(
            task(reason="Your Spot Task was interrupted.", code="SpotInterruption", exit_code=137), service_changes={}
        ),
        "Fargate Spot interrupted a task",
        "Spot Task",
        False,
    ),
    Example(
        "STOPPED_BY_USER",
        make_evidence(task(reason="Task stopped by user", code="UserInitiated", exit_code=0), service_changes={}),
        "A person or a tool, not ECS, stopped a task",
        "Task stopped by user",
        False,
    ),
    Example(
        "DEPLOYMENT_ALARM",
        make_evidence(
            running_tasks=MODEL,
            service_changes={"deployments": [deployment("FAILED", "ECS deployment failed: alarm detected.")]},
            alarms=[
                {"AlarmName": f"{NAME}-5xx", "StateValue": "ALARM", "StateReason": "Threshold Crossed: 3 datapoints"}
            ],
        ),
        f"{NAME}-5xx was in ALARM, so ECS stopped the deployment",
        "alarm detected",
        False,
    ),
    Example(
        "DEPLOYMENT_ALARM",
        make_evidence(
            service_deployments=[
                {
                    "status": "ROLLBACK_SUCCESSFUL",
                    "statusReason": "Service deployment rolled back because of alarms.",
                    "alarms": {"status": "TRIGGERED", "triggeredAlarmNames": ["shine-p95"]},
                }
            ],
            deployments=(),
            running_tasks=MODEL,
        ),
        "shine-p95 was in ALARM",
        "rolled back because of alarms",
        False,
        "by name",
    ),
    Example(
        "ALARM_FIRING",
        make_evidence(
            running_tasks=MODEL,
            alarms=[
                {"AlarmName": "shine-p95", "StateValue": "ALARM", "StateReason": "Threshold Crossed"},
                {"AlarmName": "shine-5xx", "StateValue": "OK"},
            ],
        ),
        "In ALARM: shine-p95.",
        "Threshold Crossed",
        False,
    ),
]

MISSES = [
    Miss(
        "TASKS_PROTECTED",
        make_evidence(
            running_tasks=MODEL, events=[event(f"(service {NAME}) has begun draining connections on 1 tasks.")]
        ),
        "it ends",
    ),
    Miss("ECS_ROLE_DENIED", make_evidence(unstarted(NO_TOKEN)), "the execution role"),
    Miss(
        "IN_PROGRESS",
        make_evidence(service_changes={"runningCount": 0, "pendingCount": 2, "deployments": [deployment()]}),
        "no task runs yet",
    ),
    Miss("SERVICE_MISSING", make_evidence(service=None, cluster_status=None), "it was not read"),
    Miss("CLUSTER_MISSING", make_evidence(cluster_status=None), "it was not read"),
    Miss(
        "CIRCUIT_BREAKER",
        make_evidence(
            running_tasks=MODEL, service_deployments=[{"deploymentCircuitBreaker": {"status": "MONITORING"}}]
        ),
        "it only watches",
    ),
    Miss("SCALED_IN", make_evidence(exited(1), service_changes={}), "it ended by itself"),
    Miss("IN_PROGRESS", make_evidence(unstarted(NOT_FOUND)), "something is wrong already"),
    Miss(
        "NOTHING_WRONG", make_evidence(running_tasks=[running()], service_changes={"runningCount": 1}), "one is missing"
    ),
    Miss(
        "NOTHING_WRONG",
        make_evidence(running_tasks=MODEL, targets=[unhealthy(TIMEOUT, "Request timed out")]),
        "a target is not healthy",
    ),
    Miss(
        "TASKS_MISSING",
        make_evidence(running_tasks=[running()], service_changes={**FAILING, "runningCount": 1, "pendingCount": 1}),
        "in progress",
    ),
    Miss("NOT_SEEN", make_evidence(running_tasks=MODEL, unseen=("Alarms: no",)), "the service itself was read"),
    Miss("STOPPED_BY_USER", make_evidence(exited(1)), "it ended by itself"),
    Miss(
        "ALARM_FIRING",
        make_evidence(running_tasks=MODEL, alarms=[{"AlarmName": "a", "StateValue": "INSUFFICIENT_DATA"}]),
        "no data",
    ),
    Miss(
        "DEPLOYMENT_ALARM",
        make_evidence(running_tasks=MODEL, service_deployments=[{"alarms": {"status": "MONITORING"}}]),
        "it only watches",
    ),
]
