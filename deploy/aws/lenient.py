"""Reading answers in which any key may be missing or odd: nothing here raises, and what is no good is as if missing."""

from datetime import UTC, datetime
from typing import Any


class LenientDict:
    """An object out of an answer of AWS's, or of an emulator's."""

    def __init__(self, value: Any) -> None:
        self._value: dict[Any, Any] = value if isinstance(value, dict) else {}

    @property
    def plain(self) -> dict[Any, Any]:
        """The object itself, in which anything may stand; empty where it was none."""
        return self._value

    def __contains__(self, key: str) -> bool:
        """Whether there is something under a key."""
        return self._value.get(key) is not None

    def text(self, key: str) -> str:
        """A string, or nothing."""
        return whole(self._value.get(key))

    def number(self, key: str) -> int | None:
        """A whole number; ECS writes some as strings."""
        value = self._value.get(key)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 40 else None

    def flag(self, key: str) -> bool:
        """Whether it is true."""
        return self._value.get(key) is True

    def time(self, key: str) -> datetime | None:
        """A time, in UTC."""
        return as_time(self._value.get(key))

    def inner(self, key: str) -> "LenientDict":
        """An object."""
        return LenientDict(self._value.get(key))

    def each(self, key: str) -> list["LenientDict"]:
        """Objects of a list."""
        value = self._value.get(key)
        return [LenientDict(one) for one in value if isinstance(one, dict)] if isinstance(value, list | tuple) else []

    def texts(self, key: str) -> list[str]:
        """Strings of a list."""
        value = self._value.get(key)
        return [whole(one) for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def whole(value: Any) -> str:
    """A string without halves of characters, which no file takes; nothing, where it is none."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def as_time(value: Any) -> datetime | None:
    """UTC of what boto3 gives: a time with a zone, or none; seconds or milliseconds since 1970; or ISO's letters."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def tail(arn: str) -> str:
    """The last part of an ARN: of a task its id, of a task definition family:revision."""
    return arn.rpartition("/")[2]
