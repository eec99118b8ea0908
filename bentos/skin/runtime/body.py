"""Reads a request's body: never more than its limit in memory, never longer than a working client needs."""

import asyncio
import time
from typing import Any

from starlette.types import Message, Receive

from bentos.skin.errors import BodyTooLarge, RequestTimeout

PATIENCE_S = 10.0  # for the first bytes
SLOWEST_BYTES_PER_S = 8 * 1024  # each so many bytes add a second; a poor mobile uplink gives 30 KiB/s
LONGEST_S = 120.0
DRAIN_S = 10.0


class ClientGone(Exception):
    """The client closed the connection before it had sent its whole request."""


class Body:
    """The body of one request.

    Args:
        receive: of the ASGI request.
        headers: of the request, lower-case names.
        limit: bytes it may have.
    """

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._began = time.monotonic()
        self._received = 0
        length = headers.get(b"content-length", b"")
        self._declared = int(length) if length.isdigit() else None
        self._waits_for_permission = headers.get(b"expect", b"").lower() == b"100-continue"
        self.complete = self._declared == 0 or (self._declared is None and b"transfer-encoding" not in headers)

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: by its declared or its real length.
            RequestTimeout: it arrives too slowly.
            ClientGone: the client closed the connection.
        """
        if self._declared is not None and self._declared > self._limit:
            raise self._too_large()
        chunks: list[bytes] = []
        while not self.complete:
            budget = min(PATIENCE_S + self._received / SLOWEST_BYTES_PER_S, LONGEST_S)
            try:
                chunk = await self._next(self._began + budget)
            except TimeoutError:
                raise RequestTimeout("The body of the request came too slowly.") from None
            if self._received > self._limit:
                raise self._too_large()
            chunks.append(chunk)
        return b"".join(chunks)

    async def drain(self) -> None:
        """Read and discard the rest, up to twice the limit, so that a refused client reads its response.

        A client that waits for permission to send (Expect: 100-continue) is refused before it has sent anything.
        """
        if self._waits_for_permission and self._received == 0:
            return
        ends = time.monotonic() + DRAIN_S
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

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body of the request is larger than {self._limit / 2**20:.4g} MiB.")


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
