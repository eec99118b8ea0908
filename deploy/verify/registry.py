"""The checks of a task definition, by the code of what they find.

A check is a small function that examines one thing and yields what is wrong with it. It is registered under its code:

    @check("PORT_MISMATCH")
    def port(context: CheckContext) -> Iterator[Violation]:
        if …:
            yield fail("…", "…", *places)

The code's title (deploy/findings/codes.toml) is the rule as it should be, and so it is the sentence of an OK too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from deploy.findings.catalog import CODES, Code
from deploy.findings.finding import CheckSkipped, Finding, Level, Place, finding, ok, skip
from deploy.verify.context import CheckContext


class Violation(NamedTuple):
    """What is wrong; the code is that of the check that yields it."""

    level: Level
    sentence: str
    repair: str
    places: tuple[Place, ...]


CheckFunction = Callable[[CheckContext], Iterator[Violation]]


@dataclass(frozen=True)
class Check:
    """A code and the function that finds it."""

    code: Code
    find: CheckFunction


CHECKS: dict[str, Check] = {}


def check(code: str) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as the check of a code.

    Raises:
        KeyError: codes.toml does not have the code.
        ValueError: the code has a check already.
    """

    def register(find: CheckFunction) -> CheckFunction:
        if code in CHECKS:
            raise ValueError(f"{code} has two checks")
        CHECKS[code] = Check(CODES[code], find)
        return find

    return register


def fail(sentence: str, repair: str, *places: Place) -> Violation:
    """A rollout would break on this."""
    return Violation("FAIL", sentence, repair, places)


def warn(sentence: str, repair: str, *places: Place) -> Violation:
    """Doubtful, but a rollout would go on."""
    return Violation("WARN", sentence, repair, places)


def run_check(check: Check, context: CheckContext) -> list[Finding]:
    """The findings of one check: its violations, or one OK, or one SKIP where its subject cannot be read."""
    code, title = check.code.code, check.code.title
    try:
        violations = list(check.find(context))
    except CheckSkipped as reason:
        return [skip(code, f"{title}: {reason}.")]
    if not violations:
        return [ok(code, f"{title}.")]
    return [
        finding(code, violation.level, violation.sentence, *violation.places, repair=violation.repair)
        for violation in violations
    ]
