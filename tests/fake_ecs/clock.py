"""Time on the fake ECS: a second of AWS is shortened, a second of a process is not."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Clock:
    """The length of a second of AWS.

    Attributes:
        scale: real seconds for one second of an interval, a grace period, a delay.
        floor_s: real seconds that a process may take to start; before it answers (or these are over) no interval or
            grace period begins, however short it is.
    """

    scale: float
    floor_s: float

    def short(self, seconds: float, least_s: float = 0.0) -> float:
        """AWS's seconds in real seconds, but not less than a minimum."""
        return max(least_s, seconds * self.scale)


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Monotonic seconds, for intervals."""
    return time.monotonic()
