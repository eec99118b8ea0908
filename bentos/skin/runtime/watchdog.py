"""The last cure for a runner that hangs: it ends itself, and the parent starts it anew."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("shine.runner")

STUCK_BATCHES = 10  # times a batch's deadline: whoever takes that long is stuck, not slow
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class WatchdogMiddleware:
    """ASGI middleware that ends this process when it takes calls and answers none, or takes none any more.

    However a runner came to hang, a thread stuck in native code cannot be stopped, and each probe would queue behind
    it for ever. Seen where memory ran out: BentoML's batching queue left with nobody who works it off; the event loop
    waiting for ever in `Thread.start` for a thread that had died before it could say that it runs. So the one that
    looks is a thread of its own, made while there is memory, and no thread is made for a call.

    It counts its own turns, not the clock: a process that was stopped for a while did not look either.

    Args:
        app: what answers.
        path: of the calls that count.
        patience_s: seconds for which calls may be there and none end, or the event loop not turn.
        end: is called then, with what was seen; ends the process.
        turn_s: seconds between two looks.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        patience_s: float,
        end: Callable[[str], None] | None = None,
        turn_s: float = 1.0,
    ) -> None:
        self._app, self._path = app, path
        self._end = end or _end
        self._turn_s = turn_s
        self._most = max(1, round(patience_s / turn_s))  # turns
        self._begun = False
        self._open = 0  # calls that have begun and not ended; one whose caller has left ends all the same
        self._ended = 0
        self._behind = 0  # turns since the event loop last did

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and see whether it is answered."""
        if not self._begun:  # with the server's own "lifespan", before any call
            self._begun = True
            threading.Thread(
                target=self._watch, args=(asyncio.get_running_loop(),), name="watchdog", daemon=True
            ).start()
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self._ended += 1

    def _turned(self) -> None:
        self._behind = 0

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        silent = ended = 0
        while not loop.is_closed():
            time.sleep(self._turn_s)
            try:
                silent = silent + 1 if self._open and self._ended == ended else 0
                ended = self._ended
                self._behind += 1
                loop.call_soon_threadsafe(self._turned)
            except MemoryError:  # the next turn looks again
                continue
            except RuntimeError:  # the loop was closed
                return
            if self._behind > self._most:
                self._end("the event loop has been stuck")
            elif silent > self._most:
                self._end("no call has been answered")


def _end(seen: str) -> None:
    try:
        log.error("%s for long; this runner ends, to be started anew", seen)
    finally:
        os._exit(EXIT_CODE)
