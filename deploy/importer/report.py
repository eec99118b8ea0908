"""Reports on a plan that was read from a service: what is open, what to know, what was not copied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.config import files as reading
from deploy.config import plan as plans
from deploy.findings import terminal as report
from deploy.importer.values import ImportedValues
from deploy.next_command import OptionsInUse
from deploy.text import printable

MAX_SENTENCE = 600  # characters


@dataclass(frozen=True)
class Summary:
    """What `trail init --from-service` prints.

    Attributes:
        open: a value is missing, or a finding says that one was not copied.
        text: for people.
        as_json: for programs.
    """

    open: bool
    text: str
    as_json: dict[str, Any]


def summarize(imported: ImportedValues, text: str, file: Path) -> Summary:
    """Summarize an import.

    Args:
        imported: values read from the service.
        text: of the plan that was written.
        file: where it was written.
    """
    error = _load_error(text, file)
    lines = [printable(f"Wrote {file}, read from the service {imported.source}.", MAX_SENTENCE)]
    lines += [f"TODO  {place}: {printable(reason, MAX_SENTENCE)}" for place, reason in imported.missing.items()]
    lines += [f"note  {printable(note, MAX_SENTENCE)}" for note in imported.notes]
    lines += [report.block(finding, colours=False).rstrip() for finding in imported.findings]
    lines += [] if error is None else [printable(f"The plan is not complete yet: {error}", MAX_SENTENCE)]
    next_step = "Fill in what says TODO" if imported.missing else "Read it once"
    then = OptionsInUse.of_plan(file).command("trail preflight --offline")
    lines.append(printable(f"{next_step}, then: {then}", MAX_SENTENCE))
    return Summary(
        open=bool(imported.missing or imported.findings or error),
        text="\n".join(lines) + "\n",
        as_json={
            "written": str(file),
            "loads": error is None,
            "todo": imported.missing,
            "notes": imported.notes,
            "findings": [finding.model_dump(mode="json") for finding in imported.findings],
        },
    )


def _load_error(text: str, file: Path) -> str | None:
    """Why the plan does not load; None where it does."""
    try:
        plans.parse(reading.plain_yaml(text), str(file))
    except plans.PlanError as error:
        return str(error)
    return None
