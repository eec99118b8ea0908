"""Each cause is the first to be named for its own evidence, and for no other's; and none of them is there for show."""

import pytest

from deploy.why.diagnose import diagnose
from deploy.why.table import CAUSES, cause
from tests.rollout.causes import EXAMPLES, MISSES, ROOMS
from tests.rollout.causes.made import Example, Miss


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
        assert {CAUSES[one.code].look.__module__ for one in room.EXAMPLES} == {f"deploy.why.causes.{kind}"}


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
