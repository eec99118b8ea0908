"""Measures the service on 0.5, 1 and 2 cores, and writes what that means for tasks, prices and autoscaling.

    make capacity                            # 15 minutes, as root, on a machine that does nothing else
    make capacity ARGS=--quick               # a smoke test of 2 minutes; its figures are rough
    make capacity ARGS="--cores 1"           # one size
    make capacity ARGS=--arithmetic          # nothing is measured: only the tables, after a change to prices.json

Each service runs in a control group with a CPU quota, the load generator outside of it. All raw figures are written to
.cache/capacity/capacity.json, the tables between their markers in docs/capacity.md, which says what they mean. The exit
code is 1 where something broke. Ctrl-C ends all that was started and writes nothing.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bentos.skin.cgroup import cpus
from deploy.verify.task_definition.platform import CPU_UNITS, SIZES
from tests.load import photos
from tests.load.bench import INTERRUPTED, ended_by_signals
from tests.load.capacity_page import PAGE, tables, told, written
from tests.load.capacity_record import CLIENTS, SizeRun, broken, disturbed
from tests.load.cpu_quota import CpuQuota
from tests.load.job import Job
from tests.load.machine import commit, facts
from tests.load.meter import Meter
from tests.load.plan import MAIN_SIDE
from tests.load.processes import Broken
from tests.load.progress import Step, carry_out
from tests.load.servers import PHASE
from tests.load.sizing import read_prices
from tests.load.ways import PATH, HttpWay, Tuning
from tests.load.windows import Window, filled
from tests.load.worktree import compile_modules
from tests.server import ROOT, WORKERS, Server

OUT = ROOT / ".cache" / "capacity"
CORES = (0.5, 1.0, 2.0)
START_S, DRAINED_S = 8.0, 1.0  # of a service; after an open loop, whose clients have gone


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds of each window, and the open loops by their rate over the capacity."""

    warm_s: float = 3.0
    alone_s: float = 10.0
    closed_s: float = 20.0
    open_s: float = 60.0
    factors: tuple[float, ...] = (0.5, 0.8, 1.2)


FULL = Scale()
QUICK = Scale(warm_s=1.0, alone_s=3.0, closed_s=4.0, open_s=6.0, factors=(0.5, 0.8))


class SizedService:
    """A running service in a control group of its own, for the length of a `with` block.

    Args:
        cores: of its quota.
        folder: for its log.
        files: photos that are sent.

    Raises:
        Broken: there are no control groups, or the service does not answer.
    """

    def __init__(self, cores: float, folder: Path, files: Sequence[Path]) -> None:
        self.run = SizeRun(cores, math.ceil(cores))
        self._folder, self._files, self._stack = folder, [str(file) for file in files], ExitStack()
        self._used: dict[str, float] = dict.fromkeys(WORKERS, 0.0)  # CPU seconds in the closed loops

    def __enter__(self) -> "SizedService":
        with ExitStack() as stack:
            self._group = stack.enter_context(CpuQuota(self.run.cores))
            # Its control group is not the root of what it sees, as in a container: so it is told what it would read.
            threads = {"SHINE_THREADS": str(self.run.threads)}
            self._server = Server(self._folder, PYTHONPATH=str(ROOT), SHINE_PHASE=PHASE, **threads)
            log = self._server.log
            self._way = HttpWay(self._server.process, self._server.port, self._folder, log, Tuning(), self._server)
            stack.callback(self._way.stop)
            self._group.add(self._server.process.pid)
            try:
                self._server.wait_for_workers()
            except AssertionError as error:
                raise Broken(str(error)) from None
            self._way.tree.sample()
            if outside := set(self._way.tree.pids) - self._group.pids:
                raise Broken(f"{len(outside)} processes of the service are outside of its control group")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self, seconds: float, *, clients: int = 0, factor: float = 0.0, keep: bool = True) -> None:
        """One load, a closed loop of some clients, or an open one at a factor of the closed loop's rate."""
        rate = factor * (self.run.capacity if factor else 0.0)
        seed = len(self.run.windows)
        job = Job(self._way.port, PATH, self._files, seconds, clients=clients, rate=rate, seed=seed)
        meter, before = Meter(self._way.tree, memory=True), self._cpu_s()
        report = self._way.load(job, meter)
        if not keep:
            return
        self.run.windows.append(
            filled(Window("service", str(MAIN_SIDE), clients, seed, factor, rate), job, report, meter)
        )
        if clients == CLIENTS:
            for name, seconds_used in self._cpu_s().items():
                self._used[name] += seconds_used - before[name]
            whole = sum(window.cpu_s for window in self.run.closed)
            shares = {name: used / whole for name, used in self._used.items() if name != "Gateway"}
            self.run.cpu_share = {**shares, "Gateway": 1 - sum(shares.values())}  # and the parent of all
        if factor:
            time.sleep(DRAINED_S)

    def _cpu_s(self) -> dict[str, float]:
        """CPU seconds of each worker."""
        try:
            return {name: sum(self._server.worker(name).cpu_times()[:2]) for name in WORKERS}
        except LookupError as error:
            raise Broken(f"the worker {error} has ended:\n{self._server.tail()}") from None


def measure(cores: Sequence[float], scale: Scale, out: Path) -> dict[str, Any]:
    """Measure all sizes, one after the other; the record.

    Raises:
        Broken: a service does not start, breaks, or cannot be limited.
    """
    began, machine, runs = time.monotonic(), facts(), list[SizeRun]()
    logs = out / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    compile_modules(ROOT)
    with tempfile.TemporaryDirectory(prefix="shine-photos-") as place:
        files = photos.write((MAIN_SIDE,), Path(place))[str(MAIN_SIDE)]

        def measure_size(size: float) -> None:
            with SizedService(size, logs, files) as service:
                service.load(scale.warm_s, clients=CLIENTS, keep=False)
                service.load(scale.alone_s, clients=1)
                service.load(scale.closed_s, clients=CLIENTS)
                for factor in scale.factors:
                    service.load(scale.open_s, factor=factor)
                service.load(scale.closed_s, clients=CLIENTS)
                runs.append(service.run)

        seconds = scale.warm_s + scale.alone_s + 2 * scale.closed_s + len(scale.factors) * (scale.open_s + 3) + START_S
        carry_out([Step(f"CPU quota of {size:g}", seconds, partial(measure_size, size)) for size in cores])
    return {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        **commit(),
        "machine": machine,
        "scale": asdict(scale),
        "quick": scale is QUICK,
        "photos_px": MAIN_SIDE,
        "sizes": [asdict(run) for run in runs],
        "broken": broken(runs),
        "disturbed": disturbed(runs),
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line.

    Raises:
        SystemExit: one is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", default=",".join(f"{size:g}" for size in CORES), help="sizes (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="short windows")
    parser.add_argument("--arithmetic", action="store_true", help="measure nothing; the tables from capacity.json")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=OUT, help="default: .cache/capacity")
    parser.add_argument("--page", metavar="FILE", type=Path, default=PAGE, help="default: docs/capacity.md")
    options = parser.parse_args(arguments)
    try:
        options.cores = [float(size) for size in options.cores.split(",")]
    except ValueError:
        parser.error(f"--cores is {options.cores!r}, not numbers such as 0.5,1")
    if not options.page.is_file():
        parser.error(f"there is no page {options.page}")
    for size in options.cores:
        if round(CPU_UNITS * size) not in SIZES:
            parser.error(f"Fargate has no task of {size:g} CPUs: {', '.join(f'{it / CPU_UNITS:g}' for it in SIZES)}")
        if size > cpus() and not options.arithmetic:
            parser.error(f"a quota of {size:g} cannot be measured, this machine has {cpus()} cores")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code."""
    options = parse(arguments)
    file = options.out / "capacity.json"
    try:
        with ended_by_signals():
            if not options.arithmetic:
                record = measure(options.cores, QUICK if options.quick else FULL, options.out)
                file.write_text(json.dumps(record, indent=1) + "\n")
            elif not file.exists():
                raise Broken(f"there is no {file}: measure first, without --arithmetic")
            record = json.loads(file.read_text())
            made = tables(record, read_prices())
            options.page.write_text(written(options.page.read_text(), made))
    except (Broken, ValueError) as error:  # ValueError: a page without its markers, memory that Fargate does not offer
        print(f"capacity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("capacity: interrupted; everything that was started has been ended.", file=sys.stderr)
        return INTERRUPTED
    print(told(made))
    for title in ("broken", "disturbed"):
        for line in record[title]:
            print(f"{title.upper()}: {line}")
    print(f"\nall figures: {file}; tables: {options.page}")
    return 1 if record["broken"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
