"""The last cure for a runner that hangs: it ends itself, and the parent starts it anew."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("shine.runner")

STUCK_BATCHES = 10  # times a batch's deadline: whoever takes that long is stuck, not slow
DEAF_CALLS = 3  # that came since, and none was answered: one alone may have left
AGAIN_S = 5.0  # a process that was stopped for a while finds all its timers due at once; it is looked at once more
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


@contextmanager
def end_process_after(seconds: float) -> Iterator[None]:
    """End this process when the block has not ended in time: a thread stuck in native code cannot be stopped.

    Without it each probe would queue behind the stuck batch for ever, and the runner would never heal.
    """
    timer = threading.Timer(seconds, _end, (seconds,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class EndWhenDeaf:
    """ASGI middleware that ends this process when it takes calls and answers none of them.

    A batch that never begins is not seen by `end_process_after`: where memory ran out inside BentoML's batching queue,
    the queue was left with nobody who works it off, and each probe waited for ever in a runner that looked well.

    Args:
        app: what answers.
        path: of the calls that count.
        patience_s: seconds for which no call may be answered.
        end: is called then; ends the process.
    """

    def __init__(self, app: ASGIApp, path: str, patience_s: float, end: Callable[[float], None] | None = None) -> None:
        self._app, self._path, self._patience_s = app, path, patience_s
        self._end = end or _end_deaf
        self._calls = 0
        self._answered_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and look later whether anything was answered since."""
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        self._calls += 1
        began, number = time.monotonic(), self._calls
        timer = asyncio.get_running_loop().call_later(self._patience_s, self._look, began, number, False)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered_at = time.monotonic()
                timer.cancel()
            await send(message)

        await self._app(scope, receive, sent)

    def _look(self, began: float, number: int, again: bool) -> None:
        if self._answered_at > began or self._calls - number < DEAF_CALLS:
            return
        if again:
            self._end(time.monotonic() - began)
        else:
            asyncio.get_running_loop().call_later(AGAIN_S, self._look, began, number, True)


def _end(seconds: float) -> None:
    log.error("a batch has been stuck for %g s; this runner ends, to be started anew", seconds)
    os._exit(EXIT_CODE)


def _end_deaf(seconds: float) -> None:
    log.error("no call has been answered for %.0f s; this runner ends, to be started anew", seconds)
    os._exit(EXIT_CODE)
