"""A deployment that is known to be bad is stopped, or taken back by UpdateService where ECS cannot be asked to.

AWS's answers are checked against botocore's model by its Stubber.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from bentos.skin.contract import contract
from deploy import exits
from deploy.aws import Clients
from deploy.plan import Plan
from deploy.refusal import AskError, Denied, Refused, Throttled
from deploy.rollout import back, ecs, judge
from deploy.rollout.ecs import Picture
from deploy.rollout.follow import End, stop
from deploy.rollout.view import Plain
from deploy.rollout.walk import Result, Walk
from deploy.why.diagnosis import Diagnosis
from tests.deploy.infra_plans import plan
from tests.rollout.records import attempt, image

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


def shows(*deployments: dict[str, Any], events: tuple[dict[str, Any], ...] = (), runs: str = REVISION) -> Picture:
    """The service at one moment."""
    revisions = [{"arn": runs, "requestedTaskCount": 2}]
    found = {"deployments": list(deployments), "events": list(events), "currentServiceRevisions": revisions}
    return Picture(later(90), found, ecs.deployments(found), [], [], ecs.events(found))


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


def lists(clients: Clients, *found: dict[str, Any]) -> None:
    """ListServiceDeployments answers."""
    asked = {"cluster": PLAN.cluster, "service": PLAN.service, "createdAt": ANY}
    clients._few_tries["stub"].add_response("list_service_deployments", {"serviceDeployments": list(found)}, asked)


def refuses(clients: Clients, operation: str, code: str, message: str = "no", status: int = 400) -> None:
    """ECS answers with an error."""
    clients._few_tries["stub"].add_client_error(operation, code, message, http_status_code=status)


# --- stopped by us -----------------------------------------------------------------------------------------------

MOVING = shows(deployment(OURS, 0, status="PRIMARY", taskDefinition=AFTER), deployment(OLD, -900))
WHO = "arn:aws:sts::123456789012:assumed-role/deployer/ci"


def stops(clients: Clients) -> bool:
    ours = MOVING.deployment(OURS)
    assert ours is not None
    return stop(clients, PLAN, ours)


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
    clients: Clients, code: str, status: int, kind: type[AskError]
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


def walk(clients: Clients, **changes: Any) -> Walk:
    """One with an attempt whose deployment is ours; nothing is written."""
    made = Walk(
        plan=PLAN, contract=contract().model_dump(mode="json"), clients=clients, store=None, who="a",  # type: ignore[arg-type]
        see=Plain(io.StringIO()), every_s=0.01, **changes,
    )  # fmt: skip
    made.attempt = attempt("2", "hybrid", "running", deployment=OURS, started=BEGUN, deployed=runs(AFTER))
    return made


def runs(task_definition: str) -> Any:
    return image("sha256:" + "0" * 64).model_copy(update={"task_definition": task_definition})


@pytest.fixture
def gone_back(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str, set[str]]]:
    """How going back was asked for: exit code, outcome, sentence, deployments that are ours or were there before."""
    asked: list[tuple[int, str, str, set[str]]] = []

    def after_failure(_: Walk, code: int, outcome: str, said: str, mine: set[str]) -> Result:
        asked.append((code, outcome, said, mine))
        return Result(code, said)

    monkeypatch.setattr(back, "after_failure", after_failure)
    monkeypatch.setattr(judge, "cause", lambda *_: CAUSE)
    monkeypatch.setattr(Walk, "_write", lambda _: None)
    return asked


def test_without_the_permission_to_stop_it_update_service_goes_back(clients: Clients, gone_back: list[Any]) -> None:
    lists(clients, service_deployment(status="IN_PROGRESS"))
    refuses(clients, "stop_service_deployment", "AccessDeniedException", "Access denied.")
    judge.not_completed(walk(clients), End("cause", "Nothing listens.", MOVING, CAUSE), {OLD})
    [(code, outcome, said, mine)] = gone_back
    assert (code, outcome, mine) == (exits.PLATFORM, "cause_found", {OLD, OURS})
    assert said.startswith("Nothing listens: Port 5000 is closed. ECS could not be told to stop it: ")
    assert '"Action": "ecs:StopServiceDeployment", "Resource": "' in said
    assert said.endswith("UpdateService goes back instead.")


def test_where_the_listing_fails_update_service_goes_back_and_says_why(clients: Clients, gone_back: list[Any]) -> None:
    refuses(clients, "list_service_deployments", "ServerException", "Service Unavailable.", 500)
    judge.not_completed(walk(clients), End("late", "It has not ended.", MOVING), {OLD})
    [(code, outcome, said, _)] = gone_back
    assert (code, outcome) == (exits.PLATFORM, "cause_found")
    assert "AWS refuses ecs ListServiceDeployments (ServerException): Service Unavailable." in said
    assert said.endswith("UpdateService goes back instead.")
