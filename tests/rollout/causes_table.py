"""Writes docs/causes.md, the table of all causes.

python -m tests.rollout.causes_table
"""

import importlib
from pathlib import Path

from deploy.diagnose.registry import CAUSES, Cause

PAGE = Path(__file__).resolve().parents[2] / "docs" / "causes.md"
ROOMS = (
    "image",
    "start",
    "resources",
    "memory",
    "health",
    "traffic",
    "network",
    "placing",
    "weights",
    "stopped_by_others",
    "service",
)  # fmt: skip  as a task lives
HEAD = """# What `trail why` finds
Each line is a cause: what it looks like from outside, and what to do. Those marked *at once* are cured by no waiting
and no further attempt, so that a rollout ends when it sees one. Where several are seen, the most certain and the newest
comes first; what follows from another is told after it. `trail why CODE` shows one line at length. Written by
`python -m tests.rollout.causes_table`.
"""
COLUMNS = "\n| code | cause | looks like | what to do | |\n|---|---|---|---|---|\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in ROOMS:
        room = importlib.import_module(f"deploy.diagnose.causes.{name}")
        rows = [one for one in CAUSES.values() if one.look.__module__ == room.__name__]
        rows.sort(key=lambda one: one.look.__code__.co_firstlineno)
        parts += [f"\n## {name.capitalize()}\n{room.__doc__}\n", COLUMNS, *map(row, rows)]
    return "".join(parts)


def row(one: Cause) -> str:
    """Of the table."""
    mark = "at once" if one.deterministic else "no failure" if one.harmless else ""
    cells = (f"`{one.code}`", one.title, one.looks, one.repair, mark)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
