"""The processes of one machine, and the command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bentos.batch.errors import BatchError
from bentos.batch.local import LocalEngine
from bentos.batch.run import Outcome, Request, run
from bentos.cli import main as cli
from tests.batch.conftest import WORK, Told
from tests.batch.killed import POISON, misfit, mortal, stillborn
from tests.batch.outputs import failures, files, findings

COMMAND = [sys.executable, "-m", "bentos.cli", "batch"]
ENDED_S = 20.0  # for processes that must end


def shine_batch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=100)


def test_processes_find_the_same_and_survive_the_photo_that_kills_them(
    undisturbed: Path, folder: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in "abc":
        (photos / name).symlink_to(folder / name)
    (photos / f"b.{POISON}.jpg").write_bytes(b"it kills")
    told = Told()
    request = Request(str(photos), str(tmp_path / "out"), WORK, part_photos=11)
    assert run(request, LocalEngine(WORK, 2, mortal), told) == Outcome(photos=11, failed=4, analysed_now=11)
    assert (told.done, told.failed) == (11, 4)
    assert findings(tmp_path / "out").equals(findings(undisturbed))
    rows = [row for row in failures(tmp_path / "out").to_pylist() if row["code"] == "process_ended"]
    assert [row["path"] for row in rows] == [f"b.{POISON}.jpg"]


def test_processes_that_never_start_end_the_run(folder: Path, tmp_path: Path) -> None:
    request = Request(str(folder), str(tmp_path / "out"), WORK)
    with pytest.raises(BatchError, match="end before they are ready, killed by SIGKILL"):
        run(request, LocalEngine(WORK, 1, stillborn), Told())


def test_a_process_that_cannot_analyse_says_why(folder: Path, tmp_path: Path) -> None:
    request = Request(str(folder), str(tmp_path / "out"), WORK)
    with pytest.raises(BatchError, match=r"No process can analyse: ImportError: no such library\."):
        run(request, LocalEngine(WORK, 1, misfit), Told())


def test_the_command_writes_the_tables_and_says_what_failed(undisturbed: Path, folder: Path, tmp_path: Path) -> None:
    ended = shine_batch(folder, tmp_path / "out", "--part-size", 4, "--processes", 1)
    assert ended.stderr.splitlines() == [
        "shine: 10 photos. Starting processes …",
        "shine: 10 photos to do.",
        f"shine: {tmp_path}/out holds the findings of 7 photos; 3 failed, see {tmp_path}/out/failures.",
    ]
    assert (ended.returncode, ended.stdout) == (1, "")
    assert files(tmp_path / "out") == files(undisturbed)
    again = shine_batch(folder, tmp_path / "out", "--part-size", 4)
    assert again.returncode == 3
    assert "add --resume" in again.stderr


def test_weights_that_cannot_be_loaded_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    ended = shine_batch(folder, tmp_path / "out", "--weights", tmp_path / "weights", "--processes", 1)
    assert ended.returncode == 4
    assert "The weights cannot be used: " in ended.stderr
    assert "--allow-fallback" in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["missing", "out"], 2, "missing cannot be read: No such file or directory"),
        (["empty", "out"], 2, "empty holds no file"),
        (["notes", "out"], 2, "notes holds no photo among 1 file:"),
        (["empty", "out", "--resume", "--overwrite"], 2, "give one of the two"),
        (["empty", "out", "--processes", "500"], 2, "CPUs may be used here; name "),
    ],
)
def test_wrong_usage_is_a_sentence(
    tmp_path: Path,
    arguments: list[str],
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("no photo")
    assert cli.run(["batch", *arguments]) == code
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_processes_and_frees_the_output(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*COMMAND, str(folder), str(tmp_path / "out"), "--processes", "1"], stderr=subprocess.PIPE, text=True
    )
    try:
        workers = wait_for_workers(process.pid)
        os.kill(process.pid, number)
        _, told = process.communicate(timeout=ENDED_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command with --resume does the rest" in told
    assert not (tmp_path / "out" / "_lock").exists()
    assert not [pid for pid in workers if psutil.pid_exists(pid)]


def wait_for_workers(pid: int) -> list[int]:
    """The processes that a command has started to analyse."""
    ends = time.monotonic() + ENDED_S
    while time.monotonic() < ends:
        children = psutil.Process(pid).children()
        if workers := [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]:
            return workers
        time.sleep(0.05)
    raise TimeoutError("no process was started")
