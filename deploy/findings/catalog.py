"""What each code of a finding means, and the checks by which it is found.

A check is a small function that looks at one thing and yields what is wrong with it. It is registered under its code:

    @check("PORT_MISMATCH", "The container's port is the one that the image listens on", why="…", incident=2)
    def port(case: Case) -> Iterator[Fault]:
        if …:
            yield fail("…", "…", *places)

Its title is the rule as it should be, so that it serves as the sentence of an OK too. Codes that other parts find (the
image on trial, the account) are declared without a function.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from deploy.findings.finding import CheckSkipped, Finding, Level, Place, finding, ok, skip
from deploy.verify.context import CheckContext


class Violation(NamedTuple):
    """What a check found; its code is the check's own."""

    level: Level
    sentence: str
    repair: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Code:
    """What `trail explain` tells.

    Attributes:
        code: stable name.
        title: the rule, as a sentence without its full stop.
        why: what happens where it is broken.
        incident: which of the twelve points of the incident that this tool answers it would have shown.
    """

    code: str
    title: str
    why: str
    incident: int | None = None


@dataclass(frozen=True)
class Check:
    """A code and the function that finds it."""

    code: Code
    look: Callable[[CheckContext], Iterator[Violation]]


CODES: dict[str, Code] = {}
CHECKS: dict[str, Check] = {}


def declare(code: str, title: str, why: str, incident: int | None = None) -> Code:
    """Make a code known.

    Raises:
        ValueError: it is known already.
    """
    if code in CODES:
        raise ValueError(f"{code} is declared twice")
    CODES[code] = Code(code, title, why, incident)
    return CODES[code]


def check(
    code: str, title: str, *, why: str, incident: int | None = None
) -> Callable[[Callable[[CheckContext], Iterator[Violation]]], Callable[[CheckContext], Iterator[Violation]]]:
    """Register a function as the check of a code."""

    def register(look: Callable[[CheckContext], Iterator[Violation]]) -> Callable[[CheckContext], Iterator[Violation]]:
        CHECKS[code] = Check(declare(code, title, why, incident), look)
        return look

    return register


def fail(sentence: str, repair: str, *places: Place) -> Violation:
    """A rollout would break on this."""
    return Violation("FAIL", sentence, repair, places)


def warn(sentence: str, repair: str, *places: Place) -> Violation:
    """Doubtful, and a rollout would go on."""
    return Violation("WARN", sentence, repair, places)


def run(one: Check, case: CheckContext) -> list[Finding]:
    """What a check says: its faults, or one OK, or one SKIP where its subject cannot be seen."""
    code = one.code.code
    try:
        faults = list(one.look(case))
    except CheckSkipped as reason:
        return [skip(code, f"{one.code.title}: {reason}.")]
    if not faults:
        return [ok(code, f"{one.code.title}.")]
    return [finding(code, fault.level, fault.sentence, *fault.places, repair=fault.repair) for fault in faults]
