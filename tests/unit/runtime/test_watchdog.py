"""A process that hangs ends itself; one that does not, lives."""

import subprocess
import sys
import time

import pytest

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
