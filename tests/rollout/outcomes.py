"""`python -m tests.rollout.outcomes FILE`: what the tests of failures saw, as docs/rollout-failures.md."""

import json
import sys
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rollout-failures.md"
HEAD = """# What goes wrong in a rollout, and what the tool does
Written by the tests (`make rollout-failures`), out of what they saw: against a stand-in for AWS on loopback, whose
tasks are real processes ([its README](../tests/fake_ecs/README.md) says what that proves, and what only AWS can show).
In each row all is right at preflight; the fault comes right before, or just after, the call that begins the deployment,
while photos are sent all the time. "Lost" are photos without an analysis, of those sent during the row. In each row
what was proven serves in the end, and the record says how it came.

| fault, on the way to | exit | outcome in the record | named | lost | seconds |
|---|---|---|---|---|---|
"""
TAIL = """
An image that is healthy and dies of photos, or whose health comes and goes, gets photos as soon as the load balancer
trusts it; here both tasks of what was proven were gone by then, since all of ECS's waiting is shortened 25 times and
more. Photos are lost until it is taken back, which the tool begins with the second task that dies alike.
"""


def table(seen: dict[str, dict[str, Any]]) -> str:
    """The document."""
    lines = []
    for name, one in seen.items():
        named = ", ".join(f"`{name}`" for name in dict.fromkeys([one["cause"], *one.get("gates", [])]) if name)
        named = named or one["sentence"][:34].rstrip() + " …"
        lost = f"{one['lost']} of {one['sent']}" if one["sent"] else "–"
        told = (one["outcome"] or "nothing was begun").replace("_", " ")
        lines.append(f"| {name}, {one['phase']} | {one['exit']} | {told} | {named} | {lost} | {one['seconds']} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    DOCUMENT.write_text(table(json.loads(Path(sys.argv[1]).read_text())), encoding="utf-8")
    print(f"wrote {DOCUMENT.name}")
