"""The sources of findings: the image and the account are asked where somebody named them, and skipped with a reason."""

from typing import Any

import pytest

from deploy.config import image_contract as contracts
from deploy.findings.finding import Finding
from deploy.verify import run as preflight
from deploy.verify.account import run as account_checks
from deploy.verify.container import run as container_checks
from tests.deploy import good

SEEN = Finding(code="SEEN", level="OK", sentence="Seen.")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stand-ins for what runs images and asks AWS; what they were given."""
    calls: list[tuple[Any, ...]] = []

    def answer(*given: Any) -> list[Finding]:
        calls.append(given)
        return [SEEN]

    monkeypatch.setattr(container_checks, "try_image", answer)
    monkeypatch.setattr(account_checks, "run_account_checks", answer)
    return calls


def subject(**more: Any) -> preflight.Subject:
    return preflight.Subject(task=good.task(), contract=good.contract(), **more)


def levels(findings: list[Finding]) -> dict[str, str]:
    return {one.code: one.level for one in findings if one.code in ("SEEN", "IMAGE_ON_TRIAL", "ACCOUNT_ASKED")}


def test_image_and_account_are_asked_once_whatever_the_number_of_phases(asked: list[tuple[Any, ...]]) -> None:
    plan = good.plan()
    found = preflight.run_preflight(
        [subject(plan=plan, image="shine:1", phase=phase) for phase in ("simple", "hybrid")]
    )
    assert levels(found) == {"SEEN": "OK"}
    (image, account) = asked
    wanted = contracts.parse(good.contract())
    assert image[:3] == ("shine:1", good.task(), wanted)
    assert account[:3] == (plan, good.task(), wanted)
    assert account[3].region_name == plan.region
    assert account[4] == "hybrid"  # of the phases the last, which asks for most


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"offline": True, "image": "shine:1", "plan": good.plan()}, "--offline"),
        ({}, "no "),
    ],
)
def test_what_is_not_asked_is_skipped_with_its_reason(
    more: dict[str, Any], reason: str, asked: list[tuple[Any, ...]]
) -> None:
    found = preflight.run_preflight([subject(**more)])
    assert levels(found) == {"IMAGE_ON_TRIAL": "SKIP", "ACCOUNT_ASKED": "SKIP"}
    assert asked == []
    assert all(reason in one.sentence.lower() for one in found if one.level == "SKIP")


def test_a_finding_of_one_phase_names_it() -> None:
    wrong = good.changed(good.task("full"), {"env.SHINE_THREADS": "two"})
    both = [subject(phase="hybrid"), preflight.Subject(task=wrong, contract=good.contract(), phase="full")]
    (told,) = [one for one in preflight.run_preflight(both) if one.level == "FAIL"]
    assert told.sentence.startswith("In phase full: SHINE_THREADS")
    assert [one.code for one in preflight.run_preflight(both)].count("SETTING_VALUE") == 1


def test_a_contract_that_has_grown_is_used_by_image_and_account_alike(asked: list[tuple[Any, ...]]) -> None:
    later = {**good.contract(), "colour": "red", "health": {**good.contract()["health"], "tries": 3}}
    one = preflight.Subject(task=good.task(), contract=later, plan=good.plan(), image="shine:1")
    assert levels(preflight.run_preflight([one])) == {"SEEN": "OK"}
    assert [given[2] for given in asked] == [contracts.parse(good.contract())] * 2
