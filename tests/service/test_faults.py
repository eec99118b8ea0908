"""Processes are killed, stopped and hung under a running service; clients notice only the reason in the answers."""

import json
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import Server
from tests.service.traffic import (
    DEADLINE_S,
    FAKE_ENGINE,
    ROOM_S,
    Engine,
    Response,
    ask,
    client_of,
    closed,
    crowd,
    drawn_photos,
    in_progress,
    sources,
    statuses,
    until,
    were_answered,
)

PHOTOS = drawn_photos()
BACK_S = 30.0  # for a worker to be back: it starts in about 3 s where nothing else runs
PROMPT_S = 0.25  # a probe's answer while a runner is stopped, median: 2 ms where nothing else runs
Serve = Callable[..., Server]


@pytest.fixture(scope="module", params=[pytest.param("shell", marks=pytest.mark.long), "container"])
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose model answers; BentoML believes to be in a container, or not."""
    folder = tmp_path_factory.mktemp("victim")
    contained = {"BENTOML_CONTAINERIZED": "true"} if request.param == "container" else {}
    running = Server(folder, FAKE_ENGINE, **Engine(folder).env, **contained)
    try:
        running.wait_for_workers()
        yield running
    finally:
        running.stop()


@pytest.fixture
def service(victim: Server) -> Server:
    """The victim, healed of what the test before did to it."""
    until(lambda: closed(victim), BACK_S, "healed")
    return victim


def pid_of(server: Server, worker: str) -> int | None:
    try:
        return server.worker(worker).pid
    except LookupError:
        return None


@pytest.mark.parametrize("worker", ["SkinModel", pytest.param("HeuristicFallback", marks=pytest.mark.long)])
def test_a_killed_runner_costs_nobody_an_answer_and_comes_back(service: Server, worker: str) -> None:
    old = service.worker(worker)
    with crowd(service, PHOTOS) as responses:
        until(lambda: len(responses) > 16, 30, "traffic")
        old.kill()
        until(lambda: pid_of(service, worker) not in (None, old.pid), BACK_S, f"{worker} back")
        before = len(responses)
        until(
            lambda: (
                len(responses) > before + 16
                and {response.body.get("source") for response in responses[-8:]} == {"model"}
            ),
            BACK_S,
            "the model answers everybody",
        )
    were_answered(responses)
    reasons = {reason for _, reason in sources(responses)}
    assert reasons <= {None, "model_crashed", "model_timeout", "circuit_open", "model_loading"}


def test_a_killed_gateway_loses_nothing_for_clients_that_retry_once(service: Server) -> None:
    old = service.worker("Gateway")
    with crowd(service, PHOTOS, retries=1) as responses:
        until(lambda: len(responses) > 16, 30, "traffic")
        old.kill()
        until(lambda: pid_of(service, "Gateway") not in (None, old.pid), BACK_S, "gateway back")
        before = len(responses)
        until(lambda: len(responses) > before + 16, 30, "traffic")
    were_answered(responses)
    until(lambda: closed(service), BACK_S, "the model answers")


@pytest.mark.parametrize("victim", ["container"], indirect=True)  # who is respawned makes no difference here
@pytest.mark.parametrize("worker", ["SkinModel", pytest.param("HeuristicFallback", marks=pytest.mark.long)])
def test_a_stopped_runner_delays_no_probe_and_heals_by_itself(service: Server, worker: str) -> None:
    stopped = service.worker(worker)
    stopped.suspend()
    try:
        with crowd(service, PHOTOS, clients=4) as responses:
            took: dict[str, list[float]] = {"/health": [], "/ready": [], "/readyz": [], "/livez": []}
            suspended = time.monotonic()
            least_s = 3 if worker == "SkinModel" else 6  # longer than the runner's deadline

            def avoided() -> bool:
                """Whether the runner's circuit has opened, which takes longer on a busy machine."""
                if worker == "SkinModel":
                    return ("heuristic", "circuit_open") in sources(responses)
                return 'shine_last_resort_total{reason="circuit_open"}' in httpx.get(service.url + "/metrics").text

            with client_of(service) as client:
                while (passed := time.monotonic() - suspended) < least_s or (passed < 20 and not avoided()):
                    for path, seconds in took.items():
                        began = time.monotonic()
                        assert client.get(path).status_code == 200
                        seconds.append(time.monotonic() - began)
                    time.sleep(0.05)
        assert {path: value for path, seconds in took.items() if (value := statistics.median(seconds)) > PROMPT_S} == {}
        assert max(max(seconds) for seconds in took.values()) < 2.0
        were_answered(responses)
        assert stopped.pid == pid_of(service, worker)
    finally:
        stopped.resume()
    if worker == "SkinModel":
        assert ("heuristic", "circuit_open") in sources(responses)
    else:  # the gateway measured by itself, first after a deadline, then at once
        last_resort = httpx.get(service.url + "/metrics").text
        assert 'shine_last_resort_total{reason="model_timeout"}' in last_resort
        assert 'shine_last_resort_total{reason="circuit_open"}' in last_resort
    until(lambda: closed(service), BACK_S, "healed")
    with client_of(service) as client:
        assert ask(client, PHOTOS[0]).body["source"] == "model"


def test_health_waits_for_nothing_when_the_engine_never_loads(serve: Serve, tmp_path: Path) -> None:
    server = serve(FAKE_ENGINE, **Engine(tmp_path, "hangs").env).wait("/health")
    with client_of(server) as client:
        response = ask(client, PHOTOS[0])
        assert client.get("/ready").status_code == client.get("/readyz").status_code == 200  # hybrid: heuristics answer
    assert (response.status, response.body["source"], response.body["reason"]) == (200, "heuristic", "model_loading")
    assert response.seconds < DEADLINE_S
    assert server.stop() == 0


def send_at_once(server: Server, number: int) -> tuple[list[Response], list[threading.Thread]]:
    """Send photos on a connection each, without waiting for the answers."""
    responses: list[Response] = []

    def send(index: int) -> None:
        with client_of(server) as client:
            responses.append(ask(client, PHOTOS[index % len(PHOTOS)], index))

    threads = [threading.Thread(target=send, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    return responses, threads


def test_what_was_accepted_before_sigterm_is_answered_by_the_model(serve: Serve, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    server = serve(FAKE_ENGINE, SHINE_MAX_BATCH_SIZE="4", **engine.env).wait_for_workers()
    engine.behaves("slow 0.7")
    responses, threads = send_at_once(server, 16)
    until(lambda: len(responses) + in_progress(server) >= 16, 10, "all are inside")  # four batches take 2.8 s
    assert len(responses) < 16
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    were_answered(responses)
    assert sources(responses) == {("model", None): 16}
    assert server.stop() == 0


def logged_photos(server: Server) -> dict[str, int]:
    """Request id → status of each photo that the server has taken in, by its log."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return {line["request_id"]: line["status"] for line in lines if line.get("endpoint") == "/analyze"}


@pytest.mark.long
def test_sigterm_under_load_loses_only_what_was_never_accepted(serve: Serve, tmp_path: Path) -> None:
    server = serve(FAKE_ENGINE, **Engine(tmp_path).env).wait_for_workers()
    time.sleep(0.5)  # a line is written after its response was sent
    before = logged_photos(server)
    with crowd(server, PHOTOS) as responses:
        until(lambda: len(responses) > 30, 30, "traffic")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    # A client whose connection was refused, or closed before its request was read, has lost nothing that was accepted.
    assert set(statuses(responses)) == {0, 200}
    assert set(sources(responses)) == {("model", None)}
    accepted = {name: status for name, status in logged_photos(server).items() if name not in before}
    assert accepted == {response.body["request_id"]: 200 for response in responses if response.status == 200}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_sigterm_is_bounded_while_a_runner_is_stopped(serve: Serve, tmp_path: Path) -> None:
    server = serve(FAKE_ENGINE, **Engine(tmp_path).env).wait_for_workers()
    worker = server.worker("SkinModel")
    worker.suspend()
    responses, threads = send_at_once(server, 8)
    time.sleep(0.5)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    were_answered(responses)
    assert server.process.wait(60) == 0
    assert time.monotonic() - began < 30 + ROOM_S  # the platform's patience: SIGKILL after 30 s on ECS
    assert not worker.is_running()
