"""What was measured with one CPU quota, and the task that is simulated from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.load.processes import Broken
from tests.load.simulation import TaskModel
from tests.load.table import DISTURBED_CORES
from tests.load.windows import Window

CLIENTS = 8  # of the closed loop by which the capacity is known, enough that no core waits for a photo


@dataclass(slots=True)
class SizeRun:
    """What was measured with one CPU quota.

    Attributes:
        cores: of the quota.
        threads: of each process, as the service would choose them in a container of this size.
        cpu_share: name of a service → its share of the CPU time of all processes, in the closed loops.
        windows: one client; closed loops before and after the open ones; open loops.
    """

    cores: float
    threads: int
    cpu_share: dict[str, float] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "SizeRun":
        """From its place in the record."""
        return cls(**{**content, "windows": [Window(**window) for window in content["windows"]]})

    @property
    def alone(self) -> Window:
        """The loop of one client."""
        return next(window for window in self.windows if window.clients == 1)

    @property
    def closed(self) -> list[Window]:
        """The closed loops by which the capacity is known."""
        return [window for window in self.windows if window.clients == CLIENTS]

    @property
    def opened(self) -> list[Window]:
        """The open loops."""
        return [window for window in self.windows if window.factor]

    @property
    def capacity(self) -> float:
        """Photos a second, over all closed loops.

        Raises:
            Broken: nothing was answered.
        """
        answers = sum(window.answers for window in self.closed)
        if not answers:
            raise Broken(f"no photo was answered under a quota of {self.cores:g}")
        return answers / sum(window.seconds for window in self.closed)

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a photo, over all closed loops."""
        return 1000 * sum(window.cpu_s for window in self.closed) / sum(window.answers for window in self.closed)

    @property
    def pss_mib(self) -> float:
        """The largest PSS of all processes together, MiB."""
        return max(window.pss_mib or 0.0 for window in self.windows)

    def task_model(self) -> TaskModel:
        """The task that is simulated: as fast as the closed loops were, photos as unequal as those of one client were.

        A photo's work is the quota over the capacity, dealt out as the CPU time was over the three services.
        """
        work_s = self.cores / self.capacity
        alone = self.alone.latencies_ms
        return TaskModel(
            cores=self.cores,
            threads=self.threads,
            gateway_s=work_s * self.cpu_share["Gateway"],
            model_s=work_s * self.cpu_share["SkinModel"],
            measure_s=work_s * self.cpu_share["HeuristicFallback"],
            variation=tuple(ms * len(alone) / sum(alone) for ms in alone),
        )


def broken(runs: Sequence[SizeRun]) -> list[str]:
    """What makes a run fail: answers that were lost, or came from the heuristics."""
    found = []
    for where, window in _windows(runs):
        if window.lost:
            found.append(f"{where}: {window.lost} answers were lost ({window.statuses})")
        if window.degraded:
            found.append(f"{where}: {window.degraded} of {window.answers} answers came from the heuristics")
    return found


def disturbed(runs: Sequence[SizeRun]) -> list[str]:
    """Where others were at work, so that rates and latencies are doubtful."""
    return [
        f"{where}: others used {others:.2f} cores"
        for where, window in _windows(runs)
        if (others := window.others_cores - window.generator_cores) > DISTURBED_CORES
    ]


def _windows(runs: Sequence[SizeRun]) -> list[tuple[str, Window]]:
    """Each window, and its name for people."""
    return [
        (f"quota of {run.cores:g}, " + (f"{it.factor:g} × capacity" if it.factor else f"clients: {it.clients}"), it)
        for run in runs
        for it in run.windows
    ]
