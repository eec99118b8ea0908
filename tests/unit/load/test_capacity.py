"""From a record to the page; and a run of seconds on a real service."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.image.measure import HEADROOM
from tests.load import capacity, simulation, sizing
from tests.load.capacity import Scale
from tests.load.capacity_page import BEGIN, END, PAGE, Table, tables, written
from tests.load.capacity_record import SizeRun, broken, disturbed
from tests.load.cpu_quota import MOUNT
from tests.load.windows import Window
from tests.server import ROOT

CAN_LIMIT = os.geteuid() == 0 and MOUNT.is_dir()


@pytest.fixture(autouse=True)
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "SEARCH_PHOTOS", 2000)


def window(clients: int, **changes: Any) -> Window:
    """Forty photos at ten a second, 100 CPU-ms each, unless it is said otherwise."""
    usual: dict[str, Any] = {
        **{"seconds": 4.0, "answers": 40, "statuses": {"200": 40}, "cpu_s": 4.0, "wall_s": 4.0, "pss_mib": 450.0},
        **{"latencies_ms": [90.0, 100.0, 110.0]},
    }
    return Window("service", "1080", clients, 0, **{**usual, **changes})


def run(cores: float = 1.0, **changes: Any) -> SizeRun:
    shares = {"Gateway": 0.4, "SkinModel": 0.5, "HeuristicFallback": 0.1}
    opened = window(0, factor=0.8, rate=8.0, answers=40, **changes)
    return SizeRun(cores, 1, shares, [window(1), window(8), opened, window(8)])


def record(*runs: SizeRun, **changes: Any) -> dict[str, Any]:
    machine = {"cores": 2, "cpu": "a processor"}
    about = {"ended": "2026-01-02T03:04:05+00:00", "commit": "0123456789abcdef", "changed": False, "machine": machine}
    scale = {"closed_s": 4.0, "open_s": 5.0}
    told = {"scale": scale, "quick": False, "photos_px": 1080, "sizes": [asdict(it) for it in runs]}
    return {**about, **told, "broken": broken(runs), "disturbed": disturbed(runs), **changes}


def rows(parts: dict[str, str | Table], name: str) -> list[list[str]]:
    table = parts[name]
    assert isinstance(table, Table)
    assert all(len(row) == len(table.head) for row in table.rows)
    return [list(row) for row in table.rows]


def test_the_simulated_task_is_as_fast_as_the_closed_loops() -> None:
    model = run(0.5).task_model()
    assert model.capacity == pytest.approx(10)
    assert model.gateway_s == pytest.approx(0.05 * 0.4)
    assert model.variation == pytest.approx((0.9, 1.0, 1.1))


def test_a_record_becomes_tables() -> None:
    parts = tables(record(run(), run(2.0)), sizing.read_prices())
    assert rows(parts, "measured")[0] == ["1", "10.00", "100.0", "100", "100", "110", "450"]
    (cores, rate, factor, photos, p50, *_, missing), _ = rows(parts, "simulation")
    assert (cores, rate, factor) == ("1", "8.00", "0.8")
    assert re.fullmatch(r"100 / \d+", p50)
    assert int(photos) == pytest.approx(40, abs=15)
    assert missing.endswith("/ 0.0")
    vcpu, memory, hour, most, *_ = rows(parts, "sizes")[0]
    assert (vcpu, memory, hour) == ("1", "2", "0.0494")
    assert 5 < float(most) < 10
    tasks = [int(cell.split()[0].replace(",", "")) for cell in rows(parts, "tasks")[0][1:]]
    assert tasks[0] == 2
    assert tasks[2] == sizing.tasks_for(10_000, float(most)) or abs(tasks[2] - 10_000 / float(most)) < 10
    assert len(rows(parts, "autoscaling")) == 2
    assert rows(parts, "gpu")[0][-1].endswith("it has 50 %")
    assert "check before use" in str(parts["prices"])


def test_a_size_that_is_too_slow_says_so() -> None:
    slow = run(latencies_ms=[1.0])
    for loop in slow.windows:
        loop.seconds = 80.0  # half a photo a second
    parts = tables(record(slow), sizing.read_prices())
    assert rows(parts, "sizes")[0][3] == "no rate has p99 ≤ 1 s"
    assert rows(parts, "tasks")[0][1:] == ["–", "–", "–"]
    assert rows(parts, "autoscaling") == rows(parts, "gpu") == []


def test_doubtful_figures_are_told() -> None:
    bad = run(statuses={"200": 39, "lost": 1}, degraded=2, others_cores=1.3, generator_cores=0.1)
    told = str(tables(record(bad, quick=True), sizing.read_prices())["run"])
    assert "smoke test" in told
    assert "Others were at work in 1 windows" in told
    assert "quota of 1, 0.8 × capacity: 1 answers were lost" in told
    assert "2 of 40 answers came from the heuristics" in told


def test_each_part_is_written_between_its_markers() -> None:
    page = f"before\n{BEGIN.format('one')}old\n{END.format('one')}after\n"
    assert written(page, {"one": Table(["a", "b"], [["1", "2"]])}) == (
        f"before\n{BEGIN.format('one')}| a | b |\n| --- | --- |\n| 1 | 2 |\n{END.format('one')}after\n"
    )
    with pytest.raises(ValueError, match="two"):
        written(page, {"two": "text\n"})


def test_the_page_has_a_place_for_every_part() -> None:
    parts = tables(record(run()), sizing.read_prices())
    assert all(BEGIN.format(name) in PAGE.read_text() for name in parts)
    written(PAGE.read_text(), parts)


def test_the_page_tells_the_assumptions_of_the_arithmetic() -> None:
    page, growth = PAGE.read_text(), 1 + sizing.GROWTH_A_MINUTE
    assert f"about {sizing.SCALE_OUT_MINUTES} minutes" in page
    assert f"{100 * sizing.GROWTH_A_MINUTE:.0f} % a minute" in page
    assert f"{growth:g}⁵ = {growth**sizing.SCALE_OUT_MINUTES:.2f} times" in page
    assert f"{HEADROOM} × PSS" in page
    assert f"{sizing.HOURS_A_MONTH} hours" in page.replace("\n", " ")


def test_arithmetic_alone_writes_the_page_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "capacity.md"
    page.write_text(PAGE.read_text())
    options = ["--arithmetic", "--out", str(tmp_path), "--page", str(page)]
    assert capacity.main(options) == 1
    assert "measure first" in capsys.readouterr().err
    (tmp_path / "capacity.json").write_text(json.dumps(record(run())))
    assert capacity.main(options) == 0
    assert "Measured 2026-01-02 at commit 0123456789, on 2 cores of a processor" in page.read_text()
    assert "photos/s at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cores", "half"], "not numbers"),
        (["--cores", "3"], "Fargate has no task of 3 CPUs"),
        (["--cores", "16"], "this machine has"),
        (["--page", "/nowhere"], "there is no page /nowhere"),
    ],
)
def test_wrong_options_are_told(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        capacity.main(options)
    assert told in capsys.readouterr().err


def groups() -> list[Path]:
    return list(MOUNT.glob("**/shine-capacity-*"))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CAN_LIMIT, reason="needs root and control groups")
def test_a_run_measures_a_service_within_its_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "capacity.md"
    page.write_text(PAGE.read_text())
    monkeypatch.setattr(capacity, "QUICK", Scale(1.0, 2.0, 3.0, 4.0, (0.5,)))
    options = ["--quick", "--cores", "0.5", "--out", str(tmp_path), "--page", str(page)]
    assert capacity.main(options) == 0
    (size,) = (SizeRun.read(it) for it in json.loads((tmp_path / "capacity.json").read_text())["sizes"])
    assert [(it.clients, it.factor) for it in size.windows] == [(1, 0), (8, 0), (0, 0.5), (8, 0)]
    assert all(0 < it.cpu_s / it.wall_s < 0.55 for it in size.windows)
    assert sum(size.cpu_share.values()) == pytest.approx(1)
    assert 0.2 < size.cpu_share["SkinModel"] < 0.8
    assert 200 < size.pss_mib < 1000
    assert groups() == []


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.skipif(not CAN_LIMIT, reason="needs root and control groups")
def test_an_interrupted_run_ends_what_it_started_and_writes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.load.capacity", "--quick", "--cores", "0.5", "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        ends = time.monotonic() + 60
        while not (started := [pid for group in groups() for pid in (group / "cgroup.procs").read_text().split()]):
            assert time.monotonic() < ends
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert not any(psutil.pid_exists(int(pid)) for pid in started)
    assert groups() == []
    assert not (tmp_path / "capacity.json").exists()
