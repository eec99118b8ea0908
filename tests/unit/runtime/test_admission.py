"""How many photos are admitted at the same time."""

from contextlib import ExitStack

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


def test_a_batch_larger_than_the_limit_is_admitted_when_nothing_is_pending() -> None:
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


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def measured(seconds: float, photos: int = 40) -> Admission:
    """An admission of 32 photos that has seen one answered every so many seconds."""
    clock = Clock()
    admission = Admission(32, clock=clock)
    for _ in range(photos):
        with admission.admit() as photo:
            clock.now += seconds
            photo.release(answered=1)
    return admission


def test_the_rate_is_that_of_answers_while_photos_were_pending() -> None:
    clock = Clock()
    admission = Admission(32, clock=clock)
    for _ in range(30):
        with admission.admit() as first, admission.admit() as second:
            clock.now += 0.3
            first.release(answered=1)
            clock.now += 0.1
            second.release(answered=1)
        clock.now += 60  # nobody asks
    assert admission.seconds_per_photo == pytest.approx(0.2, rel=0.1)


def test_photos_cost_less_where_several_are_worked_on_at_the_same_time() -> None:
    clock = Clock()
    admission = Admission(32, threads=8, clock=clock)
    for _ in range(60):
        with admission.admit() as photo:  # one at a time: seven threads are free
            clock.now += 0.4
            photo.release(answered=1)
    assert admission.seconds_per_photo == pytest.approx(0.05)
    for _ in range(60):
        with admission.admit(16) as photos:
            clock.now += 0.8
            photos.release(answered=16)
    assert admission.seconds_per_photo == pytest.approx(0.05)


def test_what_is_pending_and_not_analysed_does_not_count_as_slow() -> None:
    clock = Clock()
    admission = Admission(32, clock=clock)
    for _ in range(60):
        with admission.admit():
            clock.now += 5  # it asked for the quality alone
            with admission.admit() as photo:
                clock.now += 0.2
                photo.release(answered=1)
    assert admission.seconds_per_photo == pytest.approx(0.1)


def test_of_a_batch_those_count_that_were_analysed() -> None:
    clock = Clock()
    admission = Admission(32, clock=clock)
    for _ in range(20):
        with admission.admit(16) as photos:
            clock.now += 1
            photos.release(answered=1)  # the others were no photos
    assert admission.seconds_per_photo == pytest.approx(1)


def test_what_was_refused_does_not_count_as_fast() -> None:
    admission = measured(0.2)
    for _ in range(100):
        with admission.admit():
            pass
    assert admission.seconds_per_photo == pytest.approx(0.2)


def test_a_photo_is_refused_that_would_wait_longer_than_its_client() -> None:
    admission = measured(0.1)
    with ExitStack() as inside:
        for _ in range(9):
            inside.enter_context(admission.admit(within_s=2))
        admission.check(within_s=2)
        with pytest.raises(Overloaded, match="in time") as refusal:
            admission.check(within_s=1)
        assert refusal.value.retry_after_s == 1
        for _ in range(2):
            inside.enter_context(admission.admit(within_s=2))
        with pytest.raises(Overloaded):
            admission.check(2, within_s=2)
        admission.check()
    admission.check(within_s=0.01)  # nobody is before it: it may be faster than the mean


def test_retry_after_is_the_time_until_there_is_room() -> None:
    admission = measured(2.0)
    with admission.admit(), admission.admit(), admission.admit():
        with pytest.raises(Overloaded) as refusal:
            admission.check(within_s=5)
        assert refusal.value.retry_after_s == 4  # four photos take 8 s, and 4 s are to be waited at most
    full = measured(0.5)
    with full.admit(32), pytest.raises(Overloaded) as refusal:
        full.check(8)
    assert refusal.value.retry_after_s == 4


def test_a_slower_machine_is_known_after_some_photos() -> None:
    clock = Clock()
    admission = Admission(32, clock=clock)
    for seconds in (0.1, 0.4):
        for _ in range(50):
            with admission.admit() as photo:
                clock.now += seconds
                photo.release(answered=1)
        assert admission.seconds_per_photo == pytest.approx(seconds, rel=0.1)


def test_the_first_photos_of_a_process_are_no_measure() -> None:
    admission = measured(1.0, photos=9)
    with admission.admit(31):
        admission.check(within_s=2)
    with admission.admit() as photo:
        photo.release(answered=1)
    with admission.admit(31), pytest.raises(Overloaded):
        admission.check(within_s=2)


def test_a_reservation_is_released_once() -> None:
    admission = Admission(2)
    with admission.admit() as photo:
        photo.release(answered=1)
        assert admission.pending == 0
        photo.release(answered=1)
    assert admission.pending == 0
