"""The result of one check: OK, WARN, FAIL or SKIP, with both places that disagree.

Findings are made by `ok`, `skip`, `warn` and `fail`. Their text may come from a file, from AWS or from the log of a
container. The models escape what a terminal would not print as a letter (escape codes, line breaks, NUL, marks that
reverse the direction of text), so any finding can be printed.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from deploy.text import printable

MAX_TEXT = 2000  # characters of a sentence or a value
MAX_PLACE = 200

Level = Literal["OK", "WARN", "FAIL", "SKIP"]


def _printable(value: Any) -> Any:
    """The same value with all text in it printable, keys too."""
    if isinstance(value, str):
        return printable(value, MAX_TEXT)
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_printable(inner) for inner in value]
    return value


Text = Annotated[str, AfterValidator(_printable)]


class Place(BaseModel):
    """A value and where it was read.

    Attributes:
        where: for people, e.g. "image contract: port" or "task definition: portMappings[0].containerPort".
        value: as plain data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Annotated[str, AfterValidator(lambda text: printable(text, MAX_PLACE))]
    value: Annotated[Any, AfterValidator(_printable)]


class Finding(BaseModel):
    """The result of one check.

    Attributes:
        code: stable, upper case with underscores, e.g. PORT_MISMATCH; `trail explain CODE` says more.
        level: FAIL stops a rollout.
        sentence: the fact, with both values, for a tired operator.
        places: the two that disagree, or the one that was checked.
        repair: what to change, in a sentence; None where there is nothing to do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Text
    level: Level
    sentence: Text
    places: tuple[Place, ...] = ()
    repair: Text | None = None


class CheckSkipped(Exception):
    """A check cannot see its subject; the message says why, in words that follow a colon."""


def finding(
    code: str, level: Level, sentence: str, *places: Place | tuple[str, Any], repair: str | None = None
) -> Finding:
    """A finding whose level is known only at run time; each place is a `Place` or its two fields."""
    made = tuple(place if isinstance(place, Place) else Place(where=place[0], value=place[1]) for place in places)
    return Finding(code=code, level=level, sentence=sentence, places=made, repair=repair)


def ok(code: str, sentence: str, *places: Place | tuple[str, Any]) -> Finding:
    """The rule holds."""
    return finding(code, "OK", sentence, *places)


def skip(code: str, sentence: str, *places: Place | tuple[str, Any], repair: str | None = None) -> Finding:
    """It was not checked, or does not apply."""
    return finding(code, "SKIP", sentence, *places, repair=repair)


def warn(code: str, sentence: str, *places: Place | tuple[str, Any], repair: str) -> Finding:
    """A rollout may start, but an operator should read this."""
    return finding(code, "WARN", sentence, *places, repair=repair)


def fail(code: str, sentence: str, *places: Place | tuple[str, Any], repair: str | None) -> Finding:
    """A rollout must not start."""
    return finding(code, "FAIL", sentence, *places, repair=repair)
