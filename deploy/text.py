"""How values of unknown origin are shown: short, on one line, and fit for any terminal and for JSON."""

import json
import math
from collections.abc import Iterable
from typing import Any

MOST_SHOWN = 120  # characters of a value in a sentence


def printable(text: str, most: int = MOST_SHOWN) -> str:
    """Text that any terminal and any encoding can show: no control characters, no half characters, not too long."""
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[: most + 1])
    return safe if len(text) <= most else safe[:most] + "…"


def shown(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if len(value) > 8 or not all(isinstance(one, str | int) for one in value) else words(value)
    return f'"{printable(value)}"' if isinstance(value, str) else json.dumps(value)[:MOST_SHOWN]


def words(values: Iterable[Any]) -> str:
    """Several values in a sentence, or the word none."""
    return ", ".join(shown(one) for one in values) or "none"


def plain(value: Any) -> Any:
    """A value as a finding carries it: small, and fit for JSON."""
    if isinstance(value, str):
        return printable(value, 300)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else f"a number of {value.bit_length()} bits"
    if isinstance(value, list | tuple) and len(value) <= 16 and all(isinstance(one, str | int) for one in value):
        return [plain(one) for one in value]
    return "an object" if isinstance(value, dict) else "a list"
