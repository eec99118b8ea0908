"""A service on loopback that answers what a test tells it to: errors, halves, nothing, late."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bentos.skin.schema import EXAMPLE_ANALYSIS


@dataclass(frozen=True)
class Answer:
    """What is answered to a request.

    Attributes:
        status: of HTTP; 0 for none: the connection is closed before any byte of an answer.
        body: its bytes.
        headers: more of them, or others than the usual.
        late_s: seconds before its head.
        stalled_s: seconds in the middle of the body.
        trickled_s: seconds between the bytes of the body.
        is_cut: whether the connection is closed in the middle of the body.
        deaf_s: seconds before the request's body is read.
    """

    status: int = 200
    body: bytes = json.dumps(EXAMPLE_ANALYSIS).encode()
    headers: Mapping[str, str] = field(default_factory=dict)
    late_s: float = 0.0
    stalled_s: float = 0.0
    trickled_s: float = 0.0
    is_cut: bool = False
    deaf_s: float = 0.0


ANALYSIS = Answer()
HTML = b"<html>Bad Gateway</html>"


def page(status: int, **headers: str) -> Answer:
    """The page of a proxy that answers for the service."""
    return Answer(status, HTML, {"Content-Type": "text/html", **headers})


def error(status: int, code: str, retry_after: str | None = None, **more: Any) -> Answer:
    """An error of the service."""
    detail = {"code": code, "message": "What was wrong.", "hint": "What is right.", "request_id": "42"}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status, json.dumps({"error": detail}).encode(), headers, **more)


@dataclass(frozen=True)
class Request:
    """A request that came: its line, its headers by lower-case names, its body, and when (monotonic seconds)."""

    line: str
    headers: dict[str, str]
    body: bytes
    at: float


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that has enough closes its connection."""


class ScriptedService:
    """Answers one of `answers` after the other, or what `answer_of` makes of a request."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.answer_of: Callable[[Request], Answer] = lambda _: self.answers.pop(0)
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and all answers that are late with it."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with service._lock:
                    service._at_once += 1
                    service.most_at_once = max(service.most_at_once, service._at_once)
                try:
                    self._answer()
                except OSError:  # the client has gone
                    self.close_connection = True
                finally:
                    with service._lock:
                        service._at_once -= 1

            def do_POST(self) -> None:
                self.do_GET()

            def _answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                if service.answers:
                    service._closing.wait(service.answers[0].deaf_s)
                body = self.rfile.read(length)
                request = Request(self.requestline, headers, body, time.monotonic())
                with service._lock:
                    service.requests.append(request)
                    answer = service.answer_of(request)
                service._closing.wait(answer.late_s)
                if answer.status == 0:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in ({"Content-Type": "application/json"} | dict(answer.headers)).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self._send(answer)

            def _send(self, answer: Answer) -> None:
                if answer.trickled_s:
                    for byte in answer.body:
                        self.wfile.write(bytes([byte]))
                        service._closing.wait(answer.trickled_s)
                    return
                half = len(answer.body) // 2
                self.wfile.write(answer.body[:half])
                service._closing.wait(answer.stalled_s)
                if answer.is_cut:
                    self.close_connection = True
                else:
                    self.wfile.write(answer.body[half:])

            def log_message(self, *_: object) -> None:
                pass

        return Handler
