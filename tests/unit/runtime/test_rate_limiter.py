"""The rate of a key: one minute's worth at once, then as it refills, and a Retry-After that is true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.errors import RateLimited
from bentos.skin.runtime.rate_limiter import RateLimiter


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def waits(limiter: RateLimiter, key: int = 0, photos: int = 1) -> int:
    with pytest.raises(RateLimited) as refused:
        limiter.take(key, photos)
    assert refused.value.retry_after_s is not None
    return refused.value.retry_after_s


def test_a_minutes_worth_may_come_at_once_and_no_more(clock: Clock) -> None:
    limiter = RateLimiter(30, 1, clock)
    for _ in range(30):
        limiter.check(0)
        limiter.take(0, 1)
    with pytest.raises(RateLimited):
        limiter.check(0)
    assert waits(limiter) == 2  # thirty a minute: one each two seconds


def test_what_has_refilled_may_be_sent(clock: Clock) -> None:
    limiter = RateLimiter(60, 1, clock)
    limiter.take(0, 60)
    clock.now += 10
    limiter.take(0, 10)
    assert waits(limiter) == 1


def test_rest_is_saved_up_for_one_minute_at_most(clock: Clock) -> None:
    limiter = RateLimiter(60, 1, clock)
    clock.now += 86_400
    limiter.take(0, 60)
    waits(limiter)


def test_a_batch_costs_its_photos_and_is_refused_whole(clock: Clock) -> None:
    limiter = RateLimiter(20, 1, clock)
    limiter.take(0, 16)
    assert waits(limiter, photos=16) == 36  # twelve are missing, one comes each three seconds
    limiter.take(0, 4)  # the refused batch took nothing


def test_a_batch_larger_than_the_bucket_is_let_in_when_it_is_full_and_paid_for_afterwards(clock: Clock) -> None:
    limiter = RateLimiter(4, 1, clock)
    limiter.take(0, 16)
    assert waits(limiter) == 195  # twelve in debt and one to send, 15 s each
    clock.now += 194
    assert waits(limiter) == 1
    clock.now += 1
    limiter.take(0, 1)


def test_keys_do_not_pay_for_each_other(clock: Clock) -> None:
    limiter = RateLimiter(5, 2, clock)
    limiter.take(0, 5)
    waits(limiter, key=0)
    limiter.take(1, 5)


def test_zero_is_no_limit(clock: Clock) -> None:
    limiter = RateLimiter(0, 1, clock)
    for _ in range(1000):
        limiter.check(0)
        limiter.take(0, 16)


@given(st.integers(1, 500), st.lists(st.tuples(st.floats(0, 100), st.integers(1, 16)), min_size=1, max_size=30))
def test_retry_after_is_the_second_in_which_it_works_and_no_sooner(
    per_minute: int, requests: list[tuple[float, int]]
) -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute, 1, clock)
    for pause, photos in requests:
        clock.now += pause
        try:
            limiter.take(0, photos)
            continue
        except RateLimited as refused:
            wait = refused.retry_after_s
        assert wait is not None
        assert wait >= 1
        if wait > 1:
            clock.now += wait - 1.001
            waits(limiter, photos=photos)
            clock.now += 1.001
        else:
            clock.now += wait
        limiter.take(0, photos)
