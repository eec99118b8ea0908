"""Shows values of unknown origin: short, on one line, and fit for any terminal and for JSON."""

import json
import math
from collections.abc import Iterable
from typing import Any

from bentos.cli.text import MOST_SHOWN, printable

__all__ = ["plain", "printable", "shown", "words"]


def shown(value: Any) -> str:
    """A value as a sentence shows it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if len(value) > 8 or not all(isinstance(item, str | int) for item in value) else words(value)
    return f'"{printable(value)}"' if isinstance(value, str) else json.dumps(value)[:MOST_SHOWN]


def words(values: Iterable[Any]) -> str:
    """Several values as a sentence shows them, or the word none."""
    return ", ".join(shown(value) for value in values) or "none"


def plain(value: Any) -> Any:
    """A value as a finding holds it: small, and fit for JSON."""
    if isinstance(value, str):
        return printable(value, 300)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else f"a number of {value.bit_length()} bits"
    if isinstance(value, list | tuple) and len(value) <= 16 and all(isinstance(item, str | int) for item in value):
        return [plain(item) for item in value]
    return "an object" if isinstance(value, dict) else "a list"
