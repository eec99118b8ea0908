"""The checks of a task definition, by the code of what they find.

A check is a small function that examines one thing and yields what is wrong with it. It is registered under its code:

    @check("PORT_MISMATCH")
    def port(context: CheckContext) -> Iterator[Violation]:
        if …:
            yield fail("…", "…", *places)

The code's title (deploy/findings/codes.toml) is the rule as it should be, and so it is the sentence of an OK too.

A check that compares with the image's contract, or that knows Fargate's rules, says so: `@check("…", needs="fargate")`.
One that looks at each container on its own is also decorated with `each_container`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from deploy.findings.catalog import CODES, Code
from deploy.findings.finding import CheckSkipped, Finding, Level, Place, finding, ok, skip
from deploy.verify.context import CheckContext, Container


class Violation(NamedTuple):
    """What is wrong; the code is that of the check that yields it."""

    level: Level
    sentence: str
    repair: str
    places: tuple[Place, ...]


CheckFunction = Callable[[CheckContext], Iterator[Violation]]
ContainerCheckFunction = Callable[[CheckContext, Container], Iterator[Violation]]
Needs = Literal["contract", "fargate"]


@dataclass(frozen=True)
class Check:
    """A code and the function that finds it.

    Attributes:
        code: of the findings.
        find: yields what is wrong.
        needs: "contract": it compares with the contract of Shine's image; "fargate": its rules are Fargate's.
    """

    code: Code
    find: CheckFunction
    needs: Needs | None = None


CHECKS: dict[str, Check] = {}


def check(code: str, needs: Needs | None = None) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as the check of a code.

    Args:
        code: of the findings.
        needs: see Check.

    Raises:
        KeyError: codes.toml does not have the code.
        ValueError: the code has a check already.
    """

    def register(find: CheckFunction) -> CheckFunction:
        if code in CHECKS:
            raise ValueError(f"{code} has two checks")
        CHECKS[code] = Check(CODES[code], find, needs)
        return find

    return register


def each_container(find: ContainerCheckFunction) -> CheckFunction:
    """A check of all containers from one of a single container; one that cannot be read does not hide the others."""

    def find_in_all(context: CheckContext) -> Iterator[Violation]:
        unreadable = None
        for container in context.each:
            try:
                yield from find(context, container)
            except CheckSkipped as reason:
                unreadable = reason
        if unreadable is not None:
            raise unreadable

    return find_in_all


def fail(sentence: str, repair: str, *places: Place) -> Violation:
    """A rollout would break on this."""
    return Violation("FAIL", sentence, repair, places)


def warn(sentence: str, repair: str, *places: Place) -> Violation:
    """Doubtful, but a rollout would go on."""
    return Violation("WARN", sentence, repair, places)


def run_check(check: Check, context: CheckContext) -> list[Finding]:
    """The findings of one check: its violations, or one OK, or one SKIP where its subject cannot be read."""
    code, title = check.code.code, check.code.title
    violations = []
    try:
        if check.needs == "fargate" and not context.fargate:
            raise CheckSkipped("not checked, since requiresCompatibilities does not name FARGATE")
        for violation in check.find(context):
            violations.append(
                violation
            )  # not a list in one go: what was found before a value that cannot be read stays
    except CheckSkipped as reason:
        if not violations:
            return [skip(code, f"{title}: {reason}.")]
    if not violations:
        return [ok(code, f"{title}.")]
    return [
        finding(code, violation.level, violation.sentence, *violation.places, repair=violation.repair)
        for violation in violations
    ]
