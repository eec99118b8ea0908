"""Figures: right on cases done by hand, as the reference implementations have them, with intervals that mean it."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

from bentos.skin.findings import WRINKLE_ZONES
from training import figures, summary
from training.matching import average_precision

RNG = np.random.default_rng(0)


def acne(
    count: list[int], lesions: list[int], said: list[int], grade: list[int], boxes: dict[int, list[tuple[float, bool]]]
) -> figures.Acne:
    """A table; `boxes`: row → (score, whether right) of its candidates, of which those from .5 are shown."""
    rows = [(row, score, right) for row, own in boxes.items() for score, right in own]
    photo, score, right = (np.array([row[k] for row in rows]) for k in range(3))
    return figures.Acne(
        lesions=np.array(lesions),
        grade=np.array(grade),
        tone=np.array(["light"] * len(lesions)),
        count=np.array(count),
        said=np.array(said),
        sure=np.full(len(lesions), 0.9),
        photo=photo.astype(np.intp),
        score=score.astype(np.float64),
        confidence=score.astype(np.float64),
        shown=score >= 0.5,
        right={least: right.astype(bool) for least in figures.OVERLAPS},
    )


def at_all(found: dict[str, figures.Figure], photos: int) -> dict[str, float]:
    return {name: figure(np.arange(photos)) for name, figure in found.items()}


def test_count_severity_and_boxes_are_compared_with_the_truth() -> None:
    boxes = {0: [(0.9, True), (0.3, True)], 1: [(0.8, False)], 2: [(0.6, True)], 3: [(0.2, False)]}
    table = acne([1, 8, 30, 0], [2, 8, 24, 1], [0, 1, 2, 0], [0, 1, 2, 1], boxes)
    told = at_all(figures.acne_figures(table, usual_count=5), 4)
    assert told["count_mae"] == 2.0
    assert told["count_mae_of_train_median"] == pytest.approx((3 + 3 + 19 + 4) / 4)
    assert told["count_bias"] == pytest.approx((-1 + 0 + 6 - 1) / 4)
    assert told["count_spearman"] == 1.0
    assert told["severity_accuracy"] == 0.75
    assert told["severity_confidence_ece"] == pytest.approx(0.15)
    assert told["box_precision_30"] == pytest.approx(2 / 3)
    assert told["box_recall_30"] == pytest.approx(2 / 35)
    assert told["box_ap_30"] == pytest.approx((1 / 35) + (2 / 35) * 3 / 4)
    assert told["box_ap_30_shown"] == pytest.approx(1 / 35 + (1 / 35) * 2 / 3)
    assert told["box_confidence_ece"] == pytest.approx((0.1 + 0.8 + 0.4) / 3)


def test_kappa_and_roc_area_are_those_of_scikit_learn() -> None:
    said, true = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    assert figures.quadratic_kappa(said, true) == pytest.approx(cohen_kappa_score(said, true, weights="quadratic"))
    chances, truth = RNG.random(200).round(1), RNG.random(200) > 0.6  # with ties
    assert figures.roc_area(chances, truth) == pytest.approx(roc_auc_score(truth, chances))


def test_what_is_undefined_is_nan_and_told_as_nothing() -> None:
    assert math.isnan(figures.roc_area(np.array([0.1, 0.2]), np.array([True, True])))
    assert math.isnan(figures.rank_correlation([1, 1, 1], [1, 2, 3]))
    assert math.isnan(figures.quadratic_kappa(np.array([1, 1]), np.array([1, 1])))
    assert figures.told(np.array([math.nan, 1.0, 2.0])) == {"value": None, "low": None, "high": None}


def test_boxes_are_ranked_as_in_matching_and_a_photo_drawn_twice_counts_twice() -> None:
    photo, score = RNG.integers(0, 10, 300), RNG.random(300)
    right, lesions = RNG.random(300) < score, RNG.integers(20, 40, 10)
    figure = figures.ranked_boxes(photo, score, right, lesions)
    assert figure(np.arange(10)) == pytest.approx(average_precision(score, right, lesions.sum()))
    two = photo < 2
    twice = average_precision(np.repeat(score[two], 2), np.repeat(right[two], 2), 2 * lesions[:2].sum())
    assert figure(np.array([0, 1, 0, 1])) == pytest.approx(twice)
    assert figure(np.array([0, 0, 0, 1])) != pytest.approx(figure(np.array([0, 1, 1, 1])))


def test_calibration_error_is_0_for_honest_chances_and_large_for_boasts() -> None:
    right, rows = np.arange(1000) % 10 < 3, np.arange(1000)
    assert figures.calibration_error(rows, np.full(1000, 0.3), right, 1000)(rows) == pytest.approx(0, abs=1e-9)
    assert figures.calibration_error(rows, np.full(1000, 0.95), right, 1000)(rows) == pytest.approx(0.65)
    (only,) = figures.reliability(np.full(1000, 0.95), right)
    assert only == pytest.approx({"chance": 0.95, "right": 0.3, "count": 1000})


def test_a_certain_chance_falls_into_the_last_bin() -> None:
    assert figures.calibration_error(np.array([0]), np.array([1.0]), np.array([True]), 1)(np.array([0])) == 0


def test_maps_are_measured_by_level_as_scikit_learn_does_by_cell() -> None:
    truth = RNG.random((5, 64, 64)) < 0.1
    maps = np.clip(0.3 * truth + 0.6 * RNG.random(truth.shape), 0, 1).astype(np.float32)
    levels = np.stack([figures.map_levels(*pair) for pair in zip(maps, truth, strict=True)])
    exact = average_precision_score(truth.ravel(), maps.ravel())
    assert figures.binned_precision(levels.sum(axis=0)) == pytest.approx(exact, abs=2e-3)


def test_figures_of_a_perfect_judge_of_wrinkles() -> None:
    truth = RNG.random((60, 4)) > 0.5
    cells = np.stack([figures.map_levels(np.array([[0.9, 0.1]], np.float32), np.array([[True, False]]))] * 4)
    table = figures.Wrinkles(
        truth, np.array(["light"] * 60), np.where(truth, 0.9, 0.1), np.full(60, 0.9), np.stack([cells] * 60)
    )
    told = at_all(figures.wrinkle_figures(table), 60)
    assert told["auc_mean"] == told["accuracy"] == told["pixel_ap_mean"] == 1.0
    assert told["zone_chance_ece"] == pytest.approx(0.1)
    assert told["confidence_minus_accuracy"] == pytest.approx(-0.1)
    assert [name for name in told if name.startswith("auc/")] == [f"auc/{zone}" for zone in WRINKLE_ZONES]


def test_an_interval_holds_the_value_narrows_with_more_photos_and_is_the_same_again() -> None:
    few, many = RNG.normal(size=20), RNG.normal(size=2000)
    wide = figures.told(figures.sample({"x": lambda rows: few[rows].mean()}, np.arange(20))["x"])
    narrow = figures.told(figures.sample({"x": lambda rows: many[rows].mean()}, np.arange(2000))["x"])
    assert wide["low"] < wide["value"] < wide["high"]  # type: ignore[operator]
    assert narrow["high"] - narrow["low"] < 0.2 * (wide["high"] - wide["low"])  # type: ignore[operator]
    assert np.array_equal(figures.draws(20), figures.draws(20))


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error() -> None:
    values = RNG.normal(size=500)
    told = figures.told(figures.sample({"x": lambda rows: values[rows].mean()}, np.arange(500))["x"])
    width = told["high"] - told["low"]  # type: ignore[operator]
    assert width == pytest.approx(2 * 1.96 * values.std() / math.sqrt(500), rel=0.1)


def test_a_difference_is_paired_so_that_a_constant_gain_is_sure() -> None:
    values = RNG.normal(size=30)
    found = figures.sample({"x": lambda rows: values[rows].mean()}, np.arange(30))
    more = figures.sample({"x": lambda rows: (values[rows] + 0.1).mean()}, np.arange(30))
    assert figures.told(more["x"] - found["x"]) == {"value": 0.1, "low": 0.1, "high": 0.1}


@pytest.mark.parametrize(
    ("name", "low", "high", "verdict"),
    [
        ("acne/box_ap_30", 0.1, 0.2, True),
        ("acne/box_ap_30", -0.2, -0.1, False),
        ("acne/box_ap_30", -0.1, 0.1, None),
        ("acne/count_mae", -2.0, -1.0, True),
        ("acne/count_bias_size", 0.1, 0.2, False),
        ("wrinkles/zone_chance_ece", -0.2, -0.1, True),
        ("by_tone/dark/auc_mean", None, None, None),
    ],
)
def test_smaller_errors_are_better_and_larger_shares(
    name: str, low: float | None, high: float | None, verdict: bool | None
) -> None:
    assert summary.better(name, {"value": 0.0, "low": low, "high": high}) is verdict


def test_names_with_slashes_become_a_tree() -> None:
    assert figures.nested({"a/b": 1, "a/c/d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
