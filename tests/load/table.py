"""The figures of a run as tables for a terminal."""

from collections.abc import Iterable, Sequence

from tests.load.arithmetic import median, median_ratio, percentile
from tests.load.plan import CLIENTS, TITLES
from tests.load.results import broken, comparisons
from tests.load.session import Session
from tests.load.targets import CAPACITY, Target, targets
from tests.load.windows import cpu_ms, latency_ms, per_s, pss_mib, select

NONE = "–"
DISTURBED_CORES = 0.2  # used by others, above which rates and latencies are doubtful; CPU a photo hardly changes


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of text, the first to the left, the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = (
        [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash where there is none."""
    return NONE if value is None else f"{value:,.{digits}f}"


def report(session: Session) -> str:
    """All tables, the most robust figures first."""
    parts = [_cpu(session), _rates(session), _latencies(session), _overload(session), _starts(session)]
    judged = targets(session.windows, session.starts, session.main)
    parts += [_targets(judged), _notes(session), _problems(session)]
    return "\n\n".join(part for part in parts if part)


def _ways(session: Session) -> list[str]:
    measured = {window.way for window in session.windows if not window.factor} - {CAPACITY}
    return [name for name in TITLES if name in measured]


def _cpu(session: Session) -> str:
    if not _ways(session):
        return ""
    sets = list(session.sets)
    beside = select(session.windows, "one_process", session.main, 8)
    rows = []
    for name in _ways(session):
        windows = [select(session.windows, name, photos, 8) for photos in sets]
        main = select(session.windows, name, session.main, 8)
        over = median_ratio([window.cpu_ms for window in main], [window.cpu_ms for window in beside])
        rows.append([TITLES[name], *(number(cpu_ms(found)) for found in windows), number(over, 2)])
    head = ["CPU-ms a photo, 8 clients", *sets, "over in process"]
    return aligned(head, rows)


def _rates(session: Session) -> str:
    rows = []
    for name in _ways(session):
        by_clients = {clients: select(session.windows, name, session.main, clients) for clients in CLIENTS}
        limits = {clients: select(session.windows, "limit", session.main, clients) for clients in CLIENTS}
        shares = [
            median_ratio([window.per_s for window in by_clients[n]], [window.per_s for window in limits[n]])
            for n in CLIENTS[1:]
        ]
        all_windows = [window for windows in by_clients.values() for window in windows]
        rows.append(
            [
                TITLES[name],
                *(number(per_s(by_clients[clients])) for clients in CLIENTS),
                *(number(share, 2) for share in shares),
                number(pss_mib(by_clients[32]), 0),
                str(sum(window.lost for window in all_windows)),
                str(sum(window.refused for window in all_windows)),
                number(session.idle_cores.get(name), 3),
            ]
        )
    head = [f"photos a second, {session.main}", *(f"{n} cl." for n in CLIENTS)]
    head += [*(f"of limit, {n}" for n in CLIENTS[1:]), "PSS MiB", "lost", "429", "idle cores"]
    return aligned(head, rows) if rows else ""


def _latencies(session: Session) -> str:
    rows = []
    for name in _ways(session):
        if name == "limit":
            continue
        by_clients = [select(session.windows, name, session.main, clients) for clients in CLIENTS]
        shares = (0.5, 0.95, 0.99)
        rows.append([TITLES[name], *(number(latency_ms(found, share), 0) for found in by_clients for share in shares)])
    head = ["latency, ms", *(f"{title}{f' {n} cl.' if title == 'p50' else ''}" for n in CLIENTS for title in _SHARES)]
    return aligned(head, rows) if rows else ""


_SHARES = ("p50", "p95", "p99")


def _overload(session: Session) -> str:
    opened = [window for window in session.windows if window.factor]
    if not opened:
        return ""
    rows = []
    for window in opened:
        where = f"{TITLES[window.way]}, {window.factor:g} ×{', one core busy' if window.busy else ''}"
        statuses = " ".join(f"{status}:{count}" for status, count in window.statuses.items())
        rows.append(
            [
                where,
                number(window.rate),
                number(window.useful_per_s),
                *(number(window.latency_ms(share), 0) for share in (0.5, 0.95)),
                number(percentile(window.refused_ms, 0.95), 0),
                number(percentile(window.health_ms, 0.99), 0),
                str(window.degraded),
                statuses,
            ]
        )
    head = ["open loop", "offered/s", "useful/s", "p50", "p95", "429 p95", "/health p99", "degraded", "ends"]
    capacity, with_busy = (
        number(per_s(select(session.windows, CAPACITY, session.main, 8, busy=busy))) for busy in (False, True)
    )
    told = f"capacity: {capacity} photos a second, with one core busy {with_busy}"
    return f"{aligned(head, rows)}\n{told}"


def _starts(session: Session) -> str:
    rows = []
    for name in ("service", "base"):
        starts = [start for start in session.starts if start.way == name]
        if starts:
            to_health = median([start.health_s for start in starts])
            to_model = median([start.model_s for start in starts])
            rows.append([TITLES[name], number(to_health, 2), number(to_model, 2)])
    return aligned(["start, s", "/health", "first answer by the model"], rows) if rows else ""


def _targets(judged: Sequence[Target]) -> str:
    rows = [
        [target.name, number(target.value), number(target.ratio, 2), target.target, "met" if target.met else "MISSED"]
        for target in judged
    ]
    return aligned(["targets", "value", "ratio", "target", ""], rows) if rows else ""


def _notes(session: Session) -> str:
    lines = []
    for name, line in comparisons(session.windows).items():
        lines.append(f"{TITLES[name]}: {line['compared']} answers compared, {line['different']} differ")
        lines += [f"  {difference}" for difference in line["differences"]]
    for name, tried in session.tried.items():
        lines += [
            f"{TITLES[name]}: {it.per_s:.1f} photos a second with {it.tuning}; others used {it.others_cores:.2f} cores"
            for it in tried
        ]
    over_http = [window.generator_cores for window in session.windows if window.generator_cores]
    if over_http:
        lines.append(f"load generator: {median(over_http):.3f} of a core, {max(over_http):.3f} at most")
    others = [max(0.0, window.others_cores - window.generator_cores) for window in session.windows if not window.busy]
    if others:
        lines.append(f"anybody else: {median(others):.3f} of a core, {max(others):.3f} at most")
    if disturbed := sum(cores > DISTURBED_CORES for cores in others):
        lines.append(f"DISTURBED: in {disturbed} of {len(others)} windows others used over {DISTURBED_CORES} of a core")
    return "\n".join(lines)


def _problems(session: Session) -> str:
    problems = [*session.problems, *broken(session.windows)]
    return "\n".join(f"BROKEN: {problem}" for problem in problems)
