"""A process that hangs ends itself; one that works goes on."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
from starlette.types import Message, Receive, Scope, Send

from bentos.skin.runtime import watchdog
from tests.server import ROOT

PATIENCE_S, TURN_S = 0.2, 0.02
LONG_S = 1.0  # several times the patience
MANY = 30  # calls, that take several times the patience

STUCK_IN_THE_LOOP = """
import asyncio, threading
from bentos.skin.runtime.watchdog import WatchdogMiddleware

async def app(scope, receive, send):
    if scope["type"] == "http":
        print("begun", flush=True)
        threading.Event().wait()  # as Thread.start does for a thread that died at its start

async def run():
    middleware = WatchdogMiddleware(app, ["/predict"], 0.3, turn_s=0.05)
    await middleware({"type": "lifespan"}, None, None)
    await middleware({"type": "http", "path": "/predict"}, None, None)

asyncio.run(run())
"""


def test_a_process_whose_event_loop_is_stuck_ends_with_its_code_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK_IN_THE_LOOP], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == os.EX_SOFTWARE
    assert done.stdout == "begun\n"
    assert "the event loop has been stuck for long; this runner ends" in done.stderr


def calls(answered: range, count: int, path: str = "/predict", stuck_s: float = 0.0) -> list[str]:
    """What an app ends with, after calls 20 ms apart, of which some are answered, by an error every other time."""
    ended: list[str] = []
    count_begun = 0

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        nonlocal count_begun
        if scope["type"] == "lifespan":
            return
        count_begun += 1
        if count_begun not in answered:
            await asyncio.Event().wait()
        elif count_begun % 2:
            raise MemoryError

    async def run() -> None:
        middleware = watchdog.WatchdogMiddleware(app, ["/predict"], PATIENCE_S, ended.append, TURN_S)

        async def send(_: Message) -> None: ...

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        await middleware({"type": "lifespan"}, receive, send)
        waiting = []
        for _ in range(count):
            waiting.append(asyncio.ensure_future(middleware({"type": "http", "path": path}, receive, send)))
            await asyncio.sleep(0.02)
        time.sleep(stuck_s)  # noqa: ASYNC251  the loop is meant to be stuck
        if count > MANY:
            return
        await asyncio.sleep(LONG_S)
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())
    return ended


@pytest.mark.parametrize("count", [1, 12])
def test_a_process_that_answers_no_call_ends(count: int) -> None:
    assert calls(range(0), count)[:1] == ["no call has been answered"]


def test_a_process_whose_event_loop_does_not_turn_ends() -> None:
    assert calls(range(99), 1, stuck_s=LONG_S)[:1] == ["the event loop has been stuck"]


@pytest.mark.parametrize(
    ("answered", "count", "path"),
    [(range(99), 12, "/predict"), (range(2, 99), MANY + 1, "/predict"), (range(0), 12, "/status")],
    ids=["answers", "answers others", "other calls"],
)
def test_a_process_that_answers_goes_on(answered: range, count: int, path: str) -> None:
    assert calls(answered, count, path) == []
