"""What turns the network's outputs into boxes, a count, a class and chances: numbers fitted on the held-out part.

`decode` is what serves, in the same words; `fit` finds the numbers, `measure` says how good the answers are. All of it
is plain JSON, so that serving needs no scikit-learn; docs of the keys are in `fit`.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import HuberRegressor, LogisticRegression
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE
from training.crops import Example
from training.matching import average_precision, matches, overlaps

SCORE_MIN = 0.04  # peaks below are noise: fewer than one in thirty is right
BOXES_MAX = 100  # a face; ACNE04's fullest has 65
OVERLAP_MAX = 0.45  # intersection over union from which the weaker of two boxes goes
KNOTS = 12  # of the confidence table; more would follow the held-out part's noise
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)  # inverse regularisation of the severity's joining, chosen by log-likelihood
FOLDS = 5
DIGITS = 6

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one crop.

    Attributes:
        boxes: float64 (n, 4), x, y, width, height in crop pixels, best first.
        scores: float64 (n, ), of the heat map.
        confidence: float64 (n, ), share of such boxes that are right.
        count: lesions, not rounded.
        severity: float64 (4, ), chances of mild … very severe.
        wrinkles: float64 (4, ), chances by WRINKLE_ZONES.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    confidence: NDArray[np.float64]
    count: float
    severity: NDArray[np.float64]
    wrinkles: NDArray[np.float64]


def peaks(
    heat: NDArray[np.float32], size: NDArray[np.float32], offset: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes in crop pixels, (n, 4), and their scores, (n, ), best first, from one crop's maps.

    Args:
        heat: (cells, cells), 0 where there is no peak.
        size: (cells, cells, 2), width and height in crop pixels.
        offset: (cells, cells, 2), of the centre from its cell's corner, in cells.
    """
    rows, columns = np.nonzero(heat >= SCORE_MIN)
    scores = heat[rows, columns].astype(np.float64)
    order = np.argsort(-scores, kind="stable")[: 2 * BOXES_MAX]
    rows, columns, scores = rows[order], columns[order], scores[order]
    cell = CROP_SIZE / heat.shape[0]
    centre = (np.stack([columns, rows], axis=1) + offset[rows, columns].astype(np.float64)) * cell
    wide = size[rows, columns].astype(np.float64)
    boxes = np.concatenate([centre - wide / 2, wide], axis=1)
    kept: list[int] = []
    shares = overlaps(boxes, boxes)
    for number in range(len(boxes)):
        if not (shares[number, kept] > OVERLAP_MAX).any():
            kept.append(number)
    return boxes[kept[:BOXES_MAX]], scores[kept[:BOXES_MAX]]


def decode(outputs: Outputs, number: int, numbers: dict[str, Any]) -> Answer:
    """One crop's answer.

    Args:
        outputs: of the exported network, for a batch.
        number: of the crop in the batch.
        numbers: from `fit`.
    """
    boxes, scores = peaks(outputs["heat"][number], outputs["size"][number], outputs["offset"][number])
    table = numbers["lesions"]["confidence"]
    features = _features(outputs)[number]
    count = numbers["count"]
    severity = numbers["severity"]
    logits = np.asarray(severity["weights"]) @ features + np.asarray(severity["bias"])
    chances = np.exp(logits - logits.max())
    logit = _logit(outputs["wrinkles"][number])
    zones = [numbers["wrinkles"][zone] for zone in WRINKLE_ZONES]
    return Answer(
        boxes,
        scores,
        np.interp(scores, table["score"], table["right"]),
        max(float(np.dot(count["weights"], count_features(outputs)[number]) + count["bias"]), 0.0),
        chances / chances.sum(),
        np.array([_sigmoid(zone["slope"] * x + zone["bias"]) for zone, x in zip(zones, logit, strict=True)]),
    )


def fit(
    acne: list[Example], acne_outputs: Outputs, wrinkled: list[Example], wrinkle_outputs: Outputs
) -> dict[str, Any]:
    """Fit on the held-out part.

    Returns:
        lesions: score_min, boxes_max, overlap_max of `peaks`; show_min, the score at which F1 at IoU .3 is best;
            confidence: score → share of boxes right at IoU .3, two lists of knots, linear between, flat beyond.
        count: count = weights · (density, mean of count_distribution) + bias, at least 0.
        severity: chances = softmax(weights (4, 6) · features + bias (4)), features = log(1 + density), log(1 + mean of
            count_distribution), log of the four severities' chances, each at least 1e-4; classes mild … very_severe.
        wrinkles: by zone, chance = sigmoid(slope · logit(wrinkles) + bias), the logit clipped to ±9.
    """
    rows = [
        peaks(acne_outputs["heat"][i], acne_outputs["size"][i], acne_outputs["offset"][i]) for i in range(len(acne))
    ]
    right = [matches(boxes, example.lesions, 0.3) for (boxes, _), example in zip(rows, acne, strict=True)]
    scores, hits = np.concatenate([scores for _, scores in rows]), np.concatenate(right)
    true = np.array([len(example.lesions) for example in acne], dtype=np.float64)
    names = [example.group for example in acne]
    estimates = count_features(acne_outputs)
    line = HuberRegressor(epsilon=2.0, alpha=1e-3, max_iter=1000).fit(estimates, true)
    # Huber's line is near the median's; full faces pull the mean off it, and the bias is what is promised.
    bias = float(line.intercept_ + np.mean(true - line.predict(estimates)))
    classes = np.array([example.severity for example in acne])
    features = _features(acne_outputs)
    strength, chosen = _best_strength(features, classes, names)
    return {
        "lesions": {
            "score_min": SCORE_MIN,
            "boxes_max": BOXES_MAX,
            "overlap_max": OVERLAP_MAX,
            "show_min": _best_f1(scores, hits, int(true.sum())),
            "confidence": _table(scores, hits),
        },
        "count": {"weights": _short(line.coef_), "bias": round(bias, DIGITS)},
        "severity": {
            "weights": _short(chosen.coef_),
            "bias": _short(chosen.intercept_),
            "strength": strength,
        },
        "wrinkles": {
            zone: _platt(_logit(wrinkle_outputs["wrinkles"][:, k]), [len(e.wrinkles[zone]) > 0 for e in wrinkled])
            for k, zone in enumerate(WRINKLE_ZONES)
        },
    }


def measure(
    numbers: dict[str, Any], acne: list[Example], acne_outputs: Outputs, wrinkled: list[Example], lined: Outputs
) -> dict[str, Any]:
    """Figures of calibrated answers on labelled crops; severity's and count's alternatives stand beside them."""
    answers = [decode(acne_outputs, number, numbers) for number in range(len(acne))]
    true = np.array([len(example.lesions) for example in acne])
    classes = np.array([example.severity for example in acne])
    count = np.array([round(one.count) for one in answers])
    grade = np.array([int(one.severity.argmax()) for one in answers])
    sure = np.array([one.severity.max() for one in answers])
    confidence = np.concatenate([one.confidence for one in answers])
    scores = np.concatenate([one.scores for one in answers])
    right = {
        least: np.concatenate([matches(one.boxes, e.lesions, least) for one, e in zip(answers, acne, strict=True)])
        for least in (0.3, 0.5)
    }
    chances = np.array([decode(lined, number, numbers).wrinkles for number in range(len(wrinkled))])
    truth = np.array([[len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES] for example in wrinkled])
    mean_count = _mean_count(acne_outputs)
    areas = {zone: round(float(roc_auc_score(truth[:, k], chances[:, k])), 4) for k, zone in enumerate(WRINKLE_ZONES)}
    figures: dict[str, Any] = {
        "photos": {"acne": len(acne), "wrinkles": len(wrinkled)},
        "severity_accuracy": (grade == classes).mean(),
        "severity_accuracy_95": _interval(grade == classes),
        "severity_accuracy_by_head": (acne_outputs["severity"].argmax(axis=1) == classes).mean(),
        "severity_accuracy_by_count": (np.clip(np.searchsorted([5, 20, 50], count), 0, 3) == classes).mean(),
        "severity_kappa": cohen_kappa_score(grade, classes, weights="quadratic"),
        "severity_confidence_ece": error_of(sure, grade == classes),
        "severity_recall": [(grade[classes == k] == k).mean() for k in range(4)],
        "count_mae": np.abs(count - true).mean(),
        "count_mae_95": _interval(np.abs(count - true)),
        "count_bias": (count - true).mean(),
        "count_mae_of_density": np.abs(acne_outputs["density"] - true).mean(),
        "count_bias_of_density": (acne_outputs["density"] - true).mean(),
        "count_mae_of_distribution": np.abs(mean_count - true).mean(),
        "count_bias_of_distribution": (mean_count - true).mean(),
        "count_spearman": spearmanr(count, true)[0],
        "box_ap_30": average_precision(scores, right[0.3], int(true.sum())),
        "box_ap_50": average_precision(scores, right[0.5], int(true.sum())),
        "box_confidence_ece": error_of(confidence, right[0.3]),
        "wrinkle_auc": areas,
        "wrinkle_auc_mean": np.mean(list(areas.values())),
        "wrinkle_chance_ece": error_of(chances.ravel(), truth.ravel()),
        "wrinkle_accuracy": ((chances > 0.5) == truth).mean(),
        "wrinkle_cell_ap": _cell_precision(wrinkled, lined["wrinkle_maps"]),
    }
    return {name: _rounded(value) for name, value in figures.items()}


def error_of(chance: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Guo et al., ICML 2017)."""
    places = np.minimum((chance * bins).astype(int), bins - 1)
    parts = [(places == place) for place in np.unique(places)]
    return float(sum(part.sum() * abs(chance[part].mean() - right[part].mean()) for part in parts) / len(chance))


def count_features(outputs: Outputs) -> NDArray[np.float64]:
    """(batch, 2): the density's sum, and the mean of the count's distribution."""
    return np.stack([outputs["density"].astype(np.float64), _mean_count(outputs)], axis=1)


def _mean_count(outputs: Outputs) -> NDArray[np.float64]:
    chances = outputs["count_distribution"].astype(np.float64)
    return np.asarray(chances @ np.arange(chances.shape[1]))


def _features(outputs: Outputs) -> NDArray[np.float64]:
    """(batch, 6), of severity."""
    chances = np.log(np.maximum(outputs["severity"].astype(np.float64), 1e-4))
    return np.concatenate([np.log1p(count_features(outputs)), chances], axis=1)


def _best_strength(
    features: NDArray[np.float64], classes: NDArray[np.int64], names: list[str]
) -> tuple[float, LogisticRegression]:
    """The regularisation of the best cross-validated likelihood, and the regression fitted with it."""
    losses = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=5000)
        folds = GroupKFold(min(FOLDS, len(set(names))))
        chances = cross_val_predict(model, features, classes, groups=names, cv=folds, method="predict_proba")
        losses.append(-np.log(np.maximum(chances[np.arange(len(classes)), classes], 1e-6)).mean())
    best = STRENGTHS[int(np.argmin(losses))]
    return best, LogisticRegression(C=best, max_iter=5000).fit(features, classes)


def _table(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Isotonic regression, thinned to KNOTS quantiles of the scores."""
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, right.astype(np.float64))
    edges = np.quantile(scores, np.linspace(0, 1, KNOTS + 1))
    middles = [(scores >= low) & (scores <= high) for low, high in pairwise(edges)]
    knots = np.array([scores[part].mean() for part in middles])
    values = np.array([isotonic.predict(scores[part]).mean() for part in middles])
    return {"score": _short(knots), "right": _short(np.maximum.accumulate(values))}


def _best_f1(scores: NDArray[np.float64], right: NDArray[np.bool_], total: int) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + total)
    return round(float(scores[order][int(f1.argmax())]), 4)


def _platt(logits: NDArray[np.float64], truth: list[bool]) -> dict[str, float]:
    model = LogisticRegression(C=1.0, max_iter=1000).fit(logits[:, None], truth)
    return {"slope": round(float(model.coef_[0, 0]), DIGITS), "bias": round(float(model.intercept_[0]), DIGITS)}


def _cell_precision(examples: list[Example], maps: NDArray[np.float32]) -> dict[str, float]:
    """Average precision of the wrinkle maps' cells, by zone."""
    cell = CROP_SIZE / maps.shape[1]
    found: dict[str, float] = {}
    for k, zone in enumerate(WRINKLE_ZONES):
        true = np.zeros(maps.shape[:3], dtype=bool)
        for number, example in enumerate(examples):
            for x, y, width, height in np.maximum(np.rint(example.wrinkles[zone] / cell), 0).astype(int):
                true[number, y : y + max(height, 1), x : x + max(width, 1)] = True
        found[zone] = round(float(average_precision_score(true.ravel(), maps[..., k].ravel())), 4)
    return found


def _interval(values: NDArray[Any], resamples: int = 1000) -> list[float]:
    """95 % of seeded bootstrap resamples of the mean."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    return [float(edge) for edge in np.quantile(means, (0.025, 0.975))]


def _logit(chance: NDArray[np.float32]) -> NDArray[np.float64]:
    p = np.clip(chance.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.clip(np.log(p / (1 - p)), -9, 9)


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _short(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return [round(float(one), 4) for one in value] if isinstance(value, list) else round(float(value), 4)
