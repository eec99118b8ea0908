"""A proxy to S3 with faults: refused, hung, slow, cut, answered with errors, falsified, redirected."""

import contextlib
import http.client
import re
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})  # made anew on each hop
CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
PIECE = 4096  # bytes passed on at a time


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, on paths that match.

    Attributes:
        kind: none, refuse, hang, slow, cut, status, wrong or redirect.
        value: status, bytes a second, or bytes after which a body is cut.
        path: regular expression that is searched in the path.
        times: how often; without end where None.
    """

    kind: str = "none"
    value: int = 0
    path: str = ""
    times: int | None = None

    @classmethod
    def none(cls) -> "Fault":
        """All goes well."""
        return cls()

    @classmethod
    def refuse(cls) -> "Fault":
        """The connection is reset before an answer."""
        return cls("refuse")

    @classmethod
    def hang(cls, path: str = "") -> "Fault":
        """No answer until the fault ends."""
        return cls("hang", path=path)

    @classmethod
    def slow(cls, bytes_per_s: int, path: str = "") -> "Fault":
        """Bodies trickle."""
        return cls("slow", bytes_per_s, path)

    @classmethod
    def cut(cls, after: int, path: str = "", times: int | None = 1) -> "Fault":
        """The connection ends within a body."""
        return cls("cut", after, path, times)

    @classmethod
    def status(cls, status: int, path: str = "") -> "Fault":
        """S3's error of that status."""
        return cls("status", status, path)

    @classmethod
    def wrong(cls, path: str) -> "Fault":
        """A bit of the body is another."""
        return cls("wrong", path=path)

    @classmethod
    def redirect(cls) -> "Fault":
        """307, to where nobody listens."""
        return cls("redirect")


class Proxy:
    """The proxy, running.

    Args:
        upstream: url of the real S3.

    Attributes:
        url: its own.
        requests: method, path and Range of each.
        answered: path, Range and status of each that was passed on.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._fault = Fault()
        self._left: int | None = None
        self.requests: list[tuple[str, str, str | None]] = []
        self.answered: list[tuple[str, str | None, int]] = []
        self._closed = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy._answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  http.server's names

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def fault(self) -> Fault:
        """What goes wrong now; to be set at any time, running requests notice."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        with self._lock:
            self._fault, self._left = fault, fault.times

    def close(self) -> None:
        """Stop it, hung requests too."""
        self._closed.set()
        self.fault = Fault()
        self._server.shutdown()
        self._server.server_close()

    def _taken(self, path: str) -> Fault:
        """The fault of this request."""
        with self._lock:
            if not re.search(self._fault.path, path) or self._left == 0:
                return Fault()
            if self._left is not None:
                self._left -= 1
            return self._fault

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        self.requests.append((handler.command, handler.path, handler.headers.get("range")))
        fault = self._taken(handler.path)
        while fault.kind == "hang" and self._fault is fault and not self._closed.is_set():
            time.sleep(0.05)
        try:
            if fault.kind in ("refuse", "hang"):
                reset(handler.connection)
                handler.close_connection = True
            elif fault.kind == "status":
                error = f"<Error><Code>{CODES[fault.value]}</Code><Message>a test</Message></Error>".encode()
                self._send(handler, fault.value, {"content-type": "application/xml"}, error, Fault())
            elif fault.kind == "redirect":
                self._send(handler, 307, {"location": "http://127.0.0.1:9/"}, b"", Fault())
            else:
                self._pass_on(handler, body, fault)
        except OSError:  # the client has left, or is to be refused
            reset(handler.connection)
            handler.close_connection = True

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=30)
        with contextlib.closing(upstream):
            headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP}
            upstream.request(handler.command, handler.path, body or None, headers)
            answer = upstream.getresponse()
            self.answered.append((handler.path, handler.headers.get("range"), answer.status))
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
            length = answer.getheader("content-length") if handler.command == "HEAD" else None
            self._send(handler, answer.status, kept, answer.read(), fault, length)

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
        fault: Fault,
        length: str | None = None,
    ) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)) if length is None else length)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if fault.kind == "wrong" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.kind == "cut" and len(body) > fault.value:
            handler.wfile.write(body[: fault.value])
            handler.wfile.flush()
            reset(handler.connection)
            handler.close_connection = True
            return
        piece = max(fault.value // 10, 1) if fault.kind == "slow" else PIECE
        for start in range(0, len(body), piece):
            handler.wfile.write(body[start : start + piece])
            if fault.kind == "slow" and self._fault is fault and not self._closed.wait(0.1):
                handler.wfile.flush()
            if self._fault.kind == "refuse":  # by now
                raise ConnectionResetError


def reset(connection: socket.socket) -> None:
    """End a connection at once, both ways."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
