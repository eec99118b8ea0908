"""Measures `shine batch` against the same functions in process, and writes what a million photos take.

    make bench-batch                                # 2,000 drawn photos by both engines, 20 minutes on two cores
    make bench-batch ARGS="--engines local"         # without Ray
    make bench-batch ARGS=--arithmetic              # measures nothing: the tables again, after a change to prices.json

Before and after each run the limit is measured: as many processes as cores, that call the functions with the same
photos. The photos are the portrait's, altered by a seed (tests/batch/drawn.py). All figures go to
.cache/batch/batch.json, the tables between their markers into docs/batch.md. Ctrl-C ends all that was started.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.batch import drawn
from tests.load.batch_page import PAGE, tables
from tests.load.bench import INTERRUPTED, ended_by_signals
from tests.load.capacity_page import told, written
from tests.load.job import Job
from tests.load.machine import commit, facts
from tests.load.meter import Meter
from tests.load.process_tree import ProcessTree
from tests.load.processes import Broken, Process, end, environment, hear, start, tail
from tests.load.sizing import read_prices
from tests.load.ways import InProcess, Tuning
from tests.server import ROOT

OUT = ROOT / ".cache" / "batch"
COUNTS, ENGINES = (500, 2000), ("local", "ray")
COMMAND = [sys.executable, "-m", "bentos.cli", "batch"]
LIMIT_S = 20.0  # of a window of the limit
LIMIT_PHOTOS = 64  # that it calls in turn
MOST_S = 3600.0  # of a run
LISTED = 200_000  # paths, whose memory is measured


def measure(folder: Path, engines: Sequence[str], counts: Sequence[int], record: Path) -> None:
    """Run all engines with all numbers of photos.

    Args:
        folder: for photos, outputs and logs.
        engines: of ENGINES.
        counts: of photos.
        record: the file that all figures are written to, after each run.

    Raises:
        Broken: a run failed.
    """
    machine = facts()
    print(f"batch: making {max(counts):,} photos", file=sys.stderr)
    photos = drawn.write(folder / "photos", max(counts))
    sizes = [path.stat().st_size for path in photos]
    found: dict[str, Any] = {
        **commit(),
        "machine": machine,
        "photo_bytes": sum(sizes) / len(sizes),
        "listed_bytes": _listing_bytes(folder),
        "runs": [],
    }
    limit = InProcess(ROOT, Tuning({"processes": machine["cores"], "threads": 1}), folder)
    try:
        for count in counts:
            for engine in engines:
                before = _limit(limit, photos)
                run = _run(folder, engine, photos[:count], machine["cores"])
                run["limit"] = [before, _limit(limit, photos)]
                print(f"batch: {json.dumps(run)}", file=sys.stderr)
                found["runs"].append(run)
                found["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
                record.write_text(json.dumps(found, indent=1) + "\n")
    finally:
        limit.stop()


def _limit(way: InProcess, photos: Sequence[Path]) -> dict[str, float]:
    meter = Meter(way.tree)
    step = max(1, len(photos) // LIMIT_PHOTOS)
    report = way.load(Job(port=0, path="", photos=[str(path) for path in photos[::step]], seconds=LIMIT_S), meter)
    return {
        "per_s": len(report.sent) / report.seconds,
        "cpu_ms": 1000 * meter.cpu_s / len(report.sent),
        "others_cores": max(0.0, meter.machine_s - meter.cpu_s) / meter.wall_s,
    }


def _run(folder: Path, engine: str, photos: Sequence[Path], processes: int) -> dict[str, Any]:
    """One run of the command: when it began to analyse, when it ended, and what it used."""
    output, log, names = folder / f"out-{engine}-{len(photos)}", folder / f"{engine}.log", folder / "list.txt"
    shutil.rmtree(output, ignore_errors=True)
    names.write_text("\n".join(map(str, photos)))
    log.unlink(missing_ok=True)
    env = {name: value for name, value in environment(ROOT).items() if name != "RAY_ADDRESS"}
    began = time.perf_counter()
    arguments = [str(names), str(output), "--engine", engine, "--processes", str(processes)]
    process = start([*COMMAND, *arguments], env, log, speaks=False)
    tree = ProcessTree(process.pid)
    try:
        first = _wait_for(process, log, lambda: b" to do" in log.read_bytes())
        meter = Meter(tree, memory=True)
        with meter:
            last = _wait_for(process, log, lambda: process.poll() is not None)
    finally:
        end(process, tree)
    if process.returncode != 0:
        raise Broken(f"shine batch ended with {process.returncode}:\n{tail(log)}")
    written_bytes = sum(path.stat().st_size for path in output.rglob("*.parquet"))
    return {
        "engine": engine,
        "photos": len(photos),
        "start_s": first - began,
        "seconds": last - began,
        "per_s": len(photos) / (last - first),
        "cpu_ms": 1000 * meter.cpu_s / len(photos),
        "others_cores": max(0.0, meter.machine_s - meter.cpu_s) / meter.wall_s,
        "pss_mib": meter.pss_mib,
        "row_bytes": written_bytes / len(photos),
    }


def _wait_for(process: Process, log: Path, done: Any) -> float:
    ends = time.perf_counter() + MOST_S
    while not done():
        if time.perf_counter() > ends:
            raise Broken(f"shine batch takes longer than {MOST_S:g} s:\n{tail(log)}")
        if process.poll() is not None and not done():
            break
        time.sleep(0.05)
    return time.perf_counter()


def _listing_bytes(folder: Path) -> float:
    """Memory that a path of the input takes in the process that hands out the work."""
    program = (
        "import sys; from bentos.batch.photos import Paths\n"
        "def held(): return 4096 * int(open('/proc/self/statm').read().split()[1])\n"
        "before = held()\n"
        f"paths = Paths('', [f's3://bucket/photos/2026/11/{{number:040}}.jpg' for number in range({LISTED})])\n"
        "print(held() - before, flush=True)\n"
        "sys.stdin.read()"
    )
    log = folder / "listing.log"
    process = start([sys.executable, "-c", program], environment(ROOT), log)
    try:
        return int(hear(process, 60, log)) / LISTED
    finally:
        end(process)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", type=lambda text: text.split(","), default=ENGINES, help="local,ray")
    parser.add_argument(
        "--counts",
        type=lambda text: [int(count) for count in text.split(",")],
        default=COUNTS,
        help="of photos: 500,2000",
    )
    parser.add_argument("--folder", type=Path, help="keep photos and outputs there; those that are there are used")
    parser.add_argument("--arithmetic", action="store_true", help="only write the tables of the last record again")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code."""
    options = parse(arguments)
    record = OUT / "batch.json"
    try:
        if not options.arithmetic:
            with ended_by_signals(), tempfile.TemporaryDirectory(prefix="shine-batch-") as temporary:
                folder = options.folder or Path(temporary)
                folder.mkdir(parents=True, exist_ok=True)
                OUT.mkdir(parents=True, exist_ok=True)
                measure(folder, options.engines, options.counts, record)
        parts = tables(json.loads(record.read_text()), read_prices())
    except (Broken, FileNotFoundError) as error:
        print(f"batch: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("batch: interrupted; everything that was started has been ended.", file=sys.stderr)
        return INTERRUPTED
    PAGE.write_text(written(PAGE.read_text(), parts))
    print(told(parts))
    return 0


if __name__ == "__main__":
    os.environ.pop("RAY_ADDRESS", None)
    raise SystemExit(main())
