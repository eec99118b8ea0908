"""Calibrates the network's outputs on the held-out part: boxes, count, severity and wrinkle probabilities.

`fit` fits the numbers with which `bentos.skin.model.postprocess` decodes the outputs, `measure` computes the metrics
of the decoded predictions. The numbers are plain JSON, so the service needs no scikit-learn; `fit` documents the keys.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from bentos.skin.findings import HAYASHI_LIMITS, SEVERITIES, WRINKLE_ZONES, severity_beside, whole_count
from bentos.skin.model.bundle import Calibration, ConfidenceTable, LesionNumbers
from bentos.skin.model.postprocess import Outputs, count_of, peaks, severity_chances, severity_features, wrinkle_chances
from bentos.skin.photo.crop import CROP_SIZE
from training.crops import Example
from training.labels import LondonFace
from training.matching import average_precision, best_threshold, clear_threshold, match_boxes
from training.metrics import expected_calibration_error, quadratic_kappa, rank_correlation, roc_auc

SCORE_MIN = 0.04  # lower peaks are noise: fewer than one in thirty is correct
BOXES_MAX = 100  # candidates of a face; no face of ACNE04 has more than 65 lesions
OVERLAP_MAX = 0.45  # intersection over union from which non-maximum suppression drops the weaker box
KNOTS = 12  # of the confidence table, at most; more would fit the noise of the held-out part
STEP = 2e-4  # least difference between two knots, so that a better score never has the same confidence
KNOT_BOXES = 30  # least boxes of a knot: its share of correct boxes is too uncertain with fewer
SCALES = np.round(np.arange(0.8, 1.31, 0.01), 2)  # of the count; farther ones would hide a broken network
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # inverse regularisation of the severity regression, chosen by likelihood
LOGIT_SCALE = 0.3  # scales the network's logits to the spread of the log counts, so that both are regularised alike
LIMIT_SLOPE = 5.0  # on log(1 + density), of a limit that cannot be fitted: with twice as many lesions it is .97
FOLDS = 5  # of the cross-validation on the held-out part, by group
CLEAR_BELOW = 1.0  # without London: less than one lesion is none; the shipped weights, fitted on London, have 1.13
DIGITS = 6  # decimals of the numbers in calibration.json


def fit(
    acne: list[Example],
    acne_outputs: Outputs,
    wrinkled: list[Example],
    wrinkle_outputs: Outputs,
    london: list[LondonFace],
    london_outputs: Outputs,
) -> dict[str, Any]:
    """Fit the calibration on the held-out part.

    Args:
        acne: n acne examples.
        acne_outputs: outputs of the exported network for them, name → (n, ...).
        wrinkled: m wrinkle examples.
        wrinkle_outputs: outputs for them, name → (m, ...).
        london: k mostly clear faces of the fit split; none where they are not there.
        london_outputs: outputs for them, name → (k, ...).

    Returns:
        lesions: score_min, boxes_max, overlap_max of candidates; confidence: knots score → share of boxes that are
            correct at IoU .3, linear between the knots, constant outside; min_confidence: as of `best_threshold`.
        count: count = weights · (density, mean of count_distribution) + bias, at least 0. Both weights are half of
            `_best_scale`, the bias is 0. clear_below: `clear_threshold` of the London faces, CLEAR_BELOW without them.
        severity: P(worse than mild, moderate, severe) = sigmoid(weights (3, 2) · features + bias (3)), features as
            `severity_features`; strength: the chosen inverse regularisation. The regression is ordinal, since 88 photos
            are too few for the 28 numbers of a multinomial one: cross-validated loss .51 instead of .54.
        wrinkles: for each zone, probability = sigmoid(slope · logit(wrinkles) + bias) (Platt, 1999), the logit clipped
            to ±9.
    """
    candidates = LesionNumbers(
        score_min=SCORE_MIN,
        min_confidence=0.0,
        boxes_max=BOXES_MAX,
        overlap_max=OVERLAP_MAX,
        confidence=ConfidenceTable(score=[0.0], right=[0.0]),
    )
    construct: Any = Calibration.model_construct  # with the lesions only: the rest is not fitted yet
    predicted = [peaks(acne_outputs, number, construct(lesions=candidates)) for number in range(len(acne))]
    matched = [match_boxes(boxes, example.lesions, 0.3) for (boxes, _), example in zip(predicted, acne, strict=True)]
    scores, correct = np.concatenate([box_scores for _, box_scores in predicted]), np.concatenate(matched)
    true = np.array([len(example.lesions) for example in acne], dtype=np.float64)
    estimates = _estimates(acne_outputs)
    classes = np.array([example.severity for example in acne])
    severity = _fit_ordinal(severity_features(acne_outputs), classes, [example.group for example in acne])
    logits, truth = _logits(wrinkle_outputs), _truth(wrinkled)
    table = _confidence_table(scores, correct)
    confidence = np.interp(scores, table["score"], table["right"])
    scale = _best_scale(estimates.mean(axis=1), true, [example.group for example in acne])
    clear_below = CLEAR_BELOW
    if london:
        london_counts = (scale * _estimates(london_outputs).mean(axis=1)).tolist()
        bounds = [(count, label.least, label.most) for count, label in zip(london_counts, london, strict=True)]
        clear_below = clear_threshold(bounds)
    return {
        "lesions": {
            "score_min": SCORE_MIN,
            "min_confidence": best_threshold(confidence, correct, int(true.sum())),
            "boxes_max": BOXES_MAX,
            "overlap_max": OVERLAP_MAX,
            "confidence": table,
        },
        "count": {"weights": [round(scale / 2, DIGITS)] * 2, "bias": 0.0, "clear_below": clear_below},
        "severity": severity,
        "wrinkles": {zone: _fit_platt(logits[:, k], truth[:, k]) for k, zone in enumerate(WRINKLE_ZONES)},
    }


def measure(
    numbers: dict[str, Any],
    acne: list[Example],
    acne_outputs: Outputs,
    wrinkled: list[Example],
    wrinkle_outputs: Outputs,
) -> dict[str, Any]:
    """Compute the metrics of the decoded predictions and, for comparison, of their parts.

    Args:
        numbers: from `fit`.
        acne: n acne examples.
        acne_outputs: outputs of the exported network for them, name → (n, ...).
        wrinkled: m wrinkle examples.
        wrinkle_outputs: outputs for them, name → (m, ...).

    Returns:
        Name → metric, rounded to four decimals; None where the photos do not define it.
    """
    calibration = Calibration.model_validate(numbers)
    true = np.array([len(example.lesions) for example in acne])
    classes = np.array([example.severity for example in acne])
    estimated = count_of(acne_outputs, calibration).tolist()
    count = np.array([whole_count(value, calibration.count.clear_below) for value in estimated])
    by_class = severity_chances(acne_outputs, calibration)
    served = [severity_beside(int(lesions), row) for lesions, row in zip(count, by_class.tolist(), strict=True)]
    severity = np.array([max(SEVERITIES.index(name) - 1, 0) for name, _ in served])  # clear counts as mild
    probability = np.array([np.nan if value is None else value for _, value in served])
    known = ~np.isnan(probability)
    predicted = [peaks(acne_outputs, number, calibration) for number in range(len(acne))]
    scores = np.concatenate([box_scores for _, box_scores in predicted])
    confidence = np.interp(scores, calibration.lesions.confidence.score, calibration.lesions.confidence.right)
    shown = confidence >= calibration.lesions.min_confidence
    correct = {
        iou: np.concatenate([match_boxes(boxes, e.lesions, iou) for (boxes, _), e in zip(predicted, acne, strict=True)])
        for iou in (0.3, 0.5)
    }

    def shown_boxes(outputs: Outputs, number: int) -> int:
        table = calibration.lesions.confidence
        shares = np.interp(peaks(outputs, number, calibration)[1], table.score, table.right)
        return int((shares >= calibration.lesions.min_confidence).sum())

    chances, truth = wrinkle_chances(wrinkle_outputs, calibration), _truth(wrinkled)
    density, distribution = _estimates(acne_outputs).T
    aucs = {zone: _rounded(roc_auc(chances[:, k], truth[:, k])) for k, zone in enumerate(WRINKLE_ZONES)}
    metrics: dict[str, Any] = {
        "photos": {"acne": len(acne), "wrinkles": len(wrinkled)},
        "severity_accuracy": (severity == classes).mean(),
        "severity_accuracy_95": _interval(severity == classes),
        "severity_accuracy_unbound": (by_class.argmax(axis=1) == classes).mean(),
        "severity_accuracy_by_head": (acne_outputs["severity"].argmax(axis=1) == classes).mean(),
        "severity_accuracy_by_count": (np.searchsorted(HAYASHI_LIMITS[1:], count) == classes).mean(),
        "severity_kappa": quadratic_kappa(severity, classes),
        "severity_confidence_ece": expected_calibration_error(probability[known], (severity == classes)[known]),
        "severity_recall": [_share(severity[classes == k] == k) for k in range(4)],
        "count_mae": np.abs(count - true).mean(),
        "count_mae_95": _interval(np.abs(count - true)),
        "count_bias": (count - true).mean(),
        "count_spearman": rank_correlation(count, true),
        "count_mae_of_density": np.abs(density - true).mean(),
        "count_bias_of_density": (density - true).mean(),
        "count_mae_of_distribution": np.abs(distribution - true).mean(),
        "count_bias_of_distribution": (distribution - true).mean(),
        "box_ap_30": average_precision(scores, correct[0.3], int(true.sum())),
        "box_ap_50": average_precision(scores, correct[0.5], int(true.sum())),
        "box_precision_30": _share(correct[0.3][shown]),
        "box_recall_30": correct[0.3][shown].sum() / true.sum() if true.any() else np.nan,
        "box_confidence_ece": expected_calibration_error(confidence[shown], correct[0.3][shown]),
        "boxes_shown_over_lesions": shown.sum() / true.sum() if true.any() else np.nan,
        "boxes_on_wrinkle_faces": np.mean([shown_boxes(wrinkle_outputs, k) for k in range(len(wrinkled))]),
        "wrinkle_auc": aucs,
        "wrinkle_auc_mean": np.mean([np.nan if auc is None else auc for auc in aucs.values()]),
        "wrinkle_chance_ece": expected_calibration_error(chances.ravel(), truth.ravel()),
        "wrinkle_accuracy": ((chances > 0.5) == truth).mean(),
        "wrinkle_cell_ap": _cell_precision(wrinkled, wrinkle_outputs["wrinkle_maps"]),
    }
    return {name: _rounded(value) for name, value in metrics.items()}


def _estimates(outputs: Outputs) -> NDArray[np.float64]:
    """Estimate the count twice, (batch, 2): the sum of the density, and the mean of the count's distribution."""
    distribution = outputs["count_distribution"].astype(np.float64)
    mean = distribution @ np.arange(distribution.shape[1])
    return np.stack([outputs["density"].astype(np.float64), mean], axis=1)


def _best_scale(estimates: NDArray[np.float64], true: NDArray[np.float64], names: list[str]) -> float:
    """Find by what to multiply the estimates, a hundredth, so that the mean absolute error of the photos is smallest.

    A factor, not a sum: networks count too few where lesions are many, and clear faces must stay clear. Crops of one
    photo, which have one name, count once.
    """
    weight = 1 / np.array([names.count(name) for name in names])
    errors = [(weight * np.abs(scale * estimates - true)).sum() for scale in SCALES]
    return float(SCALES[int(np.argmin(errors))])


def _fit_ordinal(features: NDArray[np.float64], classes: NDArray[np.int64], names: list[str]) -> dict[str, Any]:
    """Fit a logistic regression for each limit between classes, with the regularisation of the best likelihood.

    Where too few photos lie on one side of a limit to be held out in turn, the density decides by Hayashi's limit.
    """
    scaled = features * (1.0, LOGIT_SCALE)
    parts = min(FOLDS, len(set(names)))
    folds = list(GroupKFold(parts).split(scaled, groups=names)) if parts > 1 else []
    limits = range(features.shape[1])
    fitted = [k for k in limits if folds and all(len(set(classes[train] > k)) == 2 for train, _ in folds)]

    def loss(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=5000)
        total = 0.0
        for k in fitted:
            worse = (classes > k).astype(int)
            chances = cross_val_predict(model, scaled[:, k], worse > 0, groups=names, cv=folds, method="predict_proba")
            total -= float(np.log(np.maximum(chances[np.arange(len(classes)), worse], 1e-6)).sum())
        return total

    best = min(STRENGTHS, key=loss)
    weights, biases = [], []
    for k in limits:
        if k in fitted:
            fit = LogisticRegression(C=best, max_iter=5000).fit(scaled[:, k], classes > k)
            weights.append(fit.coef_[0] * (1.0, LOGIT_SCALE))
            biases.append(fit.intercept_[0])
        else:
            weights.append(np.array([LIMIT_SLOPE, 0.0]))
            biases.append(-LIMIT_SLOPE * np.log1p(HAYASHI_LIMITS[k + 1] + 0.5))
    return {"weights": _short(weights), "bias": _short(biases), "strength": best}


def _confidence_table(scores: NDArray[np.float64], correct: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Fit an isotonic regression of score → share of correct boxes, and reduce it to KNOTS bins of equal width."""
    if not len(scores):  # a network that was hardly trained finds none
        return {"score": [SCORE_MIN], "right": [0.0]}
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, correct.astype(np.float64))
    edges = np.linspace(scores.min(), scores.max(), KNOTS + 1)
    parts = [(scores >= low) & (scores <= high) for low, high in pairwise(edges)]
    parts = [part for part in parts if part.sum() >= KNOT_BOXES] or [np.ones(len(scores), dtype=np.bool_)]
    places = np.array([scores[part].mean() for part in parts])
    values = np.maximum.accumulate([isotonic.predict(scores[part]).mean() for part in parts])
    if len(parts) > 1:  # the outermost boxes are told apart too, else they are ranked by chance
        ends = np.array([scores.min(), 1.0])
        slopes = np.array([values[1] - values[0], values[-1] - values[-2]]) / (places[[1, -1]] - places[[0, -2]])
        outer = values[[0, -1]] + slopes * (ends - places[[0, -1]])
        places = np.concatenate([ends[:1], places, ends[1:]])
        values = np.concatenate([outer[:1], values, outer[1:]])
    values = np.clip(values, 0.0, 1.0 - STEP * len(values)) + STEP * np.arange(len(values))
    return {"score": _short(places), "right": _short(np.maximum.accumulate(values))}


def _fit_platt(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Fit slope and bias; where all or no photos have wrinkles the network's own probability stays."""
    if len(set(truth.tolist())) < 2:
        return {"slope": 1.0, "bias": 0.0}
    model = LogisticRegression(C=1.0, max_iter=1000).fit(logits[:, None], truth)
    return {"slope": round(float(model.coef_[0, 0]), DIGITS), "bias": round(float(model.intercept_[0]), DIGITS)}


def _truth(examples: list[Example]) -> NDArray[np.bool_]:
    """Return whether each zone has a labelled wrinkle, bool (n, 4)."""
    return np.array([[len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES] for example in examples])


def _logits(outputs: Outputs) -> NDArray[np.float64]:
    """Return the logits of the zones' raw probabilities, (batch, 4), clipped to ±9."""
    probability = np.clip(outputs["wrinkles"].astype(np.float64), 1e-7, 1 - 1e-7)
    return np.clip(np.log(probability / (1 - probability)), -9, 9)


def _cell_precision(examples: list[Example], maps: NDArray[np.float32]) -> dict[str, float | None]:
    """Compute the average precision of the wrinkle maps' cells for each zone; maps are (n, cells, cells, 4)."""
    cell = CROP_SIZE / maps.shape[1]
    precision: dict[str, float | None] = {}
    for k, zone in enumerate(WRINKLE_ZONES):
        true = np.zeros(maps.shape[:3], dtype=bool)
        for number, example in enumerate(examples):
            for x, y, width, height in np.maximum(np.rint(example.wrinkles[zone] / cell), 0).astype(int):
                true[number, y : y + max(height, 1), x : x + max(width, 1)] = True
        precision[zone] = _rounded(average_precision_score(true.ravel(), maps[..., k].ravel())) if true.any() else None
    return precision


def _interval(values: NDArray[Any], resamples: int = 1000) -> list[float]:
    """Compute the 95 % bootstrap interval of a mean, with a fixed seed."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    return [float(edge) for edge in np.quantile(means, (0.025, 0.975))]


def _short(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return None if np.isnan(value) else round(float(value), 4)
