"""One run of the bench: what is started, what was measured, and what broke."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bentos.skin.cgroup import cpus
from tests.load import servers
from tests.load.job import Job
from tests.load.meter import Meter
from tests.load.processes import Broken, busy_core
from tests.load.starts import StartTime, start_time
from tests.load.targets import CAPACITY
from tests.load.ways import InProcess, Tuning, Way
from tests.load.windows import Window, filled, per_s, select
from tests.load.worktree import OlderCommit
from tests.server import ROOT

CORES = cpus()
ONE = Tuning({"processes": 1, "threads": 1})
BUSY_MOST_S = 300.0
DRAINED_S = 1.0  # after an open loop, whose clients have gone
IDLE_S = 2.0
LEAST_FREE = 0.5  # cores that a way has at least, however busy others are
CAPACITY_CLIENTS = 8  # enough that no core waits for a photo


@dataclass(frozen=True, slots=True)
class Tried:
    """A tuning of a way.

    Attributes:
        tuning: its settings.
        per_s: photos a second at 8 clients.
        others_cores: cores that others used meanwhile.
    """

    tuning: str
    per_s: float
    others_cores: float

    @property
    def per_free_core(self) -> float:
        """Photos a second for each core that others left: tunings are tried one after the other, others come and go."""
        return self.per_s / max(CORES - self.others_cores, LEAST_FREE)


class Session:
    """The ways of one run and what was measured on them. Leave it to end all that it started.

    Args:
        folder: for files and logs.
        sets: name of a set of photos → its files.
        main: the set that all loads are measured with.
        base: an older commit to compare with.
    """

    def __init__(self, folder: Path, sets: dict[str, list[Path]], main: str, base: OlderCommit | None = None) -> None:
        self.folder, self.sets, self.main, self.base = folder, sets, main, base
        self.ways: dict[str, Way] = {}
        self.windows: list[Window] = []
        self.starts: list[StartTime] = []
        self.tried: dict[str, list[Tried]] = {}
        self.idle_cores: dict[str, float] = {}
        self.problems: list[str] = []

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:  # the others are stopped even where one cannot be
            for name in self.ways:
                stack.callback(self.stop, name)

    # --- starting and stopping ------------------------------------------------------------------------------------

    def start(self, name: str, begin: Callable[[], Way]) -> None:
        """Start a way; one that does not start is a problem of the run, and left out of it."""
        try:
            way = begin()
        except Broken as error:
            self.problems.append(f"{name} did not start: {error}")
            return
        self.ways[name] = way

    def stop(self, name: str) -> None:
        """Stop a way, if it runs."""
        if (way := self.ways.pop(name, None)) is not None:
            way.stop()

    def start_in_process(self, name: str, source: Path, tuning: Tuning = ONE) -> None:
        """Start the calls in process of a tree."""
        self.start(name, lambda: InProcess(source, tuning, self.folder))

    def start_service(self, name: str, source: Path) -> None:
        """Start the service of a tree."""
        self.start(name, lambda: servers.service(self.folder, Tuning(), source))

    def tune(self, name: str, begin: Callable[[Tuning], Way], tunings: Sequence[Tuning], seconds: float) -> None:
        """Start a way with each of its tunings, send photos for so many seconds, and keep the fastest.

        Args:
            name: of the way.
            begin: starts it.
            tunings: to try.
            seconds: for each.
        """
        tried = self.tried[name] = []
        for tuning in tunings:
            candidate = f"{name} with {tuning}"
            self.start(candidate, partial(begin, tuning))
            window = self.measure(candidate, self.main, CAPACITY_CLIENTS, 0, seconds, keep=False)
            if window is None or window.per_s is None:
                continue
            tried.append(Tried(str(tuning), window.per_s, window.others_cores))
            if max(tried, key=lambda other: other.per_free_core) is tried[-1]:
                self.stop(name)
                self.ways[name] = self.ways.pop(candidate)
            else:
                self.stop(candidate)

    # --- measuring ------------------------------------------------------------------------------------------------

    def expect(self) -> None:
        """Note the findings that every way must have: those of the functions, called one photo after the other."""
        way = self.ways.get("one_process")
        if not isinstance(way, InProcess):
            return
        for name, files in self.sets.items():
            self._expected(name).write_text(json.dumps(way.answers([str(path) for path in files])))

    def measure(
        self,
        name: str,
        photos: str,
        clients: int,
        number: int,
        seconds: float,
        *,
        factor: float = 0.0,
        rate: float = 0.0,
        busy: bool = False,
        title: str | None = None,
        keep: bool = True,
    ) -> Window | None:
        """One load on one way; a way that breaks is a problem of the run, and stopped.

        Args:
            name: of the way.
            photos: name of the set.
            clients: of a closed loop; 0 for an open one.
            number: of the round.
            seconds: for which photos are sent.
            factor: of an open loop, arrivals over the capacity.
            rate: of an open loop, arrivals a second.
            busy: whether one core is kept busy.
            title: name of the window, where it is not the way's.
            keep: whether the window belongs to the figures.

        Returns:
            What was measured; None where the way is not there.
        """
        if (way := self.ways.get(name)) is None:
            return None
        expected = self._expected(photos)
        job = Job(
            port=way.port,
            path="/analyze",
            photos=[str(path) for path in self.sets[photos]],
            seconds=seconds,
            clients=clients,
            rate=rate,
            seed=number,
            health=way.health if factor else None,
            expected=str(expected) if expected.exists() else None,
        )
        meter = Meter(way.tree, memory=clients == 32)
        try:
            with busy_core(BUSY_MOST_S, self.folder / "busy.log") if busy else nullcontext():
                report = way.load(job, meter)
        except Broken as error:
            self.problems.append(f"{name}: {error}")
            self.stop(name)
            return None
        window = Window(title or name, photos, clients, number, factor, rate, busy)
        filled(window, job, report, meter)
        if keep:
            self.windows.append(window)
        if factor:
            time.sleep(DRAINED_S)
        return window

    def overload(self, name: str, factor: float, number: int, seconds: float, *, busy: bool = False) -> None:
        """An open loop at a factor of the service's capacity."""
        capacity = per_s(select(self.windows, CAPACITY, self.main, CAPACITY_CLIENTS, busy=busy))
        if capacity:
            rate = factor * capacity
            self.measure(name, self.main, 0, number, seconds, factor=factor, rate=rate, busy=busy)

    def capacity(self, number: int, seconds: float, *, busy: bool = False) -> None:
        """The rate of a closed loop on the service, which open loops are factors of."""
        self.measure("service", self.main, CAPACITY_CLIENTS, number, seconds, busy=busy, title=CAPACITY)

    def start_times(self, name: str, source: Path = ROOT) -> None:
        """Start a service of its own and stop it, to know how long that takes."""
        try:
            self.starts.append(start_time(name, self.folder, source))
        except Broken as error:
            self.problems.append(f"{name} did not start: {error}")

    def idle(self) -> None:
        """How many cores each way uses while nothing is sent to any."""
        before = {name: way.tree.cpu_s() for name, way in self.ways.items()}
        time.sleep(IDLE_S)
        self.idle_cores = {name: (self.ways[name].tree.cpu_s() - used) / IDLE_S for name, used in before.items()}

    def _expected(self, photos: str) -> Path:
        return self.folder / f"expected-{photos}.json"
