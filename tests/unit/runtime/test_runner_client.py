"""One runner behind its breaker: deadline, retry, outcomes. Calls are fakes; times are short and real."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from bentos.skin.model.status import ModelNotReady
from bentos.skin.runtime.breaker import Breaker
from bentos.skin.runtime.runner_client import RunnerClient, RunnerFailed

DEADLINE_S = 0.2
ROOM_S = 0.25  # for a busy machine


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def answers(item: object) -> object:
    return item


async def hangs(_: object) -> object:
    return await asyncio.Event().wait()


def fails_with(*errors: BaseException | None) -> Callable[[object], Awaitable[object]]:
    """A call that raises each error in turn, then answers; None answers."""
    left = list(errors)

    async def call(item: object) -> object:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return item

    return call


async def reason_of(call: Awaitable[object]) -> str:
    with pytest.raises(RunnerFailed) as failure:
        await call
    return failure.value.reason


def test_an_answer_is_passed_on() -> None:
    runner = RunnerClient(answers, DEADLINE_S)
    assert run(runner("photo")) == "photo"
    assert runner.breaker.state == "closed"


def test_a_stuck_runner_is_given_up_at_the_deadline() -> None:
    runner = RunnerClient(hangs, DEADLINE_S)
    began = time.monotonic()
    assert run(reason_of(runner("photo"))) == "model_timeout"
    assert DEADLINE_S <= time.monotonic() - began < DEADLINE_S + ROOM_S


def test_what_is_given_up_is_cancelled() -> None:
    cancelled = []

    async def call(_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def scenario() -> None:
        await reason_of(RunnerClient(call, 0.02)("photo"))
        await asyncio.sleep(0)
        assert cancelled == [True]  # here: at its end asyncio.run cancels whatever is left

    run(scenario())


@pytest.mark.parametrize(
    "lost",
    [ConnectionResetError(), aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(104, "reset")],
    ids=lambda error: type(error).__name__,
)
def test_a_call_lost_with_its_connection_is_made_once_more(lost: Exception) -> None:
    runner = RunnerClient(fails_with(lost), DEADLINE_S)
    assert run(runner("photo")) == "photo"
    assert runner.breaker.state == "closed"


def test_a_call_lost_twice_is_a_crash() -> None:
    runner = RunnerClient(fails_with(ConnectionResetError(), ConnectionResetError()), DEADLINE_S)
    assert run(reason_of(runner("photo"))) == "model_crashed"


def test_an_error_of_the_runner_is_not_retried() -> None:
    calls = []

    async def call(_: object) -> None:
        calls.append(1)
        raise RuntimeError("the engine is broken")

    assert run(reason_of(RunnerClient(call, DEADLINE_S)("photo"))) == "model_crashed"
    assert calls == [1]


def test_a_runner_without_a_model_is_a_living_one() -> None:
    runner = RunnerClient(fails_with(*[ModelNotReady("weights_missing")] * 10), DEADLINE_S)

    async def scenario() -> None:
        for _ in range(10):
            with pytest.raises(ModelNotReady, match="weights_missing"):
                await runner("photo")

    run(scenario())
    assert runner.breaker.state == "closed"


def test_failures_in_a_row_open_the_circuit_and_nobody_waits_any_more() -> None:
    runner = RunnerClient(hangs, DEADLINE_S, Breaker(failures_to_open=2))

    async def scenario() -> list[str]:
        reasons = [await reason_of(runner("photo")) for _ in range(2)]
        began = time.monotonic()
        reasons += [await reason_of(runner("photo")) for _ in range(20)]
        assert time.monotonic() - began < DEADLINE_S / 2
        return reasons

    assert run(scenario()) == ["model_timeout"] * 2 + ["circuit_open"] * 20


def test_a_probe_that_is_answered_lets_traffic_back_in() -> None:
    runner = RunnerClient(fails_with(RuntimeError(), None), DEADLINE_S, Breaker(failures_to_open=1, cooldown_s=0))

    async def scenario() -> object:
        assert await reason_of(runner("photo")) == "model_crashed"
        assert await reason_of(runner("photo")) == "circuit_open"
        await runner("blank", probe=True)
        return await runner("photo")

    assert run(scenario()) == "photo"
    assert runner.breaker.state == "closed"


def test_a_cancelled_call_is_no_verdict() -> None:
    runner = RunnerClient(hangs, DEADLINE_S, Breaker(failures_to_open=1))

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await runner("photo")

    run(scenario())
    assert runner.breaker.state == "closed"


def test_a_cancelled_probe_does_not_stay_half_open() -> None:
    runner = RunnerClient(hangs, DEADLINE_S, Breaker(failures_to_open=1, cooldown_s=0))
    runner.breaker.failed(runner.breaker.enter())

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await runner("blank", probe=True)

    run(scenario())
    assert runner.breaker.state == "open"
    assert runner.breaker.wants_probe


class OneAtATime:
    """A runner that works one call after the other, as BentoML's dispatcher does with batches."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self.stuck = False

    async def __call__(self, item: object) -> object:
        async with self._lock:
            if self.stuck:
                await asyncio.Event().wait()
            await asyncio.sleep(self._seconds)
        return item


def test_a_long_queue_before_a_runner_that_moves_is_load_and_not_sickness() -> None:
    async def scenario() -> tuple[list[object], float, str]:
        runner = RunnerClient(OneAtATime(DEADLINE_S / 4), DEADLINE_S)
        began = time.monotonic()
        answered = await asyncio.gather(*(runner(number) for number in range(12)))
        return answered, time.monotonic() - began, runner.breaker.state

    answered, seconds, state = run(scenario())
    assert answered == list(range(12))
    assert seconds > 2 * DEADLINE_S
    assert state == "closed"


def test_a_queue_before_a_runner_that_gets_stuck_is_given_up_one_deadline_after_its_last_answer() -> None:
    async def scenario() -> tuple[list[str], float]:
        work = OneAtATime(0.01)
        runner = RunnerClient(work, DEADLINE_S)
        await runner("first")
        work.stuck = True
        began = time.monotonic()
        reasons = await asyncio.gather(*(reason_of(runner(number)) for number in range(5)))
        return reasons, time.monotonic() - began

    reasons, seconds = run(scenario())
    assert reasons == ["model_timeout"] * 5
    assert seconds < DEADLINE_S + ROOM_S


def test_a_machine_that_is_busy_gets_more_time_and_a_stuck_runner_is_still_given_up() -> None:
    async def scene() -> None:
        seconds = [0.9 * DEADLINE_S, 2 * DEADLINE_S, None]  # ever slower, then stuck

        async def call(item: object) -> object:
            pause = seconds.pop(0)
            await (asyncio.Event().wait() if pause is None else asyncio.sleep(pause))
            return item

        runner = RunnerClient(call, DEADLINE_S)
        assert runner.deadline_s == DEADLINE_S
        assert await runner("photo") == "photo"
        assert await runner("photo") == "photo"
        began = time.monotonic()
        assert await reason_of(runner("photo")) == "model_timeout"
        assert 3 * DEADLINE_S < time.monotonic() - began < 4 * DEADLINE_S + ROOM_S

    run(scene())


def test_however_busy_the_machine_no_batch_takes_longer_than_what_is_stated() -> None:
    async def scene() -> None:
        seconds = [0.9 * DEADLINE_S, None]

        async def call(item: object) -> object:
            pause = seconds.pop(0)
            await (asyncio.Event().wait() if pause is None else asyncio.sleep(pause))
            return item

        runner = RunnerClient(call, DEADLINE_S, longest_s=1.5 * DEADLINE_S)
        await runner("photo")
        began = time.monotonic()
        assert await reason_of(runner("photo")) == "model_timeout"
        assert 1.4 * DEADLINE_S < time.monotonic() - began < 1.5 * DEADLINE_S + ROOM_S

    run(scene())


def test_a_client_in_a_hurry_gets_its_fallback_in_time_and_says_nothing_about_the_runner() -> None:
    runner = RunnerClient(hangs, 20.0, Breaker(failures_to_open=1))

    async def scene() -> None:
        began = time.monotonic()
        for _ in range(3):
            assert await reason_of(runner("photo", within_s=0.05)) == "model_timeout"
        assert time.monotonic() - began < 3 * 0.05 + ROOM_S

    run(scene())
    assert runner.breaker.state == "closed"


def test_a_queue_that_moves_is_no_reason_for_a_client_in_a_hurry_to_lose_the_model() -> None:
    async def scene() -> list[object]:
        runner = RunnerClient(OneAtATime(0.02), DEADLINE_S)
        return await asyncio.gather(*(runner(number, within_s=0.1) for number in range(12)))

    assert run(scene()) == list(range(12))


def test_after_quick_batches_the_deadline_is_the_settings_again() -> None:
    async def scene() -> None:
        seconds = [0.9 * DEADLINE_S] + [0.0] * 60

        async def call(item: object) -> object:
            await asyncio.sleep(seconds.pop(0))
            return item

        runner = RunnerClient(call, DEADLINE_S)
        for _ in range(61):
            await runner("photo")
        assert runner.deadline_s == DEADLINE_S

    run(scene())
