"""What is said of a plan that was read of a service: what is open, what to know, what was refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import plan as plans
from deploy import reading, report
from deploy.begin.seen import Seen
from deploy.next_command import OptionsInUse
from deploy.words import printable


@dataclass(frozen=True)
class Told:
    """For people and for programs.

    Attributes:
        open: something is missing, or was refused.
        text: for people.
        as_json: for programs.
    """

    open: bool
    text: str
    as_json: dict[str, Any]


def told(seen: Seen, text: str, file: Path) -> Told:
    """What to say.

    Args:
        seen: of the service.
        text: of the plan that was written.
        file: where it was written.
    """
    loads = _loads(text, file)
    lines = [printable(f"Wrote {file}, read from the service {seen.source}.", 600)]
    lines += [f"TODO  {place}: {printable(why, 600)}" for place, why in seen.missing.items()]
    lines += [f"note  {printable(one, 600)}" for one in seen.notes]
    lines += [report.block(one, colours=False).rstrip() for one in seen.findings]
    lines += [] if loads is None else [printable(f"It is no whole plan yet: {loads}", 600)]
    todo = "Fill in what says TODO" if seen.missing else "Look it through"
    then = OptionsInUse.of_plan(file).command("trail preflight --offline")
    lines.append(printable(f"{todo}, then: {then}", 600))
    return Told(
        open=bool(seen.missing or seen.findings or loads),
        text="\n".join(lines) + "\n",
        as_json={
            "written": str(file),
            "loads": loads is None,
            "todo": seen.missing,
            "notes": seen.notes,
            "findings": [one.model_dump(mode="json") for one in seen.findings],
        },
    )


def _loads(text: str, file: Path) -> str | None:
    """Why the plan does not load; None where it does."""
    try:
        plans.parse(reading.plain_yaml(text), str(file))
    except plans.PlanError as error:
        return str(error)
    return None
