"""A light HTTP/1.1 client: bytes to a socket, answers parsed by httptools, connections kept alive.

The clients of usual libraries cost as much CPU a request as the servers under test; this one costs a tenth.
"""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httptools

BOUNDARY = "shine-bench-5b1c0a7e"


class Lost(Exception):
    """No whole answer came: the connection was refused, reset, or cut in the middle of an answer."""


class Stale(Lost):
    """A kept connection was closed before anything was answered on it, as servers do after some idle seconds."""


@dataclass(slots=True)
class Answer:
    """A whole HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True


def upload(path: str, photo: bytes, *, name: str = "image", headers: dict[str, str] | None = None) -> bytes:
    """A whole POST request with one file in a multipart form.

    Args:
        path: of the URL.
        photo: the file.
        name: of the form's field.
        headers: more of the request.
    """
    disposition = f'form-data; name="{name}"; filename="photo.jpg"'
    opening = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    body = b"".join([opening.encode(), photo, f"\r\n--{BOUNDARY}--\r\n".encode()])
    all_headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    return _head("POST", path, all_headers) + body


def get(path: str) -> bytes:
    """A whole GET request."""
    return _head("GET", path, {})


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection(asyncio.Protocol):
    """One connection; one request at a time. Make it with `connect`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(0)
        self._parts: list[bytes] = []
        self._has_length = False  # whether the answer says where it ends
        self._began = False  # whether anything of the answer has come
        self.used = False
        self.closed = False

    async def ask(self, request: bytes) -> Answer:
        """Send a whole request, and wait for the whole answer.

        Raises:
            Stale: the connection had been used before, and was closed before anything was answered.
            Lost: no whole answer came.
        """
        if self.closed or self._transport is None:
            raise (Stale if self.used else Lost)("the connection is closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._began = False
        self._transport.write(request)
        try:
            answer = await self._waiting
        finally:
            self._waiting = None
        self.used = True
        if not answer.keep_alive:
            self.close()
        return answer

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        self._began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Lost(f"what came is not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._began and self._answer.status >= 200 and not self._has_length and exc is None:
            self._answer.keep_alive = False
            self._complete()  # an answer without a length ends with its connection
        elif self._began:
            self._fail(Lost("the connection was cut in the middle of an answer"))
        else:
            kind = Stale if self.used else Lost
            self._fail(kind(f"the connection was closed before an answer ({exc or 'no error'})"))

    def _fail(self, error: Lost) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _complete(self) -> None:
        self._answer.body = b"".join(self._parts)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    # --- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._answer, self._parts, self._has_length = Answer(0), [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        self._answer.headers[key] = value.decode("latin-1")
        self._has_length = self._has_length or key in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._answer.status < 200:
            return  # an interim response: the answer is still to come
        self._answer.keep_alive = self._parser.should_keep_alive()
        self._complete()


async def connect(port: int, host: str = "127.0.0.1") -> Connection:
    """A new connection.

    Raises:
        Lost: nobody listens there.
    """
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    except OSError as error:
        raise Lost(f"no connection to port {port}: {error}") from None
    return connection


class Pool:
    """Connections to one server that are kept alive; as many as are needed at a time.

    Args:
        port: on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> Answer:
        """Send a request on a kept connection or on a new one. Where this is cancelled, its connection is closed.

        Raises:
            Lost: no whole answer came.
        """
        while True:
            connection = self._idle.pop() if self._idle else await connect(self._port)
            try:
                answer = await connection.ask(request)
            except Stale:
                continue  # as every client does: nothing of the request was worked on
            except BaseException:
                connection.close()
                raise
            if not connection.closed:
                self._idle.append(connection)
            return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
