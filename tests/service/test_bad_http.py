"""Clients that send malformed HTTP, send slowly, flood, or never read: all clients are answered in bounded time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from PIL import Image

from bentos.skin.runtime.body import SAVED
from bentos.skin.settings import Settings
from tests.server import Server
from tests.service.expect import encoded, is_analysis, is_error_body
from tests.service.raw import FORM_TYPE, Reply, Wire, form, request
from tests.service.traffic import in_progress

MIB = 2**20
JPEG = encoded(Image.effect_noise((300, 200), 40).convert("RGB"), "JPEG")
GOOD = request("POST", "/analyze", form(JPEG), content_type=FORM_TYPE)
HEALTH = request("GET", "/health")
ROOM_S = 15  # of a busy machine


@pytest.fixture(autouse=True)
def good_photo_afterwards(server: Server) -> Iterator[None]:
    """After each test the next good photo is served."""
    yield
    with Wire(server.port) as wire:
        is_analysis(wire.send(GOOD).reply().json())


def is_refused(reply: Reply, status: int, code: str) -> dict[str, str]:
    assert reply.status == status, (reply.status, reply.body[:300])
    assert reply.headers["content-type"] == "application/json"
    error = is_error_body(reply.json(), status, reply.headers.get("x-request-id"))
    assert error["code"] == code
    return error


# --- slow, endless and huge -----------------------------------------------------------------------------------------


def trickle(port: int) -> Reply:
    """A byte a second, for as long as the server lets it."""
    with Wire(port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length="5000"))
        wire.socket.settimeout(1)
        while True:
            try:
                return wire.reply()
            except TimeoutError:
                wire.send(b"x")


def say_nothing_more(port: int) -> Reply:
    """The head of a request, and never its body."""
    with Wire(port) as wire:
        return wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length="5000")).reply()


def trickle_chunks(port: int) -> Reply:
    with Wire(port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length="", transfer_encoding="chunked"))
        wire.socket.settimeout(1)
        while True:
            try:
                return wire.reply()
            except TimeoutError:
                wire.send(b"1\r\nx\r\n")


def begin_fast_and_trickle(port: int) -> Reply:
    """Half of a photo at once, then a byte a second."""
    with Wire(port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(2 * MIB)) + bytes(MIB))
        wire.socket.settimeout(1)
        while True:
            try:
                return wire.reply()
            except TimeoutError:
                wire.send(b"x")


def declare_a_gibibyte_and_wait(port: int) -> Reply:
    with Wire(port) as wire:
        return wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(2**30))).reply()


@pytest.fixture(params=[1, pytest.param(10, marks=pytest.mark.long)], ids=["hasty", "as configured"])
def patient(request: pytest.FixtureRequest, serve_shared: Callable[..., Server]) -> tuple[Server, float]:
    """A server, and the grace time that it grants a body: a short one, and that of its defaults."""
    grace: dict[str, str] = {"SHINE_UPLOAD_GRACE_S": str(request.param)} if request.param != 10 else {}
    return serve_shared(SHINE_PHASE="simple", **grace).wait(), request.param


def test_slow_bodies_end_in_bounded_time_and_hold_nobody_up(patient: tuple[Server, float]) -> None:
    server, grace_s = patient
    slow: dict[Callable[[int], Reply], tuple[int, str]] = {
        trickle: (408, "request_timeout"),
        say_nothing_more: (408, "request_timeout"),
        trickle_chunks: (408, "request_timeout"),
        begin_fast_and_trickle: (408, "request_timeout"),
        declare_a_gibibyte_and_wait: (413, "body_too_large"),
    }
    began = time.monotonic()
    with ThreadPoolExecutor(len(slow)) as threads:
        replies = {client: threads.submit(client, server.port) for client in slow}
        while not all(reply.done() for reply in replies.values()):
            assert httpx.get(server.url + "/health", timeout=5).status_code == 200
            time.sleep(0.5)
    assert grace_s <= time.monotonic() - began < SAVED * grace_s + ROOM_S
    for client, (status, code) in slow.items():
        reply = replies[client].result()
        is_refused(reply, status, code)
        assert reply.headers["connection"] == "close"


def send_steadily(port: int, body: bytes, bytes_per_s: float) -> Reply:
    """Send a photo at a steady rate, twenty times a second."""
    with Wire(port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(len(body))))
        began, sent = time.monotonic(), 0
        while sent < len(body):
            due = min(len(body), int((time.monotonic() - began) * bytes_per_s) + 1)
            wire.send(body[sent:due])
            sent = due
            time.sleep(0.05)
        return wire.reply()


@pytest.mark.parametrize("patient", [1], indirect=True)
def test_a_steady_slow_uplink_gets_through(patient: tuple[Server, float]) -> None:
    server, grace_s = patient
    kib_per_s = 2 * Settings().min_upload_kib_s
    body = form(JPEG + bytes(int((SAVED + 1) * grace_s * kib_per_s * 1024) - len(JPEG)))
    is_analysis(send_steadily(server.port, body, kib_per_s * 1024).json())


@pytest.mark.long
@pytest.mark.timeout(400)
def test_six_mebibytes_get_through_at_forty_kibibytes_a_second(server: Server) -> None:
    is_analysis(send_steadily(server.port, form(JPEG + bytes(6 * MIB)), 40 * 1024).json())


def test_an_endless_chunked_body_is_cut_off(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length="", transfer_encoding="chunked"))
        sent = wire.flood(b"10000\r\n" + b"x" * 0x10000 + b"\r\n", at_most=200 * MIB)
        assert sent < 60 * MIB  # twice the limit, and what lies in socket buffers
        is_refused(wire.reply(), 413, "body_too_large")
        assert wire.is_closed()


def test_a_declared_gibibyte_is_cut_off(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(2**30)))
        sent = wire.flood(b"x" * 0x10000, at_most=2**30)
        assert sent < 60 * MIB
        is_refused(wire.reply(), 413, "body_too_large")
        assert wire.is_closed()


def test_a_body_twice_as_large_is_drained_so_that_its_sender_reads_the_answer(server: Server) -> None:
    body = b"x" * (19 * MIB)
    with Wire(server.port) as wire:
        wire.send(request("POST", "/analyze", body, content_type=FORM_TYPE))
        is_refused(wire.reply(), 413, "body_too_large")
        assert wire.send(HEALTH).reply().status == 200  # all was read: the connection lives on


def test_a_client_that_asks_first_is_refused_before_it_sends(server: Server) -> None:
    head = request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(11 * MIB), expect="100-continue")
    began = time.monotonic()
    with Wire(server.port) as wire:
        is_refused(wire.send(head).reply(), 413, "body_too_large")
        assert wire.is_closed()
    assert time.monotonic() - began < 8  # not after 10 s of waiting for a body


def test_a_client_that_asks_first_may_send_what_fits(server: Server) -> None:
    body = form(JPEG)
    head = request("POST", "/analyze", content_type=FORM_TYPE, content_length=str(len(body)), expect="100-continue")
    with Wire(server.port) as wire:
        assert wire.send(head).reply().status == 100
        is_analysis(wire.send(body).reply().json())


def test_a_body_that_no_endpoint_asked_for_does_no_harm(server: Server) -> None:
    for target, status, code in (("/nothing", 404, "not_found"), ("/health", 405, "method_not_allowed")):
        with Wire(server.port) as wire:
            is_refused(wire.send(request("POST", target, b"x" * MIB)).reply(), status, code)


# --- connections ----------------------------------------------------------------------------------------------------


def test_two_hundred_silent_connections_hold_nobody_up(server: Server) -> None:
    with ExitStack() as stack:
        for index in range(200):
            wire = stack.enter_context(Wire(server.port))
            if index % 2:  # half of them begin a request and fall silent
                wire.send(b"POST /analyze HTTP/1.1\r\nHost: sh")
        for _ in range(20):
            assert httpx.get(server.url + "/health", timeout=5).status_code == 200


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(HEALTH + GOOD + request("GET", "/nothing") + GOOD + request("GET", "/version"))
        assert wire.reply().json()["status"] == "ok"
        is_analysis(wire.reply().json())
        is_refused(wire.reply(), 404, "not_found")
        is_analysis(wire.reply().json())
        assert wire.reply().json()["service"] == "shine"


def test_a_half_closed_connection_still_gets_its_answer(server: Server) -> None:
    with Wire(server.port) as wire:
        is_analysis(wire.send(GOOD).finish().reply().json())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_client_that_leaves_midway_is_forgotten(server: Server, share: float) -> None:
    with Wire(server.port) as wire:
        wire.send(GOOD[: int(len(GOOD) * share)]).finish()
        assert wire.is_closed()
    with Wire(server.port) as wire:
        wire.send(GOOD[: int(len(GOOD) * share)])


def test_a_client_that_left_holds_nothing(server: Server) -> None:
    """A stopping server would wait for it."""
    with Wire(server.port) as wire:
        wire.send(GOOD[: len(GOOD) // 2])
    ends = time.monotonic() + 20
    while in_progress(server) > 0:
        assert time.monotonic() < ends
        time.sleep(0.2)


def test_clients_that_never_read_are_forgotten(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(Wire(server.port)).send(GOOD)
    with Wire(server.port) as wire:
        assert wire.send(HEALTH).reply().status == 200


# --- no HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /hea lth HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx: a\0b\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET http://host:port/ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET //// HTTP/1.1\r\nhost: a b\r\nhost\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"POST /analyze HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda data: repr(data[:60]),
)
def test_what_is_no_http_is_told_so(server: Server, data: bytes) -> None:
    with Wire(server.port) as wire:
        reply = wire.send(data).reply()
        is_refused(reply, 400, "bad_request")
        assert reply.headers["connection"] == "close"
        assert wire.is_closed()


@pytest.mark.parametrize(
    "target", ["*", "health", "/%", "/%ff%fe", "/\xff", "/?%00", "/" + "a" * 60_000, "//x//", "/;"]
)
def test_a_strange_target_is_a_client_error(server: Server, target: str) -> None:
    with Wire(server.port) as wire:
        reply = wire.send(request("GET", target)).reply()
        assert reply.status in {200, 307, 400, 404}
        if reply.status >= 400:
            is_error_body(reply.json(), reply.status, reply.headers.get("x-request-id"))


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "CONNECT", "HEAD", "PURGE"])
def test_a_strange_method_is_a_client_error(server: Server, method: str) -> None:
    with Wire(server.port) as wire:
        wire.send(request(method, "/analyze").replace(b"content-length: 0\r\n", b"connection: close\r\n"))
        head = wire._until(b"\r\n\r\n")
        assert int(head.split()[1]) in {400, 404, 405}


def test_blank_request_ids_and_unicode_headers_do_no_harm(server: Server) -> None:
    for value in (" ", "\t", "\xff" * 50, "a" * 10_000):
        with Wire(server.port) as wire:
            data = HEALTH.replace(b"\r\n\r\n", b"\r\nx-request-id: " + value.encode("latin-1") + b"\r\n\r\n")
            reply = wire.send(data).reply()
            assert reply.status == 200
            assert len(reply.headers["x-request-id"]) == 32


def test_an_endless_head_is_cut_off(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(b"GET /health HTTP/1.1\r\nhost: shine\r\n")
        sent = wire.flood(b"x-filler: " + b"x" * 60_000 + b"\r\n", at_most=24 * MIB)
        assert sent < 16 * MIB
        is_refused(wire.reply(), 400, "bad_request")
