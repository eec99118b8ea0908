"""What preflight says of one thing: fine, doubtful, wrong, or not looked at; with both places that disagree."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["OK", "WARN", "FAIL", "SKIP"]


class Place(BaseModel):
    """Where a value stands.

    Attributes:
        where: for people, e.g. "image contract: port" or "task definition: portMappings[0].containerPort".
        value: what stands there, as plain data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str
    value: Any


class Finding(BaseModel):
    """One thing that was looked at.

    Attributes:
        code: stable, upper case with underscores, e.g. PORT_MISMATCH; `trail explain CODE` tells more.
        level: FAIL stops a rollout.
        sentence: what is so, with both values, for a tired operator.
        places: the two that disagree, or the one that was looked at.
        repair: what to change, in a sentence; None where nothing is to be done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    level: Level
    sentence: str
    places: tuple[Place, ...] = ()
    repair: str | None = None
