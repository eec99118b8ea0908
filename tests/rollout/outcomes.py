"""`python -m tests.rollout.outcomes FILE`: writes the results of test_failures.py as docs/rollout-failures.md."""

import json
import sys
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rollout-failures.md"
HEAD = """# What goes wrong in a rollout, and what the tool does
The tests write this page (`make rollout-failures`) from what they measure against a stand-in for AWS on loopback, whose
tasks are real processes ([its README](../tests/fake_ecs/README.md) says what that proves, and what only AWS can show).
In each row preflight finds nothing; the fault appears just before or after the call that starts the deployment, while
photos are sent all the time. "Lost" are photos without an analysis, of those sent during the row. In the end a
proven release serves in each row, and the record says what happened.

| fault, on the way to | exit | outcome in the record | named | lost | seconds |
|---|---|---|---|---|---|
"""
TAIL = """
An image that is healthy and crashes on photos, or whose health changes, gets photos as soon as its targets are healthy;
by then both tasks of the proven release have stopped here, since the stand-in shortens all waiting of ECS at least 25
times. Photos are lost until the rollback, which the tool starts when a second task dies for the same reason.
"""


def document(rows: dict[str, dict[str, Any]]) -> str:
    """The document, from the rows that test_failures.py measured."""
    lines = []
    for name, row in rows.items():
        named = ", ".join(f"`{name}`" for name in dict.fromkeys([row["cause"], *row.get("gates", [])]) if name)
        named = named or row["sentence"][:34].rstrip() + " …"
        lost = f"{row['lost']} of {row['sent']}" if row["sent"] else "–"
        outcome = (row["outcome"] or "nothing was started").replace("_", " ")
        lines.append(f"| {name}, {row['phase']} | {row['exit']} | {outcome} | {named} | {lost} | {row['seconds']} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    DOCUMENT.write_text(document(json.loads(Path(sys.argv[1]).read_text())), encoding="utf-8")
    print(f"wrote {DOCUMENT.name}")
