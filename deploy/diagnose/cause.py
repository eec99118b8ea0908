"""What a cause is: a row of the table, how certain it is, and how evidence shows it.

    Cause(
        "IMAGE_MISSING",
        "The image is not in the registry",
        looks="…",
        repair="…",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(pull_errors, MISSING),
    )

Each module of causes/ ends with its rows. A cause that needs more than words has a function of its own as `match`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, latest, matching
from deploy.redact import masked
from deploy.text import printable

MAX_LINES = 6  # of evidence
MAX_CHARACTERS = 700  # of a sentence


class Weight:
    """How certain a cause is where it matches, from 0 to 1."""

    STATED = 0.95  # AWS or the service itself states it, and names what is wrong
    TWO_FACTS = 0.85  # two facts that fit together
    LIKELY = 0.7  # fits, but something else could be the reason
    SYMPTOM = 0.5  # what happened, without why
    AFTERMATH = 0.3  # follows from another cause
    NO_FAILURE = 0.1
    STALE = 0.4  # factor for a cause that the newest failure does not show; puts it below any SYMPTOM


class Diagnosis(BaseModel):
    """One likely cause of a failure, with what shows it.

    Attributes:
        code: stable, upper case with underscores, e.g. IMAGE_MISSING; docs/causes.md lists all.
        title: a few words.
        sentence: what happens and why, with the values found.
        evidence: lines of AWS or of the log that show it, the clearest first.
        repair: what to do.
        deterministic: neither waiting nor another attempt helps, so that a rollout may stop at once.
        weight: how certain it is, 0 to 1; causes are printed in this order.
        harmless: nothing is wrong; reported only where no cause of a failure is found.
        at: UTC, of the newest evidence; None where it has no time.
        recorded: the trail record says so, and AWS no longer shows it.
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


@dataclass(frozen=True)
class CauseMatch:
    """How evidence shows a cause.

    Attributes:
        sentence: what happens and why, with the values found; empty where the title says it all.
        lines: of evidence, the clearest first.
        tasks: ids of those that show it.
        at: of the newest evidence.
        weight, repair, deterministic: where they differ from the table's.
    """

    sentence: str
    lines: Sequence[str] = ()
    tasks: Sequence[str] = ()
    at: datetime | None = None
    weight: float | None = None
    repair: str | None = None
    deterministic: bool | None = None


Matcher = Callable[[Evidence], CauseMatch | None]
# Written for the newest quote that fits, with its match: in the quote's own words, or by what they mean.
Sentence = str | Callable[[Evidence, Quote, re.Match[str]], str]


@dataclass(frozen=True)
class Cause:
    """A row of the table.

    Attributes:
        code: stable, upper case with underscores.
        title: a few words.
        looks: what it looks like from outside.
        repair: what to do.
        weight: how certain it is where it matches.
        match: finds it in evidence; None where it is not there.
        deterministic: neither waiting nor another attempt helps.
        symptom: says what happened, but not why: reported only for tasks for which no other cause is found.
        aside: does not explain why a task stops or a target is unhealthy.
        harmless: nothing is wrong.
    """

    code: str
    title: str
    looks: str
    repair: str
    weight: float
    match: Matcher
    deterministic: bool = False
    symptom: bool = False
    aside: bool = False
    harmless: bool = False

    def diagnosis(self, match: CauseMatch, weight: float) -> Diagnosis:
        """What is printed; without control characters and secrets."""
        lines = dict.fromkeys(printable(masked(line), MAX_CHARACTERS) for line in match.lines)
        return Diagnosis(
            code=self.code,
            title=self.title,
            sentence=printable(masked(match.sentence or f"{self.title}."), MAX_CHARACTERS),
            evidence=list(lines)[:MAX_LINES],
            repair=printable(masked(match.repair or self.repair), MAX_CHARACTERS),
            deterministic=self.deterministic if match.deterministic is None else match.deterministic,
            weight=round(weight, 3),
            harmless=self.harmless,
            at=match.at,
        )


def table(causes: Iterable[Cause]) -> dict[str, Cause]:
    """Causes by their code, in the same order.

    Raises:
        ValueError: two causes share a code.
    """
    rows: dict[str, Cause] = {}
    for cause in causes:
        if cause.code in rows:
            raise ValueError(f"{cause.code} is declared twice")
        rows[cause.code] = cause
    return rows


def match_words(
    source: Callable[[Evidence], Sequence[Quote]],
    pattern: re.Pattern[str],
    sentence: Sentence = "",
    excluding: re.Pattern[str] | None = None,
) -> Matcher:
    """Build the `match` of a cause that AWS or a log states in words.

    Args:
        source: the quotes to search, the newest first.
        pattern: of the words.
        sentence: what the newest quote that fits means; empty where the cause's title says it all.
        excluding: quotes with these words show another cause.
    """

    def match(evidence: Evidence) -> CauseMatch | None:
        quotes = [quote for quote in source(evidence) if excluding is None or not excluding.search(quote.text)]
        matches = matching(quotes, pattern)
        if not matches:
            return None
        text = sentence if isinstance(sentence, str) else sentence(evidence, *matches[0])
        return matched(text, [quote for quote, _ in matches])

    return match


def matched(
    sentence: str,
    quotes: Iterable[Quote],
    *,
    weight: float | None = None,
    repair: str | None = None,
    deterministic: bool | None = None,
) -> CauseMatch:
    """A match with the lines, tasks and time of its quotes."""
    quotes = list(quotes)
    return CauseMatch(
        sentence=sentence,
        lines=[quote.line for quote in quotes[: MAX_LINES * 2]],
        tasks=tuple(dict.fromkeys(quote.task for quote in quotes if quote.task)),
        at=latest(quotes),
        weight=weight,
        repair=repair,
        deterministic=deterministic,
    )
