"""The container runs, but its health checks fail: the one that ECS runs inside it, or the load balancer's."""

from tests.rollout.causes.evidence import (
    FAILING,
    NAME,
    UP,
    Example,
    Miss,
    beside,
    definition,
    event,
    healthy,
    listening,
    log,
    log_line,
    make_evidence,
    running,
    task,
    unhealthy,
)
from tests.rollout.causes.messages import (
    CURL,
    ELSEWHERE,
    INSIDE,
    MISMATCH,
    MODEL,
    ONE,
    OUTSIDE,
    STEADY,
    TIMEOUT,
    unhealthy_event,
)

EXAMPLES = [
    Example(
        "PORT_CLOSED",
        make_evidence(task(**INSIDE), logs=log(1, *(line.replace("5000", "8080") for line in UP))),
        "listens on port 8080; the task definition maps 5000",
        "listening on http://localhost:8080",
        True,
    ),
    Example(
        "PORT_CLOSED",
        make_evidence(
            running_tasks=[running(health="UNKNOWN")],
            targets=[unhealthy("Target.FailedHealthChecks", "Health checks failed")],
            logs=log(9, " * Running on http://127.0.0.1:8080"),
            service_changes=ONE,
        ),
        "listens on port 8080",
        ":8080",
        True,
        "by the load balancer",
    ),
    Example(
        "PORT_CLOSED",
        make_evidence(
            running_tasks=[running(health="UNHEALTHY")],
            logs=log(9, "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>"),
            service_changes=ONE,
        ),
        "Nothing listens on port 5000",
        "Connection refused",
        False,
        "refused",
    ),
    Example(
        "PORT_CLOSED",
        make_evidence(task(**INSIDE), logs=log(1, *UP), task_definition=definition(healthCheck=ELSEWHERE)),
        "health command calls port 8080, and the task definition maps 5000",
        "8080",
        True,
        "the command",
    ),
    Example(
        "HEALTH_PROGRAM_MISSING",
        make_evidence(task(**INSIDE), logs=log(1, *UP), task_definition=definition(healthCheck=CURL)),
        "curl, which is not installed in the image",
        "curl -f",
        True,
    ),
    Example(
        "HEALTH_PROGRAM_MISSING",
        make_evidence(
            running_tasks=[running(health="UNHEALTHY")],
            logs=log(9, *UP, "/bin/sh: 1: curl: not found"),
            task_definition=definition(healthCheck=CURL),
            service_changes=ONE,
        ),
        "curl, which is not installed in the image",
        "curl: not found",
        True,
        "named in the log",
    ),
    Example(
        "SLOW_START",
        make_evidence(
            task(**INSIDE, started=140, stopped=38),
            logs=log(1, listening(), log_line("loading the weights"), start=138),
        ),
        "102 s after its start, with 90 s allowed; its log shows that it was still starting",
        "failed container health checks",
        False,
    ),
    Example(
        "SLOW_START",
        make_evidence(task(**OUTSIDE, started=240, stopped=40), logs=log(1, *UP, start=230, step=80)),
        "was ready only after 170 s",
        "failed ELB health checks",
        False,
        "late",
    ),
    Example(
        "HEALTH_FLAPPING",
        make_evidence(
            task(1, **INSIDE, started=3000, stopped=40),
            task(2, **INSIDE, started=3600, stopped=300),
            logs={**log(1, *UP, start=2990), **log(2, *UP, start=3590)},
        ),
        "2 tasks were healthy for a while and then failed their checks, after 0:49:20",
        "failed container health checks",
        False,
    ),
    Example(
        "HEALTH_CONTAINER",
        make_evidence(task(**INSIDE, started=140, stopped=38), logs=log(1, *UP, start=138)),
        "its own health check fails",
        "failed container health checks",
        False,
    ),
    Example(
        "HEALTH_CONTAINER",
        make_evidence(
            events=[
                event(f"(service {NAME}) (task 0668979337dc48ebb791640cd1162053) failed container health checks."),
                event(
                    f"(service {NAME}) has started 1 tasks: (task 0668). Amazon ECS replaced 1 tasks due to an "
                    "unhealthy status."
                ),
            ],
            service_changes=FAILING,
        ),
        f"The container {NAME} runs, but its own health check fails in 1 task.",
        "failed container health checks",
        False,
        "event",
    ),
    Example(
        "HEALTH_REPLACED",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) has started 2 tasks: (task 0668) (task 0669). Amazon ECS replaced 2 tasks due "
                    "to an unhealthy status."
                )
            ],
            service_changes=FAILING,
        ),
        "a health check fails",
        "unhealthy status",
        False,
    ),
    Example(
        "SIDECAR_UNHEALTHY",
        make_evidence(beside(task(**INSIDE), "envoy", healthStatus="UNHEALTHY"), logs=log(1, *UP)),
        f"The health check of the sidecar envoy fails, and ECS stops the whole task for it; the health check of the "
        f"container {NAME} does not fail.",
        "failed container health checks",
        False,
    ),
    Example(
        "SIDECAR_UNHEALTHY",
        make_evidence(
            running_tasks=[
                {**beside(running(), "envoy", healthStatus="UNHEALTHY"), "healthStatus": "UNHEALTHY"},
            ],
            service_changes=ONE,
        ),
        "the sidecar envoy",
        "envoy says UNHEALTHY",
        False,
        "running",
    ),
    Example(
        "HEALTH_BALANCER",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy("Target.FailedHealthChecks", "Health checks failed")],
            logs=log(9, *UP),
            service_changes=ONE,
        ),
        "The load balancer's health check on /health fails.",
        "Health checks failed",
        False,
    ),
    Example(
        "HEALTH_PATH_MISSING",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [404]")],
            target_group={"HealthCheckPath": "/"},
            service_changes=ONE,
        ),
        "health check requests / and gets 404",
        "[404]",
        True,
    ),
    Example(
        "HEALTH_PATH_MISSING",
        make_evidence(task(**OUTSIDE), events=[event(unhealthy_event("Health checks failed with these codes: [404]"))]),
        "requests /health and gets 404",
        "[404]",
        True,
        "event",
    ),
    Example(
        "HEALTH_STATUS",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [401]")],
            service_changes=ONE,
        ),
        "gets 401: the path needs a key",
        "[401]",
        True,
    ),
    Example(
        "HEALTH_STATUS",
        make_evidence(
            running_tasks=[running()],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [502]")],
            service_changes=ONE,
        ),
        "gets 502: the service fails",
        "[502]",
        False,
        "5xx",
    ),
]

MISSES = [
    Miss(
        "HEALTH_CONTAINER",
        make_evidence(beside(task(**INSIDE), "envoy", healthStatus="UNHEALTHY"), logs=log(1, *UP)),
        "the check of a sidecar fails",
    ),
    Miss(
        "SIDECAR_UNHEALTHY",
        make_evidence(beside(task(**INSIDE, health="UNHEALTHY"), "envoy", healthStatus="UNHEALTHY")),
        "the serving container's check fails too",
    ),
    Miss(
        "SIDECAR_UNHEALTHY",
        make_evidence(running_tasks=[beside(running(), "envoy", healthStatus="UNHEALTHY")]),
        "ECS calls the task healthy",
    ),
    Miss(
        "HEALTH_PROGRAM_MISSING",
        make_evidence(
            beside(task(**INSIDE), "envoy", healthStatus="UNHEALTHY"),
            task_definition=definition(healthCheck=CURL),
        ),
        "the check of a sidecar fails",
    ),
    Miss(
        "HEALTH_REPLACED",
        make_evidence(
            running_tasks=MODEL,
            events=[
                STEADY,
                event(
                    f"(service {NAME}) has started 1 tasks: (task a). Amazon ECS replaced 1 tasks due to an unhealthy "
                    "status."
                ),
            ],
        ),
        "over since",
    ),
    Miss("PORT_CLOSED", make_evidence(running_tasks=[running()], logs=log(9, listening(8080))), "no check fails"),
    Miss("PORT_CLOSED", make_evidence(task(**INSIDE), logs=log(1, *UP)), "it listens on the right port"),
    Miss(
        "PORT_CLOSED",
        make_evidence(task(**INSIDE), logs=log(1, *UP, "metrics listening on :9090")),
        "one of two ports is right",
    ),
    Miss(
        "HEALTH_PROGRAM_MISSING",
        make_evidence(running_tasks=[running()], task_definition=definition(healthCheck=CURL)),
        "it passes, so it is there",
    ),
    Miss("HEALTH_PROGRAM_MISSING", make_evidence(task(**INSIDE), logs=log(1, *UP)), "the command is in Python"),
    Miss(
        "SLOW_START",
        make_evidence(task(**INSIDE, started=140, stopped=38), logs=log(1, *UP, start=138)),
        "it was up in time",
    ),
    Miss("SLOW_START", make_evidence(task(**INSIDE, started=140, stopped=38)), "there is no log"),
    Miss(
        "SLOW_START",
        make_evidence(task(**INSIDE, started=4000, stopped=38), logs=log(1, listening())),
        "it lived for an hour",
    ),
    Miss("HEALTH_FLAPPING", make_evidence(task(**INSIDE, started=3000, stopped=40)), "once may be chance"),
    Miss("HEALTH_FLAPPING", make_evidence(task(1, **INSIDE), task(2, **INSIDE)), "they were never healthy"),
    Miss("HEALTH_CONTAINER", make_evidence(running_tasks=[running(health="UNKNOWN")]), "not known yet"),
    Miss("HEALTH_BALANCER", make_evidence(running_tasks=[running()], targets=[healthy()]), "the target is healthy"),
    Miss(
        "HEALTH_BALANCER",
        make_evidence(
            running_tasks=[running()], targets=[unhealthy("Elb.RegistrationInProgress", "", state="initial")]
        ),
        "it is only being registered",
    ),
    Miss(
        "HEALTH_PATH_MISSING",
        make_evidence(
            running_tasks=[running()], targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [503]")]
        ),
        "another status",
    ),
    Miss(
        "HEALTH_PATH_MISSING",
        make_evidence(
            running_tasks=MODEL, events=[STEADY, event(unhealthy_event("Health checks failed with these codes: [404]"))]
        ),
        "over since",
    ),
    Miss(
        "HEALTH_PATH_MISSING",
        make_evidence(
            running_tasks=[running()],
            events=[event(unhealthy_event("Health checks failed with these codes: [404]"), 700)],
            service_changes=ONE,
        ),
        "of the deployment before",
    ),
    Miss(
        "HEALTH_STATUS",
        make_evidence(running_tasks=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")]),
        "no status at all",
    ),
]
