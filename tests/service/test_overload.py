"""More photos than can be answered: those that are admitted are answered in time, and nothing is done for nobody."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bentos.skin.settings import DEADLINE_HEADER
from tests.server import Server
from tests.service.expect import is_error
from tests.service.traffic import (
    FAKE_ENGINE,
    Engine,
    ask,
    ask_many,
    client_of,
    closed,
    drawn_photos,
    status_of,
    statuses,
    until,
)

PHOTOS = drawn_photos()
BATCH_S = 0.2


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def slow(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose engine takes BATCH_S for each batch of two, and which has measured that."""
    server = Server(tmp_path_factory.mktemp("overload"), FAKE_ENGINE, SHINE_MAX_BATCH_SIZE="2", **engine.env)
    try:
        server.wait_for_workers()
        until(lambda: closed(server), 30, "the model answers")
        engine.behaves(f"slow {BATCH_S}")
        assert statuses(ask_many(server, PHOTOS, requests=30, concurrency=8)) == {200: 30}
        yield server
    finally:
        server.stop()


def send(server: Server, deadline_ms: str, path: str = "/analyze") -> httpx.Response:
    with client_of(server) as client:
        return client.post(path, files={"image": PHOTOS[0]}, headers={DEADLINE_HEADER: deadline_ms})


def test_what_is_admitted_is_answered_within_the_deadline_of_its_client(slow: Server) -> None:
    deadline_s = 1.5
    with ThreadPoolExecutor(32) as threads, client_of(slow) as client:
        client.headers[DEADLINE_HEADER] = str(int(1000 * deadline_s))
        responses = list(threads.map(lambda number: ask(client, PHOTOS[number % len(PHOTOS)]), range(32)))

    answered = [response for response in responses if response.status == 200]
    refused = [response for response in responses if response.status == 429]
    assert len(answered) + len(refused) == 32, statuses(responses)
    assert len(answered) >= 4  # ten photos a second, of which .6 × 1.5 s are let in
    assert max(response.body["timing_ms"]["total"] for response in answered) < 1000 * deadline_s
    assert {response.body["source"] for response in answered} == {"model"}
    assert refused
    for response in refused:
        assert response.body["error"]["code"] == "overloaded"
        assert 1 <= int(response.headers["retry-after"]) <= 4


def test_a_client_that_does_not_wait_at_all_is_told_so(slow: Server) -> None:
    answer = send(slow, "1")
    assert is_error(answer, answer.status_code, answer.json()["error"]["code"])
    assert (answer.status_code, answer.json()["error"]["code"]) in ((429, "overloaded"), (504, "timeout"))


def test_a_header_that_is_no_number_of_milliseconds_is_refused(slow: Server) -> None:
    with client_of(slow) as client:
        for path in ("/analyze", "/quality", "/overlay"):
            for value in ("", "0", "-5", "1.5", "2s", "9999999999", "١٢"):
                headers = {DEADLINE_HEADER.encode(): value.encode()}
                answer = client.post(path, files={"image": PHOTOS[0]}, headers=headers)
                assert DEADLINE_HEADER in is_error(answer, 400, "bad_request")["message"]


def test_what_has_not_begun_for_clients_that_have_gone_is_not_done(slow: Server) -> None:
    with client_of(slow) as client:
        request = client.build_request("POST", "/analyze", files={"image": PHOTOS[0]})
        head = f"POST /analyze HTTP/1.1\r\nhost: x\r\ncontent-type: {request.headers['content-type']}\r\n"
        body = request.read()
    message = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    before = status_of(slow)["answers"]["model"]
    connections = [socket.create_connection(("127.0.0.1", slow.port)) for _ in range(16)]
    for connection in connections:
        connection.sendall(message)
    time.sleep(BATCH_S)
    for connection in connections:
        connection.close()
    answer = send(slow, "10000")
    assert answer.json()["timing_ms"]["total"] < 1000 * 8 * BATCH_S / 2  # sixteen photos would have taken 8 batches
    time.sleep(2 * BATCH_S)
    assert status_of(slow)["answers"]["model"] - before < 16 / 2


def test_a_client_that_closes_its_sending_side_alone_is_answered(slow: Server) -> None:
    with client_of(slow) as client:
        request = client.build_request("POST", "/analyze", files={"image": PHOTOS[0]})
        body = request.read()
    head = (
        f"POST /analyze HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {request.headers['content-type']}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", slow.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    # Interim responses find out whether it is still there.
    assert answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").startswith(b"HTTP/1.1 200")
