"""The circuit breaker: single steps, and a state machine against a model of it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from bentos.skin.runtime.breaker import Breaker, CircuitOpen, Permit, State
from tests.properties import examples

FAILURES = 3
COOLDOWN_S = 1.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(FAILURES, COOLDOWN_S, clock)
    for _ in range(FAILURES):
        breaker.failed(breaker.enter())
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(FAILURES, COOLDOWN_S, Clock())
    for expected in ("closed", "closed", "open"):
        breaker.failed(breaker.enter())
        assert breaker.state == expected


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(FAILURES, COOLDOWN_S, Clock())
    for _ in range(5):
        breaker.failed(breaker.enter())
        breaker.failed(breaker.enter())
        breaker.succeeded(breaker.enter())
    assert breaker.state == "closed"


def test_open_refuses_traffic_even_when_a_probe_is_due() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 10 * COOLDOWN_S
    with pytest.raises(CircuitOpen):
        breaker.enter()
    assert breaker.state == "open"


def test_a_probe_waits_for_the_cooldown() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += COOLDOWN_S - 0.01
    assert not breaker.wants_probe
    with pytest.raises(CircuitOpen):
        breaker.enter(probe=True)
    clock.now += 0.01
    assert breaker.wants_probe
    breaker.enter(probe=True)
    assert breaker.state == "half_open"


def test_half_open_lets_nobody_else_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += COOLDOWN_S
    breaker.enter(probe=True)
    assert not breaker.wants_probe
    for probe in (False, True):
        with pytest.raises(CircuitOpen):
            breaker.enter(probe=probe)


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += COOLDOWN_S
    breaker.succeeded(breaker.enter(probe=True))
    assert breaker.state == "closed"
    breaker.enter()


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += COOLDOWN_S
    breaker.failed(breaker.enter(probe=True))
    assert breaker.state == "open"
    assert not breaker.wants_probe
    clock.now += COOLDOWN_S
    assert breaker.wants_probe


def test_late_outcomes_of_an_earlier_period_count_for_nothing() -> None:
    clock = Clock()
    breaker = Breaker(FAILURES, COOLDOWN_S, clock)
    late = [breaker.enter() for _ in range(10)]
    for _ in range(FAILURES):
        breaker.failed(breaker.enter())
    breaker.succeeded(late[0])
    assert breaker.state == "open"
    clock.now += COOLDOWN_S
    probe = breaker.enter(probe=True)
    breaker.failed(late[1])
    breaker.succeeded(late[2])
    assert breaker.state == "half_open"  # type: ignore[comparison-overlap]  # it has changed
    breaker.succeeded(probe)
    for permit in late[3:]:
        breaker.failed(permit)
    assert breaker.state == "closed"


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, outcomes (late ones too) and waiting, against what the contract says."""

    calls = Bundle("calls")

    @initialize(failures=st.integers(1, 4))
    def start(self, failures: int) -> None:
        self.limit = failures
        self.clock = Clock()
        self.breaker = Breaker(failures, COOLDOWN_S, self.clock)
        self.expected: State = "closed"
        self.epoch = 0  # of the expected state
        self.in_a_row = 0
        self.opened_at = 0.0

    def change(self, state: State) -> None:
        self.expected, self.in_a_row = state, 0
        self.epoch += 1
        if state == "open":
            self.opened_at = self.clock.now

    @rule(target=calls)
    def traffic_is_let_through_only_while_closed(self) -> tuple[Permit, int] | None:
        if self.expected == "closed":
            return self.breaker.enter(), self.epoch
        with pytest.raises(CircuitOpen):
            self.breaker.enter()
        return None

    @rule(target=calls)
    def one_probe_is_let_through_after_the_cooldown(self) -> tuple[Permit, int] | None:
        due = self.expected == "open" and self.clock.now - self.opened_at >= COOLDOWN_S
        assert self.breaker.wants_probe == due
        if due:
            permit = self.breaker.enter(probe=True)
            self.change("half_open")
            return permit, self.epoch
        if self.expected == "closed":
            return self.breaker.enter(probe=True), self.epoch
        with pytest.raises(CircuitOpen):
            self.breaker.enter(probe=True)
        return None

    @rule(call=consumes(calls))
    def a_call_succeeds(self, call: tuple[Permit, int] | None) -> None:
        if call is None:
            return
        self.breaker.succeeded(call[0])
        if call[1] == self.epoch:
            self.in_a_row = 0
            if self.expected == "half_open":
                self.change("closed")

    @rule(call=consumes(calls))
    def a_call_fails(self, call: tuple[Permit, int] | None) -> None:
        if call is None:
            return
        self.breaker.failed(call[0])
        if call[1] == self.epoch:
            self.in_a_row += 1
            if self.expected == "half_open" or self.in_a_row >= self.limit:
                self.change("open")

    @precondition(lambda self: self.expected != "closed")
    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def the_state_is_the_expected_one(self) -> None:
        assert self.breaker.state == self.expected


BreakerMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)
TestAnyOrderOfEvents = BreakerMachine.TestCase
