"""`trail status` shows what really runs, beside what the record says."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from deploy.aws.clients import Clients
from deploy.aws.service import Event, read_snapshot
from deploy.record.trail import Attempt, Outcome, Record
from deploy.rollout.status import live_status
from tests.deploy.aws import MOTO, NAME, REGION
from tests.rollout.live_account import CLUSTER, OTHER, DeployedAccount
from tests.rollout.records import image, record
from tests.s3 import CREDENTIALS
from tests.unit.model import bundles


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedAccount]:
    """Two tasks of the service run; what a test changes it changes back."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        made = DeployedAccount(bundles.write(tmp_path_factory.mktemp("bundle")))
        for task in made.tasks:
            made.runs(task, made.ids["digest"])
        yield made
        made.close()


def clients(account: DeployedAccount) -> Clients:
    return Clients(REGION, writes=False, session=account.session)


def recorded(task_definition: str, outcome: Outcome = "proven") -> Record:
    """One that knows an attempt which deployed it."""
    deployed = image(OTHER).model_copy(update={"task_definition": task_definition})
    who = {"who": "arn:aws:iam::1:user/a", "host": "a:1", "started": datetime.now(UTC)}
    return record([Attempt(id="1", phase="simple", deployed=deployed, outcome=outcome, **who)])


def test_tasks_digest_and_targets_are_told(account: DeployedAccount) -> None:
    observed = live_status(account.plan, clients(account), record())
    digest = account.ids["digest"]
    assert (observed.data["running"], observed.data["desired"], observed.data["digests"]) == (2, 2, [digest])
    assert observed.data["differs_from_record"] is False
    assert len(observed.lines) == 1
    assert f"2 of 2 tasks run {digest[:19]}, " in observed.lines[0]
    assert observed.lines[0].startswith(f"AWS:   {observed.data['task_definition']}, ")


def test_a_service_that_was_changed_without_the_tool_is_reported(account: DeployedAccount) -> None:
    arn = account.client("ecs").describe_services(cluster=CLUSTER, services=[NAME])["services"][0]["taskDefinition"]
    assert live_status(account.plan, clients(account), recorded(arn)).data["differs_from_record"] is False
    observed = live_status(account.plan, clients(account), recorded(arn.rpartition(":")[0] + ":7"))
    assert observed.data["differs_from_record"] is True
    assert observed.lines[1] == f"       The record expects {arn.rpartition('/')[2].partition(':')[0]}:7: " + (
        "the service was changed without this tool."
    )


def test_what_an_attempt_has_brought_that_still_runs_is_its_own(account: DeployedAccount) -> None:
    arn = account.client("ecs").describe_services(cluster=CLUSTER, services=[NAME])["services"][0]["taskDefinition"]
    proven, running = recorded(arn.rpartition(":")[0] + ":7"), recorded(arn, "running")
    both = record([*proven.attempts, running.attempts[0].model_copy(update={"id": "2"})])
    assert live_status(account.plan, clients(account), both).data["differs_from_record"] is False


def test_a_desired_count_of_0_is_said(account: DeployedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = read_snapshot(clients(account), account.plan)
    none = [deployment.model_copy(update={"desired": 0}) for deployment in observed.deployments]
    monkeypatch.setattr("deploy.rollout.status.read_snapshot", lambda *_: replace(observed, deployments=none))
    assert (
        live_status(account.plan, clients(account), record()).lines[1]
        == "       The desired count is 0, so nothing serves."
    )


def test_an_attempt_that_was_cut_off_and_failed_meanwhile_is_named(
    account: DeployedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed = read_snapshot(clients(account), account.plan)
    output = f"(service {NAME}) (deployment ecs-svc/7) deployment failed: tasks failed to start."
    monkeypatch.setattr(
        "deploy.rollout.status.read_snapshot",
        lambda *_: replace(observed, events=[Event(at=datetime.now(UTC), text=output)]),
    )
    left = recorded("arn:aws:ecs:us-east-1:1:task-definition/shine:7", "running").attempts[0]
    failed, other = (left.model_copy(update={"deployment": name}) for name in ("ecs-svc/7", "ecs-svc/8"))
    lines = live_status(account.plan, clients(account), record([failed])).lines
    assert lines[1] == "       ecs-svc/7 of phase simple failed: tasks failed to start."
    assert len(live_status(account.plan, clients(account), record([other])).lines) == 1


def test_no_service_is_said(account: DeployedAccount) -> None:
    plan = account.plan.model_copy(update={"service": "nowhere"})
    observed = live_status(plan, clients(account), record())
    assert observed.lines == [f"AWS:   there is no service nowhere in the cluster {plan.cluster}."]


def test_what_may_not_be_asked_is_a_line_and_no_failure(
    account: DeployedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        message = {
            "Error": {"Code": "AccessDeniedException", "Message": "not authorized to perform: ecs:DescribeServices"}
        }
        raise ClientError(message, "DescribeServices")  # as AWS words it

    monkeypatch.setattr("deploy.rollout.status.read_snapshot", refused)
    observed = live_status(account.plan, clients(account), record())
    assert observed.lines[0].startswith("AWS:   the service cannot be read: ")
    assert "ecs:DescribeServices" in observed.lines[0]
