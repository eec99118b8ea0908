"""Measure the heuristics on the valid photos through the serving code, and write bentos/skin/measure/metrics.json.

    OMP_NUM_THREADS=1 python -m training.evaluate                       # about a minute on one core
    OMP_NUM_THREADS=1 python -m training.evaluate --data /photos --out /tmp/metrics.json

Each photo goes the whole way: bytes → decode → face → crop → skin → blemishes and lines. Intervals hold 95 % of
bootstrap resamples of the photos, seeded. The valid photos are read for this and nothing else.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from tqdm import tqdm

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES
from bentos.skin.measure import blemishes, lines
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.photo import zones
from bentos.skin.photo.crop import Crop, boxes_to_photo, cut
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face import FaceDetector
from bentos.skin.photo.skin import skin_mask
from training import labels
from training.matching import average_precision, matches

METRICS = Path(blemishes.__file__).with_name("metrics.json")
RESAMPLES = 1000
BINS = 10  # of equal width, for the expected calibration error
SEED = 0
DATASET = {
    "acne": "ACNE04 (Wu et al., ICCV 2019) in a re-export: {acne} faces with acne, judged by dermatologists",
    "wrinkles": "public collection of {wrinkles} wrinkle photos; a photo without a box of a zone is its negative",
}

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of one acne photo, in photo pixels, beside the truth."""

    found: blemishes.Acne
    right: dict[float, NDArray[np.bool_]]  # least overlap → whether each box is right
    lesions: int
    severity: int  # true, 0..3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--out", type=Path, default=METRICS, help="file to write (the one that ships by default)")
    wanted = parser.parse_args()
    if not (wanted.data / "acne04").is_dir():
        parser.error(f"there is no acne04 in {wanted.data}; name the folder of the labelled photos with --data")
    train = [len(photo.boxes) for photo in labels.acne_photos(wanted.data / "acne04/train")]
    latency: list[float] = []
    acne = judge_acne(wanted.data / "acne04/valid", latency)
    truth, chances, confidence = judge_wrinkles(wanted.data / "wrinkles/valid", latency)
    metrics = {
        "dataset": {
            "acne": DATASET["acne"].format(acne=len(acne)),
            "wrinkles": DATASET["wrinkles"].format(wrinkles=len(truth)),
        },
        "interval": "95 % of 1,000 bootstrap resamples of the photos",
        "acne": acne_metrics(acne, float(np.median(train))),
        "wrinkles": wrinkle_metrics(truth, chances, confidence),
        "latency_ms": {
            "what": "CPU time of blemishes and lines on one crop, one thread",
            "median": round(float(np.median(latency)), 1),
            "p95": round(float(np.quantile(latency, 0.95)), 1),
        },
    }
    wanted.out.write_text(json.dumps(metrics, indent=2) + "\n")
    print(wanted.out.read_text())


def judge_acne(folder: Path, latency: list[float]) -> list[Judged]:
    """Every photo of a split through the serving code; appends the milliseconds of each to `latency`."""
    detector = FaceDetector()
    judged = []
    for photo in tqdm(labels.acne_photos(folder), desc="acne", mininterval=5):
        crop, width, height = _crop(photo.path, detector)
        found, _ = _measure(crop, latency)
        boxes = boxes_to_photo(crop.to_photo, [lesion.box for lesion in found.lesions], width, height)
        right = {least: matches(boxes, photo.boxes, least) for least in (0.3, 0.5)}
        judged.append(Judged(found, right, len(photo.boxes), photo.severity))
    return judged


def judge_wrinkles(
    folder: Path, latency: list[float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """(truth, chances, confidence): bool and float (n, 4), a column per WRINKLE_ZONES; float (n,), NaN for null."""
    detector = FaceDetector()
    truth, chances, confidence = [], [], []
    for photo in tqdm(labels.wrinkle_photos(folder), desc="wrinkles", mininterval=5):
        _, found = _measure(_crop(photo.path, detector)[0], latency)
        truth.append([len(photo.boxes[zone]) > 0 for zone in WRINKLE_ZONES])
        chances.append([found.zones[zone] for zone in WRINKLE_ZONES])
        confidence.append(np.nan if found.confidence is None else found.confidence)
    return np.array(truth), np.array(chances), np.array(confidence)


def acne_metrics(judged: list[Judged], train_median: float) -> dict[str, Any]:
    """Count, severity, boxes and their confidences, with intervals.

    Args:
        judged: the photos.
        train_median: lesions on a train photo; what always predicting it would score stands beside the count's error.
    """
    columns: Columns = {
        "count": np.array([one.found.count for one in judged]),
        "true": np.array([one.lesions for one in judged]),
        # "clear" is below ACNE04's mildest class, and counts as it
        "grade": np.array([max(SEVERITIES.index(one.found.severity) - 1, 0) for one in judged]),
        "true_grade": np.array([one.severity for one in judged]),
        "index": np.arange(len(judged)),
    }

    def precision(least: float) -> Callable[[Columns], float]:
        def measure(rows: Columns) -> float:
            chosen = [judged[int(number)] for number in rows["index"]]
            confidence = [lesion.confidence for one in chosen for lesion in one.found.lesions]
            right = np.concatenate([one.right[least] for one in chosen])
            return average_precision(confidence, right, sum(one.lesions for one in chosen))

        return measure

    majority = int(np.bincount(columns["true_grade"]).argmax())
    sure = np.array([np.nan if (c := one.found.severity_confidence) is None else c for one in judged])
    known = ~np.isnan(sure)
    boxes = np.array([lesion.confidence for one in judged for lesion in one.found.lesions])
    return {
        "photos": len(judged),
        "count_mae": _interval(columns, lambda rows: np.abs(rows["count"] - rows["true"]).mean()),
        "count_mae_of_train_median": _interval(columns, lambda rows: np.abs(train_median - rows["true"]).mean()),
        "count_bias": _interval(columns, lambda rows: (rows["count"] - rows["true"]).mean()),
        "count_spearman": _interval(columns, lambda rows: spearmanr(rows["count"], rows["true"])[0]),
        "severity_accuracy": _interval(columns, lambda rows: (rows["grade"] == rows["true_grade"]).mean()),
        "severity_accuracy_of_majority": _interval(columns, lambda rows: (rows["true_grade"] == majority).mean()),
        "severity_kappa": _interval(
            columns, lambda rows: cohen_kappa_score(rows["grade"], rows["true_grade"], weights="quadratic")
        ),
        "severity_kappa_of_majority": {"value": 0.0},
        "box_ap_30": _interval(columns, precision(0.3), 200),
        "box_ap_50": _interval(columns, precision(0.5), 200),
        "box_confidence_ece": calibration_error(boxes, np.concatenate([one.right[0.3] for one in judged])),
        "severity_confidence_ece": calibration_error(sure[known], (columns["grade"] == columns["true_grade"])[known]),
    }


def wrinkle_metrics(
    truth: NDArray[np.bool_], chances: NDArray[np.float64], confidence: NDArray[np.float64]
) -> dict[str, Any]:
    """AUC per zone and on average, accuracy at one half, and how far chances are from shares.

    Args:
        truth: bool (n, 4).
        chances: float (n, 4).
        confidence: float (n,), of the zones together; NaN for null.
    """
    columns: Columns = {"truth": truth, "chances": chances}

    def area(number: int) -> Callable[[Columns], float]:
        return lambda rows: float(roc_auc_score(rows["truth"][:, number], rows["chances"][:, number]))

    areas = [area(number) for number in range(len(WRINKLE_ZONES))]
    right = ((chances > 0.5) == truth).mean(axis=1)
    known = ~np.isnan(confidence)
    return {
        "photos": len(truth),
        "negatives": {zone: int((~truth[:, number]).sum()) for number, zone in enumerate(WRINKLE_ZONES)},
        "auc": {zone: _interval(columns, areas[number]) for number, zone in enumerate(WRINKLE_ZONES)},
        "auc_mean": _interval(columns, lambda rows: np.mean([one(rows) for one in areas])),
        "accuracy": _interval(columns, lambda rows: ((rows["chances"] > 0.5) == rows["truth"]).mean()),
        "accuracy_of_majority": _interval(columns, lambda rows: rows["truth"].mean()),
        "zone_chance_ece": calibration_error(chances.ravel(), truth.ravel()),
        "confidence_minus_accuracy": round(float((confidence - right)[known].mean()), 4),
    }


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: |mean confidence - share right| over BINS bins, weighted (Guo et al., ICML 2017)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error = sum(
        np.count_nonzero(bins == number) * abs(confidence[bins == number].mean() - right[bins == number].mean())
        for number in np.unique(bins)
    )
    return round(float(error / max(len(confidence), 1)), 4)


def _interval(columns: Columns, measure: Callable[[Columns], Any], resamples: int = RESAMPLES) -> dict[str, Any]:
    """A figure with its bootstrap interval; resamples on which it is undefined are drawn again."""
    rng = np.random.default_rng(SEED)
    count = len(next(iter(columns.values())))
    values: list[float] = []
    while len(values) < resamples:
        drawn = rng.integers(0, count, count)
        rows = {name: column[drawn] for name, column in columns.items()}
        if "truth" in rows and not (rows["truth"].any(axis=0) & ~rows["truth"].all(axis=0)).all():
            continue
        if "count" in rows and min(np.ptp(rows["count"]), np.ptp(rows["true"]), np.ptp(rows["true_grade"])) == 0:
            continue
        values.append(float(measure(rows)))
    low, high = np.quantile(values, (0.025, 0.975))
    return {"value": round(float(measure(columns)), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _crop(path: Path, detector: FaceDetector) -> tuple[Crop, int, int]:
    """The crop the service would cut, and the photo's width and height."""
    photo = decode(path.read_bytes())
    faces = detector.detect(photo)
    return cut(photo, faces[0] if faces else None), photo.width, photo.height


def _measure(crop: Crop, latency: list[float]) -> tuple[blemishes.Acne, lines.Wrinkles]:
    lab, skin, masks = reduced_lab(crop.pixels, blemishes.FACTOR), skin_mask(crop), zones.masks(crop)
    start = time.thread_time()
    found = blemishes.find(crop, lab, skin), lines.find(crop, masks)
    latency.append((time.thread_time() - start) * 1000)
    return found


if __name__ == "__main__":
    main()
