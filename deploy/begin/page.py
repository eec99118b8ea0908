"""The plan as a file with comments: the example's lines, with values in the place of the example's own.

The example is deploy/trail.yaml, whose comments are thereby written once. What could not be found stays as comment with
the word TODO, so that the file does not load until somebody has decided, where it must be decided.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.begin.seen import Seen
from deploy.words import printable

# Keys that a plan may leave out; they stand in the example as comments.
LEFT_OUT = re.compile(r"^(\s*)# ((?:family|repository|record|requests_per_target): )")
PLAIN = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9/_.:@+-]*")
STEP = "  "
MOST_TOLD = 600  # characters of a reason


@dataclass
class Entry:
    """A key of the example.

    Attributes:
        first, last: its lines, what stands below it included.
        block: its value stands below it.
        comment: behind the value.
    """

    first: int
    last: int
    block: bool
    comment: str


def written(example: str, seen: Seen) -> str:
    """The file.

    Args:
        example: text of deploy/trail.yaml.
        seen: of a service.
    """
    lines = example.splitlines()
    whole = [LEFT_OUT.sub(r"\1\2", line) for line in lines]
    known = entries(whole)
    new: dict[int, list[str]] = {}  # first line → what stands there instead
    gone: set[int] = set()
    for place in sorted({*seen.values, *seen.missing}, key=lambda one: one.count(".")):
        entry = known[place]
        if entry.first in gone or entry.first in new:
            continue  # what stands above it is missing as a whole
        old = whole[entry.first : entry.last + 1]
        if place in seen.values:
            new[entry.first] = _filled(place, entry, old, seen.values[place])
        else:
            new[entry.first] = _open(place, old, seen.missing[place])
        gone |= set(range(entry.first, entry.last + 1))
    text = [f"# Read from the service {seen.source}; what says TODO could not be found there."]
    for number, line in enumerate(lines):
        text += new.get(number, [] if number in gone else [line])
    return "\n".join(text) + "\n"


def entries(lines: list[str]) -> dict[str, Entry]:
    """Every key of a YAML text by its dotted place; those within {…} are not looked into."""
    found: dict[str, Entry] = {}

    def within(node: Any, above: str) -> None:
        for key, value in node.value:
            place = f"{above}{key.value}"
            block = isinstance(value, yaml.MappingNode) and not value.flow_style
            if block:
                within(value, f"{place}.")
                last = max(one.last for name, one in found.items() if name.startswith(f"{place}."))
                comment = lines[key.start_mark.line][key.end_mark.column + 1 :]
            else:
                last, comment = value.end_mark.line, lines[value.end_mark.line][value.end_mark.column :]
            found[place] = Entry(key.start_mark.line, last, block, comment)

    within(yaml.compose("\n".join(lines), Loader=yaml.SafeLoader), "")
    return found


def _filled(place: str, entry: Entry, old: list[str], value: Any) -> list[str]:
    indent, key = _indent(old[0]), place.rpartition(".")[2]
    if not entry.block or not value:
        return [f"{indent}{key}: {_dumped(value)}{entry.comment}"]
    comments = {line.split(":")[0].strip(): _comment(line) for line in old[1:]}
    below = [f"{indent}{STEP}{_dumped(name)}: {_dumped(one)}{comments.get(name, '')}" for name, one in value.items()]
    return [old[0], *below]


def _open(place: str, old: list[str], why: str) -> list[str]:
    """The example's own lines as comments, below the reason."""
    indent, key = _indent(old[0]), place.rpartition(".")[2]
    return [
        f"{indent}# TODO {key}: {printable(why, MOST_TOLD)}",
        *(f"{indent}# {line.removeprefix(indent)}" for line in old),
    ]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _comment(line: str) -> str:
    """Behind a value that holds no number sign itself, as in the example's blocks."""
    found = re.search(r" #.*$", line)
    return found[0] if found else ""


def _dumped(value: Any) -> str:
    """On one line; text in quotes wherever YAML might take it for something else."""
    if isinstance(value, list):
        return f"[{', '.join(_dumped(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_dumped(name)}: {_dumped(one)}' for name, one in value.items())}}}"
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and yaml.safe_load(value) == value and not value.endswith(":"):
            return value
        return str(yaml.safe_dump(value, default_style='"', width=1 << 20)).strip()
    return "true" if value is True else "false" if value is False else str(value)
