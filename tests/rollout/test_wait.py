"""How a deployment has ended: completed, failed and rolled back by ECS, or replaced by somebody else's.

AWS's answers are checked against botocore's model by its Stubber.
"""

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from bentos.skin.contract import contract
from deploy import exit_codes as exits
from deploy.aws import service as ecs
from deploy.aws.clients import Clients
from deploy.aws.errors import AwsError, Denied, Refused, Throttled
from deploy.aws.service import ServiceSnapshot
from deploy.aws.task import Task
from deploy.config.plan import Plan
from deploy.diagnose.cause import Diagnosis
from deploy.record.trail import Attempt
from deploy.rollout import prove, resume, wait
from deploy.rollout import rollback as rollbacks
from deploy.rollout.output import LogReporter
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession
from deploy.rollout.wait import DeploymentOutcome, deployment_outcome, stop_deployment
from tests.deploy.infra_plans import plan
from tests.rollout.records import attempt, image, record

BEGUN = datetime(2026, 11, 3, 12, 4, tzinfo=UTC)
OLD, OURS, ROLLBACK, THEIRS = "ecs-svc/1", "ecs-svc/2", "ecs-svc/3", "ecs-svc/4"
HERE = "arn:aws:ecs:us-east-1:123456789012"
BEFORE, AFTER = f"{HERE}:task-definition/shine-api-gateway:1", f"{HERE}:task-definition/shine-api-gateway:2"
REVISION, NEWER = (f"{HERE}:service-revision/shine-ml-cluster/shine-api-gateway/{number}" for number in (1, 2))
RELEASE, ANOTHER = (f"{HERE}:service-deployment/shine-ml-cluster/shine-api-gateway/{name}" for name in "ab")
BROKEN = "Service deployment rolled back because the circuit breaker threshold was exceeded."
PLAN: Plan = plan(None)


def later(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def deployment(name: str, begun: float, **changes: Any) -> dict[str, Any]:
    """As DescribeServices answers; of the task definition before, and IN_PROGRESS, unless it is said."""
    made = {
        "id": name,
        "status": "ACTIVE",
        "taskDefinition": BEFORE,
        "desiredCount": 2,
        "createdAt": later(begun),
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": f"ECS deployment {name} in progress.",
    }
    return {**made, **changes}


def event(message: str, at: float) -> dict[str, Any]:
    return {"id": str(at), "createdAt": later(at), "message": f"(service shine-api-gateway) {message}"}


FAILED = event(f"(deployment {OURS}) deployment failed: tasks failed to start.", 60)
BACK = event(f"rolling back to deployment {ROLLBACK}.", 61)
PRIMARY = deployment(ROLLBACK, 61, status="PRIMARY")
NAMED = f"ECS deployment circuit breaker: rolling back to deploymentId {ROLLBACK}."


def shows(
    *deployments: dict[str, Any], events: tuple[dict[str, Any], ...] = (), runs: str = REVISION
) -> ServiceSnapshot:
    """The service at one moment."""
    revisions = [{"arn": runs, "requestedTaskCount": 2}]
    result = {"deployments": list(deployments), "events": list(events), "currentServiceRevisions": revisions}
    return ServiceSnapshot(later(90), result, ecs.deployments(result), [], [], ecs.events(result))


def service_deployment(arn: str = RELEASE, begun: float = 0, status: str = "ROLLBACK_IN_PROGRESS") -> dict[str, Any]:
    """As ListServiceDeployments answers."""
    return {"serviceDeploymentArn": arn, "createdAt": later(begun), "status": status, "statusReason": BROKEN}


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session("akid", "secret", region_name="us-east-1")


@pytest.fixture
def clients(session: boto3.Session) -> Iterator[Clients]:
    """Every call of ECS's is answered by a test."""
    made = Clients("us-east-1", session=session)
    with Stubber(made.few_tries("ecs")) as stub:
        made._few_tries["stub"] = stub
        yield made
        stub.assert_no_pending_responses()


@pytest.fixture
def asked(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Operations that ECS was asked for."""
    names: list[str] = []
    client = clients.few_tries("ecs")
    call = client._make_api_call

    def recorded(operation: str, parameters: dict[str, Any]) -> Any:
        names.append(operation)
        return call(operation, parameters)

    monkeypatch.setattr(client, "_make_api_call", recorded)
    return names


def lists(clients: Clients, *found: dict[str, Any]) -> None:
    """ListServiceDeployments answers."""
    asked = {"cluster": PLAN.cluster, "service": PLAN.service, "createdAt": ANY}
    clients._few_tries["stub"].add_response("list_service_deployments", {"serviceDeployments": list(found)}, asked)


def describes(clients: Clients, revision: str = REVISION) -> None:
    """DescribeServiceDeployments answers for ours, which was rolled back to a revision."""
    rollback = {"reason": BROKEN, "startedAt": later(61), "serviceRevisionArn": revision}
    whole = {
        **service_deployment(),
        "sourceServiceRevisions": [{"arn": REVISION}],
        "targetServiceRevision": {"arn": NEWER},
        "rollback": rollback,
    }
    asked = {"serviceDeploymentArns": [RELEASE]}
    clients._few_tries["stub"].add_response("describe_service_deployments", {"serviceDeployments": [whole]}, asked)


def refuses(clients: Clients, operation: str, code: str, message: str = "no", status: int = 400) -> None:
    """ECS answers with an error."""
    clients._few_tries["stub"].add_client_error(operation, code, message, http_status_code=status)


def ended(
    clients: Clients, seen: ServiceSnapshot, known: frozenset[str] = frozenset({OLD})
) -> DeploymentOutcome | None:
    return deployment_outcome(clients, PLAN, seen, OURS, set(known), BEGUN)


# --- rolled back by ECS under a new id ---------------------------------------------------------------------------


def test_events_tell_a_rollback_of_ecs_from_a_deployment_of_somebody_else(clients: Clients, asked: list[str]) -> None:
    result = ended(clients, shows(PRIMARY, events=(BACK, FAILED)))
    assert result is not None
    assert (result.kind, result.rollback, asked) == ("failed", ROLLBACK, [])
    assert result.sentence == (
        f"{OURS} failed: tasks failed to start. ECS rolled back to shine-api-gateway:1 ({ROLLBACK})."
    )


def test_a_rollback_is_known_when_it_is_over_and_both_deployments_say_nothing_of_it_any_more(clients: Clients) -> None:
    done = {**PRIMARY, "rolloutState": "COMPLETED", "rolloutStateReason": f"ECS deployment {ROLLBACK} completed."}
    result = ended(clients, shows(done, events=(event("has reached a steady state.", 80), BACK, FAILED)))
    assert result is not None
    assert result.kind == "failed"


def test_an_alarm_is_named_as_the_reason(clients: Clients) -> None:
    alarm = event(f"(deployment {OURS}) deployment failed: alarm detected.", 60)
    ours = deployment(OURS, 0, taskDefinition=AFTER, rolloutState="FAILED", rolloutStateReason="alarm detected")
    result = ended(clients, shows(PRIMARY, ours, events=(BACK, alarm)))
    assert result is not None
    assert (result.kind, result.sentence.partition(". ")[0]) == ("failed", f"{OURS} failed: alarm detected")


@pytest.mark.parametrize("status", ["ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"])
def test_the_service_deployment_tells_where_events_say_nothing(clients: Clients, status: str) -> None:
    lists(clients, service_deployment(status=status))
    describes(clients)
    result = ended(clients, shows(PRIMARY))
    assert result is not None
    assert (result.kind, result.rollback) == ("failed", ROLLBACK)
    assert BROKEN.rstrip(".") in result.sentence


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDeniedException", 400), ("ServerException", 500), ("UnknownOperationException", 400), ("404", 404)],
)
def test_the_reason_of_the_new_deployment_tells_where_nothing_else_does(
    clients: Clients, code: str, status: int
) -> None:
    refuses(clients, "list_service_deployments", code, status=status)
    result = ended(clients, shows({**PRIMARY, "rolloutStateReason": NAMED}))
    assert result is not None
    assert (result.kind, result.rollback) == ("failed", ROLLBACK)


def test_expired_credentials_are_no_answer(clients: Clients) -> None:
    refuses(clients, "list_service_deployments", "ExpiredTokenException")
    with pytest.raises(ClientError, match="ExpiredToken"):
        ended(clients, shows(PRIMARY))


def test_a_rollback_under_the_earlier_id_needs_no_question(clients: Clients, asked: list[str]) -> None:
    old = deployment(OLD, -900, status="PRIMARY")
    result = ended(clients, shows(old, events=(event(f"rolling back to deployment {OLD}.", 61), FAILED)))
    assert result is not None
    assert (result.kind, result.rollback, asked) == ("failed", OLD, [])
    assert "tasks failed to start. ECS rolled back to shine-api-gateway:1" in result.sentence


# --- deployed by somebody else -----------------------------------------------------------------------------------


def test_another_service_deployment_is_somebody_elses(clients: Clients) -> None:
    lists(clients, service_deployment(ANOTHER, 30, "IN_PROGRESS"), service_deployment(status="STOPPED"))
    result = ended(clients, shows(deployment(THEIRS, 30, status="PRIMARY")))
    assert result is not None
    assert (result.kind, result.rollback) == ("overtaken", None)
    assert "somebody else has deployed" in result.sentence


def test_somebody_else_may_deploy_after_ours_was_rolled_back(clients: Clients, asked: list[str]) -> None:
    lists(clients, service_deployment(ANOTHER, 70, "IN_PROGRESS"), service_deployment(status="ROLLBACK_SUCCESSFUL"))
    result = ended(clients, shows(deployment(THEIRS, 70, status="PRIMARY")))
    assert result is not None
    assert (result.kind, asked) == ("overtaken", ["ListServiceDeployments"])


def test_a_service_deployment_that_was_begun_before_ours_is_not_counted(clients: Clients) -> None:
    lists(clients, service_deployment(), service_deployment(ANOTHER, -900, "SUCCESSFUL"))
    describes(clients)
    result = ended(clients, shows(PRIMARY))
    assert result is not None
    assert result.kind == "failed"


def test_what_ecs_rolls_back_of_somebody_elses_is_not_ours(clients: Clients) -> None:
    theirs = event(f"(deployment {THEIRS}) deployment failed: tasks failed to start.", 60)
    result = ended(clients, shows({**PRIMARY, "rolloutStateReason": NAMED}, events=(BACK, theirs)))
    assert result is not None
    assert result.kind == "overtaken"


def test_an_earlier_failure_says_nothing_of_ours(clients: Clients) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    before = event("(deployment ecs-svc/0) deployment failed: tasks failed to start.", -900)
    result = ended(clients, shows(deployment(THEIRS, 30, status="PRIMARY"), events=(before,)))
    assert result is not None
    assert result.kind == "overtaken"


def test_a_list_that_does_not_show_their_update_yet_deceives_nobody(clients: Clients) -> None:
    lists(clients, service_deployment())
    describes(clients)
    result = ended(clients, shows(deployment(THEIRS, 70, status="PRIMARY"), runs=NEWER))
    assert result is not None
    assert result.kind == "overtaken"


def test_ours_had_failed_when_somebody_else_deployed(clients: Clients) -> None:
    """The cause is ours, what runs is theirs: it is left alone."""
    observed = shows(deployment(THEIRS, 70, status="PRIMARY"), events=(BACK, FAILED))
    both = service_deployment(ANOTHER, 70, "IN_PROGRESS"), service_deployment()
    lists(clients, *both)
    result = ended(clients, observed)
    assert result is not None
    assert (result.kind, result.rollback, result.sentence) == ("failed", None, f"{OURS} failed: tasks failed to start.")
    lists(clients, *both)
    with pytest.raises(ConcurrentDeploymentError, match=f"{THEIRS} is newer and somebody else's"):
        rollbacks.refuse_newer_deployment(session_of(clients), observed, {OLD, OURS}, OURS, BEGUN)


def test_a_rollback_of_ours_is_not_in_the_way(clients: Clients) -> None:
    done = {**PRIMARY, "rolloutState": "COMPLETED", "rolloutStateReason": f"ECS deployment {ROLLBACK} completed."}
    observed = shows(done, events=(BACK, FAILED))
    rollbacks.refuse_newer_deployment(session_of(clients), observed, {OLD, OURS}, OURS, BEGUN)
    with pytest.raises(ConcurrentDeploymentError):
        rollbacks.refuse_newer_deployment(session_of(clients), observed, {OLD, OURS}, None, BEGUN)


def test_each_deployment_of_a_rollback_is_ours_and_so_is_what_ecs_makes_of_it(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first release fails, and ECS rolls it back under a new id; the second is deployed all the same."""
    first, second = (rollbacks.Release(runs(f"{HERE}:task-definition/shine-api-gateway:{number}")) for number in (8, 9))
    known, made = shows(deployment(OLD, -900, status="PRIMARY")), session_of(clients)
    made.attempt = left(made).model_copy(update={"command": "rollback", "deployment": None})
    rolled_back = shows(PRIMARY, events=(BACK, FAILED))
    snapshots, submitted = iter([known, rolled_back]), iter([OURS, "ecs-svc/9"])
    failed = DeploymentOutcome("failed", "It failed.", rolled_back)
    ends = iter([failed, DeploymentOutcome("completed", "It runs.", known)])
    monkeypatch.setattr(ecs, "read_snapshot", lambda *_: next(snapshots))
    monkeypatch.setattr(rollbacks, "submit_release", lambda *_: next(submitted))
    monkeypatch.setattr(rollbacks, "follow_deployment", lambda *_: next(ends))
    monkeypatch.setattr(rollbacks, "wait_until_serving", lambda *_: None)
    monkeypatch.setattr(RolloutSession, "_write", lambda _: None)
    restored, sentence, release = rollbacks.roll_back(made, [first, second], {OLD})
    assert (restored, release) == (True, second), sentence
    assert left(made).deployment == "ecs-svc/9"


# --- stopped by us -----------------------------------------------------------------------------------------------

MOVING = shows(deployment(OURS, 0, status="PRIMARY", taskDefinition=AFTER), deployment(OLD, -900))
WHO = "arn:aws:sts::123456789012:assumed-role/deployer/ci"


def stops(clients: Clients) -> bool:
    ours = MOVING.deployment(OURS)
    assert ours is not None
    return stop_deployment(clients, PLAN, ours)


def test_ours_is_stopped_and_no_other(clients: Clients) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    asked = {"serviceDeploymentArn": RELEASE, "stopType": "ROLLBACK"}
    answer = {"serviceDeploymentArn": RELEASE}
    clients._few_tries["stub"].add_response("stop_service_deployment", answer, asked)
    assert stops(clients) is True
    lists(clients, service_deployment(ANOTHER, 30, "IN_PROGRESS"), service_deployment(status="STOPPED"))
    assert stops(clients) is False


@pytest.mark.parametrize("named", [True, False])
def test_a_missing_permission_is_named_with_the_statement_to_add(clients: Clients, named: bool) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    action = f"not authorized to perform: ecs:StopServiceDeployment on resource: {RELEASE} because no policy allows it"
    message = f"User: {WHO} is {action}" if named else "Access denied."
    refuses(clients, "stop_service_deployment", "AccessDeniedException", message)
    with pytest.raises(Denied) as refused:
        stops(clients)
    every = RELEASE.rpartition("/")[0] + "/*"
    assert (refused.value.action, refused.value.resource) == ("ecs:StopServiceDeployment", every)
    assert f'"Action": "ecs:StopServiceDeployment", "Resource": "{every}"' in refused.value.advice


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ServerException", 500, Refused),
        ("ThrottlingException", 400, Throttled),
        ("AccessDeniedException", 400, Denied),
    ],
)
def test_a_listing_that_fails_is_told_by_its_kind(
    clients: Clients, code: str, status: int, kind: type[AwsError]
) -> None:
    refuses(clients, "list_service_deployments", code, status=status)
    with pytest.raises(kind, match="ListServiceDeployments"):
        stops(clients)


@pytest.mark.parametrize("code", ["ConflictException", "ServiceDeploymentNotFoundException"])
def test_what_has_ended_meanwhile_is_not_stopped(clients: Clients, code: str) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    refuses(clients, "stop_service_deployment", code)
    assert stops(clients) is False


def test_an_endpoint_that_does_not_know_the_call_stops_nothing(clients: Clients) -> None:
    refuses(clients, "list_service_deployments", "NotImplemented", status=501)
    assert stops(clients) is False


def test_a_call_that_can_be_done_without_is_tried_three_times() -> None:
    made = Clients("us-east-1", session=boto3.Session("akid", "secret"))
    assert made.few_tries("ecs").meta.config.retries["total_max_attempts"] == 3
    assert made["ecs"].meta.config.retries["total_max_attempts"] == 8
    with pytest.raises(Exception, match="dry run"):
        Clients("us-east-1", writes=False, session=made.session).few_tries("ecs").stop_service_deployment(
            serviceDeploymentArn=RELEASE
        )


# --- what is done about it ---------------------------------------------------------------------------------------

CAUSE = Diagnosis(
    code="PORT_CLOSED", title="Nothing listens", sentence="Port 5000 is closed.", evidence=["refused"], repair="Open.",
    deterministic=True, weight=0.9,
)  # fmt: skip


def test_tasks_that_end_after_one_was_healthy_are_diagnosed(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """ECS counts no failure then, and starts others for ever."""
    rounds = iter([["a", "b"], ["a", "b"], ["b", "c"], ["c", "d"]])
    asked: list[int] = []

    def snapshot(*_: Any) -> ServiceSnapshot:
        now = shows(deployment(OURS, 0, status="PRIMARY", taskDefinition=AFTER))
        return replace(now, tasks=[Task(id=name, started_by=OURS, health="HEALTHY") for name in next(rounds)])

    def find_cause() -> Diagnosis:
        asked.append(len(asked))
        return CAUSE

    monkeypatch.setattr(wait, "read_snapshot", snapshot)
    timing, reporter = wait.Timing(0.001, 60), LogReporter(io.StringIO())
    outcome = wait.follow_deployment(clients, PLAN, OURS, {OLD}, BEGUN, timing, reporter, find_cause)
    assert (outcome.kind, outcome.cause, len(asked)) == ("cause", CAUSE, 2)
    assert next(rounds, None) is None


def session_of(clients: Clients, **changes: Any) -> RolloutSession:
    """One with an attempt whose deployment is ours; nothing is written."""
    made = RolloutSession(
        plan=PLAN, contract=contract().model_dump(mode="json"), clients=clients, store=None, who="a",  # type: ignore[arg-type]
        reporter=LogReporter(io.StringIO()), every_s=0.01, **changes,
    )  # fmt: skip
    made.attempt = attempt("2", "hybrid", "running", deployment=OURS, started=BEGUN, deployed=runs(AFTER))
    return made


def runs(task_definition: str) -> Any:
    return image("sha256:" + "0" * 64).model_copy(update={"task_definition": task_definition})


@pytest.fixture
def gone_back(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str, set[str]]]:
    """How going back was asked for: exit code, outcome, sentence, deployments that are ours or were there before."""
    asked: list[tuple[int, str, str, set[str]]] = []

    def after_failure(_: RolloutSession, code: int, outcome: str, said: str, mine: set[str]) -> Result:
        asked.append((code, outcome, said, mine))
        return Result(code, said)

    monkeypatch.setattr(rollbacks, "roll_back_failure", after_failure)
    monkeypatch.setattr(prove, "likely_cause", lambda *_: CAUSE)
    monkeypatch.setattr(RolloutSession, "_write", lambda _: None)
    return asked


def test_a_rollback_by_ecs_is_a_failure_of_ours_with_its_cause(clients: Clients, gone_back: list[Any]) -> None:
    result, made = ended(clients, shows(PRIMARY, events=(BACK, FAILED))), session_of(clients)
    assert result is not None
    assert prove.handle_failed_deployment(made, result, {OLD}).exit == exits.PLATFORM
    assert gone_back == [
        (exits.PLATFORM, "platform_failed", "Nothing listens: Port 5000 is closed.", {OLD, OURS, ROLLBACK})
    ]
    assert made.attempt is not None
    assert (made.attempt.cause, made.attempt.evidence) == ("PORT_CLOSED", ["refused", result.sentence])


def test_without_the_permission_to_stop_it_update_service_goes_back(clients: Clients, gone_back: list[Any]) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    refuses(clients, "stop_service_deployment", "AccessDeniedException", "Access denied.")
    prove.handle_failed_deployment(
        session_of(clients), DeploymentOutcome("cause", "Nothing listens.", MOVING, CAUSE), {OLD}
    )
    [(code, outcome, output, mine)] = gone_back
    assert (code, outcome, mine) == (exits.PLATFORM, "cause_found", {OLD, OURS})
    assert output.startswith("Nothing listens: Port 5000 is closed. ECS could not stop the deployment: ")
    assert '"Action": "ecs:StopServiceDeployment", "Resource": "' in output
    assert output.endswith("It is rolled back by UpdateService instead.")


def test_where_the_listing_fails_update_service_goes_back_and_says_why(clients: Clients, gone_back: list[Any]) -> None:
    refuses(clients, "list_service_deployments", "ServerException", "Service Unavailable.", 500)
    prove.handle_failed_deployment(session_of(clients), DeploymentOutcome("late", "It has not ended.", MOVING), {OLD})
    [(code, outcome, output, _)] = gone_back
    assert (code, outcome) == (exits.PLATFORM, "cause_found")
    assert "AWS refuses ecs ListServiceDeployments (ServerException): Service Unavailable." in output
    assert output.endswith("It is rolled back by UpdateService instead.")


# --- resumed -----------------------------------------------------------------------------------------------------


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Deployments that a resumed attempt takes for earlier ones."""
    known: list[set[str]] = []

    def judged(_: RolloutSession, __: Attempt, earlier: set[str]) -> Result:
        known.append(earlier)
        return Result(exits.FINE, "")

    monkeypatch.setattr(resume, "prove", judged)
    monkeypatch.setattr(RolloutSession, "_write", lambda _: None)
    return known


def left(made: RolloutSession) -> Attempt:
    assert made.attempt is not None
    return made.attempt


@pytest.mark.parametrize("name", [ROLLBACK, THEIRS])
def test_resume_takes_no_newer_deployment_for_an_earlier_one(
    clients: Clients, followed: list[set[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Ours is no longer in the list: what runs may be ECS's rollback of it, or somebody else's deployment."""
    observed = shows(deployment(name, 61, status="PRIMARY"), deployment(OLD, -900))
    monkeypatch.setattr(ecs, "read_snapshot", lambda *_: observed)
    made = session_of(clients)
    resume.finish(made, left(made))
    assert followed == [{OLD}]


def test_going_back_that_was_cut_off_is_known_by_what_it_runs(
    clients: Clients, gone_back: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ecs, "read_snapshot", lambda *_: shows(deployment("ecs-svc/9", 90, status="PRIMARY")))
    made = session_of(clients, record=record([attempt("1", "simple", deployed=runs(BEFORE))]))
    made.attempt = left(made).model_copy(update={"cause": "PORT_CLOSED"})
    resume.finish(made, left(made))
    assert gone_back == [(exits.PLATFORM, "cause_found", "It failed because of PORT_CLOSED.", {OURS, "ecs-svc/9"})]
