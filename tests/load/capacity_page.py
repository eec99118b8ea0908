"""The tables of docs/capacity.md, made of a record and of prices, and written between their markers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.load import sizing
from tests.load.arithmetic import percentile, poisson_arrivals
from tests.load.capacity_record import SizeRun
from tests.load.simulation import highest_rate, simulate
from tests.load.table import NONE, aligned, number
from tests.load.windows import Window
from tests.server import ROOT

PAGE = ROOT / "docs" / "capacity.md"
BEGIN, END = "<!-- {}: written by tests/load/capacity_page.py -->\n", "<!-- /{} -->\n"
WITHIN_S = 1.0  # the 99th percentile that tasks are counted for
RATES = (1, 100, 10_000)  # photos a second
SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its head, and its rows, the first column of which is what the row is about."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Sized:
    """A size, and what follows from its run.

    Attributes:
        run: what was measured.
        memory_mib: that Fargate offers and that is enough.
        rate: photos a second of which 99 % are answered within WITHIN_S; None where no rate is.
    """

    run: SizeRun
    memory_mib: int
    rate: float | None

    def hour(self, price: sizing.FargatePrice) -> float:
        """Price of a task for an hour."""
        return sizing.hour_price(self.run.cores, self.memory_mib, price)


def tables(record: Mapping[str, Any], prices: sizing.Prices) -> dict[str, str | Table]:
    """Name of each part of the page → its text or table.

    Args:
        record: as `python -m tests.load.capacity` writes it.
        prices: that are paid.
    """
    runs = [SizeRun.read(size) for size in record["sizes"]]
    sized = [
        Sized(run, sizing.memory_mib(run.cores, run.pss_mib), highest_rate(run.task_model(), WITHIN_S)) for run in runs
    ]
    return {
        "run": _run(record),
        "measured": _measured(runs),
        "simulation": _simulation(runs, record["scale"]["open_s"]),
        "sizes": _sizes(sized, prices),
        "tasks": _tasks(sized, prices),
        "autoscaling": _autoscaling(sized),
        "prices": f"Prices: {prices.source}. Region {prices.region}, {prices.currency}.\n",
        "gpu": _gpu(sized, prices),
    }


def told(parts: Mapping[str, str | Table]) -> str:
    """All parts for a terminal."""
    return "\n\n".join(
        part.strip() if isinstance(part, str) else aligned(part.head, part.rows) for part in parts.values()
    )


def written(page: str, parts: Mapping[str, str | Table]) -> str:
    """A page with each part between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    for name, part in parts.items():
        begin, end = BEGIN.format(name), END.format(name)
        if begin not in page or end not in page:
            raise ValueError(f"the page has no {begin.strip()} with {end.strip()}")
        before, after = page.index(begin) + len(begin), page.index(end)
        page = page[:before] + (part if isinstance(part, str) else part.markdown) + page[after:]
    return page


def _run(record: Mapping[str, Any]) -> str:
    machine, scale = record["machine"], record["scale"]
    lines = [
        f"Measured {record['ended'][:10]} at commit {str(record['commit'])[:10]}"
        f"{' with changes' if record['changed'] else ''}, on {machine['cores']} cores of {machine['cpu']}; "
        f"closed loops of {scale['closed_s']:g} s, open ones of {scale['open_s']:g} s, {record['photos_px']} px."
    ]
    if record["quick"]:
        lines.append("**This was a smoke test (`--quick`): its figures are rough.**")
    if record["disturbed"]:
        lines.append(
            f"**Others were at work in {len(record['disturbed'])} windows: rates and latencies are doubtful.**"
        )
    lines += [f"**Broken: {line}.**" for line in record["broken"]]
    return "\n".join(lines) + "\n"


def _measured(runs: Sequence[SizeRun]) -> Table:
    head = ["cores", "photos/s", "CPU-ms a photo", "1 client: p50, ms", "8 clients: p50", "p95", "PSS, MiB"]
    rows = []
    for run in runs:
        latencies = [ms for window in run.closed for ms in window.latencies_ms]
        figures = [run.alone.latency_ms(0.5), percentile(latencies, 0.5), percentile(latencies, 0.95), run.pss_mib]
        rows.append(
            [f"{run.cores:g}", number(run.capacity, 2), number(run.cpu_ms), *(number(figure, 0) for figure in figures)]
        )
    return Table(head, rows)


def _simulation(runs: Sequence[SizeRun], seconds: float) -> Table:
    head = ["cores", "photos/s", "of capacity", "photos", *(f"p{100 * share:g}, ms" for share in SHARES)]
    rows = [_check(run, window, seconds) for run in runs for window in run.opened]
    return Table([*head, "not answered, %"], rows)


def _check(run: SizeRun, window: Window, seconds: float) -> list[str]:
    """An open loop of some seconds, measured and simulated with the same arrivals."""
    latencies = simulate(run.task_model(), poisson_arrivals(window.rate, seconds, seed=window.round), seed=window.round)
    answered = [1000 * latency for latency in latencies if latency < math.inf]
    pairs = [(number(window.latency_ms(share), 0), number(percentile(answered, share), 0)) for share in SHARES]
    sent = len(latencies)
    missing = (100 * (1 - window.answers / sent), 100 * (1 - len(answered) / sent))
    pairs.append((number(missing[0]), number(missing[1])))
    first = [f"{run.cores:g}", number(window.rate, 2), f"{window.factor:g}", str(sent)]
    return [*first, *(f"{measured} / {simulated}" for measured, simulated in pairs)]


def _sizes(sized: Sequence[Sized], prices: sizing.Prices) -> Table:
    x86, arm = prices.fargate["X86_64"], prices.fargate["ARM64"]
    head = ["vCPU", "memory, GiB", "$ an hour", "photos/s at most", "of capacity", "$ a million photos"]
    rows = []
    for size in sized:
        first = [f"{size.run.cores:g}", number(size.memory_mib / 1024, 0), number(size.hour(x86), 4)]
        if size.rate is None:
            rows.append([*first, f"no rate has p99 ≤ {WITHIN_S:g} s", NONE, NONE, NONE])
            continue
        costs = [number(sizing.per_million(size.hour(price), size.rate), 2) for price in (x86, arm)]
        rows.append([*first, number(size.rate, 2), f"{100 * size.rate / size.run.capacity:.0f} %", *costs])
    return Table([*head, "on ARM64, if as quick"], rows)


def _tasks(sized: Sequence[Sized], prices: sizing.Prices) -> Table:
    rows = []
    for size in sized:
        cells = []
        for rate in RATES if size.rate is not None else ():
            tasks = sizing.tasks_for(rate, size.rate or math.nan)
            month = tasks * sizing.HOURS_A_MONTH * size.hour(prices.fargate["X86_64"])
            cells.append(f"{tasks:,} ($ {month:,.0f})")
        rows.append([f"{size.run.cores:g}", *(cells or [NONE] * len(RATES))])
    return Table(["vCPU", *(f"{rate:,} photos/s ($ a month)" for rate in RATES)], rows)


def _autoscaling(sized: Sequence[Sized]) -> Table:
    head = ["vCPU", "requests a task and minute", "deploy/ sets", "CPU, %", "deploy/ sets", "so deploy/ adds a task at"]
    rows = []
    for size in (it for it in sized if it.rate is not None):
        run = size.run
        rate = sizing.scaling_rate(size.rate or math.nan)
        percent = sizing.cpu_percent(rate, run.cpu_ms, run.cores)
        requests, cpu = sizing.deployed_targets(run.cores)
        first = min(requests / 60, rate * cpu / percent) / rate  # whichever is reached first
        judged = f"{first:.2f} × that load, " + ("sooner than needed" if first < 1 else "too late")
        rows.append([f"{run.cores:g}", f"{60 * rate:.0f}", str(requests), f"{percent:.0f}", str(cpu), judged])
    return Table(head, rows)


def _gpu(sized: Sequence[Sized], prices: sizing.Prices) -> Table:
    head = ["estimated, not measured", "$ an hour", "photos/s at most", "$ a million photos", "cheapest without GPU"]
    rows = []
    reached = [it for it in sized if it.rate is not None]
    if reached:
        x86 = prices.fargate["X86_64"]
        million = min(sizing.per_million(it.hour(x86), it.rate or math.nan) for it in reached)
        largest = max(reached, key=lambda it: it.run.cores)
        run, utilization = largest.run, (largest.rate or math.nan) / largest.run.capacity
        share = run.cpu_share["SkinModel"]
        for name, price in prices.gpu.items():
            rate = sizing.gpu_rate(run.cpu_ms, share, price.vcpus, utilization)
            pays = sizing.paying_model_share(run.cpu_ms, price, utilization, million)
            cost = sizing.per_million(price.hour, rate)
            figures = [number(price.hour, 3), number(rate, 1), number(cost, 2), number(million, 2)]
            rows.append([name, *figures, f"{100 * pays:.0f} %; it has {100 * share:.0f} %"])
    return Table([*head, "pays from a model's share of CPU of"], rows)
