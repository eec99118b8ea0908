"""The figures: right on cases done by hand, and the command line says what it wants."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bentos.skin.findings import WRINKLE_ZONES, Lesion
from bentos.skin.measure.blemishes import Acne
from training import evaluate

ROOT = Path(__file__).resolve().parents[3]


def judged(count: int, lesions: int, severity: str = "mild", true: int = 0) -> evaluate.Judged:
    found = Acne([Lesion((0, 0, 1, 1), 0.5)], count, severity, 0.9)
    return evaluate.Judged(found, {0.3: np.array([True]), 0.5: np.array([False])}, lesions, true)


def test_count_and_severity_are_compared_with_the_truth() -> None:
    photos = [judged(1, 2), judged(8, 8, "moderate", 1), judged(30, 24, "severe", 2), judged(0, 1, "clear")]
    metrics = evaluate.acne_metrics(photos, train_median=5)
    assert metrics["count_mae"]["value"] == 2.0
    assert metrics["count_mae_of_train_median"]["value"] == pytest.approx((3 + 3 + 19 + 4) / 4)
    assert metrics["count_spearman"]["value"] == 1.0
    assert metrics["severity_accuracy"]["value"] == 1.0  # clear counts as mild, the mildest class labelled
    assert metrics["severity_kappa"]["value"] == 1.0
    assert metrics["box_ap_50"]["value"] == 0.0
    assert metrics["severity_confidence_ece"] == pytest.approx(0.1)


def test_an_interval_holds_the_value_and_narrows_with_more_photos() -> None:
    rng = np.random.default_rng(0)
    few, many = ({"x": rng.normal(size=count)} for count in (20, 2000))
    narrow, wide = (evaluate._interval(rows, lambda rows: rows["x"].mean()) for rows in (many, few))
    assert wide["low"] < wide["value"] < wide["high"]
    assert narrow["high"] - narrow["low"] < 0.2 * (wide["high"] - wide["low"])


def test_calibration_error_is_0_for_honest_chances_and_large_for_boasts() -> None:
    right = np.arange(1000) % 10 < 3
    assert evaluate.calibration_error(np.full(1000, 0.3), right) == pytest.approx(0, abs=1e-3)
    assert evaluate.calibration_error(np.full(1000, 0.95), right) == pytest.approx(0.65, abs=1e-3)


def test_wrinkle_figures_of_a_perfect_judge() -> None:
    truth = np.random.default_rng(0).random((60, 4)) > 0.5
    metrics = evaluate.wrinkle_metrics(truth, np.where(truth, 0.9, 0.1), np.full(60, 0.9))
    assert metrics["auc_mean"]["value"] == 1.0
    assert metrics["accuracy"]["value"] == 1.0
    assert metrics["zone_chance_ece"] == pytest.approx(0.1)
    assert metrics["confidence_minus_accuracy"] == pytest.approx(-0.1)


def test_the_figures_that_ship_reach_the_goals() -> None:
    metrics = json.loads(evaluate.METRICS.read_text())
    acne, wrinkles = metrics["acne"], metrics["wrinkles"]
    assert acne["count_spearman"]["low"] > 0.5
    assert acne["count_mae"]["high"] < acne["count_mae_of_train_median"]["low"]
    assert acne["severity_accuracy"]["low"] > acne["severity_accuracy_of_majority"]["high"]
    assert wrinkles["auc_mean"]["low"] > 0.7
    assert tuple(wrinkles["auc"]) == WRINKLE_ZONES


@pytest.mark.parametrize("script", ["training.evaluate", "training.tune"])
def test_help_teaches_and_a_missing_folder_is_named(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", script]
    shown = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"python -m {script}" in shown
    refused = subprocess.run([*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert str(tmp_path) in refused.stderr
    assert "--data" in refused.stderr
