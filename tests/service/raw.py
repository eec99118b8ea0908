"""HTTP over a socket, for requests that no client library would send."""

import json
import select
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One response; header names lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One TCP connection to a server on loopback.

    Args:
        port: of the server.
        timeout: seconds that any single read or write may take; a server that stalls longer fails the test.
    """

    def __init__(self, port: int, timeout: float = 60) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""
        self._finished = False

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Wire":
        self.socket.sendall(data)
        return self

    def flood(self, chunk: bytes, at_most: int) -> int:
        """Send a chunk again and again until the server answers or hangs up; the bytes sent."""
        sent = 0
        while sent < at_most:
            readable, writable, _ = select.select([self.socket], [self.socket], [], 60)
            assert readable or writable, "the server neither reads nor answers"
            if readable:
                break
            try:
                sent += self.socket.send(chunk)
            except (BrokenPipeError, ConnectionResetError):
                break
        return sent

    def finish(self) -> "Wire":
        """Close the sending side; reading goes on."""
        self.socket.shutdown(socket.SHUT_WR)
        self._finished = True
        return self

    def reply(self) -> Reply:
        """The next response; 100s are skipped where this side has finished: they ask whether it is still there.

        Raises:
            EOFError: the server hung up without one.
        """
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        while self._finished and head[0].split()[1] == "100":
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        return Reply(int(head[0].split()[1]), headers, self._exactly(int(headers.get("content-length", 0))))

    def is_closed(self) -> bool:
        """Whether the server hangs up, without anything more to read."""
        try:
            return self._buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        data, _, self._buffer = self._buffer.partition(mark)
        return data

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the server hung up after {self._buffer[:200]!r}")
        self._buffer += data


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as bytes; `_` in header names is `-`, and Content-Length is right unless given."""
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    given = {"host": "shine", "content-length": str(len(body)), **given}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


BOUNDARY = "----shine"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(photo: bytes, disposition: str = 'form-data; name="image"; filename="a.jpg"') -> bytes:
    """A multipart body with one part."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    return head + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
