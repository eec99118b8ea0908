"""Back to what ran before and was never proven, its image named by a tag: where every customer begins."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from deploy.aws.clients import Clients
from deploy.aws.service import read_snapshot
from deploy.record.trail import Deployed
from deploy.rollout import rollback as back
from deploy.rollout.output import LogReporter
from deploy.rollout.prove import running_before
from deploy.rollout.rollback import Target, go_back
from deploy.rollout.session import RolloutSession
from tests.deploy.aws import MOTO, NAME, REGION
from tests.deploy.invalid_taskdefs import ROUTER
from tests.rollout.gated import CLUSTER, CONTRACT, OTHER, Rolled
from tests.s3 import CREDENTIALS
from tests.unit.model import bundles

BESIDE = {"name": "helper", "image": "helper:1", "imageDigest": f"sha256:{'8' * 64}"}  # known by no name of an agent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    """Two tasks of the service run."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        account = Rolled(bundles.write(tmp_path_factory.mktemp("bundle")))
        yield account
        account.close()


@pytest.fixture
def account(made: Rolled, monkeypatch: pytest.MonkeyPatch) -> Rolled:
    """The same for all; what a test has ECS tell of tasks is forgotten after it. What fails is not waited for."""
    monkeypatch.setattr(back, "VERIFY_S", 0.0)
    made.told.clear()
    for task in made.tasks:
        made.runs(task, OTHER)
    return made


def walk(account: Rolled) -> RolloutSession:
    """That writes nothing."""
    no_store: Any = None
    return RolloutSession(
        plan=account.plan,
        contract=CONTRACT.model_dump(mode="json"),
        clients=Clients(REGION, writes=False, session=account.session),
        store=no_store,
        who="arn:aws:iam::1:user/a",
        see=LogReporter(io.StringIO()),
        every_s=0.01,
    )


def definition(account: Rolled) -> str:
    """ARN of the task definition that the service runs."""
    service = account.client("ecs").describe_services(cluster=CLUSTER, services=[NAME])["services"][0]
    return str(service["taskDefinition"])


def gone_back(account: Rolled, digest: str, **changes: Any) -> tuple[bool, str]:
    """Whether going back to what runs already worked, and the sentence."""
    target = Target(Deployed(digest=digest, task_definition=definition(account)), **changes)
    went, sentence, _ = go_back(walk(account), [target], {account.deployment})
    return went, sentence


def test_what_was_never_proven_and_has_no_known_digest_is_gone_back_to(account: Rolled) -> None:
    went, sentence = gone_back(account, "")
    assert went, sentence
    assert sentence.endswith(", which ran before (it was never proven); it serves.")


def test_a_container_that_stands_first_is_not_taken_for_the_one_that_serves(account: Rolled) -> None:
    for task in account.tasks:
        account.tells(task, containers=[BESIDE, {"name": "shine", "image": "shine:1", "imageDigest": OTHER}])
    went, sentence = gone_back(account, OTHER)
    assert went, sentence
    assert sentence.endswith("; it serves.")
    assert {one.digest for one in read_snapshot(walk(account).clients, account.plan).tasks} == {OTHER}


def test_a_tag_that_names_another_image_by_now_is_said(account: Rolled) -> None:
    went, sentence = gone_back(account, account.ids["digest"])
    assert went, sentence
    assert f"Its image is named by a tag, which names another image now: {OTHER} runs" in sentence
    assert f"{account.ids['digest']} ran before." in sentence


def test_healthy_targets_of_another_task_definition_are_not_what_was_gone_back_to(account: Rolled) -> None:
    account.tells(account.tasks[0], taskDefinitionArn="arn:aws:ecs:us-east-1:1:task-definition/shine:7")
    went, sentence = gone_back(account, "")
    assert not went
    assert "healthy targets run arn:aws:ecs:us-east-1:1:task-definition/shine:7." in sentence


def test_a_healthy_target_that_is_no_task_is_not_what_was_gone_back_to(account: Rolled) -> None:
    account.tells(account.tasks[0], attachments=[], containers=[])
    went, sentence = gone_back(account, "")
    assert not went
    assert "healthy targets run no task of the service." in sentence


def test_what_was_proven_must_run_its_own_image(account: Rolled) -> None:
    account.runs(account.tasks[0], None)
    went, sentence = gone_back(account, account.ids["digest"], phase="simple")
    assert not went
    assert f"healthy targets run an image that is not known, {OTHER}." in sentence


def test_of_an_image_by_tag_the_digest_that_the_tasks_run_is_kept(account: Rolled) -> None:
    attempt, seen = walk(account), read_snapshot(walk(account).clients, account.plan)
    container = {"name": "shine", "image": "shine:latest", "portMappings": [{"containerPort": 5000}]}
    task = {"taskDefinitionArn": definition(account), "containerDefinitions": [ROUTER, container]}
    before = running_before(attempt, task, seen)
    assert (before.digest, before.task_definition) == (OTHER, definition(account))
    assert [one["containerName"] for one in before.service["loadBalancers"]] == ["shine"]
    account.runs(account.tasks[0], account.ids["digest"])
    seen = read_snapshot(attempt.clients, account.plan)
    assert running_before(attempt, task, seen).digest == "", "two images run, and neither is the one"
    container["image"] = f"shine@{account.ids['digest']}"
    assert running_before(attempt, task, seen).digest == account.ids["digest"]


def test_settings_before_are_those_of_the_container_that_serves(account: Rolled) -> None:
    given = [{"name": "SHINE_PHASE", "value": "simple"}, {"name": "SHINE_API_KEYS", "value": "plain"}]
    container = {"name": "shine", "image": "shine:latest", "environment": given}
    task = {"taskDefinitionArn": definition(account), "containerDefinitions": [ROUTER, container]}
    before = running_before(walk(account), task, read_snapshot(walk(account).clients, account.plan))
    assert before.settings == {"SHINE_PHASE": "simple", "SHINE_API_KEYS": "(a secret, not shown)"}
