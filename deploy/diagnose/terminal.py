"""Prints a diagnosis for people: the likeliest cause with its evidence, the others in a line each, what is unknown."""

from collections.abc import Sequence

from deploy.diagnose.cause import Diagnosis
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.evidence import Evidence
from deploy.findings.finding import Level
from deploy.findings.terminal import STYLES, coloured, filled
from deploy.next_command import NO_OPTIONS, OptionsInUse
from deploy.text import printable

MAX_UNSEEN = 12
MAX_CHARACTERS = 1000  # of a sentence with its commands completed


def text(evidence: Evidence, causes: Sequence[Diagnosis], colours: bool, options: OptionsInUse = NO_OPTIONS) -> str:
    """The whole diagnosis; commands in it get the options that are in use.

    Args:
        evidence: that was diagnosed.
        causes: at least one, the most likely first.
        colours: whether the terminal shows them.
        options: of the command line.
    """

    def wrapped(sentence: str, margin: int) -> str:
        return filled(printable(options.text(sentence), MAX_CHARACTERS), margin)

    first, others = causes[0], causes[1:]
    level: Level = "OK" if first.harmless else "FAIL"
    label = coloured(f"{level:4}", STYLES[level], colours)
    lines = [_head(evidence), "", f"{label}  {wrapped(first.sentence, 6)}", f"      {first.code}"]
    lines += [f"        {filled(printable(line, MAX_CHARACTERS), 10)}" for line in first.evidence]
    if not first.harmless:
        lines.append(f"      → {wrapped(first.repair, 8)}")
    if others:
        width = max(len(cause.code) for cause in others)
        lines += ["", "AWS now shows:" if first.recorded else "Also found, but less likely the reason:"]
        lines += [f"  {cause.code:{width}}  {wrapped(cause.sentence, width + 4)}" for cause in others]
    if evidence.unseen:
        lines += ["", "Not read:"]
        lines += [f"  {filled(printable(part, MAX_CHARACTERS), 2)}" for part in evidence.unseen[:MAX_UNSEEN]]
        if len(evidence.unseen) > MAX_UNSEEN:
            lines.append(f"  and {len(evidence.unseen) - MAX_UNSEEN} more.")
    if first.code in CAUSES and not first.harmless:
        lines += ["", f"`trail why {first.code}` explains this cause."]
    return "\n".join(lines) + "\n"


def _head(evidence: Evidence) -> str:
    service = f"{evidence.name} in {evidence.cluster}, {evidence.region}"
    deployment = f", deployment {evidence.deployment}" if evidence.deployment else ""
    time = f", as of {evidence.at:%Y-%m-%d %H:%M:%S} UTC" if evidence.at else ""
    return printable(service + deployment + time, MAX_CHARACTERS)
