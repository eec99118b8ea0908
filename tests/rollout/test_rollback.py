"""A rollback to what ran before and was never proven, with an image named by a tag: every customer begins there."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from deploy.aws.clients import Clients
from deploy.aws.service import read_snapshot
from deploy.record.trail import Deployed
from deploy.rollout import rollback as rollbacks
from deploy.rollout.output import LogReporter
from deploy.rollout.prove import deployed_before
from deploy.rollout.rollback import Release, roll_back
from deploy.rollout.session import RolloutSession
from tests.deploy.aws import MOTO, NAME, REGION
from tests.deploy.invalid_taskdefs import ROUTER
from tests.rollout.live_account import CLUSTER, CONTRACT, OTHER, DeployedAccount
from tests.s3 import CREDENTIALS
from tests.unit.model import bundles

BESIDE = {"name": "helper", "image": "helper:1", "imageDigest": f"sha256:{'8' * 64}"}  # known by no name of an agent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedAccount]:
    """Two tasks of the service run."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        account = DeployedAccount(bundles.write(tmp_path_factory.mktemp("bundle")))
        yield account
        account.close()


@pytest.fixture
def account(made: DeployedAccount, monkeypatch: pytest.MonkeyPatch) -> DeployedAccount:
    """The same for all; what a test has ECS tell of tasks is forgotten after it. What fails is not waited for."""
    monkeypatch.setattr(rollbacks, "VERIFY_S", 0.0)
    made.changed.clear()
    for task in made.tasks:
        made.runs(task, OTHER)
    return made


def session_of(account: DeployedAccount) -> RolloutSession:
    """A session whose attempt has deployed nothing yet; nothing is written."""
    no_store: Any = None
    session = RolloutSession(
        plan=account.plan,
        contract=CONTRACT.model_dump(mode="json"),
        clients=Clients(REGION, writes=False, session=account.session),
        store=no_store,
        who="arn:aws:iam::1:user/a",
        reporter=LogReporter(io.StringIO()),
        every_s=0.01,
    )
    session.begin_attempt("simple")
    return session


def definition(account: DeployedAccount) -> str:
    """ARN of the task definition that the service runs."""
    service = account.client("ecs").describe_services(cluster=CLUSTER, services=[NAME])["services"][0]
    return str(service["taskDefinition"])


def rolled_back(account: DeployedAccount, digest: str, **changes: Any) -> tuple[bool, str]:
    """Whether a rollback to what runs already worked, and the sentence."""
    release = Release(Deployed(digest=digest, task_definition=definition(account)), **changes)
    restored, sentence, _ = roll_back(session_of(account), [release], {account.deployment})
    return restored, sentence


def test_a_release_without_proof_and_digest_can_be_rolled_back_to(account: DeployedAccount) -> None:
    restored, sentence = rolled_back(account, "")
    assert restored, sentence
    assert sentence.endswith(", which ran before (it was never proven); it serves.")


def test_a_container_that_stands_first_is_not_taken_for_the_one_that_serves(account: DeployedAccount) -> None:
    for task in account.tasks:
        account.tells(task, containers=[BESIDE, {"name": "shine", "image": "shine:1", "imageDigest": OTHER}])
    restored, sentence = rolled_back(account, OTHER)
    assert restored, sentence
    assert sentence.endswith("; it serves.")
    assert {item.digest for item in read_snapshot(session_of(account).clients, account.plan).tasks} == {OTHER}


def test_a_tag_that_names_another_image_by_now_is_said(account: DeployedAccount) -> None:
    restored, sentence = rolled_back(account, account.ids["digest"])
    assert restored, sentence
    assert f"Its image is named by a tag, which names another image now: {OTHER} runs" in sentence
    assert f"{account.ids['digest']} ran before." in sentence


def test_healthy_targets_of_another_task_definition_are_not_the_release(account: DeployedAccount) -> None:
    account.tells(account.tasks[0], taskDefinitionArn="arn:aws:ecs:us-east-1:1:task-definition/shine:7")
    restored, sentence = rolled_back(account, "")
    assert not restored
    assert "healthy targets run arn:aws:ecs:us-east-1:1:task-definition/shine:7." in sentence


def test_a_healthy_target_that_is_no_task_is_not_the_release(account: DeployedAccount) -> None:
    account.tells(account.tasks[0], attachments=[], containers=[])
    restored, sentence = rolled_back(account, "")
    assert not restored
    assert "healthy targets run no task of the service." in sentence


def test_what_was_proven_must_run_its_own_image(account: DeployedAccount) -> None:
    account.runs(account.tasks[0], None)
    restored, sentence = rolled_back(account, account.ids["digest"], phase="simple")
    assert not restored
    assert f"healthy targets run an image that is not known, {OTHER}." in sentence


def test_of_an_image_by_tag_the_digest_that_the_tasks_run_is_kept(account: DeployedAccount) -> None:
    session = session_of(account)
    snapshot = session.snapshot()
    container = {"name": "shine", "image": "shine:latest", "portMappings": [{"containerPort": 5000}]}
    task = {"taskDefinitionArn": definition(account), "containerDefinitions": [ROUTER, container]}
    before = deployed_before(session, task, snapshot)
    assert (before.digest, before.task_definition) == (OTHER, definition(account))
    assert [balancer["containerName"] for balancer in before.service["loadBalancers"]] == ["shine"]
    account.runs(account.tasks[0], account.ids["digest"])
    snapshot = session.snapshot()
    assert deployed_before(session, task, snapshot).digest == "", "two images run, and neither is the one"
    container["image"] = f"shine@{account.ids['digest']}"
    assert deployed_before(session, task, snapshot).digest == account.ids["digest"]


def test_settings_before_are_those_of_the_container_that_serves(account: DeployedAccount) -> None:
    given = [{"name": "SHINE_PHASE", "value": "simple"}, {"name": "SHINE_API_KEYS", "value": "plain"}]
    container = {"name": "shine", "image": "shine:latest", "environment": given}
    task = {"taskDefinitionArn": definition(account), "containerDefinitions": [ROUTER, container]}
    before = deployed_before(session_of(account), task, read_snapshot(session_of(account).clients, account.plan))
    assert before.settings == {"SHINE_PHASE": "simple", "SHINE_API_KEYS": "(a secret, not shown)"}
