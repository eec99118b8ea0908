"""Percentiles, ratios over rounds, arrivals."""

import itertools
import statistics

import pytest

from tests.load.arithmetic import median, median_ratio, percentile, poisson_arrivals, ratio


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.01, 1), (1.0, 10)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == value


def test_a_percentile_of_nothing_is_none_and_a_share_outside_its_range_is_refused() -> None:
    assert percentile([], 0.5) is None
    with pytest.raises(ValueError, match="share is 95"):
        percentile([1.0], 95)


def test_ratios_are_the_median_of_those_of_each_round() -> None:
    # The second round ran on a machine half as fast: that is no difference between the two.
    assert median_ratio([10, 5, 11], [8, 4, 8.8]) == pytest.approx(1.25)


def test_what_is_missing_leaves_the_others() -> None:
    assert median_ratio([10, None, 30], [10, 10, 10]) == 2
    assert median_ratio([], [1.0]) is None
    assert median([None, 3, 5]) == 4
    assert ratio(1, 0) is None
    assert ratio(None, 2) is None


def test_arrivals_repeat_with_their_seed() -> None:
    assert poisson_arrivals(20, 10, 7) == poisson_arrivals(20, 10, 7)
    assert poisson_arrivals(20, 10, 7) != poisson_arrivals(20, 10, 8)


def test_arrivals_are_as_many_and_as_irregular_as_those_of_independent_people() -> None:
    arrivals = poisson_arrivals(50, 100, 1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] > 0
    assert arrivals[-1] < 100
    assert len(arrivals) == pytest.approx(5000, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.1)  # of an exponential it equals the mean
