"""Reads files that may hold anything: bytes up to a limit, and YAML without aliases or duplicate keys."""

import io
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError, YAMLWarning
from ruamel.yaml.events import AliasEvent

from deploy.text import printable

DEEPEST = 100  # levels of YAML


class Unreadable(Exception):
    """A file cannot be read. The message is one sentence; that of `plain_yaml` continues one."""


def content(path: Path, most: int, what: str) -> bytes:
    """Read a file.

    Args:
        path: of a regular file; a pipe or a device might never end.
        most: bytes that the file may have.
        what: the file should be, e.g. "a plan"; for messages.

    Raises:
        Unreadable: the file is missing, not a regular file, empty, or too large.
    """
    name = printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{name} is not a file.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > most:
        raise Unreadable(f"{name} has {max(status.st_size, len(data)):,} bytes; {what} has {most:,} at most.")
    if not data.strip():
        raise Unreadable(f"{name} is empty; it should be {what}.")
    return data


def plain_yaml(text: str) -> Any:
    """Read YAML as plain data.

    Raises:
        Unreadable: not YAML, or it has aliases, a key twice, or more than DEEPEST levels.
    """
    yaml = YAML(typ="safe", pure=True)
    # ruamel.yaml reads 1.2 by default; CloudFormation, editors and linters still take `yes` for a boolean.
    yaml.version = (1, 1)
    yaml.max_depth = DEEPEST
    yaml.Composer = AliasRefusingComposer
    yaml.Constructor = DuplicateRefusingConstructor
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)  # they advise on style, on standard error
            return yaml.load(text)
    except MaxDepthExceededError:
        raise Unreadable("it is nested too deep") from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:  # ruamel.yaml's own, on odd tags
        raise Unreadable(printable(" ".join(str(error).split()), 200)) from None


def dump_yaml(content: Mapping[str, Any]) -> str:
    """Write YAML in the order of the keys, no long line broken; comments are kept where ruamel.yaml has read some."""
    yaml = YAML()
    yaml.width = 1 << 20
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


class AliasRefusingComposer(Composer):
    """Refuses aliases, with which a small file can expand without limit or contain itself."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.parser.check_event(AliasEvent):
            raise YAMLError(f"aliases (*{self.parser.peek_event().anchor}) are not supported")
        return super().compose_node(parent, index)


class DuplicateRefusingConstructor(SafeConstructor):
    """Refuses duplicate keys; ruamel.yaml does too, but its message shows both values."""

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        """Refuse a key that the mapping has already."""
        if key in mapping:
            raise YAMLError(f"the key {key} occurs twice, at line {key_node.start_mark.line + 1}")
        return super().check_mapping_key(node, key_node, mapping, key, value)
