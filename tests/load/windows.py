"""What was measured: one window for each load on each way, and the figures of several."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.load.arithmetic import median, percentile, ratio
from tests.load.job import GIVE_UP_S, Job, Report
from tests.load.meter import Meter

SETTLING_S = GIVE_UP_S  # of an open loop, until its queue is as long as it stays


@dataclass(slots=True)
class Window:
    """One load on one way.

    Attributes:
        way: its name.
        photos: name of the set that was sent.
        clients: of a closed loop; calls in process are made beside a load of so many. 0: an open loop.
        round: from 0.
        factor: of an open loop, arrivals over the capacity; 0 of a closed one.
        rate: of an open loop, arrivals a second.
        busy: whether another process kept one core busy.
        seconds: from the first photo to the last answer.
        answers: by status 200.
        statuses: how many requests ended how: a status, gave_up or lost.
        sources: how many of the answers came from where.
        degraded: how many say that they are, or come from the heuristics.
        compared: answers whose findings were compared with those of the functions.
        different: of these, those that differ.
        differences: the first few.
        cpu_s: CPU seconds of the way's processes.
        wall_s: seconds in which they were counted.
        others_cores: cores that anybody else used on average, the load generator among them.
        generator_cores: cores that the load generator used.
        pss_mib: largest PSS of the way's processes, MiB; None where it was not read.
        latencies_ms: of each answer by 200, without the first of each client.
        refused_ms: of each 429.
        useful: answers by 200 that came after SETTLING_S and before the last arrival of an open loop.
        useful_s: seconds in between.
        health_ms: of each 200 of /health meanwhile.
        health_failed: questions to /health that had another end.
    """

    way: str
    photos: str
    clients: int
    round: int
    factor: float = 0.0
    rate: float = 0.0
    busy: bool = False
    seconds: float = 0.0
    answers: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    degraded: int = 0
    compared: int = 0
    different: int = 0
    differences: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    others_cores: float = 0.0
    generator_cores: float = 0.0
    pss_mib: float | None = None
    latencies_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    useful: int = 0
    useful_s: float = 0.0
    health_ms: list[float] = field(default_factory=list)
    health_failed: int = 0

    @property
    def cpu_ms(self) -> float | None:
        """CPU milliseconds an answer."""
        return ratio(1000 * self.cpu_s, self.answers)

    @property
    def per_s(self) -> float | None:
        """Answers a second."""
        return ratio(self.answers, self.seconds)

    @property
    def useful_per_s(self) -> float | None:
        """Useful answers a second, of an open loop."""
        return ratio(self.useful, self.useful_s)

    @property
    def lost(self) -> int:
        """Requests of a closed loop that were neither answered nor refused; of an open one, lost connections."""
        if self.factor:
            return self.statuses.get("lost", 0)
        return sum(self.statuses.values()) - self.answers - self.refused

    @property
    def refused(self) -> int:
        """Requests that were answered by 429."""
        return self.statuses.get("429", 0)

    def latency_ms(self, share: float) -> float | None:
        """A percentile of the latencies."""
        return percentile(self.latencies_ms, share)


def filled(window: Window, job: Job, report: Report, meter: Meter) -> Window:
    """A window with what was seen and measured."""
    good = report.good
    window.seconds, window.answers = report.seconds, len(good)
    window.statuses, window.sources = report.statuses, report.sources
    window.degraded = sum(request.degraded or request.source == "heuristic" for request in good)
    window.compared, window.different, window.differences = report.compared, report.different, report.differences
    window.cpu_s, window.wall_s, window.pss_mib = meter.cpu_s, meter.wall_s, meter.pss_mib
    window.others_cores = max(0.0, (meter.machine_s - meter.cpu_s) / meter.wall_s)
    window.generator_cores = report.own_cpu_s / meter.wall_s
    # The first photo of each client comes to an idle server, together with those of all the others.
    warm = sorted(good, key=lambda request: request.due)[job.clients :]
    window.latencies_ms = [round(request.latency_ms, 2) for request in warm]
    window.refused_ms = [round(request.latency_ms, 2) for request in report.sent if request.status == 429]
    if window.factor:
        window.useful = sum(SETTLING_S <= request.ended <= job.seconds for request in good)
        window.useful_s = job.seconds - SETTLING_S
    window.health_ms = [round(ms, 2) for ms in report.health_ms]
    window.health_failed = report.health_failed
    return window


def select(windows: Iterable[Window], way: str, photos: str, clients: int, *, busy: bool = False) -> list[Window]:
    """The windows of a closed loop, or of calls in process beside one; a round each, in order."""
    found = [
        window
        for window in windows
        if (window.way, window.photos, window.clients, window.busy) == (way, photos, clients, busy)
        and not window.factor
    ]
    return sorted(found, key=lambda window: window.round)


def cpu_ms(windows: Sequence[Window]) -> float | None:
    """Median CPU milliseconds an answer over rounds."""
    return median([window.cpu_ms for window in windows])


def per_s(windows: Sequence[Window]) -> float | None:
    """Median answers a second over rounds."""
    return median([window.per_s for window in windows])


def latency_ms(windows: Sequence[Window], share: float) -> float | None:
    """Median over rounds of a percentile of the latencies."""
    return median([window.latency_ms(share) for window in windows])


def pss_mib(windows: Sequence[Window]) -> float | None:
    """The largest PSS over rounds, MiB."""
    return max((window.pss_mib for window in windows if window.pss_mib is not None), default=None)
