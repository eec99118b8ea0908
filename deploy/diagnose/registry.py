"""The table of causes. A cause is a small function that looks at evidence and says whether it sees itself there.

    @cause("IMAGE_MISSING", "The image is not in the registry", looks="…", repair="…", weight=SAID, deterministic=True)
    def image_missing(seen: Evidence) -> Sign | None:
        return by_words(reasons(seen.failed), MISSING, "…")

A function under causes/ that is registered here is asked each time; docs/causes.md lists all of them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Match, Quote, find, newest
from deploy.redact import masked
from deploy.text import printable

SAID = 0.95  # AWS or the service itself says so, and names the thing
SEEN = 0.85  # two facts that were seen, and that fit together
LIKELY = 0.7  # fits, and something else could be behind it
SYMPTOM = 0.5  # what happened, without why
AFTERMATH = 0.3  # follows from another cause
NOTHING = 0.1  # no failure
STALE = 0.4  # share of its weight that a cause keeps where the newest failure is another; then below any SYMPTOM
MOST_LINES = 6  # of evidence
LONGEST = 700  # characters of a sentence


@dataclass(frozen=True)
class CauseMatch:
    """What a cause saw of itself; the rest is in the table.

    Attributes:
        sentence: what happens and why, with the values seen.
        lines: of evidence, the most telling first.
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


@dataclass(frozen=True)
class Cause:
    """A row of the table.

    Attributes:
        code: stable, upper case with underscores.
        title: a few words.
        looks: what it looks like from outside.
        repair: what to do.
        weight: how certain it is where it is seen.
        look: sees it in evidence, or not.
        deterministic: no waiting and no further attempt cures it.
        symptom: says what happened and not why: told only of tasks for which no other cause is found.
        aside: is no reason for which a task stops or a target is unhealthy.
        harmless: nothing is wrong.
    """

    code: str
    title: str
    looks: str
    repair: str
    weight: float
    look: Callable[[Evidence], CauseMatch | None]
    deterministic: bool = False
    symptom: bool = False
    aside: bool = False
    harmless: bool = False

    def diagnosis(self, sign: CauseMatch, weight: float) -> Diagnosis:
        """What people and programs are told."""
        lines = dict.fromkeys(printable(masked(one), LONGEST) for one in sign.lines)
        return Diagnosis(
            code=self.code,
            title=self.title,
            sentence=printable(masked(sign.sentence), LONGEST),
            evidence=list(lines)[:MOST_LINES],
            repair=printable(masked(sign.repair or self.repair), LONGEST),
            deterministic=self.deterministic if sign.deterministic is None else sign.deterministic,
            weight=round(weight, 3),
            harmless=self.harmless,
            at=sign.at,
        )


CAUSES: dict[str, Cause] = {}
Look = Callable[[Evidence], CauseMatch | None]


def cause(
    code: str,
    title: str,
    *,
    looks: str,
    repair: str,
    weight: float,
    deterministic: bool = False,
    symptom: bool = False,
    aside: bool = False,
    harmless: bool = False,
) -> Callable[[Look], Look]:
    """Register a function as the eye of a cause.

    Raises:
        ValueError: the code is taken.
    """

    def register(look: Look) -> Look:
        if code in CAUSES:
            raise ValueError(f"{code} is declared twice")
        CAUSES[code] = Cause(code, title, looks, repair, weight, look, deterministic, symptom, aside, harmless)
        return look

    return register


def by_words(
    quotes: Sequence[Quote],
    pattern: re.Pattern[str],
    sentence: str | Callable[[Match], str],
    *more: Quote,
    repair: str | Callable[[Match], str] | None = None,
) -> CauseMatch | None:
    """A cause that shows in somebody's words.

    Args:
        quotes: where to look, the newest first.
        pattern: of the words.
        sentence: what they mean; of the newest that fits.
        more: quotes that show it too.
        repair: where it names something that the words name.
    """
    found = find(quotes, pattern)
    if not found:
        return None
    match = found[0][1]
    return sign(
        sentence if isinstance(sentence, str) else sentence(match),
        [*(quote for quote, _ in found), *more],
        repair=repair(match) if callable(repair) else repair,
    )


def sign(
    sentence: str,
    quotes: Iterable[Quote],
    *,
    weight: float | None = None,
    repair: str | None = None,
    deterministic: bool | None = None,
) -> CauseMatch:
    """A sign with its quotes."""
    told = list(quotes)
    return CauseMatch(
        sentence=sentence,
        lines=[one.line for one in told[: MOST_LINES * 2]],
        tasks=tuple(dict.fromkeys(one.task for one in told if one.task)),
        at=newest(told),
        weight=weight,
        repair=repair,
        deterministic=deterministic,
    )
