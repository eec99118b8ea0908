"""How times, people, digests and gate values are written on pages and terminals."""

import json
from datetime import UTC, datetime
from typing import Any

from deploy.text import printable

DIGEST_DIGITS = 12  # what registries show
LONGEST_SENTENCE = 600  # characters
LONGEST_VALUE = 120
DAY_S, HOUR_S, MINUTE_S = 86400, 3600, 60


def utc(at: datetime) -> datetime:
    """The time in UTC; a time without zone is taken as UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def day(at: datetime) -> str:
    """3 Nov 2026."""
    return f"{utc(at).day} {utc(at):%b %Y}"


def clock(at: datetime) -> str:
    """12:04."""
    return f"{utc(at):%H:%M}"


def moment(at: datetime) -> str:
    """3 Nov 2026, 12:04 UTC."""
    return f"{day(at)}, {clock(at)} UTC"


def duration(seconds: float) -> str:
    """20 s, 7 min, 2 h 5 min, 3 d 4 h."""
    whole = max(0, int(seconds))
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    large, small, units = (HOUR_S, MINUTE_S, ("h", "min")) if whole < DAY_S else (DAY_S, HOUR_S, ("d", "h"))
    rest = whole % large // small
    return f"{whole // large} {units[0]}" + (f" {rest} {units[1]}" if rest else "")


def person(arn: str) -> str:
    """user/jane for arn:aws:iam::123456789012:user/jane."""
    return clean(arn.rpartition(":")[2] or arn, 120)


def short(digest: str) -> str:
    """A digest with its first digits only, sha256:9f2c9f2c9f2c."""
    kind, colon, digits = digest.partition(":")
    return clean(f"{kind}{colon}{digits[:DIGEST_DIGITS]}", 40)


def clean(text: str, most: int = LONGEST_SENTENCE) -> str:
    """Text from the record on one line, without control characters."""
    return printable(" ".join(text.split()), most)


def gate_value(value: Any) -> str:
    """What a gate measured or requires, on one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    if isinstance(value, str):
        return clean(value, LONGEST_VALUE)
    if isinstance(value, dict) and value:
        return clean(", ".join(f"{name} {gate_value(item)}" for name, item in value.items()), LONGEST_VALUE)
    if isinstance(value, list | tuple) and value:
        return clean(", ".join(gate_value(item) for item in value), LONGEST_VALUE)
    return clean(json.dumps(value, ensure_ascii=False, default=str), LONGEST_VALUE)


def count(number: int, noun: str) -> str:
    """1 gate, 2 gates."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
