"""Many photos at once: none lost, none mixed up; and those beyond the limit are refused."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.server import Server
from tests.service.traffic import (
    FAKE_ENGINE,
    Engine,
    Response,
    ask,
    ask_many,
    client_of,
    closed,
    crowd,
    drawn_photos,
    sources,
    status_of,
    statuses,
    until,
    were_answered,
)

PHOTOS = drawn_photos()
CONCURRENCY = 32
PROMPT_S = 0.25  # median of an answer that does no work, on a machine that is busy with the clients too
Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def with_fake_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose model answers, so that each photo passes both runners."""
    folder = tmp_path_factory.mktemp("load")
    engine = Engine(folder)
    running = Server(folder, FAKE_ENGINE, **engine.env)
    try:
        running.wait_for_workers()
        until(lambda: closed(running), 30, "the model answers")
        engine.behaves("slow 0.05")  # an engine of no time at all would never find two photos waiting
        yield running
    finally:
        running.stop()


def findings(response: Response) -> dict[str, Any]:
    """What an answer says of its photo."""
    return {key: value for key, value in response.body.items() if key not in ("request_id", "timing_ms")}


def alone(server: Server) -> list[dict[str, Any]]:
    """What the service says of each photo when nobody else asks."""
    with client_of(server) as client:
        answers = [findings(ask(client, photo)) for photo in PHOTOS]
    assert len({str(answer) for answer in answers}) == len(PHOTOS)  # else a mix-up would not be seen
    return answers


def are_right(server: Server, requests: int, concurrency: int) -> None:
    """Assert that so many photos at a time are all answered, each as if it were alone, under ids of their own."""
    expected = alone(server)
    responses = ask_many(server, PHOTOS, requests, concurrency)
    were_answered(responses)
    assert len(responses) == requests
    wrong = [number for number, response in enumerate(responses) if findings(response) != expected[response.photo]]
    assert not wrong, (len(wrong), wrong[:5])
    assert len({response.body["request_id"] for response in responses}) == requests
    assert all(response.headers["x-request-id"] == response.body["request_id"] for response in responses)


def test_160_photos_at_concurrency_32_are_answered_as_if_each_were_alone(with_fake_engine: Server) -> None:
    are_right(with_fake_engine, 160, CONCURRENCY)
    assert set(status_of(with_fake_engine)["breakers"].values()) == {"closed"}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_1500_photos_at_concurrency_32_are_answered_as_if_each_were_alone(with_fake_engine: Server) -> None:
    are_right(with_fake_engine, 1500, CONCURRENCY)
    assert set(status_of(with_fake_engine)["breakers"].values()) == {"closed"}
    assert status_of(with_fake_engine)["batching"]["mean_batch"] > 1


@pytest.mark.long
def test_real_measurements_are_the_same_alone_and_in_a_crowd(server: Server) -> None:
    are_right(server, 48, 8)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_300_real_measurements_are_the_same_alone_and_in_a_crowd(server: Server) -> None:
    are_right(server, 300, 8)


def test_a_batch_is_answered_in_the_order_sent(with_fake_engine: Server) -> None:
    expected = alone(with_fake_engine)
    order = [5, 0, 3, 3, 1, 4, 2, 0, 5, 1]
    with client_of(with_fake_engine) as client:
        answer = client.post("/analyze_batch", files=[("images", PHOTOS[index]) for index in order])
    results = answer.json()["results"]
    unlike = {"request_id", "timing_ms"}
    assert [{key: value for key, value in result.items() if key not in unlike} for result in results] == [
        expected[index] for index in order
    ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def small(engine: Engine, serve_shared: Serve) -> Iterator[Server]:
    """A service that takes 8 photos at a time, whose engine obeys `engine`."""
    server = serve_shared(FAKE_ENGINE, SHINE_MAX_PENDING="8", **engine.env).wait_for_workers()
    until(lambda: closed(server), 30, "the model answers")
    yield server
    engine.behaves("healthy")


@pytest.mark.parametrize("seconds", [4, pytest.param(8, marks=pytest.mark.long)])
def test_beyond_capacity_photos_are_refused_at_once_and_nothing_else_suffers(
    small: Server, engine: Engine, seconds: int
) -> None:
    server = small
    engine.behaves("slow 0.3")
    health: list[float] = []
    breakers: set[str] = set()
    over = threading.Event()

    def probe() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while not over.is_set():
                began = time.monotonic()
                assert client.get("/health").status_code == 200
                health.append(time.monotonic() - began)
                breakers.update(client.get("/ml/status").json()["breakers"].values())
                over.wait(0.05)

    prober = threading.Thread(target=probe)
    prober.start()
    with crowd(server, PHOTOS, clients=24) as responses:
        time.sleep(seconds)
    over.set()
    prober.join()

    assert set(statuses(responses)) == {200, 429}, statuses(responses)
    answered = [response for response in responses if response.status == 200]
    refused = [response for response in responses if response.status == 429]
    assert len(answered) > 5 * seconds  # refusing costs less than it saves: 8 photos per 0.3 s would be 26 a second
    assert len(refused) > 24
    assert {response.body["error"]["code"] for response in refused} == {"overloaded"}
    assert {int(response.headers["retry-after"]) for response in refused} == {1}
    assert statistics.median(response.seconds for response in refused) < PROMPT_S
    assert statistics.median(health) < PROMPT_S
    were_answered(answered)
    assert breakers == {"closed"}
    assert set(sources(answered)) == {("model", None)}


def test_after_overload_the_house_is_empty_again(small: Server) -> None:
    server = small
    with crowd(server, PHOTOS, clients=24) as responses:
        time.sleep(2)
    assert statuses(responses)[429] > 0
    # Clients that leave in the middle of their answer give their place back too.
    for _ in range(16):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + "/analyze", files={"image": PHOTOS[0]}, timeout=0.005)
    time.sleep(1)
    assert statuses(ask_many(server, PHOTOS, requests=24, concurrency=8)) == {200: 24}


@pytest.mark.long
def test_one_thread_is_enough(serve: Serve) -> None:
    server = serve(SHINE_PHASE="simple", SHINE_THREADS="1").wait_for_workers()
    assert statuses(ask_many(server, PHOTOS, requests=4, concurrency=2)) == {200: 4}
