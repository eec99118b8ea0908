"""Metrics equal values computed by hand and by scikit-learn, and their intervals are correct."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

from bentos.skin.findings import WRINKLE_ZONES
from training import metrics, summary
from training.labels import LondonFace
from training.matching import average_precision

RNG = np.random.default_rng(0)


def acne_table(
    count: list[int],
    true_count: list[int],
    severity: list[int],
    true_severity: list[int],
    boxes: dict[int, list[tuple[float, bool]]],
) -> metrics.AcneTable:
    """Make a table; `boxes`: row → (score, correct) of its candidates; a candidate is shown from score .5."""
    rows = [(row, score, correct) for row, candidates in boxes.items() for score, correct in candidates]
    photo, score, correct = (np.array([row[k] for row in rows]) for k in range(3))
    return metrics.AcneTable(
        true_count=np.array(true_count),
        true_severity=np.array(true_severity),
        count=np.array(count),
        severity=np.array(severity),
        severity_confidence=np.full(len(true_count), 0.9),
        box_photo=photo.astype(np.intp),
        box_confidence=score.astype(np.float64),
        box_shown=score >= 0.5,
        box_correct={min_iou: correct.astype(bool) for min_iou in metrics.MIN_IOUS},
    )


def on_all_photos(defined: dict[str, metrics.Metric], photos: int) -> dict[str, float]:
    return {name: metric(np.arange(photos)) for name, metric in defined.items()}


def test_count_severity_and_boxes_are_compared_with_the_truth() -> None:
    boxes = {0: [(0.9, True), (0.3, True)], 1: [(0.8, False)], 2: [(0.6, True)], 3: [(0.2, False)]}
    table = acne_table([1, 8, 30, 0], [2, 8, 24, 1], [0, 1, 2, 0], [0, 1, 2, 1], boxes)
    values = on_all_photos(metrics.acne_metrics(table, median_count=5), 4)
    assert values["count_mae"] == 2.0
    assert values["count_mae_of_train_median"] == pytest.approx((3 + 3 + 19 + 4) / 4)
    assert values["count_bias"] == pytest.approx((-1 + 0 + 6 - 1) / 4)
    assert values["count_spearman"] == 1.0
    assert values["severity_accuracy"] == 0.75
    assert values["severity_confidence_ece"] == pytest.approx(0.15)
    assert values["box_precision_30"] == pytest.approx(2 / 3)
    assert values["box_recall_30"] == pytest.approx(2 / 35)
    assert values["box_ap_30"] == pytest.approx((1 / 35) + (2 / 35) * 3 / 4)
    assert values["box_confidence_ece"] == pytest.approx((0.1 + 0.8 + 0.4) / 3)


def test_kappa_and_roc_area_are_those_of_scikit_learn() -> None:
    predicted, true = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    kappa = cohen_kappa_score(predicted, true, weights="quadratic")
    assert metrics.quadratic_kappa(predicted, true) == pytest.approx(kappa)
    scores, truth = RNG.random(200).round(1), RNG.random(200) > 0.6  # with ties
    assert metrics.roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_undefined_metrics_are_nan_and_have_no_interval() -> None:
    assert math.isnan(metrics.roc_auc(np.array([0.1, 0.2]), np.array([True, True])))
    assert math.isnan(metrics.rank_correlation([1, 1, 1], [1, 2, 3]))
    assert math.isnan(metrics.quadratic_kappa(np.array([1, 1]), np.array([1, 1])))
    assert metrics.interval(np.array([math.nan, 1.0, 2.0])) == {"value": None, "low": None, "high": None}


def test_boxes_are_ranked_as_in_matching_and_a_photo_drawn_twice_counts_twice() -> None:
    photo, score = RNG.integers(0, 10, 300), RNG.random(300)
    correct, true_count = RNG.random(300) < score, RNG.integers(20, 40, 10)
    metric = metrics.box_precision(photo, score, correct, true_count)
    assert metric(np.arange(10)) == pytest.approx(average_precision(score, correct, true_count.sum()))
    two = photo < 2
    twice = average_precision(np.repeat(score[two], 2), np.repeat(correct[two], 2), 2 * true_count[:2].sum())
    assert metric(np.array([0, 1, 0, 1])) == pytest.approx(twice)
    assert metric(np.array([0, 0, 0, 1])) != pytest.approx(metric(np.array([0, 1, 1, 1])))


def test_calibration_error_is_0_for_calibrated_confidences_and_large_for_overconfident_ones() -> None:
    correct, rows = np.arange(1000) % 10 < 3, np.arange(1000)
    assert metrics.calibration_error(rows, np.full(1000, 0.3), correct, 1000)(rows) == pytest.approx(0, abs=1e-9)
    assert metrics.calibration_error(rows, np.full(1000, 0.95), correct, 1000)(rows) == pytest.approx(0.65)
    (only,) = metrics.reliability(np.full(1000, 0.95), correct)
    assert only == pytest.approx({"chance": 0.95, "right": 0.3, "count": 1000})


def test_a_confidence_of_1_falls_into_the_last_bin() -> None:
    assert metrics.calibration_error(np.array([0]), np.array([1.0]), np.array([True]), 1)(np.array([0])) == 0


def test_maps_are_measured_by_level_as_scikit_learn_does_by_cell() -> None:
    truth = RNG.random((5, 64, 64)) < 0.1
    maps = np.clip(0.3 * truth + 0.6 * RNG.random(truth.shape), 0, 1).astype(np.float32)
    levels = np.stack([metrics.count_levels(*pair) for pair in zip(maps, truth, strict=True)])
    exact = average_precision_score(truth.ravel(), maps.ravel())
    assert metrics.level_precision(levels.sum(axis=0)) == pytest.approx(exact, abs=2e-3)


def test_metrics_of_perfect_wrinkle_predictions() -> None:
    truth = RNG.random((60, 4)) > 0.5
    cells = np.stack([metrics.count_levels(np.array([[0.9, 0.1]], np.float32), np.array([[True, False]]))] * 4)
    table = metrics.WrinkleTable(truth, np.where(truth, 0.9, 0.1), np.arange(60) % 2, np.stack([cells] * 60))
    values = on_all_photos(metrics.wrinkle_metrics(table), 60)
    assert values["auc_mean"] == values["accuracy"] == values["pixel_ap_mean"] == 1.0
    assert values["zone_chance_ece"] == pytest.approx(0.1)
    assert values["unseen_zones"] == 0.0
    assert values["shown_boxes"] == 0.5
    assert [name for name in values if name.startswith("auc/")] == [f"auc/{zone}" for zone in WRINKLE_ZONES]


def test_zones_that_are_not_seen_are_left_out_and_counted() -> None:
    truth = RNG.random((60, 4)) > 0.5
    chances = np.where(truth, 0.9, 0.1)
    chances[:15, 0] = np.nan
    truth[:15, 0] = ~truth[:15, 0]
    values = on_all_photos(metrics.wrinkle_metrics(metrics.WrinkleTable(truth, chances, np.zeros(60, int), None)), 60)
    assert values["auc_mean"] == values["accuracy"] == 1.0
    assert values["unseen_zones"] == pytest.approx(15 / 240)
    assert values["zone_chance_ece"] == pytest.approx(0.1)


def test_the_london_faces_are_held_to_their_bounds() -> None:
    def face(least: int, most: int, split: str = "check", monk: int = 3) -> LondonFace:
        return LondonFace(Path("a.jpg"), split, least, least, most, monk, "white", 0, 0, {"forehead": 2 * (least > 0)})

    faces = [face(0, 1), face(0, 1), face(0, 3), face(2, 5), face(3, 9, monk=8), face(0, 0, "fit")]
    counts, boxes, severities = (np.array(row) for row in ([0, 1, 4, 1, 0, 7], [0, 2, 0, 0, 0, 9], [0, 1, 2, 1, 0, 4]))
    chances = np.full((6, 4), 0.5)
    chances[:, 0] = [0.2, 0.2, np.nan, 0.8, 0.8, 0.0]  # the other zones were not labelled
    table = metrics.LondonTable(faces, counts, boxes, np.zeros(6, int), severities, chances)
    assert metrics.london_metrics(table, "check") == {
        "faces": 5,
        "count_within": 0.4,
        "clear": 2,
        "called_clear": 1,
        "spotted": 2,
        "called_spotted": 1,
        "severity_within": 0.6,
        "shown_boxes": 0.4,
        "zone_ece": 0.2,
        "zone_auc": 1.0,
    }
    by_monk = summary.london(table)["by_monk"]
    assert (by_monk["1-3"]["faces"], by_monk["4-6"], by_monk["7-10"]["faces"]) == (5, {"faces": 0}, 1)


def test_an_interval_contains_the_value_narrows_with_more_photos_and_is_repeatable() -> None:
    few, many = RNG.normal(size=20), RNG.normal(size=2000)
    wide = metrics.interval(metrics.sample({"x": lambda rows: few[rows].mean()}, np.arange(20))["x"])
    narrow = metrics.interval(metrics.sample({"x": lambda rows: many[rows].mean()}, np.arange(2000))["x"])
    assert wide["low"] < wide["value"] < wide["high"]  # type: ignore[operator]
    assert narrow["high"] - narrow["low"] < 0.2 * (wide["high"] - wide["low"])  # type: ignore[operator]
    assert np.array_equal(metrics.bootstrap_rows(20), metrics.bootstrap_rows(20))


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error() -> None:
    values = RNG.normal(size=500)
    interval = metrics.interval(metrics.sample({"x": lambda rows: values[rows].mean()}, np.arange(500))["x"])
    width = interval["high"] - interval["low"]  # type: ignore[operator]
    assert width == pytest.approx(2 * 1.96 * values.std() / math.sqrt(500), rel=0.1)


def test_differences_are_paired_so_a_constant_gain_has_no_interval() -> None:
    values = RNG.normal(size=30)
    before = metrics.sample({"x": lambda rows: values[rows].mean()}, np.arange(30))
    after = metrics.sample({"x": lambda rows: (values[rows] + 0.1).mean()}, np.arange(30))
    assert metrics.interval(after["x"] - before["x"]) == {"value": 0.1, "low": 0.1, "high": 0.1}


@pytest.mark.parametrize(
    ("name", "low", "high", "verdict"),
    [
        ("acne/box_ap_30", 0.1, 0.2, True),
        ("acne/box_ap_30", -0.2, -0.1, False),
        ("acne/box_ap_30", -0.1, 0.1, None),
        ("acne/count_mae", -2.0, -1.0, True),
        ("acne/count_bias_size", 0.1, 0.2, False),
        ("wrinkles/zone_chance_ece", -0.2, -0.1, True),
        ("by_severity/mild/count_mae", None, None, None),
        ("wrinkles/shown_boxes", 0.1, 0.2, False),
    ],
)
def test_smaller_errors_are_better_and_larger_shares(
    name: str, low: float | None, high: float | None, verdict: bool | None
) -> None:
    assert summary.better(name, {"value": 0.0, "low": low, "high": high}) is verdict


def test_names_with_slashes_become_a_tree() -> None:
    assert metrics.nested({"a/b": 1, "a/c/d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
