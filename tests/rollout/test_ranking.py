"""Where several things are wrong, the reason comes before its consequences, and the present before the past.

Also what every diagnosis has in common.
"""

import pytest

from deploy.aws.service import Deployment, Event
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.gather import subject
from deploy.diagnose.ranking import diagnose
from tests.rollout.causes import EXAMPLES, messages
from tests.rollout.causes.evidence import (
    BEFORE,
    DEPLOYMENT,
    NAME,
    UP,
    Example,
    ago,
    deployment,
    event,
    exited,
    listening,
    log,
    log_line,
    make_evidence,
    running,
    task,
    unhealthy,
    unstarted,
    weights,
)

FAILED = event(f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: tasks failed to start.", 30)
TIRED = event(f"(service {NAME}) is unable to consistently start tasks successfully.", 35)
BROKEN = [deployment("FAILED", messages.BREAKER, failedTasks=3)]


def codes(evidence: Evidence) -> list[str]:
    return [cause.code for cause in diagnose(evidence)]


def test_the_circuit_breaker_comes_after_what_set_it_off() -> None:
    changes = {"runningCount": 0, "deployments": BROKEN}
    evidence = make_evidence(unstarted(messages.NOT_FOUND), events=[FAILED, TIRED], service_changes=changes)
    assert codes(evidence) == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    evidence = make_evidence(exited(1), events=[FAILED, TIRED], service_changes=changes)
    assert codes(evidence) == ["EXITED", "CIRCUIT_BREAKER"]


def test_tasks_that_ecs_stops_with_the_deployment_hide_no_cause() -> None:
    pending = task(
        2,
        reason=f"Task stopped by (deployment {DEPLOYMENT})",
        code="ServiceSchedulerInitiated",
        started=None,
        stopped=20,
    )
    failed = unstarted(messages.NOT_FOUND, 1, stopped=40)
    assert codes(make_evidence(pending, failed)) == ["IMAGE_MISSING"]


def test_a_past_cause_comes_after_a_present_one() -> None:
    first = unstarted(messages.NOT_FOUND, 1, stopped=400)
    last = exited(137, 2, container="OutOfMemoryError: Container killed due to memory usage", stopped=20)
    assert codes(make_evidence(last, first)) == ["OUT_OF_MEMORY", "IMAGE_MISSING"]
    over, now = (
        exited(137, 2, container="OutOfMemoryError: Container killed due to memory usage", stopped=400),
        unstarted(messages.NOT_FOUND, 1, stopped=20),
    )
    assert codes(make_evidence(now, over)) == ["IMAGE_MISSING", "OUT_OF_MEMORY"]


def test_what_was_certain_before_comes_after_what_is_only_a_symptom_now() -> None:
    first = unstarted(messages.NOT_FOUND, 1, stopped=400)
    assert codes(make_evidence(exited(9, 2, stopped=20), first)) == ["EXITED", "IMAGE_MISSING"]


def test_a_task_whose_log_has_not_arrived_yet_counts_as_one_that_stopped_in_the_same_way() -> None:
    newest, before = exited(1, 2, stopped=20), exited(1, 1, stopped=90)
    assert codes(make_evidence(newest, before, logs=log(1, *messages.TRACE))) == ["DEPENDENCY_MISSING"]
    assert diagnose(make_evidence(newest, before, logs=log(1, *messages.TRACE)))[0].weight > 0.9
    both = {**log(1, *messages.TRACE), **log(2, listening(), "RuntimeError: another")}
    assert codes(make_evidence(newest, before, logs=both)) == ["EXITED", "DEPENDENCY_MISSING"]


def test_a_symptom_is_not_reported_beside_its_cause() -> None:
    trace = make_evidence(exited(1), logs=log(1, *messages.TRACE))
    assert codes(trace) == ["DEPENDENCY_MISSING"]
    path = unhealthy(messages.MISMATCH, "Health checks failed with these codes: [404]")
    evidence = make_evidence(task(**messages.OUTSIDE), running_tasks=[running()], targets=[path])
    assert codes(evidence) == ["HEALTH_PATH_MISSING", "HEALTH_BALANCER"]  # another task failed; nothing says why


def test_a_task_without_a_known_cause_is_reported_beside_one_with_a_cause() -> None:
    evidence = make_evidence(exited(1, 1), exited(9, 2), logs=log(1, *messages.TRACE))
    assert codes(evidence) == ["DEPENDENCY_MISSING", "EXITED"]


def test_missing_weights_do_not_explain_a_container_that_ends() -> None:
    line = weights("weights_unreachable", "S3 cannot be reached (EndpointConnectionError).")
    assert codes(make_evidence(exited(1), logs=log(1, listening(), line))) == ["EXITED", "WEIGHTS_UNREACHABLE"]
    unhealthy_targets = [unhealthy("Target.FailedHealthChecks", "Health checks failed")]
    evidence = make_evidence(
        running_tasks=[running()], targets=unhealthy_targets, logs=log(9, *UP, line), service_changes=messages.ONE
    )
    assert codes(evidence) == ["HEALTH_BALANCER", "WEIGHTS_UNREACHABLE"]


def test_an_alarm_that_stopped_a_deployment_comes_after_the_reason_for_its_tasks() -> None:
    alarm = {"AlarmName": "shine-unhealthy-hosts", "StateValue": "ALARM", "StateReason": "Threshold Crossed"}
    changes = {"runningCount": 0, "deployments": [deployment("FAILED", "ECS deployment failed: alarm detected.")]}
    evidence = make_evidence(exited(137, container="OutOfMemoryError: killed"), alarms=[alarm], service_changes=changes)
    assert codes(evidence) == ["OUT_OF_MEMORY", "DEPLOYMENT_ALARM", "ALARM_FIRING"]


def test_a_deployment_that_was_rolled_back_keeps_its_cause_though_the_service_is_healthy_again() -> None:
    steady = event(f"(service {NAME}) has reached a steady state.", 5)
    refused = event(f"{messages.PLACED}Capacity is unavailable at this time.", 90)
    long_ago = [
        event(f"(service {NAME}) has reached a steady state.", 4000),
        event(f"{messages.PLACED}You've reached the limit on the number of vCPUs you can run concurrently.", 5000),
    ]
    changes = {"deployments": [deployment("COMPLETED", id=BEFORE)]}
    evidence = make_evidence(
        unstarted(messages.NOT_FOUND), events=[steady, *messages.BACK, refused, *long_ago], service_changes=changes
    )
    assert codes(evidence) == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    assert "went back to the deployment before" in diagnose(evidence)[1].sentence


def test_the_deployment_that_ecs_rolled_back_is_diagnosed_though_the_rollback_has_its_own_id() -> None:
    failed = Event(at=ago(30), text=f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: alarm detected.")
    back = Event(at=ago(29), text=f"(service {NAME}) rolling back to deployment ecs-svc/9.")
    named = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/9."
    primary = Deployment(id="ecs-svc/9", status="PRIMARY", created=ago(29))
    assert subject([primary], [back, failed]) == DEPLOYMENT
    assert subject([primary.model_copy(update={"reason": named})], [failed]) == DEPLOYMENT
    assert subject([primary], [failed]) == "ecs-svc/9"  # somebody else's, as far as is known


def test_only_causes_that_waiting_cannot_fix_end_a_rollout_at_once() -> None:
    certain = {cause.code for cause in CAUSES.values() if cause.deterministic}
    passing = {
        "CAPACITY", "QUOTA", "IMAGE_UNREACHABLE", "REGISTRY_LIMIT", "OUT_OF_MEMORY", "SLOW_START", "TARGET_TIMEOUT",
        "ROLE_NOT_ASSUMED", "WEIGHTS_UNREACHABLE", "HEALTH_FLAPPING", "EXITED", "CIRCUIT_BREAKER", "NOT_SEEN", "KILLED",
    }  # fmt: skip
    assert certain & passing == set()
    assert {
        "IMAGE_MISSING",
        "IMAGE_ARCHITECTURE",
        "PORT_CLOSED",
        "HEALTH_PATH_MISSING",
        "SECRET_MISSING",
    } <= certain


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.code} {example.name}".strip())
def test_evidence_names_the_task_or_the_place_and_the_time(example: Example) -> None:
    first = diagnose(example.evidence)[0]
    assert first.sentence.endswith((".", "?", "…"))
    assert len(first.evidence) <= 6
    assert first.title
    assert first.repair.endswith(".") or "::" in first.repair
    if example.evidence.failed and first.evidence and first.evidence[0].startswith(("stopped task", "log of task")):
        assert "2026-11-03 0" in first.evidence[0]
        assert first.at is not None


def test_a_log_line_in_json_is_shown_by_its_message() -> None:
    line = log_line("unhandled", "error", "shine.gateway", exception="Traceback…\n  File …\nKeyError: 'crop'")
    first = diagnose(make_evidence(exited(1), logs=log(1, line)))[0]
    assert "the last log line: error unhandled KeyError: 'crop'" in first.sentence
