"""A process that hangs ends itself; one that does not, lives."""

import asyncio
import subprocess
import sys
import time

import pytest
from starlette.types import Message, Receive, Scope, Send

from bentos.skin.runtime import watchdog
from tests.server import ROOT

PATIENCE_S, TURN_S = 0.2, 0.02
LONG_S = 1.0  # several times the patience

STUCK_IN_THE_LOOP = """
import asyncio, threading
from bentos.skin.runtime.watchdog import EndWhenDeaf

async def app(scope, receive, send):
    if scope["type"] == "http":
        print("begun", flush=True)
        threading.Event().wait()  # as Thread.start does for a thread that died at its start

async def run():
    deaf = EndWhenDeaf(app, "/predict", 0.3, turn_s=0.05)
    await deaf({"type": "lifespan"}, None, None)
    await deaf({"type": "http", "path": "/predict"}, None, None)

asyncio.run(run())
"""


def test_a_process_whose_event_loop_is_stuck_ends_with_its_code_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK_IN_THE_LOOP], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == watchdog.EXIT_CODE == 70
    assert done.stdout == "begun\n"
    assert "a call has been stuck in the event loop for long; this runner ends" in done.stderr


def calls(answer_from: int, count: int, path: str = "/predict", stuck_s: float = 0.0) -> list[str]:
    """What a deaf or hearing app ends with, after calls 20 ms apart; answered are those from a number on."""
    ended: list[str] = []
    seen = 0

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        nonlocal seen
        if scope["type"] == "lifespan":
            return
        seen += 1
        if seen < answer_from:
            await asyncio.sleep(0.01)  # its caller has gone
        elif seen % 2:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        else:
            raise MemoryError

    async def run() -> None:
        deaf = watchdog.EndWhenDeaf(app, "/predict", PATIENCE_S, ended.append, TURN_S)

        async def send(_: Message) -> None: ...

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        await deaf({"type": "lifespan"}, receive, send)
        for _ in range(count):
            try:
                await deaf({"type": "http", "path": path}, receive, send)
            except MemoryError:
                continue
            await asyncio.sleep(0.02)
        time.sleep(stuck_s)  # noqa: ASYNC251  the loop is meant to be stuck
        await asyncio.sleep(LONG_S)

    asyncio.run(run())
    return ended


def test_a_process_that_answers_no_call_ends() -> None:
    assert calls(answer_from=99, count=12)[:1] == ["no call has been answered"]


def test_a_process_whose_event_loop_does_not_turn_ends_however_few_calls_came() -> None:
    assert calls(1, 1, stuck_s=LONG_S)[:1] == ["a call has been stuck in the event loop"]


@pytest.mark.parametrize(
    ("answer_from", "count", "path"),
    [(1, 12, "/predict"), (4, 12, "/predict"), (99, 2, "/predict"), (99, 12, "/status")],
    ids=["answers", "answers again", "callers that left", "other calls"],
)
def test_a_process_that_answers_or_is_hardly_asked_goes_on(answer_from: int, count: int, path: str) -> None:
    assert calls(answer_from, count, path) == []
