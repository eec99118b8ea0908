"""Where several things are wrong: the reason before what follows from it, what is so now before what is over.

And what every diagnosis has in common.
"""

import pytest

from deploy.aws.service import Deployment, Event
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.gather import subject
from deploy.diagnose.ranking import diagnose
from deploy.diagnose.registry import CAUSES
from tests.rollout.causes import EXAMPLES, words
from tests.rollout.causes.made import (
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
    running,
    said,
    seen,
    task,
    unhealthy,
    unstarted,
    weights,
)

FAILED = event(f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: tasks failed to start.", 30)
TIRED = event(f"(service {NAME}) is unable to consistently start tasks successfully.", 35)
BROKEN = [deployment("FAILED", words.BREAKER, failedTasks=3)]


def codes(found: Evidence) -> list[str]:
    return [one.code for one in diagnose(found)]


def test_the_circuit_breaker_comes_after_what_set_it_off() -> None:
    of = {"runningCount": 0, "deployments": BROKEN}
    found = seen(unstarted(words.NOT_FOUND), events=[FAILED, TIRED], of=of)
    assert codes(found) == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    found = seen(exited(1), events=[FAILED, TIRED], of=of)
    assert codes(found) == ["EXITED", "CIRCUIT_BREAKER"]


def test_tasks_that_ecs_takes_along_when_it_gives_up_hide_no_cause() -> None:
    pending = task(
        2,
        reason=f"Task stopped by (deployment {DEPLOYMENT})",
        code="ServiceSchedulerInitiated",
        started=None,
        stopped=20,
    )
    failed = unstarted(words.NOT_FOUND, 1, stopped=40)
    assert codes(seen(pending, failed)) == ["IMAGE_MISSING"]


def test_what_is_over_comes_after_what_is_so_now() -> None:
    first = unstarted(words.NOT_FOUND, 1, stopped=400)
    last = exited(137, 2, container="OutOfMemoryError: Container killed due to memory usage", stopped=20)
    assert codes(seen(last, first)) == ["OUT_OF_MEMORY", "IMAGE_MISSING"]
    over, now = (
        exited(137, 2, container="OutOfMemoryError: Container killed due to memory usage", stopped=400),
        unstarted(words.NOT_FOUND, 1, stopped=20),
    )
    assert codes(seen(now, over)) == ["IMAGE_MISSING", "OUT_OF_MEMORY"]


def test_what_was_certain_before_comes_after_what_is_only_a_symptom_now() -> None:
    first = unstarted(words.NOT_FOUND, 1, stopped=400)
    assert codes(seen(exited(9, 2, stopped=20), first)) == ["EXITED", "IMAGE_MISSING"]


def test_a_task_whose_log_has_not_arrived_yet_is_taken_for_one_that_stopped_in_the_same_way() -> None:
    newest, before = exited(1, 2, stopped=20), exited(1, 1, stopped=90)
    assert codes(seen(newest, before, logs=log(1, *words.TRACE))) == ["DEPENDENCY_MISSING"]
    assert diagnose(seen(newest, before, logs=log(1, *words.TRACE)))[0].weight > 0.9
    both = {**log(1, *words.TRACE), **log(2, listening(), "RuntimeError: another")}
    assert codes(seen(newest, before, logs=both)) == ["EXITED", "DEPENDENCY_MISSING"]


def test_what_happened_is_not_told_beside_why() -> None:
    trace = seen(exited(1), logs=log(1, *words.TRACE))
    assert codes(trace) == ["DEPENDENCY_MISSING"]
    path = unhealthy(words.MISMATCH, "Health checks failed with these codes: [404]")
    found = seen(task(**words.OUTSIDE), alive=[running()], targets=[path])
    assert codes(found) == ["HEALTH_PATH_MISSING", "HEALTH_BALANCER"]  # another task failed; nobody says on what


def test_a_task_for_which_no_reason_is_known_is_told_beside_one_for_which_it_is() -> None:
    found = seen(exited(1, 1), exited(9, 2), logs=log(1, *words.TRACE))
    assert codes(found) == ["DEPENDENCY_MISSING", "EXITED"]


def test_missing_weights_do_not_explain_a_container_that_ends() -> None:
    line = weights("weights_unreachable", "S3 cannot be reached (EndpointConnectionError).")
    assert codes(seen(exited(1), logs=log(1, listening(), line))) == ["EXITED", "WEIGHTS_UNREACHABLE"]
    unwell = [unhealthy("Target.FailedHealthChecks", "Health checks failed")]
    found = seen(alive=[running()], targets=unwell, logs=log(9, *UP, line), of=words.ONE)
    assert codes(found) == ["HEALTH_BALANCER", "WEIGHTS_UNREACHABLE"]


def test_an_alarm_that_stopped_a_deployment_comes_after_the_reason_for_its_tasks() -> None:
    alarm = {"AlarmName": "shine-unhealthy-hosts", "StateValue": "ALARM", "StateReason": "Threshold Crossed"}
    of = {"runningCount": 0, "deployments": [deployment("FAILED", "ECS deployment failed: alarm detected.")]}
    found = seen(exited(137, container="OutOfMemoryError: killed"), alarms=[alarm], of=of)
    assert codes(found) == ["OUT_OF_MEMORY", "DEPLOYMENT_ALARM", "ALARM_FIRING"]


def test_a_deployment_that_was_taken_back_keeps_its_reason_though_all_is_well_again() -> None:
    steady = event(f"(service {NAME}) has reached a steady state.", 5)
    refused = event(f"{words.PLACED}Capacity is unavailable at this time.", 90)
    long_ago = [
        event(f"(service {NAME}) has reached a steady state.", 4000),
        event(f"{words.PLACED}You've reached the limit on the number of vCPUs you can run concurrently.", 5000),
    ]
    of = {"deployments": [deployment("COMPLETED", id=BEFORE)]}
    found = seen(unstarted(words.NOT_FOUND), events=[steady, *words.BACK, refused, *long_ago], of=of)
    assert codes(found) == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    assert "went back to the deployment before" in diagnose(found)[1].sentence


def test_the_deployment_that_ecs_goes_back_from_is_looked_at_where_the_rollback_has_an_id_of_its_own() -> None:
    failed = Event(at=ago(30), text=f"(service {NAME}) (deployment {DEPLOYMENT}) deployment failed: alarm detected.")
    back = Event(at=ago(29), text=f"(service {NAME}) rolling back to deployment ecs-svc/9.")
    named = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/9."
    primary = Deployment(id="ecs-svc/9", status="PRIMARY", created=ago(29))
    assert subject([primary], [back, failed]) == DEPLOYMENT
    assert subject([primary.model_copy(update={"reason": named})], [failed]) == DEPLOYMENT
    assert subject([primary], [failed]) == "ecs-svc/9"  # somebody else's, as far as anybody says


def test_what_ends_a_rollout_at_once_is_only_what_no_waiting_cures() -> None:
    sure = {one.code for one in CAUSES.values() if one.deterministic}
    passing = {
        "CAPACITY", "QUOTA", "IMAGE_UNREACHABLE", "REGISTRY_LIMIT", "OUT_OF_MEMORY", "SLOW_START", "TARGET_TIMEOUT",
        "ROLE_NOT_ASSUMED", "WEIGHTS_UNREACHABLE", "HEALTH_FLAPPING", "EXITED", "CIRCUIT_BREAKER", "NOT_SEEN", "KILLED",
    }  # fmt: skip
    assert sure & passing == set()
    assert {"IMAGE_MISSING", "IMAGE_ARCHITECTURE", "PORT_CLOSED", "HEALTH_PATH_MISSING", "SECRET_MISSING"} <= sure


@pytest.mark.parametrize("one", EXAMPLES, ids=lambda one: f"{one.code} {one.name}".strip())
def test_evidence_names_the_task_or_the_place_and_the_time(one: Example) -> None:
    first = diagnose(one.seen)[0]
    assert first.sentence.endswith((".", "?", "…"))
    assert len(first.evidence) <= 6
    assert first.title
    assert first.repair.endswith(".") or "::" in first.repair
    if one.seen.failed and first.evidence and first.evidence[0].startswith(("stopped task", "log of task")):
        assert "2026-11-03 0" in first.evidence[0]
        assert first.at is not None


def test_a_log_line_in_json_is_shown_by_what_it_says() -> None:
    line = said("unhandled", "error", "shine.gateway", exception="Traceback…\n  File …\nKeyError: 'crop'")
    first = diagnose(seen(exited(1), logs=log(1, line)))[0]
    assert "its last words: error unhandled KeyError: 'crop'" in first.sentence
