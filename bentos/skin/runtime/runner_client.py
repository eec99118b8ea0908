"""Calls a runner that may be dead, stuck or restarting: with a deadline, one retry and a breaker."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, get_args

import aiohttp

from bentos.skin.model.status import ModelNotReady
from bentos.skin.runtime.breaker import Breaker, CircuitOpen
from bentos.skin.schema import Reason

log = logging.getLogger("shine.gateway")

ANSWER = TypeVar("ANSWER")
ATTEMPTS = 2  # a runner's work has no side effects, so a call that was lost with its connection may be repeated
SLACK = 4  # times the longest batch of late: a batch of one photo may be followed by one of eight on a busy machine
DECAY = 0.95  # of the longest batch of late, with each answer
CONNECTION_LOST = (aiohttp.ClientConnectionError, ConnectionError)


class RunnerFailed(Exception):
    """A runner did not answer.

    Attributes:
        reason: the contract's reason code.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _ClientsDeadline(TimeoutError):
    """The time of one request was over before that of a batch."""


class RunnerClient(Generic[ANSWER]):
    """Calls one runner, behind its breaker.

    The deadline counts from the start of the call's batch: the runner works on one batch at a time, so that is when
    the call was sent or when the runner last answered any call, whichever is later. A long queue at a runner that
    answers is load, not a failure.

    Nor is a machine that others keep busy: where batches have taken long of late, the next one may take SLACK times as
    long, up to SLACK deadlines and never more than `longest_s`.

    Args:
        call: takes one item to the runner and returns its answer.
        deadline_s: seconds a batch may take.
        breaker: the circuit; a new one by default.
        longest_s: seconds a batch may take on the busiest machine.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[ANSWER]],
        deadline_s: float,
        breaker: Breaker | None = None,
        *,
        longest_s: float = math.inf,
    ) -> None:
        self._call = call
        self._deadline_s, self._most_s = deadline_s, longest_s
        self._last_answer_at = 0.0
        self._longest_s = 0.0  # that a batch took of late
        self.breaker = breaker or Breaker()

    async def __call__(self, item: object, *, probe: bool = False, within_s: float = math.inf) -> ANSWER:
        """The runner's answer for one item.

        Args:
            item: for the runner.
            probe: whether the answer decides about an open circuit.
            within_s: seconds the batch may take for this request. That they are over is no failure of the runner.

        Raises:
            RunnerFailed: circuit_open, model_timeout or model_crashed.
            ModelNotReady: the runner works and has no model.
        """
        try:
            permit = self.breaker.enter(probe=probe)
        except CircuitOpen:
            raise RunnerFailed("circuit_open") from None
        try:
            answer = await self._attempt(item, within_s)
        except ModelNotReady:
            self.breaker.succeeded(permit)
            raise
        except _ClientsDeadline:
            raise RunnerFailed("model_timeout") from None
        except TimeoutError:
            self.breaker.failed(permit)
            raise RunnerFailed("model_timeout") from None
        except asyncio.CancelledError:
            # The request's deadline, or a closed connection: it says nothing about the runner, but a probe must end.
            if probe:
                self.breaker.failed(permit)
            raise
        except Exception as error:
            self.breaker.failed(permit)
            log.warning("a runner's call failed", extra={"fields": {"cause": f"{type(error).__name__}: {error}"[:300]}})
            raise RunnerFailed("model_crashed") from error
        self.breaker.succeeded(permit)
        return answer

    async def _attempt(self, item: object, within_s: float) -> ANSWER:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._within_deadline(item, within_s)
            except CONNECTION_LOST:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _within_deadline(self, item: object, within_s: float) -> ANSWER:
        call = asyncio.ensure_future(self._call(item))
        sent_at = time.monotonic()
        try:
            while True:
                has_taken = time.monotonic() - max(sent_at, self._last_answer_at)
                if has_taken >= self.deadline_s:
                    raise TimeoutError
                if has_taken >= within_s:
                    raise _ClientsDeadline
                await asyncio.wait({call}, timeout=min(self.deadline_s, within_s) - has_taken)
                if call.done():
                    return self._answer(call, sent_at)
        finally:
            call.cancel()

    @property
    def deadline_s(self) -> float:
        """Seconds that the next batch may take."""
        return min(max(self._deadline_s, SLACK * min(self._longest_s, self._deadline_s)), self._most_s)

    def _answer(self, call: "asyncio.Future[ANSWER]", sent_at: float) -> ANSWER:
        try:
            return call.result()
        finally:
            if call.exception() is None or not isinstance(call.exception(), CONNECTION_LOST):
                now = time.monotonic()
                took = now - max(sent_at, self._last_answer_at)
                self._longest_s = max(took, DECAY * self._longest_s)
                self._last_answer_at = now


def known_reason(text: str) -> Reason:
    """The reason code in a runner's refusal, whose message arrives with other text around it."""
    return next((reason for reason in get_args(Reason) if reason in text), "model_crashed")
