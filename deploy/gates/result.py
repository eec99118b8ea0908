"""What one question to the live system gave: the value that was seen beside the limit that it was held against."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class GateResult(BaseModel):
    """Of one gate.

    Attributes:
        name: stable, lower case with underscores, e.g. targets_healthy.
        title: for people, a few words.
        holds: whether the live system is as the phase demands.
        value: what was seen, as plain data.
        limit: what is demanded, as plain data.
        sentence: what is so, for a tired operator; where it does not hold, what to do.
        at: UTC.
        hopeless: no waiting can make it hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    holds: bool
    value: Any = None
    limit: Any = None
    sentence: str
    at: datetime
    hopeless: bool = False
