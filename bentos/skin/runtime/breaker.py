"""A circuit breaker: after a few failures in a row no call waits for a failing runner until a probe has succeeded.

closed ──failures in a row──▶ open ──cooldown over──▶ half_open ──probe succeeds──▶ closed
                                ▲                         │
                                └───────probe fails───────┘

Maintained libraries (purgatory, pybreaker) let every caller through while half-open, or do not support asyncio.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger("shine.gateway")

State = Literal["closed", "open", "half_open"]


class CircuitOpen(Exception):
    """No call is allowed at the moment."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call; its outcome counts only in the period in which it began."""

    period: int


class Breaker:
    """The state of one circuit; for one thread.

    Args:
        failures_to_open: failures in a row that open it.
        cooldown_s: seconds from opening to the first probe.
        clock: monotonic seconds.
        on_change: called with each new state.
    """

    def __init__(
        self,
        failures_to_open: int = 3,
        cooldown_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[State], None] = lambda _: None,
    ) -> None:
        self.failures_to_open = failures_to_open
        self.cooldown_s = cooldown_s
        self._clock = clock
        self._on_change = on_change
        self._state: State = "closed"
        self._failures = 0
        self._opened_at = 0.0
        self._period = 0  # increases with every change of state; late outcomes of an earlier period are ignored

    @property
    def state(self) -> State:
        return self._state

    @property
    def wants_probe(self) -> bool:
        """Whether a probe would be allowed now."""
        return self._state == "open" and self._clock() - self._opened_at >= self.cooldown_s

    def enter(self, *, probe: bool = False) -> Permit:
        """Ask for permission to make a call.

        Args:
            probe: this call may decide whether an open circuit closes. Traffic is never a probe, so that no user
                waits for a failing runner.

        Raises:
            CircuitOpen: the call is not allowed.
        """
        if probe and self.wants_probe:
            self._change("half_open")
        elif self._state != "closed":
            raise CircuitOpen
        return Permit(self._period)

    def succeeded(self, permit: Permit) -> None:
        """The runner answered the call, whatever the answer."""
        if permit.period != self._period:
            return
        self._failures = 0
        if self._state == "half_open":
            self._change("closed")

    def failed(self, permit: Permit) -> None:
        """The runner was dead, stuck or broken, or the call was given up."""
        if permit.period != self._period:
            return
        self._failures += 1
        if self._state == "half_open" or self._failures >= self.failures_to_open:
            self._change("open")
            self._opened_at = self._clock()

    def _change(self, state: State) -> None:
        self._state = state
        self._period += 1
        self._failures = 0
        self._on_change(state)


def log_changes(runner: str) -> Callable[[State], None]:
    """An `on_change` that logs the changes of a runner's breaker."""

    def log_change(state: State) -> None:
        meaning = {
            "open": "the runner does not answer; the fallback does until it is back",
            "half_open": "one probe is sent to the runner",
            "closed": "the runner answers again",
        }
        level = logging.WARNING if state == "open" else logging.INFO
        log.log(level, meaning[state], extra={"fields": {"runner": runner, "breaker": state}})

    return log_change
