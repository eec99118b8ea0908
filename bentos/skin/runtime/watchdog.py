"""Ends a runner that hangs; the parent process starts a new one."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("shine.runner")

STUCK_BATCHES = 10  # times a batch's deadline: a runner that takes so long is stuck, not slow


class WatchdogMiddleware:
    """ASGI middleware that ends this process when it accepts calls and answers none, or when its event loop is stuck.

    A thread that is stuck in native code cannot be stopped, and each probe would queue behind it for ever. Other cases
    were seen where memory ran out: BentoML's batching queue lost its consumer; the event loop waited for ever in
    `Thread.start` for a thread that had died before it could report that it runs. So the watchdog is a thread of its
    own, started while there is memory, and it starts no thread for a call.

    It counts its own checks, not the clock: while a process was suspended, nothing was checked.

    Args:
        app: the wrapped app.
        paths: of the calls that are watched.
        patience_s: seconds for which calls may be open and none ends, or the event loop does not turn.
        end: called then with the reason; ends the process.
        turn_s: seconds between two checks.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        patience_s: float,
        end: Callable[[str], None] | None = None,
        turn_s: float = 1.0,
    ) -> None:
        self._app, self._paths = app, paths
        self._end = end or _end
        self._turn_s = turn_s
        self._max_turns = max(1, round(patience_s / turn_s))
        self._begun = False
        self._open = 0  # calls that have begun and not ended
        self._ended = 0
        self._behind = 0  # turns since the event loop last did

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, and count it."""
        if not self._begun:  # with the server's own "lifespan", before any call
            self._begun = True
            threading.Thread(
                target=self._watch, args=(asyncio.get_running_loop(),), name="watchdog", daemon=True
            ).start()
        if scope["type"] != "http" or scope["path"] not in self._paths:
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
            except MemoryError:  # the next turn checks again
                continue
            except RuntimeError:  # the loop was closed
                return
            if self._behind > self._max_turns:
                self._end("the event loop has been stuck")
            elif silent > self._max_turns:
                self._end("no call has been answered")


def _end(reason: str) -> None:
    try:
        log.error("%s for long; this runner ends, to be started anew", reason)
    finally:
        os._exit(os.EX_SOFTWARE)
