"""The dashboard: Grafana can import it, and each of its expressions is valid and uses existing metrics."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.server import ROOT
from tests.watch import promtool
from tests.watch.metrics import asked_for, unknown_in

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "watch" / "dashboard.json").read_text())
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"]}
EXPRESSIONS = [(title, target["expr"]) for title, panel in PANELS.items() for target in panel["targets"]]
VARIABLES: dict[str, dict[str, Any]] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
GRAFANAS = {"$__rate_interval": "5m", "$job": "shine", "$instance": ".*"}
# What it is for: each of these is somebody's first question.
SHOWN = {
    "shine_requests_total", "shine_stage_seconds_bucket", "shine_answers_total", "shine_breaker_state",
    "shine_model_state", "shine_model_load_attempts_total", "shine_weights_bytes_total", "shine_memory_bytes",
    "shine_memory_limit_bytes", "shine_quality_score_bucket", "shine_concern_score_sum",
}  # fmt: skip


def test_it_can_be_imported_whatever_the_data_source_is_called() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert {"id", "__inputs", "iteration"}.isdisjoint(DASHBOARD)  # of the Grafana that it would have come from
    assert (DASHBOARD["title"], DASHBOARD["uid"]) == ("Shine", "shine")
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    places = [*PANELS.values(), VARIABLES["job"], VARIABLES["instance"]]
    targets = [target for panel in PANELS.values() for target in panel["targets"]]
    assert [place["datasource"] for place in (*places, *targets)] == [source] * (len(places) + len(targets))


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len(PANELS) == len(DASHBOARD["panels"]) == len({panel["id"] for panel in PANELS.values()})
    taken: set[tuple[int, int]] = set()
    for title, panel in PANELS.items():
        x, y, w, h = (panel["gridPos"][side] for side in "xywh")
        cells = {(column, row) for column in range(x, x + w) for row in range(y, y + h)}
        assert x + w <= 24, title
        assert not cells & taken, title
        taken |= cells
        assert panel["description"], title
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), title


def test_it_answers_the_first_questions() -> None:
    assert set().union(*(asked_for(expression) for _, expression in EXPRESSIONS)) >= SHOWN


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_an_expression_asks_for_metrics_and_labels_that_are_there(title: str, expression: str) -> None:
    assert asked_for(expression), title
    assert unknown_in(expression) == set(), title
    assert set(re.findall(r"\$\w+", expression)) <= GRAFANAS.keys(), title


@pytest.mark.parametrize("name", ["job", "instance"])
def test_a_variable_is_read_from_a_metric_that_is_there(name: str) -> None:
    query = VARIABLES[name]["query"]["query"]
    assert asked_for(query)
    assert unknown_in(query) == set()


@promtool.needed
def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = []
    for number, (_, expression) in enumerate(EXPRESSIONS):
        for variable, value in GRAFANAS.items():
            expression = expression.replace(variable, value)
        rules.append({"record": f"panel:{number}", "expr": expression})
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool.run("check", "rules", file)
