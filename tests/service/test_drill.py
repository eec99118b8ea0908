"""A drill: on request a photo is answered as if the model were absent, and no metric of an alarm counts it."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bentos.skin.settings import DRILL, DRILL_HEADER
from tests.server import PORTRAIT, Server
from tests.service.expect import is_error
from tests.service.test_policy import is_degraded, metric
from tests.service.test_tracing import line_of
from tests.service.traffic import FAKE_ENGINE, Engine, Response, closed, status_of, until

PHOTO = PORTRAIT.read_bytes()
HEADER = {DRILL_HEADER: DRILL}
POSTS = ("/analyze", "/analyze_base64", "/analyze_batch", "/overlay")


@pytest.fixture(scope="module")
def with_fake_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in phase hybrid whose model is well."""
    folder = tmp_path_factory.mktemp("drill")
    running = Server(folder, FAKE_ENGINE, SHINE_LOG_EMF="true", **Engine(folder).env)
    try:
        running.wait_for_workers()
        until(lambda: closed(running), 20, "the model answers")
        yield running
    finally:
        running.stop()


def ask(server: Server, path: str, headers: dict[str, str] = HEADER, require: str | None = None) -> httpx.Response:
    form: dict[str, Any] = {"data": {"require": require} if require else {}}
    if path == "/analyze_base64":
        form = {"json": {"image": base64.b64encode(PHOTO).decode(), "require": require}}
    elif path == "/analyze_batch":
        form["files"] = [("images", PHOTO), ("images", PHOTO)]
    else:
        form["files"] = {"image": PHOTO}
    return httpx.post(server.url + path, headers=headers, timeout=30, **form)


def counted(server: Server) -> dict[str, float]:
    """Whatever is counted of photos; not what goes by itself: memory, and questions of this file."""
    counts = {}
    for line in httpx.get(server.url + "/metrics", timeout=10).text.splitlines():
        name, _, value = line.rpartition(" ")
        own = name.startswith(("shine_memory", "shine_drills")) or re.search('endpoint="/(metrics|ml/status)"', name)
        if name.startswith("shine_") and "_created" not in name and not own:
            counts[name] = float(value)
    return counts


@pytest.mark.parametrize("path", POSTS)
def test_a_drill_is_answered_by_the_heuristics_while_the_model_is_well(with_fake_engine: Server, path: str) -> None:
    answer = ask(with_fake_engine, path)
    assert answer.status_code == 200
    assert (answer.headers["x-analysis-source"], answer.headers["x-degraded"]) == ("heuristic", "true")
    if path == "/overlay":
        assert answer.content.startswith(b"\x89PNG")
        return
    for body in answer.json()["results"] if path == "/analyze_batch" else [answer.json()]:
        is_degraded(Response(0, 200, 0.0, body, answer.headers), "model_disabled")
    without = ask(with_fake_engine, path, {})
    assert (without.headers["x-analysis-source"], without.headers["x-degraded"]) == ("model", "false")


def test_a_drill_that_requires_the_model_is_refused_like_any_fallback(with_fake_engine: Server) -> None:
    error = is_error(ask(with_fake_engine, "/analyze", require="model"), 503, "model_unavailable")
    assert "model_disabled" in error["message"]
    batch = ask(with_fake_engine, "/analyze_batch", require="model")
    assert [result["error"]["code"] for result in batch.json()["results"]] == ["model_unavailable"] * 2


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("value", ["", "Fallback", "fallback, fallback", "true"])
def test_any_other_value_is_refused(with_fake_engine: Server, path: str, value: str) -> None:
    error = is_error(ask(with_fake_engine, path, {DRILL_HEADER: value}), 400, "bad_request")
    assert DRILL_HEADER in error["message"]
    assert f"'{DRILL}'" in error["hint"]


def test_a_drill_counts_as_a_drill_and_as_nothing_else(with_fake_engine: Server) -> None:
    for path in POSTS:
        ask(with_fake_engine, path)  # so that every family is there
    before, answers = counted(with_fake_engine), status_of(with_fake_engine)["answers"]
    drills = metric(with_fake_engine, "shine_drills_total")
    for path in POSTS:
        assert ask(with_fake_engine, path).status_code == 200
    assert ask(with_fake_engine, "/analyze", require="model").status_code == 503
    ask(with_fake_engine, "/analyze_batch", require="model")
    assert counted(with_fake_engine) == before
    assert status_of(with_fake_engine)["answers"] == answers
    assert metric(with_fake_engine, "shine_drills_total") == drills + 6
    assert metric(with_fake_engine, "shine_drills_total", endpoint="/analyze", status="503") >= 1
    ask(with_fake_engine, "/analyze", {})
    assert counted(with_fake_engine) != before


def test_a_drills_line_says_so_and_carries_no_cloudwatch_metrics(with_fake_engine: Server) -> None:
    line = line_of(with_fake_engine, ask(with_fake_engine, "/analyze").headers["x-request-id"])
    assert (line["drill"], line["source"], line["degraded"]) == (True, "heuristic", True)
    assert "_aws" not in line
    other = line_of(with_fake_engine, ask(with_fake_engine, "/analyze", {}).headers["x-request-id"])
    assert "drill" not in other
    assert "_aws" in other


def test_in_phase_simple_a_drill_changes_nothing(server: Server) -> None:
    drill, other = ask(server, "/analyze"), ask(server, "/analyze", {})
    assert drill.headers["x-degraded"] == other.headers["x-degraded"] == "false"
    for name in ("source", "degraded", "reason", "concerns", "face", "quality", "tone", "model"):
        assert drill.json()[name] == other.json()[name], name


def test_the_document_offers_it_on_each_photo_request(server: Server) -> None:
    paths = httpx.get(server.url + "/docs.json").json()["paths"]
    for path in POSTS:
        parameters = {parameter["name"]: parameter for parameter in paths[path]["post"]["parameters"]}
        parameter = parameters[DRILL_HEADER]
        assert (parameter["in"], parameter["required"]) == ("header", False)
        assert parameter["schema"]["enum"] == [DRILL]
