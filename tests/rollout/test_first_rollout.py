"""The first rollout over a service that this tool has not made: what ran before is gone back to."""

from pathlib import Path

import pytest

from tests.deploy.aws import NAME
from tests.deploy.invalid_taskdefs import ROUTER
from tests.fake_ecs import FakeEcs
from tests.fake_ecs.driver import Driver
from tests.rollout.operator import Operator

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.mark.parametrize("sidecar", [False, True], ids=["alone", "a log router first"])
def test_a_first_phase_that_fails_ends_with_what_ran_before(tmp_path: Path, sidecar: bool) -> None:
    with FakeEcs(tmp_path / "fake_ecs") as fake_ecs:
        driver, operator = Driver(fake_ecs), Operator(fake_ecs, tmp_path)
        ran = by_tag(driver, sidecar)
        group = fake_ecs.plan.load_balancer.target_group
        wired = {"targetGroupArn": group, "containerName": NAME, "containerPort": 5000}
        made = driver.create(ran, loadBalancers=[wired])
        driver.settled(made["deployments"][0]["id"])
        ended = operator.trail("up", "simple", "--digest", fake_ecs.digests["exits"])
        assert ended.code == 4, ended
        assert "which ran before (it was never proven); it serves." in ended.told["sentence"]
        last = operator.record.attempts[-1]
        assert last.outcome in ("cause_found", "platform_failed"), ended
        assert last.before is not None
        assert last.before.digest == fake_ecs.digests["stub"]
        assert driver.service()["taskDefinition"] == ran
        status = operator.trail("status")
        assert "which ran before, runs again." in status.told["progress"]["current"]["sentence"]


def by_tag(driver: Driver, sidecar: bool) -> str:
    """ARN of a task definition as people write it, with the image by its tag."""
    made = driver.definition("stub")
    container = made["containerDefinitions"][0]
    container["image"] = container["image"].partition("@")[0] + ":stub"
    if sidecar:
        made["containerDefinitions"].insert(0, {**ROUTER, "memory": 64})
    return str(driver.ecs.register_task_definition(**made)["taskDefinition"]["taskDefinitionArn"])
