"""Programs that are started are ended, with whatever they have started; a checkout is removed."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.load.meter import Meter
from tests.load.process_tree import ProcessTree
from tests.load.processes import Broken, busy_core, end, hear, start, tell
from tests.load.worktree import checked_out, git
from tests.server import ROOT

# Starts a child that ignores SIGTERM, says its process id, and repeats what it is told.
PARENT = """
import subprocess, sys
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
print(child.pid, flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
"""


def has_ended(pid: int) -> bool:
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_a_program_is_ended_with_its_children(tmp_path: Path) -> None:
    process = start([sys.executable, "-c", PARENT], {}, tmp_path / "log")
    tree = ProcessTree(process.pid)
    child = int(hear(process, 10, tmp_path / "log"))
    tell(process, "again")
    assert hear(process, 10, tmp_path / "log") == "again"
    end(process, tree)
    assert process.returncode is not None
    assert has_ended(child)


def test_the_children_of_a_program_that_was_killed_are_ended_too(tmp_path: Path) -> None:
    process = start([sys.executable, "-c", PARENT], {}, tmp_path / "log")
    child = int(hear(process, 10, tmp_path / "log"))
    tree = ProcessTree(process.pid)
    process.kill()
    process.wait()
    assert psutil.pid_exists(child)
    end(process, tree)
    assert has_ended(child)


def test_a_program_that_ends_or_keeps_silent_is_told_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start([sys.executable, "-c", "raise SystemExit('no weights')"], {}, log)
    with pytest.raises(Broken, match=r"(?s)ended with 1:.*no weights"):
        hear(process, 10, log)
    end(process)
    silent = start([sys.executable, "-c", "input()"], {}, log)
    with pytest.raises(Broken, match="said nothing for 0 s"):
        hear(silent, 0.05, log)
    end(silent)


def test_a_core_is_busy_until_the_block_ends(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with busy_core(30, tmp_path / "log"):
        (busy,) = [child for child in psutil.Process().children() if child.pid not in before]
        with Meter(ProcessTree(busy.pid)) as meter:
            time.sleep(0.5)
    assert meter.cpu_s > 0.05
    assert has_ended(busy.pid)


def test_a_checkout_is_removed_however_its_use_ends() -> None:
    with pytest.raises(KeyboardInterrupt), checked_out("HEAD") as base:  # noqa: PT012  the block is what is interrupted
        assert base.commit == git("rev-parse", "HEAD")
        assert (base.folder / "service.py").read_bytes() == subprocess.check_output(
            ["git", "show", "HEAD:service.py"], cwd=ROOT
        )
        raise KeyboardInterrupt
    assert not base.folder.exists()
    assert str(base.folder) not in git("worktree", "list")


def test_a_commit_that_is_not_there_is_told() -> None:
    with pytest.raises(Broken, match="git rev-parse"), checked_out("no-such-commit"):
        pass
