"""Reads a request's body: never more than its limit in memory, never from a client that has stopped sending."""

import asyncio
import re
import time
import zlib
from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Receive

from bentos.skin.errors import BadRequest, BodyTooLarge, ContentTypeUnsupported, RequestTimeout

SAVED = 3  # a client that was faster than the minimum rate may later pause for so many times the grace time
CODINGS = ("gzip", "x-gzip", "deflate")  # in Content-Encoding; x-gzip is gzip (RFC 9110, 8.4.1.3)
CODING_HINT = "Send the body as it is, or compressed with gzip or deflate."
MAX_CODINGS = 4  # on one body; clients apply one
MAX_MEMBERS = 10_000  # of one gzip body; tools that write several begin one every 64 KiB and more
PIECE = 16 * 1024  # bytes inflated at a time: zlib copies the rest of them where a member ends
NOT_PADDING = re.compile(rb"[^\0]")  # gzip ignores zeros between and after members
GZIP, ZLIB, RAW = 31, 15, -15  # zlib's names for formats: its `wbits`


class ClientGone(Exception):
    """The client closed the connection before it had sent its whole request."""


class Pace:
    """The time that a body has, at a minimum rate after a grace time.

    Every byte adds time. A steady client at the minimum rate or above never runs out of it, however long it takes; one
    that stops or trickles does within SAVED times the grace time, whatever it sent before.

    Args:
        bytes_per_s: the minimum rate.
        grace_s: seconds until it counts.
        now: monotonic seconds.
    """

    def __init__(self, bytes_per_s: float, grace_s: float, now: float) -> None:
        self._bytes_per_s, self._most_saved_s = bytes_per_s, SAVED * grace_s
        self.deadline = now + grace_s  # monotonic seconds by which more has to come

    def received(self, count: int, now: float) -> None:
        """Add the time of so many bytes."""
        self.deadline = min(self.deadline + count / self._bytes_per_s, now + self._most_saved_s)


class Body:
    """The body of one request.

    Args:
        receive: of the ASGI request.
        headers: of the request, lower-case names.
        limit: bytes it may have.
        bytes_per_s: minimum rate at which it has to come.
        grace_s: seconds until that counts.
    """

    def __init__(
        self, receive: Receive, headers: dict[bytes, bytes], limit: int, bytes_per_s: float, grace_s: float
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._bytes_per_s, self._grace_s = bytes_per_s, grace_s
        self._pace = Pace(bytes_per_s, grace_s, time.monotonic())
        self._received = 0
        length = headers.get(b"content-length", b"")
        self._declared = int(length) if length.isdigit() else None
        self._waits_for_permission = headers.get(b"expect", b"").lower() == b"100-continue"
        self.largest = limit if self._declared is None else min(limit, self._declared)  # bytes that it may come to
        self.complete = self._declared == 0 or (self._declared is None and b"transfer-encoding" not in headers)

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: by its declared or its real length.
            RequestTimeout: it arrives too slowly.
            ClientGone: the client closed the connection.
        """
        if self._declared is not None and self._declared > self._limit:
            raise too_large(self._limit)
        data = bytearray()
        while not self.complete:
            try:
                chunk = await self._next(self._pace.deadline)
            except TimeoutError:
                least = self._bytes_per_s / 1024
                raise RequestTimeout(
                    f"The body of the request came too slowly; {least:g} KiB/s are the least."
                ) from None
            if self._received > self._limit:
                raise too_large(self._limit)
            self._pace.received(len(chunk), time.monotonic())
            data += chunk
        return bytes(data)

    async def drain(self) -> None:
        """Read and discard the rest, up to twice the limit and for the grace time: a refused client reads its response.

        A client that waits for permission to send (Expect: 100-continue) is refused before it has sent anything.
        """
        if self._waits_for_permission and self._received == 0:
            return
        ends = time.monotonic() + self._grace_s
        try:
            while not self.complete and self._received < 2 * self._limit:
                await self._next(ends)
        except (TimeoutError, ClientGone):
            return

    async def _next(self, deadline: float) -> bytes:
        async with asyncio.timeout(deadline - time.monotonic()):
            message: Message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: Any = message.get("body", b"")
        self._received += len(chunk)
        self.complete = not message.get("more_body", False)
        return bytes(chunk)


def too_large(limit: int) -> BodyTooLarge:
    """The error for a body of more than so many bytes."""
    return BodyTooLarge(f"The body of the request is larger than {limit / 2**20:.4g} MiB.")


def content_codings(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The codings in Content-Encoding, gzip or deflate, in the order in which they were applied.

    Args:
        headers: of the request, lower-case names; a repeated one is a list, as with commas.

    Raises:
        ContentTypeUnsupported: another coding, by its name, or more than MAX_CODINGS.
    """
    value = b",".join(value for name, value in headers if name == b"content-encoding").decode("latin-1").lower()
    codings = [coding for part in value.split(",") if (coding := part.strip()) not in ("", "identity")]
    for coding in codings:
        if coding not in CODINGS:
            raise ContentTypeUnsupported(f"The Content-Encoding {coding[:40]!r} is not supported.", CODING_HINT)
    if len(codings) > MAX_CODINGS:
        raise ContentTypeUnsupported(
            f"The Content-Encoding names {len(codings)} codings; {MAX_CODINGS} are the most.", CODING_HINT
        )
    return codings


def inflate(data: bytes, codings: list[str], limit: int) -> bytes:
    """A body without its codings; inflating ends where the limit is exceeded, however much more there would be.

    Args:
        data: as it was sent.
        codings: in the order in which they were applied.
        limit: bytes that the body may have, at every stage.

    Raises:
        BodyTooLarge: it has more.
        BadRequest: it is damaged or truncated, or something follows it.
    """
    for coding in reversed(codings):
        try:
            data = _inflate(data, coding, limit)
        except zlib.error:
            raise BadRequest(f"The body of the request is not valid {coding}.", CODING_HINT) from None
    return data


def _inflate(data: bytes, coding: str, limit: int) -> bytes:
    wbits = GZIP
    if coding == "deflate":  # that is zlib (RFC 9110, 8.4.1.2), but some clients send the bare stream
        wbits = ZLIB if len(data) > 1 and data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0 else RAW
    inflated, position = bytearray(), 0
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(wbits)
        while not stream.eof:
            piece = data[position : position + PIECE]
            if not piece:
                raise BadRequest(f"The body of the request is truncated: its {coding} has no end.", CODING_HINT)
            inflated += stream.decompress(piece, limit + 1 - len(inflated))
            if len(inflated) > limit:
                raise too_large(limit)
            position += len(piece)
        position -= len(stream.unused_data)
        if wbits == GZIP and (more := NOT_PADDING.search(data, position)):
            position = more.start()  # the next member
        elif wbits == GZIP or position == len(data):
            return bytes(inflated)
        else:
            break
    raise BadRequest(f"Something follows the {coding} in the body of the request.", CODING_HINT)


def after_body(receive: Receive) -> Receive:
    """The `receive` of a request whose body has been read: an empty body once, then the connection's own events."""
    body_sent = False

    async def receive_empty_body() -> Message:
        nonlocal body_sent
        if body_sent:
            return await receive()
        body_sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive_empty_body
