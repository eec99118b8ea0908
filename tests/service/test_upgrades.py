"""Requests that offer an upgrade are answered as if they offered none: body, next request and all."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server import Server
from tests.service.expect import encoded, is_analysis
from tests.service.raw import FORM_TYPE, Wire, form, request

FORM = form(encoded(Image.effect_noise((100, 100), 40).convert("RGB"), "PNG"))
JAVA: dict[str, Any] = {
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2_settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
}
WEBSOCKET: dict[str, Any] = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}
OFFERS: dict[str, dict[str, Any]] = {
    "none": {},
    "java": JAVA,
    "websocket": WEBSOCKET,
    "mixed case": {"connection": "keep-alive, uPgRaDe", "upgrade": "H2C"},
    "several": {"connection": "Upgrade", "upgrade": "h2c, websocket, TLS/1.3"},
    "upgrade alone": {"upgrade": "h2c"},
    "connection alone": {"connection": "upgrade"},
    "unknown": {"connection": "upgrade", "upgrade": "shine/2"},
    "empty": {"connection": "upgrade", "upgrade": " "},
}
HEALTH = request("GET", "/health")
VERSION = request("GET", "/version")


def chunked(body: bytes, size: int = 1000) -> bytes:
    """A body in chunks, with a trailer."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nx-trailer: 1\r\n\r\n"


def post(offer: dict[str, Any], *, chunks: bool = False, **headers: str) -> bytes:
    """A photo that is sent to /analyze."""
    given: dict[str, Any] = {"content_type": FORM_TYPE, **offer, **headers}
    if chunks:
        head = request("POST", "/analyze", content_length="", transfer_encoding="chunked", **given)
        return head + chunked(FORM)
    return request("POST", "/analyze", FORM, **given)


@pytest.mark.parametrize("chunks", [False, True], ids=["with length", "chunked"])
@pytest.mark.parametrize("name", OFFERS)
def test_a_photo_arrives_whatever_upgrade_is_offered_with_it(server: Server, name: str, chunks: bool) -> None:
    with Wire(server.port) as wire:
        for _ in range(2):  # the next request on the connection, too
            is_analysis(wire.send(post(OFFERS[name], chunks=chunks)).reply().json())
        assert wire.send(HEALTH).reply().json()["status"] == "ok"


@pytest.mark.parametrize("chunks", [False, True], ids=["with length", "chunked"])
@pytest.mark.parametrize("size", [7, 100, 1000])
def test_a_photo_arrives_in_packets_of_any_size(server: Server, size: int, chunks: bool) -> None:
    data = post(JAVA, chunks=chunks)
    first = 600 if size < 100 else len(data)  # the head and the begin of the body in small ones, the rest at once
    with Wire(server.port) as wire:
        for start in range(0, first, size):
            wire.send(data[start : min(start + size, first)])
            time.sleep(0.002)
        wire.send(data[first:])
        is_analysis(wire.reply().json())
        assert wire.send(HEALTH).reply().status == 200


def test_a_photo_arrives_whose_head_comes_alone(server: Server) -> None:
    head, _, body = post(JAVA).partition(b"\r\n\r\n")
    with Wire(server.port) as wire:
        for part in (head, b"\r\n\r", b"\n", body[:1], body[1:]):
            wire.send(part)
            time.sleep(0.05)
        is_analysis(wire.reply().json())


def test_a_client_that_asks_first_may_send_with_an_upgrade_offered(server: Server) -> None:
    head, _, body = post(JAVA, expect="100-continue").partition(b"\r\n\r\n")
    with Wire(server.port) as wire:
        assert wire.send(head + b"\r\n\r\n").reply().status == 100
        is_analysis(wire.send(body).reply().json())
        assert wire.send(HEALTH).reply().status == 200


def test_base64_arrives_with_an_upgrade_offered(server: Server) -> None:
    photo = encoded(Image.effect_noise((100, 100), 40).convert("RGB"), "PNG")
    body = json.dumps({"image": base64.b64encode(photo).decode()}).encode()
    with Wire(server.port) as wire:
        data = request("POST", "/analyze_base64", body, content_type="application/json", **JAVA)
        is_analysis(wire.send(data).reply().json())


def test_pipelined_requests_with_upgrades_offered_are_answered_in_order(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(
            HEALTH
            + post(JAVA)
            + request("GET", "/version", **WEBSOCKET)
            + post(WEBSOCKET, chunks=True)
            + request("GET", "/nothing", **JAVA)
            + post({})
            + request("GET", "/version", **JAVA)
        )
        assert wire.reply().json()["status"] == "ok"
        is_analysis(wire.reply().json())
        assert wire.reply().json()["service"] == "shine"
        is_analysis(wire.reply().json())
        assert wire.reply().status == 404
        is_analysis(wire.reply().json())
        assert wire.reply().json()["service"] == "shine"


@pytest.mark.parametrize("name", OFFERS)
def test_a_request_without_a_body_is_answered_and_the_next_one_too(server: Server, name: str) -> None:
    for content_length in ("0", ""):
        with Wire(server.port) as wire:
            wire.send(request("GET", "/health", content_length=content_length, **OFFERS[name]) + VERSION)
            assert wire.reply().json()["status"] == "ok"
            assert wire.reply().json()["service"] == "shine"


def test_http_1_0_may_offer_what_it_likes(server: Server) -> None:
    with Wire(server.port) as wire:
        reply = wire.send(post(JAVA).replace(b"HTTP/1.1", b"HTTP/1.0", 1)).reply()
        is_analysis(reply.json())
        assert wire.is_closed()


def test_a_connection_that_is_to_be_closed_is_closed(server: Server) -> None:
    with Wire(server.port) as wire:
        is_analysis(wire.send(post({"connection": "close, upgrade", "upgrade": "h2c"})).reply().json())
        assert wire.is_closed()


def test_a_photo_that_is_cut_short_is_none_with_an_upgrade_either(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(post(JAVA)[:-10]).finish()
        assert wire.is_closed()


@pytest.mark.parametrize(
    "headers",
    [
        {"transfer_encoding": "chunked"},  # beside a length
        {"content_length": "many"},
        {"content_length": "", "transfer_encoding": "gzip"},
    ],
)
def test_a_malformed_head_is_malformed_with_an_upgrade_too(server: Server, headers: dict[str, Any]) -> None:
    with Wire(server.port) as wire:
        reply = wire.send(post(JAVA, **headers)).reply()
        assert (reply.status, reply.json()["error"]["code"]) == (400, "bad_request")
        assert wire.is_closed()


def test_chunks_that_are_none_are_malformed_with_an_upgrade_too(server: Server) -> None:
    head = request("POST", "/analyze", content_length="", transfer_encoding="chunked", content_type=FORM_TYPE, **JAVA)
    with Wire(server.port) as wire:
        reply = wire.send(head + b"zz\r\nno chunk\r\n0\r\n\r\n").reply()
        assert (reply.status, reply.json()["error"]["code"]) == (400, "bad_request")


def test_what_follows_a_refused_connect_is_no_request(server: Server) -> None:
    connect = b"CONNECT shine:443 HTTP/1.1\r\nhost: shine:443\r\n\r\n"
    for data in (connect + HEALTH, connect.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\nhello") + HEALTH):
        with Wire(server.port) as wire:
            reply = wire.send(data).reply()
            assert 400 <= reply.status < 500
            assert reply.json().keys() == {"error"}
            assert wire.is_closed()


JAVA_CLIENT = """
import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.file.*;

public class Send {
  public static void main(String[] arguments) throws Exception {
    byte[] body = Files.readAllBytes(Path.of(arguments[1]));
    HttpClient client = HttpClient.newHttpClient();  // which prefers HTTP/2
    for (int number = 0; number < 4; number++) {
      HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[0] + "/analyze"))
          .header("Content-Type", arguments[2])
          .expectContinue(number == 3)
          .POST(number % 2 == 0 ? BodyPublishers.ofByteArray(body)
              : BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)));
      System.out.println(client.send(request.build(), HttpResponse.BodyHandlers.ofString()).statusCode());
    }
  }
}
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK: apt-get install openjdk-17-jdk-headless")
def test_the_client_of_javas_own_library_sends_photos(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Send.java").write_text(JAVA_CLIENT)
    (tmp_path / "form").write_bytes(FORM)
    command = ["java", "Send.java", server.url, "form", FORM_TYPE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["200"] * 4, done.stderr
