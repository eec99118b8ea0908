"""How many photos are admitted at the same time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.errors import Overloaded
from bentos.skin.runtime.concurrency_limiter import ConcurrencyLimiter


def test_the_last_place_is_given_and_the_one_after_is_refused() -> None:
    limiter = ConcurrencyLimiter(2)
    with limiter.admit(), limiter.admit():
        with pytest.raises(Overloaded) as refusal, limiter.admit():
            pass
        assert refusal.value.status == 429
        assert refusal.value.retry_after_s == 1
        assert limiter.pending == 2
    assert limiter.pending == 0


def test_a_place_is_free_again_after_a_failure_inside() -> None:
    limiter = ConcurrencyLimiter(1)
    with pytest.raises(ValueError, match="inside"), limiter.admit():
        raise ValueError("inside")
    assert limiter.pending == 0
    limiter.check()


def test_a_refused_batch_takes_no_place() -> None:
    limiter = ConcurrencyLimiter(4)
    with limiter.admit(2):
        with pytest.raises(Overloaded), limiter.admit(3):
            pass
        assert limiter.pending == 2
        with limiter.admit(2):
            assert limiter.pending == 4


def test_a_batch_larger_than_the_limit_is_admitted_when_nothing_is_pending() -> None:
    limiter = ConcurrencyLimiter(4)
    with limiter.admit(16):
        assert limiter.pending == 4
        with pytest.raises(Overloaded):
            limiter.check()
    with limiter.admit(), pytest.raises(Overloaded), limiter.admit(16):
        pass
    assert limiter.pending == 0


@given(st.integers(1, 20), st.lists(st.integers(1, 25), max_size=30))
def test_never_more_than_the_limit_is_inside_and_all_of_it_is_given_back(limit: int, batches: list[int]) -> None:
    limiter = ConcurrencyLimiter(limit)
    inside = []
    for photos in batches:
        place = limiter.admit(photos)
        try:
            place.__enter__()
        except Overloaded:
            assert limiter.pending + min(photos, limit) > limit
        else:
            inside.append(place)
        assert 0 <= limiter.pending <= limit
    for place in inside:
        place.__exit__(None, None, None)
    assert limiter.pending == 0
