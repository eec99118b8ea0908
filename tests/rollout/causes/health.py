"""The container runs, and its health checks fail: its own, which ECS runs inside, or the load balancer's."""

from tests.rollout.causes.made import (
    UP,
    Example,
    Miss,
    definition,
    healthy,
    listening,
    log,
    running,
    said,
    seen,
    task,
    unhealthy,
)
from tests.rollout.causes.words import CURL, ELSEWHERE, INSIDE, ONE, OUTSIDE

EXAMPLES = [
    Example(
        "PORT_CLOSED",
        seen(task(**INSIDE), logs=log(1, *(line.replace("5000", "8080") for line in UP))),
        "listens on port 8080; the task definition maps 5000",
        "listening on http://localhost:8080",
        True,
    ),
    Example(
        "PORT_CLOSED",
        seen(
            alive=[running(health="UNKNOWN")],
            targets=[unhealthy("Target.FailedHealthChecks", "Health checks failed")],
            logs=log(9, " * Running on http://127.0.0.1:8080"),
            of=ONE,
        ),
        "listens on port 8080",
        ":8080",
        True,
        "by the load balancer",
    ),
    Example(
        "PORT_CLOSED",
        seen(
            alive=[running(health="UNHEALTHY")],
            logs=log(9, "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>"),
            of=ONE,
        ),
        "Nothing listens on port 5000",
        "Connection refused",
        False,
        "refused",
    ),
    Example(
        "PORT_CLOSED",
        seen(task(**INSIDE), logs=log(1, *UP), task_definition=definition(healthCheck=ELSEWHERE)),
        "health command asks port 8080, and the task definition maps 5000",
        "8080",
        True,
        "the command",
    ),
    Example(
        "HEALTH_PROGRAM_MISSING",
        seen(task(**INSIDE), logs=log(1, *UP), task_definition=definition(healthCheck=CURL)),
        "curl, which the image has not",
        "curl -f",
        True,
    ),
    Example(
        "HEALTH_PROGRAM_MISSING",
        seen(
            alive=[running(health="UNHEALTHY")],
            logs=log(9, *UP, "/bin/sh: 1: curl: not found"),
            task_definition=definition(healthCheck=CURL),
            of=ONE,
        ),
        "curl, which the image has not",
        "curl: not found",
        True,
        "in so many words",
    ),
    Example(
        "SLOW_START",
        seen(
            task(**INSIDE, started=140, stopped=38),
            logs=log(1, listening(), said("loading the weights"), start=138),
        ),
        "102 s after its start, with 90 s allowed; its log shows that it was still starting",
        "failed container health checks",
        False,
    ),
    Example(
        "SLOW_START",
        seen(task(**OUTSIDE, started=240, stopped=40), logs=log(1, *UP, start=230, step=80)),
        "was up only after 170 s",
        "failed ELB health checks",
        False,
        "late",
    ),
    Example(
        "HEALTH_FLAPPING",
        seen(
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
        seen(task(**INSIDE, started=140, stopped=38), logs=log(1, *UP, start=138)),
        "its own health check fails",
        "failed container health checks",
        False,
    ),
    Example(
        "HEALTH_BALANCER",
        seen(
            alive=[running()],
            targets=[unhealthy("Target.FailedHealthChecks", "Health checks failed")],
            logs=log(9, *UP),
            of=ONE,
        ),
        "The load balancer asks the tasks on /health, and is not content",
        "Health checks failed",
        False,
    ),
]

MISSES = [
    Miss("PORT_CLOSED", seen(alive=[running()], logs=log(9, listening(8080))), "nobody complains"),
    Miss("PORT_CLOSED", seen(task(**INSIDE), logs=log(1, *UP)), "it listens where it should"),
    Miss(
        "PORT_CLOSED", seen(task(**INSIDE), logs=log(1, *UP, "metrics listening on :9090")), "one of two ports is right"
    ),
    Miss(
        "HEALTH_PROGRAM_MISSING",
        seen(alive=[running()], task_definition=definition(healthCheck=CURL)),
        "it passes, so it is there",
    ),
    Miss("HEALTH_PROGRAM_MISSING", seen(task(**INSIDE), logs=log(1, *UP)), "the command is in Python"),
    Miss("SLOW_START", seen(task(**INSIDE, started=140, stopped=38), logs=log(1, *UP, start=138)), "it was up in time"),
    Miss("SLOW_START", seen(task(**INSIDE, started=140, stopped=38)), "no log, no verdict"),
    Miss(
        "SLOW_START", seen(task(**INSIDE, started=4000, stopped=38), logs=log(1, listening())), "it lived for an hour"
    ),
    Miss("HEALTH_FLAPPING", seen(task(**INSIDE, started=3000, stopped=40)), "once is no habit"),
    Miss("HEALTH_FLAPPING", seen(task(1, **INSIDE), task(2, **INSIDE)), "they were never healthy"),
    Miss("HEALTH_CONTAINER", seen(alive=[running(health="UNKNOWN")]), "not known yet"),
    Miss("HEALTH_BALANCER", seen(alive=[running()], targets=[healthy()]), "all is well"),
    Miss(
        "HEALTH_BALANCER",
        seen(alive=[running()], targets=[unhealthy("Elb.RegistrationInProgress", "", state="initial")]),
        "it is only registered",
    ),
]
