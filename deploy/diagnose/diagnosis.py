"""Why something fails: one likely cause, with what shows it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Diagnosis(BaseModel):
    """One cause.

    Attributes:
        code: stable, upper case with underscores, e.g. IMAGE_MISSING; docs/causes.md lists all.
        title: a few words.
        sentence: what happens and why, with the values seen.
        evidence: lines out of AWS or the log that show it, the most telling first.
        repair: what to do.
        deterministic: no waiting and no further attempt cures it, so that a rollout may be stopped at once.
        weight: how certain it is, 0 to 1; causes are told in this order.
        harmless: nothing is wrong; told only where no cause of a failure was found.
        at: UTC, of the newest evidence; None where it bears no time.
        recorded: the trail record says so, and AWS shows it no longer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    title: str
    sentence: str
    evidence: list[str] = []
    repair: str
    deterministic: bool
    weight: float
    harmless: bool = False
    at: datetime | None = None
    recorded: bool = False
