"""What each code means, of findings and of causes: the one table that `trail explain CODE` and `trail why CODE` read.

Some codes are both: preflight finds before a rollout what `trail why` sees after it. Then both are printed.
"""

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.diagnose.cause import Cause
from deploy.diagnose.causes import CAUSES
from deploy.findings.catalog import CODES, Code
from deploy.findings.terminal import filled
from deploy.text import printable

CAUSE_FIELDS = ("code", "title", "looks", "repair", "deterministic", "harmless")  # of a cause, in this order


class UnknownCode(Exception):
    """There is no such code; the message is a sentence with the nearest one."""


@dataclass(frozen=True)
class Meaning:
    """What one code means.

    Attributes:
        code: stable name.
        finding: what preflight, or a command that fails, says under it.
        cause: what `trail why` says under it.
    """

    code: str
    finding: Code | None = None
    cause: Cause | None = None

    @property
    def title(self) -> str:
        """On one line."""
        entry = self.finding or self.cause
        return entry.title if entry else ""

    def as_json(self, *, cause_first: bool = False) -> dict[str, Any]:
        """For programs: the same keys for each code; where it is both, the title is that of the one or the other."""
        finding = {} if self.finding is None else dataclasses.asdict(self.finding)
        cause = {} if self.cause is None else {name: getattr(self.cause, name) for name in CAUSE_FIELDS}
        keys = dict.fromkeys([*CAUSE_FIELDS, *(field.name for field in dataclasses.fields(Code))])
        return {**keys, **finding, **cause} if cause_first else {**keys, **cause, **finding}

    def text(self) -> str:
        """At length."""
        both = self.finding is not None and self.cause is not None
        parts = [self.code]
        if self.finding is not None:
            parts.append(f"{'`trail preflight`: ' if both else ''}{self.finding.title}.\n")
            parts += [] if self.finding.why == f"{self.finding.title}." else [filled(self.finding.why, 0)]
            if self.finding.incident is not None:
                parts.append(f"\nPoint {self.finding.incident} of the incident that this tool answers.")
            if both:
                parts.append("")
        if self.cause is not None:
            waiting = (
                "No waiting and no further attempt cures it." if self.cause.deterministic else "It may pass by itself."
            )
            parts.append(f"{'`trail why`: ' if both else ''}{self.cause.title}.\n")
            parts.append(filled(f"Looks like: {self.cause.looks}", 0) + "\n")
            parts.append(filled(self.cause.repair, 0))
            parts += [] if self.cause.harmless else [f"\n{waiting}"]
        return "\n".join(parts) + "\n"


def finding_codes() -> dict[str, Code]:
    """Every code of a finding, by its name."""
    return CODES


def meanings() -> dict[str, Meaning]:
    """Every code by its name, of findings and of causes."""
    findings = finding_codes()
    return {code: Meaning(code, findings.get(code), CAUSES.get(code)) for code in sorted({*findings, *CAUSES})}


def meaning(code: str, kind: str) -> Meaning:
    """What a code means.

    Args:
        code: as a person typed it.
        kind: what it was taken for, in words: "code" or "cause".

    Raises:
        UnknownCode: there is none of that name.
    """
    known = meanings()
    result = known.get(code.strip().upper().replace("-", "_"))
    if result is None:
        near = nearest(code, known)
        hint = f"did you mean {near}?" if near else "`trail explain` lists them."
        raise UnknownCode(f"{printable(code, 60)} is not a {kind}; {hint}")
    return result


def nearest(code: str, known: Iterable[str]) -> str | None:
    """The known code that is most like one that is not."""
    near = difflib.get_close_matches(code.upper(), list(known), n=1, cutoff=0.4)
    return near[0] if near else None
