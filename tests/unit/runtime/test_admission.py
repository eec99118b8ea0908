"""How many photos are let in at the same time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.errors import Overloaded
from bentos.skin.runtime.admission import Admission


def test_the_last_place_is_given_and_the_one_after_is_refused() -> None:
    admission = Admission(2)
    with admission.admit(), admission.admit():
        with pytest.raises(Overloaded) as refusal, admission.admit():
            pass
        assert refusal.value.status == 429
        assert refusal.value.retry_after_s == 1
        assert admission.pending == 2
    assert admission.pending == 0


def test_a_place_is_free_again_after_a_failure_inside() -> None:
    admission = Admission(1)
    with pytest.raises(ValueError, match="inside"), admission.admit():
        raise ValueError("inside")
    assert admission.pending == 0
    admission.check()


def test_a_refused_batch_takes_no_place() -> None:
    admission = Admission(4)
    with admission.admit(2):
        with pytest.raises(Overloaded), admission.admit(3):
            pass
        assert admission.pending == 2
        with admission.admit(2):
            assert admission.pending == 4


def test_a_batch_larger_than_the_house_is_let_in_when_the_house_is_empty() -> None:
    admission = Admission(4)
    with admission.admit(16):
        assert admission.pending == 4
        with pytest.raises(Overloaded):
            admission.check()
    with admission.admit(), pytest.raises(Overloaded), admission.admit(16):
        pass
    assert admission.pending == 0


@given(st.integers(1, 20), st.lists(st.integers(1, 25), max_size=30))
def test_never_more_than_the_limit_is_inside_and_all_of_it_is_given_back(limit: int, batches: list[int]) -> None:
    admission = Admission(limit)
    inside = []
    for photos in batches:
        place = admission.admit(photos)
        try:
            place.__enter__()
        except Overloaded:
            assert admission.pending + min(photos, limit) > limit
        else:
            inside.append(place)
        assert 0 <= admission.pending <= limit
    for place in inside:
        place.__exit__(None, None, None)
    assert admission.pending == 0
