"""Prints findings and failures: for people in colour, the worst first and once more at the end; for programs as JSON.

Every command that fails prints the same JSON under --json: preflight's report, with the reason first.
"""

import json
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any, TextIO

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from deploy import exit_codes as exits
from deploy.findings.finding import Finding, Level, Place, fail
from deploy.text import printable

WORST_FIRST: tuple[Level, ...] = ("FAIL", "WARN", "SKIP", "OK")
LISTED: tuple[Level, ...] = ("FAIL", "WARN")  # the others are counted
MOST_OF_A_CODE = 3  # findings of one code that are listed, unless all are
MOST_AGAIN = 8  # failures that are repeated below a long list
SUMMARY_LINES = 3
STYLES: dict[Level, str] = {"OK": "green", "SKIP": "cyan", "WARN": "yellow", "FAIL": "red"}
MAX_WIDTH = 110
TASK_DEFINITION = "task definition: "  # before most places; a path needs no such word
LONGEST_VALUE = 72  # characters of a value beside its place
QUOTED = re.compile(r"`[^`]+`")
GLUE = "\0"  # stands for a space at which no line is broken; no printable text contains it
LONGEST = 2000  # characters of what ended a command; a failed stack has several reasons


def colours_wanted(stream: TextIO) -> bool:
    """Whether to print in colour: on a terminal, and not where NO_COLOR is set (no-color.org)."""
    console = Console(file=stream)
    return console.is_terminal and not console.no_color


def coloured(text: str, style: str, colours: bool) -> str:
    """Text in one of rich's styles, such as "red" or "dim"; unchanged where colours are not wanted."""
    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD if colours else None)


def text(findings: list[Finding], all_of_them: bool, colours: bool) -> str:
    """Findings for people: the worst first, then a summary, with the failures again where they have scrolled away.

    Args:
        findings: of preflight.
        all_of_them: with those that are OK or skipped, and with every finding of a code; else they are only counted.
        colours: whether to print in colour.
    """
    numbers = counts(findings)
    summary = ", ".join(f"{number} {level}" for level, number in numbers.items())
    verdict = "Something would break." if numbers["FAIL"] else "Nothing was found that would break."
    more = " `trail explain CODE` says more." if numbers["FAIL"] or numbers["WARN"] else ""
    hidden = " --all lists what is OK and what was skipped." if not all_of_them else ""
    blocks = _blocks(findings, all_of_them, colours)
    again = _failures_again(findings, blocks, colours)
    return f"{blocks}{again}{filled(f'{sum(numbers.values())} checks: {summary}. {verdict}{more}{hidden}', 0)}\n"


def _blocks(findings: list[Finding], all_of_them: bool, colours: bool) -> str:
    """The listed findings, those of one place with one repair in one block; without all, some of each code."""
    blocks: dict[tuple[Any, ...], list[Finding]] = {}
    left: Counter[str] = Counter()
    for level in WORST_FIRST if all_of_them else LISTED:
        numbers: Counter[str] = Counter()
        for number, finding in enumerate(findings):
            if finding.level != level:
                continue
            numbers[finding.code] += 1
            if not all_of_them and numbers[finding.code] > MOST_OF_A_CODE:
                left[finding.code] += 1
                continue
            alone = finding.repair is None or not finding.places
            key = (level, number) if alone else (level, finding.repair, finding.places[0].where)
            blocks.setdefault(key, []).append(finding)
    more = "".join(f"      {number} more of {code}: --all lists them.\n" for code, number in left.items())
    return "".join(_block(group, colours) for group in blocks.values()) + (f"{more}\n" if more else "")


def _failures_again(findings: list[Finding], blocks: str, colours: bool) -> str:
    """A line for each failure, where the blocks are longer than the screen; empty elsewhere."""
    failures = [finding for finding in findings if finding.level == "FAIL"]
    size = shutil.get_terminal_size()
    if not failures or blocks.count("\n") + SUMMARY_LINES <= size.lines:
        return ""
    width = max(40, min(MAX_WIDTH, size.columns) - 6)
    lines = [textwrap.shorten(f"{item.code}: {item.sentence}", width, placeholder=" …") for item in failures]
    label = coloured("FAIL", STYLES["FAIL"], colours)
    left = f"{label}  and {len(lines) - MOST_AGAIN} more, above.\n" if len(lines) > MOST_AGAIN else ""
    return "".join(f"{label}  {line}\n" for line in lines[:MOST_AGAIN]) + left


def block(finding: Finding, colours: bool) -> str:
    """One finding: its sentence, its code with both places, the repair."""
    return _block([finding], colours)


def _block(findings: Sequence[Finding], colours: bool) -> str:
    """Findings that have level, first place and repair in common."""
    level, repair = findings[0].level, findings[0].repair
    label = coloured(f"{level:4}", STYLES[level], colours)
    if level == "OK":
        return "".join(f"{label}  {finding.sentence}  ({finding.code})\n" for finding in findings)
    lines = [f"{label}  {filled(finding.sentence)}" for finding in findings]
    sentences = " ".join(finding.sentence for finding in findings)
    places = dict.fromkeys(_place(place, sentences) for finding in findings for place in finding.places)
    codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
    lines.append(f"      {filled(': '.join(filter(None, (codes, '; '.join(places)))))}")
    lines += [f"      → {filled(repair, 8)}"] if repair else []
    return "\n".join(lines) + "\n\n"


def _place(place: Place, sentences: str) -> str:
    """A place; its value too, unless the sentences have it."""
    where = place.where.removeprefix(TASK_DEFINITION)
    value = "missing" if place.value is None else json.dumps(place.value, ensure_ascii=False)
    if value in sentences or value.strip('"') in sentences or place.value in (None, True, False, []):
        return where
    return f"{where} = {value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + '…'}"


def filled(sentence: str, margin: int = 6) -> str:
    """A sentence wrapped to the terminal, all lines but the first indented; a command in backquotes stays whole."""
    width = max(40, min(MAX_WIDTH, shutil.get_terminal_size().columns) - margin)
    glued = QUOTED.sub(lambda command: command[0].replace(" ", GLUE), sentence)
    lines = textwrap.wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * margin).join(lines).replace(GLUE, " ")


def counts(findings: Sequence[Finding]) -> dict[Level, int]:
    """The number of findings of each level."""
    numbers = Counter(finding.level for finding in findings)
    return {level: numbers[level] for level in WORST_FIRST}


def is_fine(findings: Sequence[Finding], strict: bool) -> bool:
    """Whether no finding stops a rollout; with `strict` a WARN stops it too."""
    numbers = counts(findings)
    return not numbers["FAIL"] and not (strict and numbers["WARN"])


def report(findings: Sequence[Finding], strict: bool) -> dict[str, Any]:
    """What --json prints of findings; the worst first, so that a program reads the reason of a failure first."""
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.level))
    return {
        "findings": [finding.model_dump(mode="json") for finding in ordered],
        "counts": counts(findings),
        "ok": is_fine(findings, strict),
    }


def failure(findings: Sequence[Finding], exit_code: int) -> dict[str, Any]:
    """What --json prints of each command that fails.

    Args:
        findings: the reason, and others.
        exit_code: the command's.
    """
    content = report(findings, strict=False)
    return {**content, "exit": exit_code, "error": content["findings"][0]["sentence"]}


def reason(sentence: str, code: str) -> Finding:
    """What ended a command, as a finding."""
    return fail(code, sentence, repair=None)


def ended(sentence: str, code: str, as_json: bool, exit_code: int = exits.FOUND) -> int:
    """Print what ended a command, for people on stderr, for programs as JSON on stdout; returns the exit code."""
    if as_json:
        print_json(failure([reason(sentence, code)], exit_code))
    print(f"trail: {printable(sentence, LONGEST)}", file=sys.stderr)
    return exit_code


def print_json(content: Any, indent: int | None = 2) -> None:
    """Print JSON in ASCII, so that any pipe accepts it."""
    print(json.dumps(content, indent=indent))
