"""Reads answers in which any value may be missing or of a wrong type: nothing raises, both count as missing."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """Plain data that was read from an answer; keys of a file that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LenientDict:
    """An object in an answer of AWS or of an emulator."""

    def __init__(self, value: Any) -> None:
        self._value: dict[Any, Any] = value if isinstance(value, dict) else {}

    @property
    def plain(self) -> dict[Any, Any]:
        """The object itself, with any values; empty where it was no object."""
        return self._value

    def __contains__(self, key: str) -> bool:
        """Whether a key has a value other than null."""
        return self._value.get(key) is not None

    def text(self, key: str) -> str:
        """A string; empty where there is none."""
        return encodable(self._value.get(key))

    def number(self, key: str) -> int | None:
        """A whole number."""
        return as_number(self._value.get(key))

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
        items = value if isinstance(value, list | tuple) else ()
        return [LenientDict(item) for item in items if isinstance(item, dict)]

    def texts(self, key: str) -> list[str]:
        """Strings of a list."""
        value = self._value.get(key)
        return [encodable(item) for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def encodable(value: Any) -> str:
    """A string without lone surrogates, which UTF-8 cannot encode; empty where the value is no string."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def as_number(value: Any) -> int | None:
    """A whole number; ECS writes some as strings."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 40 else None


def as_time(value: Any) -> datetime | None:
    """UTC of what boto3 gives: a time with or without a zone, seconds or milliseconds since 1970, or ISO 8601."""
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


def seconds(at: datetime | None) -> float:
    """Seconds since 1970, to compare and to sort by; 0 where the time is not known."""
    return at.timestamp() if at is not None else 0.0


def tail(arn: str) -> str:
    """The last part of an ARN: the id of a task, the family:revision of a task definition."""
    return arn.rpartition("/")[2]
