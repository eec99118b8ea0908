"""`trail up --to full` deploys four phases while photos are sent all the time: none is lost; the record is complete."""

import json
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from deploy.aws.clients import READING
from deploy.aws.iam import policy
from deploy.cli import main as cli
from deploy.config.plan import PHASES
from deploy.gates.registry import names
from tests.fake_ecs import FakeEcs
from tests.rollout.operator import Operator, calling

BY_IAM = {"HeadObject": "GetObject", "HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket"}
NEEDS_NOTHING = {"GetCallerIdentity"}
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def fake_ecs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEcs]:
    with FakeEcs(tmp_path_factory.mktemp("fake_ecs")) as made:
        yield made


def not_allowed(fake_ecs: FakeEcs, operations: Iterable[str]) -> set[str]:
    """Those that `trail policy` does not allow, by IAM's names."""
    allowed = {action.partition(":")[2] for item in policy(fake_ecs.plan)["Statement"] for action in item["Action"]}
    return {BY_IAM.get(operation, operation) for operation in operations} - allowed - NEEDS_NOTHING


def test_a_dry_run_calls_nothing_that_writes(
    fake_ecs: FakeEcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    observed: list[str] = []
    call: Any = BaseClient._make_api_call  # what each of boto3's methods ends in

    def recorded(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client.meta.endpoint_url == fake_ecs.endpoint:  # the tool's; the fake ECS itself asks moto by others
            observed.append(operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    for name, value in fake_ecs.environment().items():
        monkeypatch.setenv(name, value)
    path = str(fake_ecs.write_plan(tmp_path / "trail.yaml"))
    words = ["--to", "full", "--digest", fake_ecs.digests["good"], "--plan", path, "--dry-run", "--json"]
    code = cli.main(["up", *words])
    out, err = capsys.readouterr()
    assert (code, json.loads(out)["sentence"]) == (0, "Dry run: nothing was changed.")
    assert "task definition, new:" in err
    for before, phase in pairwise(PHASES):
        assert f"Then phase {phase}, once {before} is proven:" in err
        assert f".environment.SHINE_PHASE: {before} → {phase}" in err
    assert len(observed) > 20
    assert [item for item in observed if not READING.match(item)] == []
    assert not_allowed(fake_ecs, observed) == set()


def test_one_image_is_deployed_from_simple_to_full_and_no_photo_is_lost(fake_ecs: FakeEcs, tmp_path: Path) -> None:
    operator = Operator(fake_ecs, tmp_path)
    first = operator.trail("up", "simple", "--digest", fake_ecs.digests["good"])
    assert first.code == 0, first
    with calling(fake_ecs.base_url) as callers:
        began = time.monotonic()
        ended = operator.trail("up", "--to", "full")
        spent = time.monotonic() - began
        assert ended.code == 0, ended
        time.sleep(1)
    assert callers.lost() == []
    assert len(callers.seen) > 40

    record = operator.record
    assert [(attempt.phase, attempt.outcome) for attempt in record.attempts] == [(phase, "proven") for phase in PHASES]
    assert {attempt.deployed.digest for attempt in record.attempts if attempt.deployed} == {fake_ecs.digests["good"]}
    for attempt in record.attempts:
        assert [gate.name for gate in attempt.gates] == names(attempt.phase)
        assert all(gate.holds for gate in attempt.gates)
    # Answers follow the phase: heuristics, not degraded, while simple runs; the model from hybrid on, marked where not.
    assert {(source, reason) for _, _, source, reason in callers.seen[:5]} == {("heuristic", "model_disabled")}
    assert callers.seen[-1][2] == "model"
    others = {reason for _, _, source, reason in callers.seen if source == "heuristic"}
    assert others <= {"model_disabled", "model_loading", "circuit_open", "model_timeout"}
    assert not_allowed(fake_ecs, fake_ecs.calls) == set()
    assert fake_ecs.calls["CreateService"] == 1
    assert fake_ecs.calls["UpdateService"] == 3
    print(f"deployed in {spent:.0f} s, {len(callers.seen)} photos, none lost")

    status = operator.trail("status")
    assert (status.code, status.told["progress"]["percent"]) == (0, 100)
    again = operator.trail("up", "--to", "full")
    assert (again.code, fake_ecs.calls["UpdateService"]) == (0, 3)  # nothing is left to deploy
