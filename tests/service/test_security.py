"""Attacks: nothing is unpickled, one port listens, keys and rates cannot be bypassed."""

import os
import pickle
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bentos.skin.keys import hashed
from bentos.skin.settings import read
from tests.server import ROOT, Server
from tests.service.expect import is_error
from tests.service.raw import Wire, request

KEY = "the-key-of-most-tests-4711"
SPENDER, BATCHER, OTHER = "spends-its-rate-0815", "sends-batches-0815", "is-left-alone-0815"
RATE = 20  # photos a minute
PAGE = "https://shine.example"
NO_PHOTO = b"this is not a photo"  # costs as much as one, and is answered at once
EVERY_ANSWER_HAS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("secured"),
        SHINE_PHASE="simple",
        SHINE_API_KEYS=",".join([KEY, str(hashed(SPENDER)), BATCHER, str(hashed(OTHER))]),
        SHINE_RATE_PER_MINUTE=str(RATE),
        SHINE_CORS_ORIGINS=PAGE,
        SHINE_MAX_BODY_MIB="1",
    )
    try:
        yield running.wait()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def client(secured: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=secured.url, timeout=60) as client:
        yield client


# --- pickles --------------------------------------------------------------------------------------------------------


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.bentoml+pickle",
        "Application/VND.BentoML+Pickle",
        "application/vnd.bentoml+pickle; charset=utf-8",
        "application/octet-stream",
        "application/x-pickle",
        "multipart/form-data; boundary=b",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/analyze", "/quality", "/analyze_base64", "/analyze_batch", "/overlay", "/", "/predict", "/measure"),
        *("/status", "/SkinModel"),
    ],
)
def test_a_pickle_is_refused_and_never_unpickled(
    client: httpx.Client, tmp_path: Path, path: str, content_type: str
) -> None:
    touched = tmp_path / "touched"
    payload = pickle.dumps({"image": Touch(touched), "images": Touch(touched)}, protocol=5)
    headers = {"x-api-key": KEY, "content-type": content_type, "buffer-lengths": str(len(payload))}
    answer = client.post(path, content=payload, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json().keys() == {"error"}
    assert not touched.exists()
    pickle.loads(payload)  # noqa: S301  it is one that would have been noticed
    assert touched.exists()


def test_a_pickle_inside_of_a_form_is_no_photo(client: httpx.Client, tmp_path: Path) -> None:
    payload = pickle.dumps(Touch(tmp_path / "touched"))
    for content_type in ("application/vnd.bentoml+pickle", "application/octet-stream", "image/jpeg"):
        files = {"image": ("face.jpg", payload, content_type)}
        is_error(client.post("/analyze", files=files, headers={"x-api-key": KEY}), 415, "image_format_unsupported")
    assert not (tmp_path / "touched").exists()


# --- ports ----------------------------------------------------------------------------------------------------------


def test_no_process_listens_on_any_port_but_the_gateways(secured: Server) -> None:
    parent = psutil.Process(secured.process.pid)
    connections = {
        process.pid: process.net_connections("inet") for process in [parent, *parent.children(recursive=True)]
    }
    listening = {
        connection.laddr
        for of_process in connections.values()
        for connection in of_process
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }
    assert len(connections) >= 4
    assert listening == {("127.0.0.1", secured.port)}


# --- the rate -------------------------------------------------------------------------------------------------------


def test_a_key_that_has_spent_its_rate_is_told_when_to_come_back(secured: Server, client: httpx.Client) -> None:
    headers = {"x-api-key": SPENDER, "origin": PAGE}
    files = {"image": NO_PHOTO}
    for _ in range(RATE):
        is_error(client.post("/analyze", files=files, headers=headers), 415, "image_format_unsupported")
    refused: Any = None
    for _ in range(3):  # one more comes every three seconds
        refused = client.post("/analyze", files=files, headers=headers)
        if refused.status_code == 429:
            break
    error = is_error(refused, 429, "rate_limited")
    assert str(RATE) in error["message"]
    assert SPENDER not in refused.text
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert "retry-after" in refused.headers["access-control-expose-headers"]
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    # Before its body is read: it has not been sent.
    head = request("POST", "/analyze", x_api_key=SPENDER, content_length="500000", expect="100-continue")
    with Wire(secured.port, timeout=10) as wire:
        reply = wire.send(head).reply()
    assert (reply.status, reply.json()["error"]["code"]) == (429, "rate_limited")
    # Neither what is no photo nor another key pays for it.
    assert client.get("/version", headers=headers).status_code == 200
    is_error(client.post("/analyze", files=files, headers={"x-api-key": OTHER}), 415, "image_format_unsupported")
    time.sleep(int(reply.headers["retry-after"]))
    is_error(client.post("/analyze", files=files, headers=headers), 415, "image_format_unsupported")


def test_a_batch_costs_its_photos(client: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {BATCHER}"}
    batch = [("images", NO_PHOTO)] * 16
    assert len(client.post("/analyze_batch", files=batch, headers=headers).json()["results"]) == 16
    refused = client.post("/analyze_batch", files=batch, headers=headers)
    is_error(refused, 429, "rate_limited")
    assert 30 < int(refused.headers["retry-after"]) <= 36  # twelve photos, one each three seconds
    assert client.post("/analyze_batch", files=batch[:4], headers=headers).status_code == 200


# --- browsers -------------------------------------------------------------------------------------------------------

PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


@pytest.mark.parametrize("size", [2 * 2**20, 20 * 2**20])
def test_an_allowed_page_may_read_that_its_photo_is_too_large(client: httpx.Client, size: int) -> None:
    headers = {"x-api-key": KEY, "origin": PAGE}
    answer = client.post("/analyze", files={"image": bytes(size)}, headers=headers)
    is_error(answer, 413, "body_too_large")
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("GET", "/livez", {}, 200),
        ("GET", "/metrics", {"x-api-key": KEY}, 200),
        ("GET", "/docs.json", {"x-api-key": KEY}, 200),
        ("GET", "/", {"x-api-key": KEY}, 307),
        ("GET", "/version", {"x-api-key": KEY, "origin": PAGE}, 200),
        ("GET", "/version", {}, 401),
        ("GET", "/version", {"x-api-key": "wrong"}, 401),
        ("GET", "/nothing", {"x-api-key": KEY}, 404),
        ("PUT", "/analyze", {"x-api-key": KEY}, 405),
        ("POST", "/analyze", {"x-api-key": KEY}, 415),
        ("OPTIONS", "/analyze", PREFLIGHT, 200),
        ("OPTIONS", "/analyze", {**PREFLIGHT, "origin": "https://elsewhere.example"}, 400),
    ],
)
def test_every_answer_has_the_security_headers_once(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, path, headers={**headers, "x-forwarded-proto": "https"})
    assert answer.status_code == status
    for name, value in EVERY_ANSWER_HAS.items():
        assert answer.headers.get_list(name) == [value]
    assert "strict-transport-security" not in answer.headers  # for the load balancer to say, where TLS ends
    assert "server" not in answer.headers


def test_even_what_is_no_http_is_answered_with_the_security_headers(secured: Server) -> None:
    with Wire(secured.port) as wire:
        reply = wire.send(b"this is no HTTP\r\n\r\n").reply()
    assert reply.status == 400
    assert reply.headers.items() >= EVERY_ANSWER_HAS.items()
    assert reply.json()["error"]["code"] == "bad_request"


# --- make serve -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("http://localhost:3000", "http://localhost:5173", "http://127.0.0.1:8080")),
        ({"SHINE_CORS_ORIGINS": ""}, None),
        ({"SHINE_CORS_ORIGINS": PAGE}, (PAGE,)),
    ],
)
def test_make_serve_lets_pages_in_development_in_unless_told_otherwise(
    tmp_path: Path, given: dict[str, str], expected: tuple[str, ...] | None
) -> None:
    bentoml = tmp_path / "bentoml"
    bentoml.write_text('#!/bin/sh\nprintf %s "$SHINE_CORS_ORIGINS"\n')
    bentoml.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "MAKE"))}
    command = ["make", "--silent", "--old-file=setup", "--old-file=.venv/installed", "serve", f"BIN={tmp_path}"]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **given}, capture_output=True, text=True, timeout=30, check=True
    )
    origins = read({"SHINE_CORS_ORIGINS": done.stdout}).cors_origins
    if expected is None:
        assert origins == ()
    else:
        assert set(expected) <= set(origins)
        assert bool(given) <= (origins == expected)
