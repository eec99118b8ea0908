"""Time on the fake ECS: AWS's seconds are short, those of real processes are what they are."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Clock:
    """How long a second of AWS's takes.

    Attributes:
        scale: real seconds for one second of an interval, a grace period, a delay.
        floor_s: real seconds that a process may take to start; before it answers (or these are over) no interval or
            grace period begins, however short it is.
    """

    scale: float
    floor_s: float

    def short(self, seconds: float, least_s: float = 0.0) -> float:
        """AWS's seconds as real ones, or the least that makes sense."""
        return max(least_s, seconds * self.scale)


def now() -> datetime:
    """UTC, as ECS tells times."""
    return datetime.now(UTC)


def monotonic() -> float:
    """For intervals."""
    return time.monotonic()
