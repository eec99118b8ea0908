"""Percentiles, medians over rounds, and arrival times: what the figures are computed by."""

import math
import random
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest of some values that at least a share of them does not exceed (nearest rank).

    Args:
        values: in any order.
        share: 0 < share ≤ 1.

    Returns:
        One of the values; None where there are none.

    Raises:
        ValueError: the share is outside its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, not in (0, 1]")
    if not values:
        return None
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]


def median(values: Sequence[float | None]) -> float | None:
    """The median of those values that are there; None without any."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """A quotient; None where one of the two is missing, or the second is 0."""
    return None if numerator is None or not denominator else numerator / denominator


def median_ratio(numerators: Sequence[float | None], denominators: Sequence[float | None]) -> float | None:
    """The median of the quotients round by round: what is slow in a whole round is slow in both of its figures.

    Args:
        numerators: one a round.
        denominators: of the same rounds.
    """
    return median([ratio(above, below) for above, below in zip(numerators, denominators, strict=False)])


def poisson_arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrival times of independent people: gaps are exponential, and repeat with the seed.

    Args:
        rate: arrivals a second, on average.
        seconds: length of the schedule.
        seed: of the gaps.

    Returns:
        Seconds from the start, rising, all below `seconds`.
    """
    source = random.Random(seed)
    arrivals, at = list[float](), source.expovariate(rate)
    while at < seconds:
        arrivals.append(at)
        at += source.expovariate(rate)
    return arrivals
