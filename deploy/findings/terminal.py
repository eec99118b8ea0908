"""What a command tells: findings for people, the worst at the end, where the eye is when the command is done; failures.

Whatever ends a command, a program reads the same form under --json: preflight's report, with the reason first.
"""

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

from deploy import exit_codes as exits
from deploy.findings.catalog import declare
from deploy.findings.finding import Finding, Level, fail
from deploy.text import printable
from deploy.verify import run as preflight
from deploy.verify.run import counts

ORDER: tuple[Level, ...] = ("OK", "SKIP", "WARN", "FAIL")
COLOURS: dict[Level, str] = {"OK": "32", "SKIP": "36", "WARN": "33", "FAIL": "31"}
WIDEST = 110
QUOTED = re.compile(r"`[^`]+`")
GLUE = "\0"  # stands for a space at which no line ends; no printable text has one
LONGEST = 2000  # characters of what ended a command; a failed stack has several reasons

USAGE = declare(
    "USAGE_WRONG",
    "The command line names a command and options that it has",
    "Nothing was looked at; each command has --help.",
)
INTERRUPTED = declare(
    "INTERRUPTED",
    "A command runs to its end",
    "Ctrl-C, or a signal of CI's. What was begun at AWS goes on there; `trail resume` picks up a rollout.",
)
NOT_CONFIRMED = declare(
    "NOT_CONFIRMED",
    "Whoever is asked says yes",
    "Nothing is changed without a yes; where nobody can be asked, --yes says it. Nothing was changed.",
)
RECORD = declare(
    "RECORD_UNUSABLE",
    "The trail record can be read and written",
    "It says what is proven, and so where to go back to; without it nothing is rolled out. S3 could not be asked, or "
    "what lies there is no record, or another service's.",
)
ROLLOUT = declare(
    "ROLLOUT_REFUSED",
    "A rollout can begin",
    "There is nothing to do as it was asked, or AWS refused the first step. Nothing was changed.",
)
GATE = declare(
    "GATE_FAILED",
    "All gates of the phase hold",
    "The deployment was completed and does not do what the phase asks for; what was proven runs again.",
)
BACK = declare(
    "ROLLBACK_FAILED",
    "What was proven can be gone back to",
    "A deployment failed, and so did the way back: somebody has to look now.",
)
OTHERS = declare(
    "SOMEBODY_ELSE",
    "Nobody else rolls out at the same time",
    "Another deployment or another's lock is in the way; neither was touched.",
)


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
    """A sentence over several lines, all but the first moved in; a command in backquotes stays whole, to be pasted."""
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns) - margin)
    whole = QUOTED.sub(lambda found: found[0].replace(" ", GLUE), sentence)
    lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * margin).join(lines).replace(GLUE, " ")


def short(value: Any) -> str:
    """A value on one line."""
    told = "missing" if value is None else json.dumps(value, ensure_ascii=False)
    return told if len(told) <= WIDEST else told[:WIDEST] + "…"


def failure(findings: Sequence[Finding], exit_code: int) -> dict[str, Any]:
    """What --json prints of each command that fails.

    Args:
        findings: the reason, and others.
        exit_code: with which the command ends.
    """
    told = preflight.report(findings, strict=False)
    return {**told, "exit": exit_code, "error": told["findings"][0]["sentence"]}


def reason(sentence: str, code: str) -> Finding:
    """What ended a command, as a finding."""
    return fail(code, sentence, repair=None)


def ended(sentence: str, code: str, as_json: bool, exit_code: int = exits.FOUND) -> int:
    """Say what ended a command, to people on stderr, and to programs as a finding on stdout; the exit code."""
    if as_json:
        print_json(failure([reason(sentence, code)], exit_code))
    print(f"trail: {printable(sentence, LONGEST)}", file=sys.stderr)
    return exit_code


def print_json(content: Any, indent: int | None = 2) -> None:
    """In ASCII, so that any pipe takes it."""
    print(json.dumps(content, indent=indent))
