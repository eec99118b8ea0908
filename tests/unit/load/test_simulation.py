"""The simulated task against closed formulas of queueing theory, and against what the service does."""

import math
import random
from typing import Any

import pytest

from tests.load.arithmetic import percentile, poisson_arrivals
from tests.load.simulation import TaskModel, highest_rate, simulate

PHOTOS = 40_000
SOURCE = random.Random(1)
DRAWN = [SOURCE.expovariate(1) for _ in range(20_000)]
EXPONENTIAL = tuple(value * len(DRAWN) / sum(DRAWN) for value in DRAWN)
UNBOUNDED: dict[str, Any] = {"max_pending": PHOTOS, "deadline_s": math.inf}


def latencies(model: TaskModel, load: float, photos: int = PHOTOS) -> list[float]:
    """Of photos that arrive at a share of the capacity."""
    rate = load * model.capacity
    return simulate(model, poisson_arrivals(rate, photos / rate, 3), 5)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_thread_with_exponential_work_is_an_mm1_queue(load: float) -> None:
    """Mean time in the system: S / (1 - ρ); 99 % are below its ln 100 times (Kleinrock, Queueing Systems I, 3.2)."""
    found = latencies(TaskModel(1, 1, 0.1, variation=EXPONENTIAL, **UNBOUNDED), load)
    assert mean(found) == pytest.approx(0.1 / (1 - load), rel=0.05)
    assert percentile(found, 0.99) == pytest.approx(math.log(100) * 0.1 / (1 - load), rel=0.15)


@pytest.mark.parametrize(("load", "cores"), [(0.5, 1), (0.8, 1), (0.8, 0.5)])
def test_one_thread_with_equal_work_is_an_md1_queue(load: float, cores: float) -> None:
    """Mean time in the system: S (1 + ρ / (2 (1 - ρ))), by Pollaczek and Khinchine; half a core takes twice as long."""
    found = latencies(TaskModel(cores, 1, 0.1, **UNBOUNDED), load)
    assert mean(found) == pytest.approx(0.1 / cores * (1 + load / (2 * (1 - load))), rel=0.03)


def test_two_threads_on_two_cores_are_an_mm2_queue() -> None:
    """Mean time in the system of M/M/2: S / (1 - ρ²)."""
    found = latencies(TaskModel(2, 2, 0.1, variation=EXPONENTIAL, **UNBOUNDED), 0.8)
    assert mean(found) == pytest.approx(0.1 / (1 - 0.8**2), rel=0.08)


def test_a_photo_alone_takes_its_work_and_measuring_goes_on_beside_the_model() -> None:
    both: dict[str, Any] = {"gateway_s": 0.05, "model_s": 0.06, "measure_s": 0.02}
    assert simulate(TaskModel(2, 2, **both), [1.0], 0) == [pytest.approx(0.11)]
    assert simulate(TaskModel(1, 1, **both), [1.0], 0) == [pytest.approx(0.13)]
    assert simulate(TaskModel(0.5, 1, **both), [1.0], 0) == [pytest.approx(0.26)]


def test_photos_that_wait_for_the_model_are_answered_together() -> None:
    """The second and the third are ready while the model works on the first: they are one batch on two cores."""
    found = simulate(TaskModel(8, 2, gateway_s=0.01, model_s=0.1), [0.0, 0.02, 0.03], 0)
    assert found == [pytest.approx(0.11), pytest.approx(0.19), pytest.approx(0.18)]


def test_photos_that_would_wait_too_long_are_refused_and_others_are_answered_in_time() -> None:
    found = latencies(TaskModel(1, 1, 0.1), 2.0, photos=2000)
    answered = [latency for latency in found if latency < math.inf]
    assert len(answered) / len(found) == pytest.approx(0.5, abs=0.05)
    assert max(answered) <= 2.0


@pytest.mark.long
def test_the_highest_rate_is_that_of_the_formula() -> None:
    """M/M/1: 99 % within 1 s at ρ = 1 - S ln 100."""
    model = TaskModel(1, 1, 0.1, variation=EXPONENTIAL, max_pending=1000)
    rate = highest_rate(model, 1.0)
    assert rate is not None
    assert rate / model.capacity == pytest.approx(1 - 0.1 * math.log(100), abs=0.04)


def test_a_task_that_is_too_slow_for_one_photo_has_no_rate() -> None:
    assert highest_rate(TaskModel(0.5, 1, 0.6), 1.0) is None
