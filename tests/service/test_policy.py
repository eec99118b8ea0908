"""Which runner answers while the model is healthy, slow, stuck, broken, killed or not loaded yet, and is named."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bentos.skin.runtime.watchdog import STUCK_BATCHES
from bentos.skin.settings import DEADLINE_HEADER, DRILL, DRILL_HEADER
from tests.server import Server
from tests.service.expect import is_error
from tests.service.traffic import (
    FAKE_ENGINE,
    Engine,
    Response,
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
COUNT = 7  # lesions that the fake engine finds on every photo
QUICK_S = 0.5  # an answer that waits for no sick model, median of several; 40 ms on an idle machine
Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def with_fake_engine(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Server]:
    """A service in phase hybrid whose engine obeys `engine`."""
    running = Server(
        tmp_path_factory.mktemp("policy"),
        FAKE_ENGINE,
        SHINE_MODEL_DEADLINE_MS=str(int(1000 * DEADLINE_S)),
        SHINE_MAX_BATCH_SIZE="2",
        **engine.env,
    )
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


@pytest.fixture
def service(with_fake_engine: Server, engine: Engine) -> Iterator[Server]:
    """The service, its engine healthy before and after."""
    until(lambda: closed(with_fake_engine), HEALED_S, "healthy before the test")
    yield with_fake_engine
    engine.behaves("healthy")


def ask_one(server: Server, **form: str) -> Response:
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


def is_degraded(response: Response, reason: str) -> None:
    """Assert that body and headers say that the heuristics answered in the model's place, and why."""
    assert (response.status, response.body["source"], response.body["degraded"]) == (200, "heuristic", True)
    assert response.body["reason"] == reason
    assert response.body["model"] is None
    assert {response.body["concerns"][name]["source"] for name in ("acne", "wrinkles")} == {"heuristic"}
    assert response.body["concerns"]["acne"]["count"] == 0
    assert (response.headers["x-analysis-source"], response.headers["x-degraded"]) == ("heuristic", "true")


def open_circuit(server: Server) -> list[Response]:
    """Send photos one after the other until the circuit is open; what was seen before that."""
    responses = []
    while status_of(server)["breaker"] != "open":
        responses.append(ask_one(server))
        assert len(responses) < 10
    return responses


def heals(server: Server, engine: Engine) -> None:
    """Assert that the model answers again soon after the engine is healthy, without traffic that would wait for it."""
    engine.behaves("healthy")
    until(lambda: closed(server), HEALED_S, "closed again")
    until(lambda: metric(server, "shine_breaker_state", runner="model") == 0, 5, "metric closed")
    assert ask_one(server).body["source"] == "model"


def test_a_healthy_model_answers_and_says_which_it_is(service: Server) -> None:
    before = status_of(service)["answers"]["model"]
    counted = metric(service, "shine_answers_total", source="model", reason="")
    response = ask_one(service)
    assert (response.status, response.body["source"], response.body["degraded"], response.body["reason"]) == (
        200,
        "model",
        False,
        None,
    )
    assert response.body["model"] == {"name": "fake", "version": "1.0.0", "sha256": "0" * 64}
    concerns = response.body["concerns"]
    assert concerns["acne"]["count"] == COUNT
    assert {name: concern["source"] for name, concern in concerns.items()} == {
        "acne": "model", "wrinkles": "model",
        "redness": "heuristic", "pigmentation": "heuristic", "shine": "heuristic", "texture": "heuristic",
    }  # fmt: skip
    assert (response.headers["x-analysis-source"], response.headers["x-degraded"]) == ("model", "false")
    status = status_of(service)
    assert (status["state"], status["reason"], status["breaker"]) == ("ready", None, "closed")
    assert status["model"].items() >= {"name": "fake", "source": "memory", "engine": "fake", "input_size": 512}.items()
    assert status["answers"]["model"] == before + 1
    assert metric(service, "shine_answers_total", source="model", reason="") == counted + 1
    assert httpx.get(service.url + "/version").json()["model"]["name"] == "fake"


def test_require_model_is_met_by_a_healthy_model(service: Server) -> None:
    assert ask_one(service, require="model").body["source"] == "model"


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
    for response in first:
        is_degraded(response, reason)
        assert response.seconds < DEADLINE_S + 2.0
    assert metric(service, "shine_answers_total", source="heuristic", reason=reason) == counted + 3

    during = [ask_one(service) for _ in range(5)]
    for response in during:
        is_degraded(response, "circuit_open")
    assert sorted(response.seconds for response in during)[2] < QUICK_S
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
    response = ask_one(service, require="model")
    assert response.status == 503
    assert response.body["error"]["code"] == "model_unavailable"
    assert "circuit_open" in response.body["error"]["message"]
    assert int(response.headers["retry-after"]) >= 1
    assert response.seconds < QUICK_S + 1.0
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
    responses = ask_many(service, PHOTOS, requests=12, concurrency=12)  # at most 2 a batch: 1.8 s of work, 3 deadlines
    assert time.monotonic() - began > 2 * DEADLINE_S
    assert statuses(responses) == {200: 12}
    assert sources(responses) == {("model", None): 12}
    assert status_of(service)["breaker"] == "closed"


def test_a_killed_model_process_is_named_and_comes_back(service: Server, engine: Engine) -> None:
    old = service.worker("SkinModel")
    engine.behaves("dies")
    response = ask_one(service)
    # The retry met nobody, waited for the next process, or was answered by it while it loads.
    assert response.body["reason"] in {"model_crashed", "model_timeout", "model_loading"}
    is_degraded(response, response.body["reason"])
    engine.behaves("healthy")
    until(lambda: closed(service), HEALED_S, "healed")
    until(lambda: ask_one(service).body["source"] == "model", HEALED_S, "the model answers")
    assert service.worker("SkinModel").pid != old.pid


@pytest.mark.long
def test_a_model_that_is_stuck_for_ever_ends_itself_and_comes_back(service: Server, engine: Engine) -> None:
    old = service.worker("SkinModel")
    engine.behaves("stuck")
    is_degraded(ask_one(service), "model_timeout")
    engine.behaves("healthy")  # which the stuck process does not see
    until(lambda: not old.is_running(), STUCK_BATCHES * DEADLINE_S + HEALED_S, "the stuck process ends")
    until(lambda: closed(service) and ask_one(service).body["source"] == "model", HEALED_S, "the model answers")
    assert service.worker("SkinModel").pid != old.pid


def test_a_fallback_can_be_refused_for_the_whole_service(serve: Serve, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    server = serve(
        FAKE_ENGINE, SHINE_REQUIRE_MODEL="true", SHINE_MODEL_DEADLINE_MS="300", **engine.env
    ).wait_for_workers()
    assert ask_one(server).body["source"] == "model"
    drill = httpx.post(server.url + "/analyze", files={"image": PHOTOS[0]}, headers={DRILL_HEADER: DRILL}, timeout=30)
    is_error(drill, 503, "model_unavailable")
    before = status_of(server)["answers"]  # some were refused while the model was loading
    engine.behaves("hangs")
    responses = [ask_one(server) for _ in range(5)]
    assert statuses(responses) == {503: 5}
    assert {answer.body["error"]["code"] for answer in responses} == {"model_unavailable"}
    assert status_of(server)["policy"]["without_the_model"] == "503 model_unavailable"
    assert status_of(server)["answers"] == {**before, "heuristic": 0, "refused": before["refused"] + 5}
    engine.behaves("healthy")  # else its end is waited for


def test_a_client_in_a_hurry_gets_the_heuristics_in_time_where_the_model_hangs(serve: Serve, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    server = serve(FAKE_ENGINE, **engine.env).wait_for_workers()
    engine.behaves("hangs")
    answers = [
        httpx.post(server.url + "/analyze", files={"image": PHOTOS[0]}, headers={DEADLINE_HEADER: "1500"}, timeout=30)
        for _ in range(3)
    ]
    assert [(answer.status_code, answer.json()["reason"]) for answer in answers] == [(200, "model_timeout")] * 3
    engine.behaves("healthy")  # else its end is waited for


@pytest.mark.long
@pytest.mark.parametrize("loss_s", [2.0, 6.0])
def test_phase_full_is_ready_once_the_model_has_loaded_and_stays_so_after_a_loss(
    serve: Serve, tmp_path: Path, loss_s: float
) -> None:
    engine = Engine(tmp_path, "hangs")
    server = serve(FAKE_ENGINE, SHINE_PHASE="full", **engine.env).wait("/health")
    for path in ("/ready", "/readyz"):
        assert httpx.get(server.url + path).status_code == 503
    until(lambda: status_of(server)["attempts"] == 1, 10, "loading")
    assert httpx.get(server.url + "/ready").json() == {"ready": False, "state": "loading", "reason": "model_loading"}
    is_degraded(ask_one(server), "model_loading")

    engine.behaves("healthy")
    server.wait("/ready", 200, within_s=10)
    server.wait("/readyz", 200, within_s=1)
    assert ask_one(server).body["source"] == "model"

    engine.behaves("hangs")
    server.worker("SkinModel").kill()
    ends = time.monotonic() + loss_s
    answers = []
    while time.monotonic() < ends:
        answers.append(ask_one(server))
        assert httpx.get(server.url + "/ready", timeout=5).status_code == 200
        assert httpx.get(server.url + "/readyz", timeout=5).status_code == 200
    assert statuses(answers) == {200: len(answers)}
    assert {source for source, _ in sources(answers)} == {"heuristic"}

    engine.behaves("healthy")
    until(lambda: closed(server) and ask_one(server).body["source"] == "model", HEALED_S, "the model answers")
