"""Each cause comes first for its own evidence and is not named for similar evidence; none is superfluous."""

import importlib

import pytest

from deploy.diagnose.cause import table
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.ranking import diagnose
from tests.rollout.causes import EXAMPLES, MISSES, MODULES
from tests.rollout.causes.evidence import (
    COMMAND,
    GROUP,
    IMAGE,
    Example,
    Miss,
    definition,
    make_evidence,
    running,
    unhealthy,
)
from tests.rollout.causes.messages import MISMATCH, ONE


def name(row: Example | Miss) -> str:
    return f"{row.code} {row.name}".strip()


@pytest.mark.parametrize("row", EXAMPLES, ids=name)
def test_a_cause_comes_first_for_its_own_evidence(row: Example) -> None:
    first, *others = diagnose(row.evidence)
    assert first.code == row.code, first
    assert [cause.code for cause in others if cause.weight >= first.weight] == []
    assert row.sentence in first.sentence
    assert row.line in "".join(first.evidence[:1])
    assert first.deterministic is row.deterministic


@pytest.mark.parametrize("row", MISSES, ids=name)
def test_what_only_looks_like_a_cause_is_not_named(row: Miss) -> None:
    assert row.code not in {cause.code for cause in diagnose(row.evidence)}


@pytest.mark.parametrize("row", EXAMPLES, ids=name)
def test_a_cause_that_is_taken_out_is_no_longer_named(row: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CAUSES, row.code)
    assert row.code not in {cause.code for cause in diagnose(row.evidence)}


def test_every_cause_has_an_example() -> None:
    assert set(CAUSES) == {example.code for example in EXAMPLES}
    assert len(CAUSES) >= 25
    for module in MODULES:  # in the module of the same name
        causes = importlib.import_module(f"deploy.diagnose.causes.{module.__name__.rpartition('.')[2]}").CAUSES
        assert {example.code for example in module.EXAMPLES} == {cause.code for cause in causes}


def test_every_cause_that_says_why_has_something_that_only_looks_like_it() -> None:
    without = set(CAUSES) - {miss.code for miss in MISSES}
    assert without <= {
        "REGISTRY_LIMIT",
        "IMAGE_ARCHITECTURE",
        "DISK_FULL",
        "PORT_TAKEN",
        "NOT_WRITABLE",
        "START_TIMEOUT",
        "VOLUME_FAILED",
        "KMS_DENIED",
        "SECRET_UNREACHABLE",
        "LOG_UNREACHABLE",
        "CONTAINER_NOT_STARTED",
        "QUOTA",
        "NOT_INITIALIZED",
        "TARGET_TYPE",
        "INTERFACE_FAILED",
        "WEIGHTS_DENIED",
        "WEIGHTS_PIN",
        "SIZE_INVALID",
        "WEIGHTS_INCOMPATIBLE",
        "SELF_TEST_FAILED",
        "DEPLOYMENT_CONFIGURATION",
        "ECS_THROTTLED",
        "PLACING_REFUSED",
        "DESIRED_ZERO",
        "DEPLOYMENT_STOPPED",
        "HOST_MAINTENANCE",
        "SPOT_INTERRUPTION",
        "TASK_STOPPED",
    }, sorted(without)  # fmt: skip  only they have their words
    assert "IMAGE_MISSING" not in without


def test_two_causes_cannot_share_a_code() -> None:
    with pytest.raises(ValueError, match="IMAGE_MISSING is declared twice"):
        table([*CAUSES.values(), CAUSES["IMAGE_MISSING"]])


def repair(health: str = "UNKNOWN", command: list[str] | None = None, **group: str) -> str:
    """What to do about a health check that gets 404."""
    check = {"command": command or COMMAND, "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 60}
    first = diagnose(
        make_evidence(
            running_tasks=[running(health=health)],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [404]")],
            target_group=group,
            task_definition=definition(healthCheck=check),
            service_changes=ONE,
        )
    )[0]
    assert first.code == "HEALTH_PATH_MISSING"
    return first.repair


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/", "/HEALTH"])
def test_a_wrong_path_is_to_be_set(path: str) -> None:
    text = repair(HealthCheckPath=path)
    assert text.startswith("Set the target group's health check path to /health (")
    assert f"modify-target-group --target-group-arn {GROUP} --health-check-path /health`" in text


@pytest.mark.parametrize("path", ["/health", "/health?by=balancer"])
def test_a_right_path_is_not_to_be_set_again(path: str) -> None:
    text = repair(HealthCheckPath=path)
    assert "modify-target-group" not in text
    assert "Set the target group's health check path" not in text
    assert f"the image {IMAGE} does not answer {path}. Roll out one that does" in text


def test_a_path_that_the_containers_own_check_passes_on_is_the_right_one() -> None:
    elsewhere = ["CMD-SHELL", "python -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:5000/up')\""]
    assert "health check path to /up (" in repair("HEALTHY", elsewhere, HealthCheckPath="/health")
    text = repair("HEALTHY", HealthCheckPath="/health")
    assert "the container's own health check passes on /health. Something else answers" in text
    assert "modify-target-group" not in text
    # A check that does not pass does not show the right path.
    assert "does not answer /health" in repair("UNHEALTHY", elsewhere, HealthCheckPath="/health")


def test_a_right_path_on_a_wrong_port_names_the_port() -> None:
    text = repair(HealthCheckPath="/health", HealthCheckPort="9901")
    assert text.startswith(
        "The path is right, but the port is wrong: the target group checks port 9901, the container maps"
    )
    assert f"--target-group-arn {GROUP} --health-check-port traffic-port`" in text
    assert "does not answer /health" in repair(HealthCheckPath="/health", HealthCheckPort="5000")


def test_where_the_target_group_was_not_read_both_are_to_be_compared() -> None:
    assert "Compare the target group's health check path" in repair(HealthCheckPath="")
