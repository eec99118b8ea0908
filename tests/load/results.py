"""What a run leaves: `benchmarks.json`, described by docs/benchmarks.schema.json, and whether anything broke."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.load.session import Session
from tests.load.targets import Target, targets
from tests.load.windows import Window

SCHEMA_VERSION = 1
OLDER = ("base", "base_one_process")  # their findings may differ: they are told
OWN = ("service", "capacity")  # of which no answer may be lost, nor come from the heuristics, in a closed loop


def document(session: Session, seconds: float, machine: dict[str, Any], commit: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, as JSON.

    Args:
        session: that has ended.
        seconds: that the run took.
        machine: facts of it.
        commit: that was measured.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        **commit,
        "base": None if session.base is None else session.base.commit,
        "machine": machine,
        "main": session.main,
        "photos": {
            name: {"files": len(files), "mean_bytes": sum(file.stat().st_size for file in files) // len(files)}
            for name, files in session.sets.items()
        },
        "tunings": {name: [asdict(tried) for tried in tunings] for name, tunings in session.tried.items()},
        "idle_cores": session.idle_cores,
        "windows": [asdict(window) for window in session.windows],
        "starts": [asdict(start) for start in session.starts],
        "comparisons": comparisons(session.windows),
        "targets": [entry(target) for target in targets(session.windows, session.starts, session.main)],
        "problems": [*session.problems, *broken(session.windows)],
    }


def entry(target: Target) -> dict[str, Any]:
    """A target as JSON; `value` only where there is one."""
    fields = asdict(target)
    return fields if target.value is not None else {name: fields[name] for name in fields if name != "value"}


def comparisons(windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
    """Way → how many of its answers were compared with those of the functions, and how many differ."""
    told: dict[str, dict[str, Any]] = {}
    for window in windows:
        line = told.setdefault(window.way, {"compared": 0, "different": 0, "differences": []})
        line["compared"] += window.compared
        line["different"] += window.different
        line["differences"] = sorted({*line["differences"], *window.differences})[:10]
    return told


def broken(windows: Sequence[Window]) -> list[str]:
    """What makes a run fail: findings that differ, answers that were lost, answers by the heuristics."""
    problems = []
    for name, line in comparisons(windows).items():
        if line["different"] and name not in OLDER:
            first = "; ".join(line["differences"][:3])
            problems.append(f"{name}: {line['different']} of {line['compared']} answers differ: {first}")
    for window in windows:
        if window.lost and (not window.factor or window.way in OWN):
            problems.append(f"{_where(window)}: {window.lost} answers were lost ({window.statuses})")
        if window.way in OWN and not window.factor and window.degraded:
            problems.append(f"{_where(window)}: {window.degraded} answers came from the heuristics")
    return problems


def _where(window: Window) -> str:
    load = f"{window.factor:g} × capacity" if window.factor else f"{window.clients} clients"
    return f"{window.way}, {load}, round {window.round + 1}"
