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
    return {
        finding.code: finding.level
        for finding in findings
        if finding.code in ("SEEN", "IMAGE_ON_TRIAL", "ACCOUNT_ASKED")
    }


def test_image_and_account_are_asked_once_whatever_the_number_of_phases(asked: list[tuple[Any, ...]]) -> None:
    plan = good.plan()
    result = preflight.run_preflight(
        [subject(plan=plan, image="shine:1", phase=phase) for phase in ("simple", "hybrid")]
    )
    assert levels(result) == {"SEEN": "OK"}
    (image, account) = asked
    expected = contracts.parse(good.contract())
    assert image[:3] == ("shine:1", good.task(), expected)
    assert account[:3] == (plan, good.task(), expected)
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
    result = preflight.run_preflight([subject(**more)])
    assert levels(result) == {"IMAGE_ON_TRIAL": "SKIP", "ACCOUNT_ASKED": "SKIP"}
    assert asked == []
    assert all(reason in item.sentence.lower() for item in result if item.level == "SKIP")


def test_a_finding_of_one_phase_names_it() -> None:
    wrong = good.changed(good.task("full"), {"env.SHINE_THREADS": "two"})
    both = [subject(phase="hybrid"), preflight.Subject(task=wrong, contract=good.contract(), phase="full")]
    (output,) = [item for item in preflight.run_preflight(both) if item.level == "FAIL"]
    assert output.sentence.startswith("In phase full: SHINE_THREADS")
    assert [item.code for item in preflight.run_preflight(both)].count("SETTING_VALUE") == 1


def test_a_contract_that_has_grown_is_used_by_image_and_account_alike(asked: list[tuple[Any, ...]]) -> None:
    later = {**good.contract(), "colour": "red", "health": {**good.contract()["health"], "tries": 3}}
    one = preflight.Subject(task=good.task(), contract=later, plan=good.plan(), image="shine:1")
    assert levels(preflight.run_preflight([one])) == {"SEEN": "OK"}
    assert [given[2] for given in asked] == [contracts.parse(good.contract())] * 2


FOREIGN = {
    "c.image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web:1.2.3",
    "c.portMappings.0.containerPort": 80,
}


def found(more: dict[str, Any], **changes: Any) -> dict[str, str]:
    """Levels by code, of a task definition whose port is not the image's."""
    content = good.changed(good.task(), {**FOREIGN, **changes})
    one = preflight.Subject(task=content, contract=good.contract(), **more)
    return {finding.code: finding.level for finding in preflight.check_task_definition(one)}


def test_another_image_is_not_compared_with_the_contract() -> None:
    levels = found({})
    assert levels["CONTRACT_COMPARED"] == "SKIP"
    assert set(levels.values()) == {"SKIP", "OK"}
    assert "PORT_MISMATCH" not in levels
    assert "SETTING_UNKNOWN" not in levels


@pytest.mark.parametrize(
    "more",
    [{"image": "web:1"}, {"of_image": True}, {"plan": good.plan().model_copy(update={"repository": "team/web"})}],
    ids=["an image that was named", "a contract that was given", "the plan's repository"],
)
def test_an_image_that_is_named_is_compared_with_the_contract(more: dict[str, Any]) -> None:
    levels = found(more)
    assert levels["PORT_MISMATCH"] == "FAIL"
    assert "CONTRACT_COMPARED" not in levels


@pytest.mark.parametrize(
    "image",
    [
        "shine", "shine:1.0.0", "ghcr.io/acme/shine:1.0.0", "SHINE-API-GATEWAY:2", f"shine@{good.DIGEST}",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/shine-api-gateway@sha256:0", "localhost:5000/shine",
    ],
)  # fmt: skip
def test_shine_s_image_is_known_by_the_name_of_its_repository(image: str) -> None:
    assert found({}, **{"c.image": image})["PORT_MISMATCH"] == "FAIL"


@pytest.mark.parametrize("image", ["shiny:1", "moonshine:1", "shine/web:1", "shine-api-gateway-docs:1", "", "nginx"])
def test_other_names_are_not_shine_s(image: str) -> None:
    assert found({}, **{"c.image": image})["CONTRACT_COMPARED"] == "SKIP"


def test_the_container_with_shine_s_image_is_judged_and_not_the_one_in_front_of_it() -> None:
    content = good.task()
    content["containerDefinitions"].insert(0, {"name": "nginx", "image": "nginx:1.27", "portMappings": [
        {"containerPort": 80},
    ]})  # fmt: skip
    one = preflight.Subject(task=content, contract=good.contract())
    assert [each.code for each in preflight.check_task_definition(one) if each.level in ("FAIL", "WARN")] == []


def test_fargate_s_rules_are_for_tasks_that_ask_for_it() -> None:
    bridge = {"networkMode": "bridge", "requiresCompatibilities": ["EC2"], "cpu": "100", "c.privileged": True}
    levels = found({}, **bridge)
    assert {levels[code] for code in ("NETWORK_MODE", "FARGATE_SIZE", "FARGATE_REFUSES")} == {"SKIP"}
    assert "FAIL" not in levels.values()
    levels = found({}, **{**bridge, "requiresCompatibilities": ["EC2", "FARGATE"]})
    assert {levels[code] for code in ("NETWORK_MODE", "FARGATE_SIZE", "FARGATE_REFUSES")} == {"FAIL"}


def test_a_role_of_another_account_than_the_plan_s_is_told() -> None:
    plan = good.plan().model_copy(update={"account": "210987654321"})
    one = preflight.Subject(task=good.task(), contract=good.contract(), plan=plan)
    (output,) = [each for each in preflight.check_task_definition(one) if each.level == "WARN"][:1]
    assert output.code == "ROLE_ACCOUNT"
    assert "123456789012" in output.sentence
    assert "210987654321" in output.sentence
