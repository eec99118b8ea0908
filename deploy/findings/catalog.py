"""Every code of a finding, from codes.toml: its title and why it matters. `trail explain CODE` prints them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("codes.toml")


@dataclass(frozen=True)
class Code:
    """A code of findings.

    Attributes:
        code: stable name.
        title: the rule as it should be, as a sentence without its full stop.
        why: what happens where the rule is broken.
        incident: the point of the incident behind this tool (1 to 12) that the check would have shown.
    """

    code: str
    title: str
    why: str
    incident: int | None = None


def _read() -> dict[str, Code]:
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {
        code: Code(code, row["title"], " ".join(row.get("why", f"{row['title']}.").split()), row.get("incident"))
        for code, row in sorted(table.items())
    }


CODES = _read()

# What ends a command.
INPUT = CODES["INPUT_UNUSABLE"]
USAGE = CODES["USAGE_WRONG"]
INTERRUPTED = CODES["INTERRUPTED"]
NOT_CONFIRMED = CODES["NOT_CONFIRMED"]
RECORD = CODES["RECORD_UNUSABLE"]
ROLLOUT = CODES["ROLLOUT_REFUSED"]
GATE = CODES["GATE_FAILED"]
BACK = CODES["ROLLBACK_FAILED"]
OTHERS = CODES["SOMEBODY_ELSE"]
# Parts of preflight that did not run.
IMAGE = CODES["IMAGE_ON_TRIAL"]
ACCOUNT = CODES["ACCOUNT_ASKED"]
DIGEST = CODES["DIGEST_NAMED"]
COMPARED = CODES["CONTRACT_COMPARED"]
