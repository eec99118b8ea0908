"""Times, people, digests and values as pages and terminals show them."""

import json
from datetime import UTC, datetime
from typing import Any

from deploy.words import printable

DIGITS = 12  # of a digest; what registries show
MOST = 600  # characters of a sentence out of the record
DAY_S, HOUR_S, MINUTE_S = 86400, 3600, 60


def utc(at: datetime) -> datetime:
    """In UTC; a time without zone is one already."""
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


def span(seconds: float) -> str:
    """20 s, 7 min, 2 h 5 min, 3 d 4 h."""
    whole = max(0, int(seconds))
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    large, small, names = (HOUR_S, MINUTE_S, ("h", "min")) if whole < DAY_S else (DAY_S, HOUR_S, ("d", "h"))
    rest = whole % large // small
    return f"{whole // large} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def person(arn: str) -> str:
    """user/jane of arn:aws:iam::123456789012:user/jane."""
    return clean(arn.rpartition(":")[2] or arn, 120)


def short(digest: str) -> str:
    """A digest's first digits."""
    kind, colon, digits = digest.partition(":")
    return clean(f"{kind}{colon}{digits[:DIGITS]}", 40)


def clean(text: str, most: int = MOST) -> str:
    """Text out of the record on one line, without control characters."""
    return printable(" ".join(text.split()), most)


def value(seen: Any) -> str:
    """What a gate saw or demands, on one line."""
    if seen is None:
        return "–"
    if isinstance(seen, bool):
        return "yes" if seen else "no"
    if isinstance(seen, float):
        return f"{seen:.4g}" if abs(seen) < 10_000 else f"{seen:.0f}"
    if isinstance(seen, str):
        return clean(seen, 120)
    if isinstance(seen, dict) and seen:
        return clean(", ".join(f"{name} {value(one)}" for name, one in seen.items()), 120)
    if isinstance(seen, list | tuple) and seen:
        return clean(", ".join(value(one) for one in seen), 120)
    return clean(json.dumps(seen, ensure_ascii=False, default=str), 120)


def count(number: int, one: str) -> str:
    """1 gate, 2 gates."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
