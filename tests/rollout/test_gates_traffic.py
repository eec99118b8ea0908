"""The probe load, and the gates on many responses: shares and percentiles over a window, by a fixed clock."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from deploy.aws.clients import Clients
from deploy.config.plan import Gates, Plan
from deploy.gates import registry
from deploy.gates.observation import Observation, Window
from deploy.gates.probe_load import RECENT_S, Outcome, Pace, ProbeLoad, percentile
from deploy.gates.target import LiveTarget
from deploy.record.trail import GateResult
from tests.deploy import good
from tests.rollout.live_account import CONTRACT, FixedLoad
from tests.rollout.test_gates_aws import fails, holds

NOW = 100.0
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def live() -> Iterator[LiveTarget]:
    made = service(lambda _: httpx.Response(200, json={}))
    yield made
    made.close()


def service(answer: Answer) -> LiveTarget:
    """A service that answers so."""
    return LiveTarget(
        plan=Plan.model_validate(good.plan().model_dump()),
        contract=CONTRACT.model_dump(mode="json"),
        phase="full",
        digest=f"sha256:{'1' * 64}",
        task_definition="shine:1",
        clients=Clients("us-east-1", writes=False),
        base_url="http://127.0.0.1:9",
        http=httpx.Client(transport=httpx.MockTransport(answer)),
    )


def outcome(began: float, **changes: Any) -> Outcome:
    output = {"status": 200, "seconds": 0.1, "source": "model", "degraded": False, "reason": None}
    return Outcome(f"trail-{began}", began, datetime.now(UTC), **{**output, **changes})


FALLBACK = {"source": "heuristic", "degraded": True, "reason": "circuit_open"}
LOST = {"status": 0, "source": None, "degraded": None}
REFUSED = {"status": 429, "source": None, "degraded": None}


def judged(
    live: LiveTarget, name: str, outcomes: list[Outcome], window: tuple[float, float] | None = None
) -> GateResult:
    """A gate's result at NOW, with the plan's usual limits: 1 % errors, 5 % fallbacks, 1000 ms."""
    expected = None if window is None else Window(*window, desired=2, running=frozenset(), stopped=frozenset())
    gate = next(item for item in registry.GATES if item.name == name)
    return gate.run(live, Observation(live, Gates(), FixedLoad(live, outcomes, NOW), expected))


WINDOW = (0.0, NOW)  # over: what has come is all that there will be
RUNNING = (80.0, 200.0)  # 20 of 120 seconds are over


@pytest.mark.parametrize(
    ("name", "bad", "most", "said"),
    [
        ("errors", LOST, 1, "2 of 100 requests failed (2 × no response)"),
        ("errors", {"status": 503}, 1, "2 of 100 requests failed (2 × 503)"),
        ("errors", {"status": 403}, 1, "2 of 100 requests failed (2 × 403)"),
        ("errors", REFUSED, 1, "2 of 100 requests failed (2 × 429)"),
        ("latency", {"seconds": 1.2}, 5, "The 95th percentile of 100 responses is 1200 ms; the limit is 1000 ms"),
        ("model_answers", FALLBACK, 5, "The heuristics gave 6 of 100 answers (6 circuit_open)"),
    ],
)
def test_a_share_may_be_as_large_as_its_limit_and_no_larger(
    live: LiveTarget, name: str, bad: dict[str, Any], most: int, said: str
) -> None:
    def of(number: int) -> list[Outcome]:
        return [outcome(float(began), **(bad if began < number else {})) for began in range(100)]

    holds(judged(live, name, of(0), WINDOW))
    holds(judged(live, name, of(most), WINDOW))
    fails(judged(live, name, of(most + 1), WINDOW), said)


@pytest.mark.parametrize(
    ("name", "bad", "most"), [("errors", LOST, 1), ("latency", {"seconds": 3.0}, 6), ("model_answers", FALLBACK, 6)]
)
def test_a_limit_is_judged_over_the_whole_window_while_it_runs(
    live: LiveTarget, name: str, bad: dict[str, Any], most: int
) -> None:
    def of(number: int) -> list[Outcome]:
        return [outcome(80.0 + began, **(bad if began >= 20 - number else {})) for began in range(20)]

    holds(judged(live, name, of(most), RUNNING))  # of the window's 120
    assert not judged(live, name, of(most + 1), RUNNING).holds
    assert not judged(live, name, of(most)).holds  # of the last seconds, while the system settles


def test_a_percentile_is_of_answers_and_not_of_what_was_refused(live: LiveTarget) -> None:
    refused = [outcome(float(began), **REFUSED, retry_after=True) for began in range(80)]
    slow = [outcome(80.0 + began, seconds=3.0 if began < 2 else 0.1) for began in range(20)]
    fails(judged(live, "latency", refused + slow, WINDOW), "The 95th percentile of 20 responses is 3000 ms")
    fallbacks = [outcome(80.0 + began, **(FALLBACK if began < 2 else {})) for began in range(20)]
    fails(judged(live, "model_answers", refused + fallbacks, WINDOW), "The heuristics gave 2 of 20 answers")


def test_a_429_of_the_service_is_neither_an_error_nor_an_answer(live: LiveTarget) -> None:
    refused = [outcome(float(began), **REFUSED, retry_after=True) for began in range(90, 100)]
    assert holds(judged(live, "errors", refused)).value == 0
    fails(judged(live, "latency", refused), "No photo was analysed")
    fails(judged(live, "model_answers", refused), "No photo was analysed")


def test_a_bad_start_is_forgotten_while_the_system_settles(live: LiveTarget) -> None:
    early = [outcome(NOW - RECENT_S - 1, **LOST), outcome(NOW - RECENT_S - 1, seconds=5.0)]
    late = [outcome(NOW - 1)]
    holds(judged(live, "errors", early + late))
    holds(judged(live, "latency", early + late))
    assert not judged(live, "errors", early + late, WINDOW).holds


@pytest.mark.parametrize("name", ["errors", "latency", "model_answers"])
def test_before_the_first_answer_nothing_is_held_against_a_window(live: LiveTarget, name: str) -> None:
    holds(judged(live, name, [], (NOW - 2, NOW + 60)))
    fails(judged(live, name, [], (NOW - 4, NOW + 60)), "No request of the probe load has a response yet")
    fails(judged(live, name, [], (NOW - 2, NOW)), "No request of the probe load has a response yet")
    fails(judged(live, name, []), "No request of the probe load has a response yet")
    fails(judged(live, name, [outcome(NOW - 3)], (NOW - 2, NOW)), "No request of the probe load has a response yet")


def test_the_percentile_is_by_nearest_rank() -> None:
    assert percentile([5.0]) == 5.0
    assert percentile([float(item) for item in range(1, 101)]) == 95.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


# --- the probe load itself --------------------------------------------------------------------------------------------


def test_requests_are_due_at_a_steady_pace_and_lost_time_is_not_made_up_for() -> None:
    now = 10.0
    pace = Pace(4.0, lambda: now)
    assert [pace.reserve() for _ in range(3)] == [0.0, 0.25, 0.5]
    now = 20.0
    assert [pace.reserve() for _ in range(3)] == [0.0, 0.25, 0.5]


def seen_by(answer: Answer, per_second: float, seconds: float, **options: Any) -> list[Outcome]:
    live = service(answer)
    with ProbeLoad(live, per_second, **options) as probe_load:
        time.sleep(seconds)
        probe_load.finish(5)
    live.close()
    return probe_load.outcomes


def test_outcomes_tell_what_was_answered() -> None:
    body = {"source": "heuristic", "degraded": True, "reason": "model_timeout"}
    (one, *_) = seen_by(lambda _: httpx.Response(200, json=body), 20, 0.3)
    assert (one.status, one.source, one.degraded, one.reason) == (200, "heuristic", True, "model_timeout")
    assert one.answered
    assert not one.lost
    assert abs((datetime.now(UTC) - one.sent).total_seconds()) < 60
    (one, *_) = seen_by(lambda _: httpx.Response(429, json={}, headers={"retry-after": "1"}), 20, 0.3)
    assert one.refused
    assert not one.lost
    (one, *_) = seen_by(lambda _: httpx.Response(502, text="<html>"), 20, 0.3)
    assert (one.status, one.lost, one.degraded, one.source) == (502, True, None, None)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("late"), RuntimeError("odd")])
def test_whatever_goes_wrong_is_a_lost_request(error: Exception) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    (one, *_) = seen_by(answer, 20, 0.3)
    assert (one.status, one.lost) == (0, True)


def test_a_slow_service_is_not_overloaded_and_the_end_does_not_wait_for_it() -> None:
    flying, most, go = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(_: httpx.Request) -> httpx.Response:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        go.wait(20)
        with lock:
            flying -= 1
        return httpx.Response(200, json={})

    live = service(slow)
    began = time.monotonic()
    with ProbeLoad(live, 200, most=3) as probe_load:
        while flying < 3 and time.monotonic() - began < 10:
            time.sleep(0.01)
        time.sleep(0.2)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 5
    assert (most, probe_load.outcomes) == (3, [])
    go.set()
    live.close()


def test_no_more_is_sent_once_it_has_ended() -> None:
    sent = 0

    def count(_: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        return httpx.Response(200, json={})

    assert len(seen_by(count, 50, 0.3)) == sent > 0
    before = sent
    time.sleep(0.2)
    assert sent == before


# --- the load test ----------------------------------------------------------------------------------------------------


def loaded(answers: list[httpx.Response], **limits: Any) -> GateResult:
    """The load gate's result where these answers come in turn."""
    taken = iter(range(1 << 30))
    live = service(lambda _: answers[next(taken) % len(answers)])
    gate = next(item for item in registry.GATES if item.name == "load")
    expected = Gates(**{"load_s": 1, "canary_per_second": 10, **limits})
    result = gate.run(live, Observation(live, expected, ProbeLoad(live, 1.0)))
    live.close()
    return result


FINE = httpx.Response(200, json={"source": "model", "degraded": False, "reason": None})
BUSY = httpx.Response(429, json={}, headers={"retry-after": "1"})


def test_a_load_test_sends_four_times_the_rate_of_the_probe_load() -> None:
    result = holds(loaded([FINE]))
    assert 10 <= result.value["sent"] <= 45
    assert "At 40 photos per second for 1 s" in result.sentence


def test_a_load_test_fails_by_errors_by_refusals_and_by_silence() -> None:
    fails(loaded([FINE, FINE, httpx.Response(500)]), "failed (")
    fails(loaded([FINE, FINE, httpx.Response(429)]), "× 429)")  # without Retry-After it is no refusal of the service's
    fails(loaded([FINE, FINE, BUSY]), "were refused: the service needs more tasks, more CPU")
    fails(loaded([BUSY]), "none of")
