"""What this service is measured against: ratios and figures with their limits. Missing one is told, no failure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.load.arithmetic import median, median_ratio, percentile, ratio
from tests.load.starts import StartTime
from tests.load.windows import Window, cpu_ms, latency_ms, per_s, pss_mib, select

OVERLOAD = 2.0  # times the capacity
CAPACITY = "capacity"  # name of the windows in which it was measured


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        name: what is compared, in words.
        value: the figure itself, in the unit that the name tells; None where there is only a ratio.
        ratio: over what the name tells; None where there is only a value.
        target: the limit, with its direction: "≤ 1.15".
        met: whether it is.
    """

    name: str
    value: float | None
    ratio: float | None
    target: str
    met: bool


def value_at_most(name: str, limit: float, value: float | None) -> list[Target]:
    """A figure that may not be larger; nothing where there is none."""
    return [] if value is None else [Target(name, value, None, f"≤ {limit:g}", value <= limit)]


def ratio_at_most(name: str, limit: float, value: float | None, over: float | None) -> list[Target]:
    """A ratio that may not be larger, with the figure itself; nothing where there is no ratio."""
    return [] if over is None else [Target(name, value, over, f"≤ {limit:g}", over <= limit)]


def ratio_at_least(
    name: str, limit: float, value: float | None, over: float | None, *, also: bool = True
) -> list[Target]:
    """A ratio that may not be smaller, with the figure itself, and what must hold too; nothing without a ratio."""
    return [] if over is None else [Target(name, value, over, f"≥ {limit:g}", over >= limit and also)]


def targets(windows: Sequence[Window], starts: Sequence[StartTime], main: str) -> list[Target]:
    """All targets for which this run has figures.

    Args:
        windows: of the run.
        starts: of the run.
        main: name of the set of photos that all loads were measured with.
    """
    service = {clients: select(windows, "service", main, clients) for clients in (1, 8, 32)}
    found: list[Target] = []
    for photos, limit in (("1080", 0.55), ("4000", 0.50)):
        ours, theirs = select(windows, "one_process", photos, 8), select(windows, "base_one_process", photos, 8)
        over = _paired(ours, theirs, lambda window: window.cpu_ms)
        found += ratio_at_most(f"in process, CPU a photo of {photos} px over base", limit, cpu_ms(ours), over)
    alone = select(windows, "one_process", main, 8)
    over = _paired(service[8], alone, lambda window: window.cpu_ms)
    found += ratio_at_most("service, CPU a photo over in process", 1.15, cpu_ms(service[8]), over)
    for other, title, limit in (
        ("limit", "the limit", 0.9),
        ("fastapi", "FastAPI", 1.0),
        ("litserve", "LitServe", 1.0),
    ):
        for clients in (8, 32):
            over = _paired(service[clients], select(windows, other, main, clients), lambda window: window.per_s)
            name = f"photos a second over {title}, {clients} clients"
            found += ratio_at_least(name, limit, per_s(service[clients]), over)
    batch = select(windows, "batch", main, 8)
    over = _paired(batch, select(windows, "limit", main, 8), lambda window: window.per_s)
    found += ratio_at_least("photos a second of shine batch over the limit", 0.9, per_s(batch), over)
    litserve = select(windows, "litserve", main, 32)
    over = _paired(service[32], litserve, lambda window: window.latency_ms(0.95))
    found += ratio_at_most("p95 over LitServe's, 32 clients", 1.0, latency_ms(service[32], 0.95), over)
    over = _paired(service[1], select(windows, "one_process", main, 1), lambda window: window.latency_ms(0.5))
    found += ratio_at_most("median latency of one client over in process", 1.1, latency_ms(service[1], 0.5), over)
    for busy in (False, True):
        found += _overloaded(windows, main, busy)
    found += value_at_most("PSS at 32 clients, MiB", 800, pss_mib(service[32]))
    ours_started = [start for start in starts if start.way == "service"]
    found += value_at_most("start to /health, s", 2.0, median([start.health_s for start in ours_started]))
    found += value_at_most("start to the first answer by the model, s", 3.5, median([s.model_s for s in ours_started]))
    for clients in (8, 32):
        plain = select(windows, "bentoml", main, clients)
        over = _paired(service[clients], plain, lambda window: window.per_s)
        kept = not sum(window.lost + window.refused for window in service[clients])
        name = f"photos a second over plain BentoML, {clients} clients, none lost or refused"
        found += ratio_at_least(name, 1.3, per_s(service[clients]), over, also=kept)
    return found


def _overloaded(windows: Sequence[Window], main: str, busy: bool) -> list[Target]:
    """The targets at OVERLOAD times the capacity, which is the rate of closed loops just before and after."""
    opened = [
        window
        for window in windows
        if (window.way, window.photos, window.factor, window.busy) == ("service", main, OVERLOAD, busy)
    ]
    closed = select(windows, CAPACITY, main, 8, busy=busy)
    if not opened or not closed:
        return []
    where = f"at {OVERLOAD:g} × capacity{' with one core busy' if busy else ''}: "
    useful = median([window.useful_per_s for window in opened])
    refused = [ms for window in opened for ms in window.refused_ms]
    healthy = [ms for window in opened for ms in window.health_ms]
    degraded = sum(window.degraded for window in opened)
    failed = sum(window.health_failed for window in opened)
    return [
        *ratio_at_least(f"{where}useful answers a second over capacity", 0.9, useful, ratio(useful, per_s(closed))),
        *value_at_most(f"{where}p95 of 429, ms", 50, percentile(refused, 0.95)),
        *value_at_most(f"{where}degraded answers", 0, degraded),
        *value_at_most(f"{where}p99 of /health, ms", 100, percentile(healthy, 0.99)),
        *value_at_most(f"{where}/health not answered", 0, failed),
    ]


def _paired(ours: Sequence[Window], theirs: Sequence[Window], figure: Callable[[Window], float | None]) -> float | None:
    """The median over rounds of a figure over another way's in the same round."""
    return median_ratio([figure(window) for window in ours], [figure(window) for window in theirs])
