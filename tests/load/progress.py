"""What runs now and how long is left, on stderr; and the list of steps that this is reckoned from."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        title: what it is.
        seconds: how long it should take.
        do: does it.
    """

    title: str
    seconds: float
    do: Callable[[], object]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def carry_out(steps: Sequence[Step], out: TextIO | None = None) -> None:
    """Do all steps in order, and tell before each what it is and how long is left.

    What is left is reckoned from how long the steps done took, compared with how long they should have.
    """
    began = time.monotonic()
    planned = 0.0  # seconds that the steps done should have taken
    for number, step in enumerate(steps, 1):
        gone = time.monotonic() - began
        pace = gone / planned if planned > 30 else 1.0
        left = pace * sum(later.seconds for later in steps[number - 1 :])
        print(
            f"[{number}/{len(steps)}] {clock(gone)}, about {clock(left)} left: {step.title}",
            file=out or sys.stderr,
            flush=True,
        )
        step.do()
        planned += step.seconds
