"""A process that hangs ends itself; one that does not, lives."""

import asyncio
import subprocess
import sys
import time

import pytest
from starlette.types import Message, Receive, Scope, Send

from bentos.skin.runtime import watchdog
from tests.server import ROOT

HANGS_IN_NATIVE_CODE = """
import threading
from bentos.skin.runtime.watchdog import end_process_after
stuck = threading.Lock()
stuck.acquire()
with end_process_after(0.3):
    print("begun", flush=True)
    stuck.acquire()
"""


def test_a_process_stuck_in_the_block_ends_with_its_code_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS_IN_NATIVE_CODE], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == watchdog.EXIT_CODE == 70
    assert done.stdout == "begun\n"
    assert "a batch has been stuck for 0.3 s" in done.stderr


@pytest.mark.parametrize("error", [None, ValueError("the engine is broken")])
def test_a_block_that_ends_in_time_ends_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    try:
        with watchdog.end_process_after(0.1):
            if error is not None:
                raise error
    except ValueError:
        pass
    time.sleep(0.3)
    assert ended == []


def calls(answer_from: int, count: int, path: str = "/predict") -> list[float]:
    """What a deaf or hearing app ends with, after calls 20 ms apart; answered are those from a number on."""
    ended: list[float] = []
    seen = 0

    async def app(_: Scope, __: Receive, send: Send) -> None:
        nonlocal seen
        seen += 1
        if seen >= answer_from:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        else:
            await asyncio.sleep(0.01)  # its caller has gone

    async def run() -> None:
        deaf = watchdog.EndWhenDeaf(app, "/predict", 0.1, ended.append)

        async def send(_: Message) -> None: ...

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        for _ in range(count):
            await deaf({"type": "http", "path": path}, receive, send)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.4)

    asyncio.run(run())
    return ended


def test_a_process_that_answers_no_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "AGAIN_S", 0.1)
    assert calls(answer_from=99, count=12)


@pytest.mark.parametrize(
    ("answer_from", "count", "path"),
    [(1, 12, "/predict"), (4, 12, "/predict"), (99, 2, "/predict"), (99, 12, "/status")],
    ids=["answers", "answers again", "callers that left", "other calls"],
)
def test_a_process_that_answers_or_is_hardly_asked_goes_on(
    monkeypatch: pytest.MonkeyPatch, answer_from: int, count: int, path: str
) -> None:
    monkeypatch.setattr(watchdog, "AGAIN_S", 0.1)
    assert calls(answer_from, count, path) == []
