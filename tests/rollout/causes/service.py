"""The service as a whole: whether it is there, what became of its deployment, and where nothing is wrong."""

from tests.rollout.causes.made import (
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
    running,
    seen,
    task,
    unhealthy,
    unstarted,
)
from tests.rollout.causes.words import BACK, MODEL, NOT_FOUND, TIMEOUT

EXAMPLES = [
    Example(
        "CLUSTER_MISSING",
        seen(cluster_status="MISSING", service=None, of={"status": "MISSING"}),
        f"The cluster {CLUSTER} is not there in {REGION}",
        "MISSING",
        True,
    ),
    Example(
        "CLUSTER_MISSING",
        seen(cluster_status="INACTIVE", of={"status": "MISSING"}),
        "is INACTIVE",
        "INACTIVE",
        True,
        "deleted",
    ),
    Example(
        "SERVICE_MISSING",
        seen(of={"status": "MISSING", "desiredCount": 0, "runningCount": 0, "deployments": []}),
        f"The service {NAME} does not exist in cluster {CLUSTER}",
        "MISSING",
        True,
    ),
    Example(
        "SERVICE_MISSING",
        seen(of={"status": "DRAINING", "desiredCount": 0, "runningCount": 0}),
        "is being deleted",
        "DRAINING",
        True,
        "draining",
    ),
    Example(
        "DESIRED_ZERO",
        seen(of={"desiredCount": 0, "runningCount": 0}),
        "desired count is 0",
        "desired 0, running 0",
        False,
    ),
    Example(
        "CIRCUIT_BREAKER",
        seen(events=BACK, of={"deployments": [deployment("COMPLETED", id=BEFORE)]}),
        "went back to the deployment before",
        "tasks failed to start",
        False,
    ),
    Example(
        "DEPLOYMENT_STOPPED",
        seen(
            alive=MODEL,
            rollouts=[{"status": "STOPPED", "statusReason": "Service deployment was stopped.", "createdAt": ago(300)}],
        ),
        "stopped by a request",
        "STOPPED",
        False,
    ),
    Example(
        "TASK_STOPPED",
        seen(task(reason="The moon is in the wrong house", code="ServiceSchedulerInitiated"), logs=log(1, *UP)),
        "stopped: The moon is in the wrong house",
        "The moon",
        False,
    ),
    Example(
        "TASKS_MISSING",
        seen(of={"runningCount": 1, "deployments": [deployment("COMPLETED")]}),
        "1 of 2 tasks run",
        "desired 2, running 1",
        False,
    ),
    Example(
        "TASKS_MISSING",
        seen(
            events=[event(f"(service {NAME}) is unable to consistently start tasks successfully.")],
            of={"runningCount": 0, "pendingCount": 1, "deployments": [deployment()]},
        ),
        "0 of 2 tasks run",
        "unable to consistently",
        False,
        "event",
    ),
    Example(
        "NOT_SEEN",
        seen(
            service=None,
            cluster_status=None,
            unseen=("The service: the credentials lack ecs:DescribeServices.",),
        ),
        "nothing can be said of it",
        "ecs:DescribeServices",
        False,
    ),
    Example(
        "SCALED_IN",
        seen(
            task(
                reason=f"Scaling activity initiated by (deployment {DEPLOYMENT})",
                code="ServiceSchedulerInitiated",
                exit_code=0,
            ),
            of={},
            targets=[healthy(8), healthy(9)],
        ),
        "Nothing is wrong: tasks were stopped because fewer are wanted",
        "Scaling activity",
        False,
    ),
    Example(
        "IN_PROGRESS",
        seen(alive=[running()], of={"runningCount": 1, "pendingCount": 1, "deployments": [deployment()]}),
        "under way since 2026-11-03 09:50:00 UTC, 1 of 2 tasks run",
        "IN_PROGRESS",
        False,
    ),
    Example(
        "NOTHING_WRONG",
        seen(alive=MODEL, targets=[healthy(8), healthy(9)], logs=log(9, *UP)),
        "2 of 2 tasks run, 2 of 2 targets are healthy",
        "",
        False,
    ),
]

MISSES = [
    Miss("SERVICE_MISSING", seen(service=None, cluster_status=None), "it was not seen"),
    Miss("CLUSTER_MISSING", seen(cluster_status=None), "it was not seen"),
    Miss(
        "CIRCUIT_BREAKER",
        seen(alive=MODEL, rollouts=[{"deploymentCircuitBreaker": {"status": "MONITORING"}}]),
        "it only watches",
    ),
    Miss("SCALED_IN", seen(exited(1), of={}), "it ended by itself"),
    Miss("IN_PROGRESS", seen(unstarted(NOT_FOUND)), "something is wrong already"),
    Miss("NOTHING_WRONG", seen(alive=[running()], of={"runningCount": 1}), "one is missing"),
    Miss(
        "NOTHING_WRONG", seen(alive=MODEL, targets=[unhealthy(TIMEOUT, "Request timed out")]), "a target is not healthy"
    ),
    Miss("TASKS_MISSING", seen(alive=[running()], of={**FAILING, "runningCount": 1, "pendingCount": 1}), "under way"),
    Miss("NOT_SEEN", seen(alive=MODEL, unseen=("Alarms: no",)), "the service itself was seen"),
]
