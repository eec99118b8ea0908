"""A photo request's line as CloudWatch takes it: valid by the schema of the Embedded Metric Format, few metrics."""

import json
import logging
import time
from typing import Any

import jsonschema
import pytest

from bentos.skin.runtime import emf
from bentos.skin.runtime.context import RequestContext
from bentos.skin.runtime.logs import JsonLines
from bentos.skin.runtime.telemetry import PHOTO_PATHS
from bentos.skin.runtime.uploads import upload_specs
from bentos.skin.settings import Settings, SettingsError, read

NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "additionalProperties": False,
    "properties": {
        "Name": NAME,
        "Unit": {"enum": ["Seconds", "Milliseconds", "Bytes", "Percent", "Count", "None"]},
        "StorageResolution": {"enum": [1, 60]},
    },
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Namespace": NAME,
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 1, "maxItems": 30, "items": {**NAME, "maxLength": 250}},
        },
        "Metrics": {"type": "array", "minItems": 1, "maxItems": 100, "items": METRIC},
    },
}
# After the specification's own, which stands at the address in emf.py; stricter where that says MUST NOT in words.
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": DIRECTIVE},
            },
        }
    },
}


def values_of(line: dict[str, Any]) -> dict[str, float]:
    """Assert that CloudWatch would take the line's metrics out; what it would take, by name."""
    jsonschema.validate(line, SCHEMA)
    assert abs(line["_aws"]["Timestamp"] - 1000 * time.time()) < 60_000  # milliseconds
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Shine"
    assert directive["Dimensions"] == [["phase"]]
    # Targets are members of the root: strings for dimensions, numbers (true is none) for metrics.
    assert type(line["phase"]) is str
    values = {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}
    assert {type(value) for value in values.values()} <= {int, float}
    return values


def line(status: int, degraded: bool | None, endpoint: str = "/analyze") -> dict[str, Any]:
    """The line of a request as the log has it."""
    context = RequestContext("id", "0" * 32, endpoint, photos=1, degraded=degraded)
    record = logging.makeLogRecord({"fields": emf.embedded(context, "full", status, 0.25)})
    text = JsonLines().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


ZERO = {"Photos": 1, "ServerErrors": 0, "ClientErrors": 0, "Overloaded": 0}


@pytest.mark.parametrize(
    ("status", "degraded", "values"),
    [
        (200, False, {**ZERO, "Latency": 250.0, "Degraded": 0}),
        (200, True, {**ZERO, "Latency": 250.0, "Degraded": 1}),
        (504, None, {**ZERO, "Latency": 250.0, "ServerErrors": 1}),
        (422, None, {**ZERO, "ClientErrors": 1}),
        (429, None, {**ZERO, "ClientErrors": 1, "Overloaded": 1}),
    ],
)
def test_a_line_has_the_metrics_of_its_request(status: int, degraded: bool | None, values: dict[str, float]) -> None:
    assert values_of(line(status, degraded)) == values


def test_the_quick_answers_about_quality_do_not_lower_the_latency() -> None:
    assert values_of(line(200, None, "/quality")) == ZERO
    assert values_of(line(504, None, "/quality")) == {**ZERO, "ServerErrors": 1}


def test_the_paths_with_metrics_are_those_that_take_photos() -> None:
    assert upload_specs(Settings()).keys() == PHOTO_PATHS


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"SHINE_LOG_EMF": "true"}, True),
        ({"SHINE_LOG_EMF": "false", "SHINE_LOG_FORMAT": "text"}, False),
    ],
)
def test_it_is_off_unless_asked_for(environ: dict[str, str], on: bool) -> None:
    assert read(environ).log_emf is on


def test_it_is_refused_where_lines_are_text() -> None:
    with pytest.raises(
        SettingsError, match=r"^SHINE_LOG_EMF is 'true', which cannot be used: .* SHINE_LOG_FORMAT=json"
    ):
        read({"SHINE_LOG_EMF": "true", "SHINE_LOG_FORMAT": "text"})
