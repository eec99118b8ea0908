"""What the load balancer gets from tasks, and what alarms say of the traffic."""

from tests.rollout.causes.made import GROUP, NAME, Example, Miss, deployment, event, running, seen, task, unhealthy
from tests.rollout.causes.words import MISMATCH, MODEL, ONE, OUTSIDE, STEADY, TIMEOUT, unwell

EXAMPLES = [
    Example(
        "HEALTH_PATH_MISSING",
        seen(
            alive=[running()],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [404]")],
            target_group={"HealthCheckPath": "/"},
            of=ONE,
        ),
        "asks / and is answered 404",
        "[404]",
        True,
    ),
    Example(
        "HEALTH_PATH_MISSING",
        seen(task(**OUTSIDE), events=[event(unwell("Health checks failed with these codes: [404]"))]),
        "is answered 404",
        "[404]",
        True,
        "event",
    ),
    Example(
        "HEALTH_STATUS",
        seen(alive=[running()], targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [401]")], of=ONE),
        "is answered 401: it wants a key there",
        "[401]",
        True,
    ),
    Example(
        "HEALTH_STATUS",
        seen(alive=[running()], targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [502]")], of=ONE),
        "is answered 502: the service fails",
        "[502]",
        False,
        "5xx",
    ),
    Example(
        "TARGET_TYPE",
        seen(
            events=[
                event(
                    f"(service {NAME}) failed to register targets in (target-group {GROUP}) with (error "
                    f"InvalidParameterException: The provided target group {GROUP} has target type instance, which is "
                    "incompatible with the awsvpc network mode specified in the task definition.)"
                )
            ],
            of=ONE,
        ),
        "type instance",
        "incompatible with the awsvpc",
        True,
    ),
    Example(
        "TARGET_TYPE",
        seen(alive=[running()], target_group={"TargetType": "instance"}),
        "type instance",
        "instance",
        True,
        "fact",
    ),
    Example(
        "TARGET_GROUP_MISSING",
        seen(
            alive=[running()],
            targets=[
                unhealthy(
                    "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                    state="unused",
                )
            ],
        ),
        "gets no traffic",
        "not configured to receive",
        True,
    ),
    Example(
        "TARGET_GROUP_MISSING",
        seen(alive=[running()], target_group_status="MISSING"),
        "does not exist",
        "there is no target group",
        True,
        "gone",
    ),
    Example(
        "DEPLOYMENT_ALARM",
        seen(
            alive=MODEL,
            of={"deployments": [deployment("FAILED", "ECS deployment failed: alarm detected.")]},
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
        seen(
            rollouts=[
                {
                    "status": "ROLLBACK_SUCCESSFUL",
                    "statusReason": "Service deployment rolled back because of alarms.",
                    "alarms": {"status": "TRIGGERED", "triggeredAlarmNames": ["shine-p95"]},
                }
            ],
            deployments=(),
            alive=MODEL,
        ),
        "shine-p95 was in ALARM",
        "rolled back because of alarms",
        False,
        "by name",
    ),
    Example(
        "ALARM_FIRING",
        seen(
            alive=MODEL,
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
        "HEALTH_PATH_MISSING",
        seen(alive=[running()], targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [503]")]),
        "another status",
    ),
    Miss(
        "HEALTH_PATH_MISSING",
        seen(alive=MODEL, events=[STEADY, event(unwell("Health checks failed with these codes: [404]"))]),
        "over since",
    ),
    Miss(
        "HEALTH_PATH_MISSING",
        seen(
            alive=[running()],
            events=[event(unwell("Health checks failed with these codes: [404]"), 700)],
            of=ONE,
        ),
        "of the deployment before",
    ),
    Miss(
        "HEALTH_STATUS", seen(alive=[running()], targets=[unhealthy(TIMEOUT, "Request timed out")]), "no status at all"
    ),
    Miss("TARGET_GROUP_MISSING", seen(alive=[running()], target_group=None), "it is there"),
    Miss("ALARM_FIRING", seen(alive=MODEL, alarms=[{"AlarmName": "a", "StateValue": "INSUFFICIENT_DATA"}]), "no data"),
    Miss("DEPLOYMENT_ALARM", seen(alive=MODEL, rollouts=[{"alarms": {"status": "MONITORING"}}]), "it only watches"),
]
