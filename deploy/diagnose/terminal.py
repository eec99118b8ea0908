"""A diagnosis for people: the most likely cause with what shows it, others in a line each, and what was not seen."""

from collections.abc import Sequence

from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.registry import CAUSES
from deploy.findings.finding import Level
from deploy.findings.terminal import STYLES, coloured, filled
from deploy.next_command import NO_OPTIONS, OptionsInUse
from deploy.text import printable

MOST_UNSEEN = 12
LONGEST = 1000  # characters of a sentence with its commands completed


def text(seen: Evidence, found: Sequence[Diagnosis], colours: bool, options: OptionsInUse = NO_OPTIONS) -> str:
    """All of it; commands in it are given the options that are in use."""
    first, others = found[0], found[1:]
    level: Level = "OK" if first.harmless else "FAIL"
    parts = [_head(seen), _block(first, level, colours, options)]
    if others:
        width = max(len(one.code) for one in others)
        parts.append("What AWS shows now:\n" if first.recorded else "Also seen, less likely the reason:\n")
        parts += [
            f"  {one.code:{width}}  {filled(printable(options.text(one.sentence), LONGEST), width + 4)}\n"
            for one in others
        ]
        parts.append("\n")
    if seen.unseen:
        parts.append("Not seen:\n")
        parts += [f"  {filled(printable(one, LONGEST), 2)}\n" for one in seen.unseen[:MOST_UNSEEN]]
        if len(seen.unseen) > MOST_UNSEEN:
            parts.append(f"  and {len(seen.unseen) - MOST_UNSEEN} more.\n")
        parts.append("\n")
    more = (
        f"`trail why {first.code}` tells more of this cause.\n" if first.code in CAUSES and not first.harmless else ""
    )
    return "".join(parts).rstrip("\n") + "\n" + (f"\n{more}" if more else "")


def _head(seen: Evidence) -> str:
    names = f"{seen.name} in {seen.cluster}, {seen.region}"
    which = f", deployment {seen.deployment}" if seen.deployment else ""
    when = f", seen {seen.at:%Y-%m-%d %H:%M:%S} UTC" if seen.at else ""
    return f"{printable(names + which + when, LONGEST)}\n\n"


def _block(one: Diagnosis, level: Level, colours: bool, options: OptionsInUse) -> str:
    label = coloured(f"{level:4}", STYLES[level], colours)
    lines = [f"{label}  {filled(printable(options.text(one.sentence), LONGEST))}", f"      {one.code}"]
    lines += [f"        {filled(printable(line, LONGEST), 10)}" for line in one.evidence]
    if not one.harmless:
        lines.append(f"      → {filled(printable(options.text(one.repair), LONGEST), 8)}")
    return "\n".join(lines) + "\n\n"
