"""The results of the matrix, as a file and as a table of the README: `python -m tests.faults.outcomes`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.faults.service_under_fault import DESCRIPTOR_ROOM, MEMORY_ROOM, ServiceUnderFault
from tests.server import ROOT

NAMED = "FAULTS_JSON"  # environment: the file that rows are noted in; none where it is not set
FILE = ROOT / ".cache" / "faults.json"  # what `make faults` names
README = ROOT / "README.md"
BEGIN, END = "<!-- faults: written by tests/faults/outcomes.py -->\n", "<!-- /faults -->\n"


def note(number: int, fault: str, service: ServiceUnderFault, reasons: Iterable[str], healed_s: float | None) -> None:
    """Add a row to the file; where one is added again, answers are summed and the worst times are kept.

    Args:
        number: of the matrix.
        fault: for people.
        service: where the fault was injected.
        reasons: of heuristic answers; none where the model answered all the time.
        healed_s: from the fault's end to the model's answers; None where it answered all the time.
    """
    if NAMED not in os.environ:
        return
    file = Path(os.environ[NAMED])
    rows: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    before = rows.get(str(number), {"answered": 0, "slowest_s": 0.0, "reasons": [], "healed_s": None})
    healed = [seconds for seconds in (before["healed_s"], healed_s) if seconds is not None]
    rows[str(number)] = {
        "fault": fault,
        "answered": before["answered"] + len(service.responses),
        "slowest_s": max(before["slowest_s"], round(max(response.seconds for response in service.responses), 2)),
        "reasons": sorted({*before["reasons"], *reasons}),
        "healed_s": round(max(healed), 1) if healed else None,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(rows.items(), key=lambda row: int(row[0]))), indent=1) + "\n")
    part.replace(file)


def is_back(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Memory and descriptors are where they were, but for a model's own."""
    assert after[0] < before[0] + MEMORY_ROOM, (before, after)
    assert after[1] < before[1] + DESCRIPTOR_ROOM, (before, after)


def table(rows: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["| | fault | answered | slowest, s | reason | healed after, s |", "|---|---|---|---|---|---|"]
    for number, row in rows.items():
        reasons = ", ".join(f"`{reason}`" for reason in row["reasons"]) or "the model answers"
        healed = "–" if row["healed_s"] is None else row["healed_s"]
        lines.append(
            f"| {number} | {row['fault']} | {row['answered']} of {row['answered']} | {row['slowest_s']} | {reasons} "
            f"| {healed} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    text = README.read_text()
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(text[:before] + table(json.loads(FILE.read_text())) + text[after:])


if __name__ == "__main__":
    main()
