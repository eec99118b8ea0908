"""Reading what may be anything: bytes with a bound, and YAML without its traps."""

import stat
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from deploy.words import printable


class Unreadable(Exception):
    """It cannot be read; the message is one sentence, or for `plain_yaml` its end."""


def content(path: Path, most: int, what: str) -> bytes:
    """Bytes of a file.

    Args:
        path: of a regular file; a pipe or a device might never end.
        most: bytes.
        what: it should be, e.g. "a plan".

    Raises:
        Unreadable: it is missing, no file, empty, or too large.
    """
    name = printable(str(path))
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{name} is not a file.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > most:
        raise Unreadable(f"{name} has {max(found.st_size, len(data)):,} bytes; {what} has {most:,} at most.")
    if not data.strip():
        raise Unreadable(f"{name} is empty; it should be {what}.")
    return data


def plain_yaml(text: str) -> Any:
    """YAML as plain data.

    Raises:
        Unreadable: it is none, or has aliases, keys given twice, or nesting without end.
    """
    try:
        return yaml.load(text, Loader=PlainLoader)  # noqa: S506  a SafeLoader that refuses aliases as well
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:  # PyYAML's own, on odd tags
        raise Unreadable(printable(" ".join(str(error).split()), 200)) from None


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, of which bombs and cycles are made, and without keys given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"aliases (*{event.anchor}) are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands there twice."""
        times = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = next((name for name, number in times.items() if number > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice} stands there twice, at line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
