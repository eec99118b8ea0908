"""How a run ends: well, broken, or by Ctrl-C."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.load import bench
from tests.load.progress import Step
from tests.load.session import Session
from tests.load.windows import Window
from tests.server import ROOT

SCHEMA = json.loads((ROOT / "docs" / "benchmarks.schema.json").read_text())
MACHINE = {
    **{"cores": 2, "cpu": "a", "memory": "b", "kernel": "c", "python": "d", "others_cores": 0.0},
    **{"versions": {}, "peers": {}},
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run the bench with one step of one's own; the exit code and what was written."""
    (tmp_path / "photo.jpg").write_bytes(b"photo")

    def do(step: Callable[[Session], object]) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(bench, "facts", lambda: MACHINE)
        monkeypatch.setattr(bench, "compile_modules", lambda _: None)
        monkeypatch.setattr(bench, "steps", lambda session, *_: [Step("one", 1, lambda: step(session))])
        status = bench.main(["--only", "limit", "--photos", str(tmp_path), "--out", str(tmp_path / "out")])
        return status, json.loads((tmp_path / "out" / "benchmarks.json").read_text())

    return do


def measured(session: Session, *, lost: int = 0) -> None:
    statuses = {"200": 10, **({"lost": lost} if lost else {})}
    session.windows.append(
        Window("service", session.main, 8, 0, seconds=1.0, answers=10, statuses=statuses, cpu_s=1.0, wall_s=1.0)
    )


Run = Callable[[Callable[[Session], object]], tuple[int, dict[str, Any]]]


def test_a_run_ends_well_and_leaves_its_figures(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, written = run(measured)
    assert (status, written["problems"]) == (0, [])
    jsonschema.validate(written, SCHEMA)
    told = capsys.readouterr()
    assert told.out.startswith("CPU-ms a photo")
    assert str(tmp_path / "out" / "benchmarks.json") in told.out
    assert "[1/1] 0:00, about 0:01 left: one" in told.err


def test_a_run_that_lost_answers_has_failed(run: Run) -> None:
    status, written = run(lambda session: measured(session, lost=2))
    assert status == 1
    assert "2 answers were lost" in written["problems"][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_tells_what_it_had_measured(run: Run, number: signal.Signals) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def interrupted(session: Session) -> None:
        measured(session)
        os.kill(os.getpid(), number)
        raise AssertionError("unreachable")

    status, written = run(interrupted)
    assert status == 130
    assert written["problems"] == [bench.CUT_SHORT]
    assert len(written["windows"]) == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_commit_that_is_not_there_ends_a_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(measured)
    options = ["--only", "limit", "--photos", str(tmp_path), "--out", str(tmp_path / "out"), "--base", "no-such"]
    assert bench.main(options) == 1
    assert "bench: git rev-parse" in capsys.readouterr().err
