"""Who answers while the model is healthy, slow, stuck, broken, killed or not loaded yet, and who says so."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bentos.skin.runtime.watchdog import STUCK_BATCHES
from tests.server import Server
from tests.service.traffic import (
    MODELLED,
    Engine,
    Seen,
    ask,
    ask_many,
    client_of,
    closed,
    drawn_photos,
    sources,
    status_of,
    statuses,
    until,
)

PHOTOS = drawn_photos()
DEADLINE_S = 0.6  # of the model, so that outages are short
HEALED_S = 20.0
COUNT = 7  # lesions that the engine of `modelled` finds on every photo
QUICK_S = 0.5  # an answer that waits for no sick model, median of several; 40 ms on an idle machine
Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Server]:
    """A service in phase hybrid whose engine obeys `engine`."""
    running = Server(
        tmp_path_factory.mktemp("policy"),
        MODELLED,
        SHINE_MODEL_DEADLINE_MS=str(int(1000 * DEADLINE_S)),
        SHINE_MAX_BATCH_SIZE="2",
        **engine.env,
    )
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


@pytest.fixture
def service(modelled: Server, engine: Engine) -> Iterator[Server]:
    """The service, its engine healthy before and after."""
    until(lambda: closed(modelled), HEALED_S, "healthy before the test")
    yield modelled
    engine.behaves("healthy")


def one(server: Server, **form: str) -> Seen:
    with client_of(server) as client:
        return ask(client, PHOTOS[0], **form)


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    total = 0.0
    for line in httpx.get(server.url + "/metrics", timeout=10).text.splitlines():
        match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? ([0-9.e+]+)", line)
        if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")).items():
            total += float(match[2])
    return total


def is_degraded(seen: Seen, reason: str) -> None:
    """Assert that body and headers say that the heuristics answered in the model's place, and why."""
    assert (seen.status, seen.body["source"], seen.body["degraded"]) == (200, "heuristic", True)
    assert seen.body["reason"] == reason
    assert seen.body["model"] is None
    assert {seen.body["concerns"][name]["source"] for name in ("acne", "wrinkles")} == {"heuristic"}
    assert seen.body["concerns"]["acne"]["count"] == 0
    assert (seen.headers["x-analysis-source"], seen.headers["x-degraded"]) == ("heuristic", "true")


def open_circuit(server: Server) -> list[Seen]:
    """Send photos one after the other until the circuit is open; what was seen before that."""
    seen = []
    while status_of(server)["breaker"] != "open":
        seen.append(one(server))
        assert len(seen) < 10
    return seen


def heals(server: Server, engine: Engine) -> None:
    """Assert that the model answers again soon after the engine is healthy, without traffic that would wait for it."""
    engine.behaves("healthy")
    until(lambda: closed(server), HEALED_S, "closed again")
    until(lambda: metric(server, "shine_breaker_state", runner="model") == 0, 5, "metric closed")
    assert one(server).body["source"] == "model"


def test_a_healthy_model_answers_and_says_which_it_is(service: Server) -> None:
    before = status_of(service)["answers"]["model"]
    counted = metric(service, "shine_answers_total", source="model", reason="")
    seen = one(service)
    assert (seen.status, seen.body["source"], seen.body["degraded"], seen.body["reason"]) == (200, "model", False, None)
    assert seen.body["model"] == {"name": "fake", "version": "1.0.0", "sha256": "0" * 64}
    concerns = seen.body["concerns"]
    assert concerns["acne"]["count"] == COUNT
    assert {name: concern["source"] for name, concern in concerns.items()} == {
        "acne": "model", "wrinkles": "model",
        "redness": "heuristic", "pigmentation": "heuristic", "shine": "heuristic", "texture": "heuristic",
    }  # fmt: skip
    assert (seen.headers["x-analysis-source"], seen.headers["x-degraded"]) == ("model", "false")
    status = status_of(service)
    assert (status["state"], status["reason"], status["breaker"]) == ("ready", None, "closed")
    assert status["model"].items() >= {"name": "fake", "source": "memory", "engine": "fake", "input_size": 512}.items()
    assert status["answers"]["model"] == before + 1
    assert metric(service, "shine_answers_total", source="model", reason="") == counted + 1
    assert httpx.get(service.url + "/version").json()["model"]["name"] == "fake"


def test_require_model_is_met_by_a_healthy_model(service: Server) -> None:
    assert one(service, require="model").body["source"] == "model"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param("slow 1.5", "model_timeout", marks=pytest.mark.long),
        ("hangs", "model_timeout"),
        ("raises", "model_crashed"),
    ],
)
def test_a_sick_model_is_left_alone_after_three_failures_and_asked_again_by_a_probe(
    service: Server, engine: Engine, behaviour: str, reason: str
) -> None:
    counted = metric(service, "shine_answers_total", source="heuristic", reason=reason)
    engine.behaves(behaviour)
    first = open_circuit(service)
    assert len(first) == 3
    for seen in first:
        is_degraded(seen, reason)
        assert seen.seconds < DEADLINE_S + 2.0
    assert metric(service, "shine_answers_total", source="heuristic", reason=reason) == counted + 3

    during = [one(service) for _ in range(5)]
    for seen in during:
        is_degraded(seen, "circuit_open")
    assert sorted(seen.seconds for seen in during)[2] < QUICK_S
    status = status_of(service)
    assert status["state"] == "degraded"
    assert status["breaker"] in ("open", "half_open")
    until(lambda: metric(service, "shine_breaker_state", runner="model") > 0, 5, "metric open")
    assert metric(service, "shine_answers_total", source="heuristic", reason="circuit_open") >= 5
    assert httpx.get(service.url + "/ready").json() == {"ready": True, "state": "degraded", "reason": None}

    heals(service, engine)


def test_require_model_is_503_while_the_model_is_sick(service: Server, engine: Engine) -> None:
    engine.behaves("raises")
    open_circuit(service)
    refused = status_of(service)["answers"]["refused"]
    seen = one(service, require="model")
    assert seen.status == 503
    assert seen.body["error"]["code"] == "model_unavailable"
    assert "circuit_open" in seen.body["error"]["message"]
    assert int(seen.headers["retry-after"]) >= 1
    assert seen.seconds < QUICK_S + 1.0
    assert status_of(service)["answers"]["refused"] == refused + 1
    assert metric(service, "shine_errors_total", code="model_unavailable") >= 1
    with client_of(service) as client:
        batch = client.post(
            "/analyze_batch", files=[("images", photo) for photo in PHOTOS[:3]], data={"require": "model"}
        )
    assert batch.status_code == 200
    assert [result["error"]["code"] for result in batch.json()["results"]] == ["model_unavailable"] * 3
    heals(service, engine)


def test_a_long_queue_before_a_slow_but_moving_model_does_not_open_the_breaker(service: Server, engine: Engine) -> None:
    engine.behaves(f"slow {DEADLINE_S / 2}")
    began = time.monotonic()
    seen = ask_many(service, PHOTOS, requests=12, concurrency=12)  # at most 2 a batch: 1.8 s of work, 3 deadlines
    assert time.monotonic() - began > 2 * DEADLINE_S
    assert statuses(seen) == {200: 12}
    assert sources(seen) == {("model", None): 12}
    assert status_of(service)["breaker"] == "closed"


def test_a_killed_model_process_is_named_and_comes_back(service: Server, engine: Engine) -> None:
    old = service.worker("SkinModel")
    engine.behaves("dies")
    seen = one(service)
    assert seen.body["reason"] in {"model_crashed", "model_timeout"}  # the retry met nobody, or waited for the next
    is_degraded(seen, seen.body["reason"])
    engine.behaves("healthy")
    until(lambda: closed(service), HEALED_S, "healed")
    until(lambda: one(service).body["source"] == "model", HEALED_S, "the model answers")
    assert service.worker("SkinModel").pid != old.pid


@pytest.mark.long
def test_a_model_that_is_stuck_for_ever_ends_itself_and_comes_back(service: Server, engine: Engine) -> None:
    old = service.worker("SkinModel")
    engine.behaves("stuck")
    is_degraded(one(service), "model_timeout")
    engine.behaves("healthy")  # which the stuck process does not see
    until(lambda: not old.is_running(), STUCK_BATCHES * DEADLINE_S + HEALED_S, "the stuck process ends")
    until(lambda: closed(service) and one(service).body["source"] == "model", HEALED_S, "the model answers")
    assert service.worker("SkinModel").pid != old.pid


def test_a_fallback_can_be_refused_for_the_whole_service(serve: Serve, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    server = serve(MODELLED, SHINE_REQUIRE_MODEL="true", SHINE_MODEL_DEADLINE_MS="300", **engine.env).wait_for_workers()
    assert one(server).body["source"] == "model"
    before = status_of(server)["answers"]  # some were refused while the model was loading
    engine.behaves("hangs")
    seen = [one(server) for _ in range(5)]
    assert statuses(seen) == {503: 5}
    assert {answer.body["error"]["code"] for answer in seen} == {"model_unavailable"}
    assert status_of(server)["policy"]["without_the_model"] == "503 model_unavailable"
    assert status_of(server)["answers"] == {**before, "heuristic": 0, "refused": before["refused"] + 5}
    engine.behaves("healthy")  # else its end is waited for


@pytest.mark.parametrize("loss_s", [2.0, pytest.param(6.0, marks=pytest.mark.long)])
def test_phase_full_is_ready_once_the_model_has_loaded_and_stays_so_after_a_loss(
    serve: Serve, tmp_path: Path, loss_s: float
) -> None:
    engine = Engine(tmp_path, "hangs")
    server = serve(MODELLED, SHINE_PHASE="full", **engine.env).wait("/health")
    for path in ("/ready", "/readyz"):
        assert httpx.get(server.url + path).status_code == 503
    until(lambda: status_of(server)["attempts"] == 1, 10, "loading")
    assert httpx.get(server.url + "/ready").json() == {"ready": False, "state": "loading", "reason": "model_loading"}
    is_degraded(one(server), "model_loading")

    engine.behaves("healthy")
    server.wait("/ready", 200, within_s=10)
    server.wait("/readyz", 200, within_s=1)
    assert one(server).body["source"] == "model"

    engine.behaves("hangs")
    server.worker("SkinModel").kill()
    ends = time.monotonic() + loss_s
    answers = []
    while time.monotonic() < ends:
        answers.append(one(server))
        assert httpx.get(server.url + "/ready", timeout=5).status_code == 200
        assert httpx.get(server.url + "/readyz", timeout=5).status_code == 200
    assert statuses(answers) == {200: len(answers)}
    assert {source for source, _ in sources(answers)} == {"heuristic"}

    engine.behaves("healthy")
    until(lambda: closed(server) and one(server).body["source"] == "model", HEALED_S, "the model answers")
