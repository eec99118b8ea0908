"""The plan as a file with comments: the example deploy/config/trail.yaml with its values replaced.

What could not be read stays as a comment with the word TODO, so that the plan does not load until somebody decides.
"""

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from deploy.config import files as reading
from deploy.importer.values import ImportedValues
from deploy.text import printable

STEP = "  "
MAX_REASON = 600  # characters
BEFORE, BEHIND = 1, 2  # where ruamel.yaml keeps a key's comments: above the key, and behind its value


def written(example: str, imported: ImportedValues) -> str:
    """Text of the plan.

    Args:
        example: text of deploy/config/trail.yaml.
        imported: values read from a service.

    Raises:
        KeyError: a value has no place in the example.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    plan = yaml.load(example)
    page = _Page(imported)
    last = page.fill(plan, "", [])
    if unknown := (imported.values.keys() | imported.missing.keys()) - page.places:
        raise KeyError(f"not in the example: {', '.join(sorted(unknown))}")
    source = f"# Read from the service {imported.source}; what says TODO could not be found there."
    return "".join([source, "\n", reading.dump_yaml(plan), *(f"{line}\n" for line in last)])


class _Page:
    """Replaces the example's values.

    ruamel.yaml keeps blank lines and comment lines with the value above them. They belong to the key below, so each is
    handed on to the key that follows; then a key can go and leave its neighbours' comments alone.

    Attributes:
        places: dotted places of all keys that were visited.
    """

    def __init__(self, imported: ImportedValues) -> None:
        self._imported = imported
        self.places: set[str] = set()

    def fill(self, mapping: CommentedMap, above: str, lines: list[str]) -> list[str]:
        """Replace the values of a mapping and of those within it.

        Args:
            mapping: of the example; changed.
            above: its dotted place with a dot behind; "" for the whole plan.
            lines: what stands above its first key.

        Returns:
            Lines that follow its last key.
        """
        for key in list(mapping):
            place = f"{above}{key}"
            self.places.add(place)
            below = _take_lines_below(mapping, key)
            has_keys = _is_block(mapping[key])
            if has_keys:
                below = self.fill(mapping[key], f"{place}.", below)
            if place in self._imported.missing and place not in self._imported.values:
                lines += _commented_out(mapping, key, STEP * above.count("."), self._imported.missing[place])
                del mapping[key]
            else:
                if place in self._imported.values:
                    mapping[key] = _replaced(mapping[key], self._imported.values[place])
                elif has_keys and not mapping[key]:
                    mapping[key] = None  # all of its keys are comments now
                _set_lines_above(mapping, key, lines)
                lines = []
            lines += below
        return lines


def _take_lines_below(mapping: CommentedMap, key: str) -> list[str]:
    """Cut a key's comment off after its own line.

    Returns:
        The lines that were cut off.
    """
    comments = mapping.ca.items.get(key)
    if comments is None or comments[BEHIND] is None:
        return []
    own, *below = str(comments[BEHIND].value).removesuffix("\n").split("\n")
    # Column 0: one space behind the value, however long that becomes.
    comments[BEHIND] = CommentToken(f"{own}\n", CommentMark(0)) if own else None
    return below


def _set_lines_above(mapping: CommentedMap, key: str, lines: list[str]) -> None:
    if lines:
        comments = mapping.ca.items.setdefault(key, [None, None, None, None])
        comments[BEFORE] = [CommentToken(f"{line}\n", CommentMark(0)) for line in lines]


def _commented_out(mapping: CommentedMap, key: str, indent: str, reason: str) -> list[str]:
    """A key and its value as comment lines, below the reason; they show how it is written."""
    only = CommentedMap({key: mapping[key]})
    if key in mapping.ca.items:
        only.ca.items[key] = mapping.ca.items[key]
    lines = [f"TODO {key}: {printable(reason, MAX_REASON)}", *reading.dump_yaml(only).splitlines()]
    return [f"{indent}# {line}" for line in lines]


def _replaced(old: Any, new: Any) -> Any:
    """A new value in the form of the old one; a mapping keeps the comments of the keys that stay."""
    value = _quoted(new)
    if isinstance(value, CommentedMap) and isinstance(old, CommentedMap):
        value.ca.items.update({name: old.ca.items[name] for name in value if name in old.ca.items})
    return value


def _quoted(value: Any) -> Any:
    """A value for ruamel.yaml: lists on one line, and text in quotes wherever YAML 1.1 or 1.2 reads it as other."""
    if isinstance(value, Mapping):
        return CommentedMap({_quoted(name): _quoted(item) for name, item in value.items()})
    if isinstance(value, list):
        items = CommentedSeq(_quoted(item) for item in value)
        items.fa.set_flow_style()
        return items
    if isinstance(value, str):
        return value if _is_plain(value) else DoubleQuotedScalarString(value)
    return value


def _is_plain(text: str) -> bool:
    try:
        return text.isprintable() and bool(reading.plain_yaml(text) == text)
    except reading.Unreadable:
        return False


def _is_block(value: Any) -> bool:
    return isinstance(value, CommentedMap) and bool(value) and not value.fa.flow_style()
