"""Each cause is the first to be named for its own evidence, and for no other's; and none of them is there for show."""

import pytest

from deploy.diagnose.ranking import diagnose
from deploy.diagnose.registry import CAUSES, cause
from tests.rollout.causes import EXAMPLES, MISSES, ROOMS
from tests.rollout.causes.made import COMMAND, GROUP, IMAGE, Example, Miss, definition, running, seen, unhealthy
from tests.rollout.causes.words import MISMATCH, ONE


def name(row: Example | Miss) -> str:
    return f"{row.code} {row.name}".strip()


@pytest.mark.parametrize("row", EXAMPLES, ids=name)
def test_a_cause_comes_first_for_its_own_evidence(row: Example) -> None:
    first, *others = diagnose(row.seen)
    assert first.code == row.code, first
    assert [one.code for one in others if one.weight >= first.weight] == []
    assert row.says in first.sentence
    assert row.shows in "".join(first.evidence[:1])
    assert first.deterministic is row.sure


@pytest.mark.parametrize("row", MISSES, ids=name)
def test_what_only_looks_like_a_cause_is_not_named(row: Miss) -> None:
    assert row.code not in {one.code for one in diagnose(row.seen)}


@pytest.mark.parametrize("row", EXAMPLES, ids=name)
def test_a_cause_that_is_taken_out_is_no_longer_named(row: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CAUSES, row.code)
    assert row.code not in {one.code for one in diagnose(row.seen)}


def test_every_cause_has_an_example() -> None:
    assert set(CAUSES) == {one.code for one in EXAMPLES}
    assert len(CAUSES) >= 25
    for room in ROOMS:  # each beside the cause's own
        kind = room.__name__.rpartition(".")[2]
        assert {CAUSES[one.code].look.__module__ for one in room.EXAMPLES} == {f"deploy.diagnose.causes.{kind}"}


def test_every_cause_that_says_why_has_something_that_only_looks_like_it() -> None:
    without = set(CAUSES) - {one.code for one in MISSES}
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
    }, sorted(without)  # fmt: skip  these are told by words that nothing else has
    assert "IMAGE_MISSING" not in without


def test_two_causes_cannot_share_a_code() -> None:
    with pytest.raises(ValueError, match="IMAGE_MISSING is declared twice"):
        cause("IMAGE_MISSING", "", looks="", repair="", weight=1)(lambda _: None)


def repair(health: str = "UNKNOWN", command: list[str] | None = None, **group: str) -> str:
    """What to do about a health check that is answered 404."""
    check = {"command": command or COMMAND, "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 60}
    first = diagnose(
        seen(
            alive=[running(health=health)],
            targets=[unhealthy(MISMATCH, "Health checks failed with these codes: [404]")],
            target_group=group,
            task_definition=definition(healthCheck=check),
            of=ONE,
        )
    )[0]
    assert first.code == "HEALTH_PATH_MISSING"
    return first.repair


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/", "/HEALTH"])
def test_a_path_that_is_set_wrong_is_to_be_set(path: str) -> None:
    told = repair(HealthCheckPath=path)
    assert told.startswith("Set the target group's health check path to /health (")
    assert f"modify-target-group --target-group-arn {GROUP} --health-check-path /health`" in told


@pytest.mark.parametrize("path", ["/health", "/health?by=balancer"])
def test_a_path_that_is_set_right_is_not_to_be_set_again(path: str) -> None:
    told = repair(HealthCheckPath=path)
    assert "modify-target-group" not in told
    assert "Set the target group's health check path" not in told
    assert f"the image {IMAGE} does not answer {path}. Roll out one that does" in told


def test_a_path_that_the_containers_own_check_passes_on_is_the_right_one() -> None:
    elsewhere = ["CMD-SHELL", "python -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:5000/up')\""]
    assert "health check path to /up (" in repair("HEALTHY", elsewhere, HealthCheckPath="/health")
    told = repair("HEALTHY", HealthCheckPath="/health")
    assert "the container's own health check passes on /health. Something else answers" in told
    assert "modify-target-group" not in told
    # A check that does not pass says nothing of what is right.
    assert "does not answer /health" in repair("UNHEALTHY", elsewhere, HealthCheckPath="/health")


def test_a_right_path_on_a_wrong_port_is_said_of_the_port() -> None:
    told = repair(HealthCheckPath="/health", HealthCheckPort="9901")
    assert told.startswith(
        "The path is right, and the port is not: the target group asks port 9901, the container maps"
    )
    assert f"--target-group-arn {GROUP} --health-check-port traffic-port`" in told
    assert "does not answer /health" in repair(HealthCheckPath="/health", HealthCheckPort="5000")


def test_where_the_target_group_was_not_seen_both_are_to_be_compared() -> None:
    assert "Compare the target group's health check path" in repair(HealthCheckPath="")
