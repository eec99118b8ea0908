"""The alerts: each fires and each stays quiet, uses existing metrics, and says what to do."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.infra.parameters import template
from tests.server import PORTRAIT, ROOT, Server
from tests.service.test_policy import metric
from tests.service.traffic import until
from tests.watch import promtool
from tests.watch.metrics import asked_for, unknown_in

WATCH = ROOT / "deploy" / "watch"
RULES = WATCH / "alerts.yaml"
TESTS = WATCH / "alerts_test.yaml"
RUNBOOK = (WATCH / "RUNBOOK.md").read_text()
(GROUP,) = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
ALARMS = {
    name: resource for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"
}
OF_THE_TEMPLATE = {"ShineUnhealthyHosts", "ShineBelowDesired"}  # of what only the platform sees
SECTIONS: dict[str, str] = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
ORDERED = {
    "ShineDegraded", "ShineBreakerOpen", "ShineSlow", "ShineServerErrors", "ShineLoadFailing", "ShineMemoryNearLimit",
}  # fmt: skip


@promtool.needed
def test_the_rules_are_valid() -> None:
    promtool.run("check", "rules", RULES)


@promtool.needed
def test_each_alert_fires_and_stays_quiet_as_its_tests_say() -> None:
    promtool.run("test", "rules", TESTS)


@promtool.needed
@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_the_tests_notice_an_alert_that_never_fires(alert: str, tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())
    (rule,) = [rule for rule in rules["groups"][0]["rules"] if rule["alert"] == alert]
    rule["expr"] = "vector(1) > 2"
    (tmp_path / RULES.name).write_text(yaml.safe_dump(rules))
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    with pytest.raises(AssertionError, match=f"alertname:? ?{alert}"):
        promtool.run("test", "rules", tmp_path / TESTS.name)


def test_the_alerts_are_those_that_were_ordered_each_tested_in_both_ways() -> None:
    assert ALERTS.keys() == ORDERED
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    for alert in ALERTS:
        fires = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert}
        assert fires == {True, False}, alert


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_asks_for_metrics_and_labels_that_are_there(alert: str) -> None:
    assert asked_for(ALERTS[alert]["expr"])
    assert unknown_in(ALERTS[alert]["expr"]) == set()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_leads_to_its_section_of_the_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"deploy/watch/RUNBOOK.md#{alert.lower()}"


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_an_alarm_of_the_template_leads_to_a_section_of_the_runbook(alarm: str) -> None:
    description = ALARMS[alarm]["Properties"]["AlarmDescription"]
    named = re.fullmatch(
        r".+\. RUNBOOK\.md#(\w+)", description if isinstance(description, str) else description["Fn::Sub"]
    )
    assert named is not None
    assert named[1] in {section.lower() for section in SECTIONS}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_says_what_it_means_where_to_look_and_what_to_do(section: str) -> None:
    for part in ("**It means**", "**Look first**", "**Do**"):
        assert SECTIONS[section].count(part) == 1, part


def test_the_runbook_has_no_other_sections_and_its_links_lead_somewhere() -> None:
    assert SECTIONS.keys() == ALERTS.keys() | OF_THE_TEMPLATE
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK)) <= {section.lower() for section in SECTIONS}
    named = {anchor for alarm in ALARMS.values() for anchor in re.findall(r"RUNBOOK\.md#(\w+)", str(alarm))}
    assert {section.lower() for section in OF_THE_TEMPLATE} <= named


def test_what_is_unknown_would_be_noticed() -> None:
    assert unknown_in("sum by (source) (rate(shine_answers_total{reason!=''}[5m]))") == set()
    assert unknown_in("shine_answers") == {"shine_answers"}
    assert unknown_in("shine_answers_total{cause=''}") == {"shine_answers_total{cause}"}
    assert unknown_in("max by (worker) (shine_breaker_state)") == {"worker"}


def test_a_running_service_exposes_what_the_alerts_ask_for_and_tells_of_weights_it_lacks(unweighted: Server) -> None:
    server = unweighted
    photo = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=30)
    assert photo.json()["reason"] == "weights_missing"
    until(lambda: metric(server, "shine_model_state", state="degraded") == 1, 10, "the state is told")
    exposed = set(re.findall(r"^(shine_\w+)", httpx.get(server.url + "/metrics").text, re.MULTILINE))
    assert set().union(*(asked_for(rule["expr"]) for rule in ALERTS.values())) <= exposed
    assert metric(server, "shine_model_load_failing") == 1
    assert metric(server, "shine_answers_total", source="heuristic", reason="weights_missing") >= 1
