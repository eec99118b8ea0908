"""Findings for people: the sentence first, the worst at the end, where the eye is when the command is done."""

import json
import os
import shutil
import textwrap
from typing import Any, TextIO

from deploy.finding import Finding, Level
from deploy.preflight import counts

ORDER: tuple[Level, ...] = ("OK", "SKIP", "WARN", "FAIL")
COLOURS: dict[Level, str] = {"OK": "32", "SKIP": "36", "WARN": "33", "FAIL": "31"}
WIDEST = 110


def colours_wanted(stream: TextIO) -> bool:
    """Only on a terminal, and not where NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def text(findings: list[Finding], all_of_them: bool, colours: bool) -> str:
    """All findings but the OKs, or those too, and the counts."""
    told = [one for level in ORDER for one in findings if one.level == level and (all_of_them or level != "OK")]
    parts = [block(one, colours) for one in told]
    found = counts(findings)
    summary = ", ".join(f"{number} {level}" for level, number in found.items())
    verdict = "Something would break." if found["FAIL"] else "Nothing was found that would break."
    more = "  `trail explain CODE` tells more." if found["FAIL"] or found["WARN"] else ""
    return "".join(parts) + f"{sum(found.values())} looked at: {summary}. {verdict}{more}\n"


def block(one: Finding, colours: bool) -> str:
    """One finding: its sentence, its code with both places, the repair."""
    label = f"{one.level:4}"
    if colours:
        label = f"\033[{COLOURS[one.level]}m{label}\033[0m"
    if one.level == "OK":
        return f"{label}  {one.sentence}  ({one.code})\n"
    lines = [f"{label}  {filled(one.sentence)}", f"      {one.code}"]
    width = max((len(place.where) for place in one.places), default=0)
    lines += [f"        {place.where:{width}}  {short(place.value)}" for place in one.places]
    lines += [f"      → {filled(one.repair, 8)}"] if one.repair else []
    return "\n".join(lines) + "\n\n"


def filled(sentence: str, margin: int = 6) -> str:
    """A sentence over several lines, all but the first moved in."""
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns) - margin)
    return textwrap.fill(sentence, width, break_long_words=False, break_on_hyphens=False).replace(
        "\n", "\n" + " " * margin
    )


def short(value: Any) -> str:
    """A value on one line."""
    told = "missing" if value is None else json.dumps(value, ensure_ascii=False)
    return told if len(told) <= WIDEST else told[:WIDEST] + "…"
