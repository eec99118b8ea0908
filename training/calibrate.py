"""What turns the network's outputs into boxes, a count, a class and chances: numbers fitted on the held-out part.

`fit` finds the numbers of `bentos.skin.model.postprocess`, `measure` says how good the decoded answers are.
The numbers are plain JSON, so that serving needs no scikit-learn; the docs of the keys are in `fit`.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from bentos.skin.findings import HAYASHI_LIMITS, SEVERITIES, WRINKLE_ZONES, severity_beside
from bentos.skin.model.bundle import Calibration, ConfidenceTable, LesionNumbers
from bentos.skin.model.postprocess import Outputs, count_of, peaks, severity_chances, severity_features, wrinkle_chances
from bentos.skin.photo.crop import CROP_SIZE
from training.crops import Example
from training.matching import average_precision, matches

SCORE_MIN = 0.04  # peaks below are noise: fewer than one in thirty is right
BOXES_MAX = 100  # a face; ACNE04's fullest has 65
OVERLAP_MAX = 0.45  # intersection over union from which the weaker of two boxes goes
SHOWN_LOSS = 0.004  # of AP at IoU .3 that leaving out the weakest boxes may cost
KNOTS = 12  # of the confidence table, at most; more would follow the held-out part's noise
KNOT_BOXES = 30  # below a knot of fewer boxes is none
SURE_BIAS = 2.0  # standard errors from which the count's bias is taken off
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # inverse regularisation of the severity's joining, chosen by log-likelihood
LOGIT_SCALE = 0.3  # brings the network's logits to the spread of the log of counts, so that both are regularised alike
FOLDS = 5  # of the held-out part, by group, where something is chosen or told of it
DIGITS = 6


def fit(
    acne: list[Example], acne_outputs: Outputs, wrinkled: list[Example], wrinkle_outputs: Outputs
) -> dict[str, Any]:
    """Fit on the held-out part.

    Returns:
        lesions: score_min, boxes_max, overlap_max of candidates; show_min, the highest score below which leaving boxes
            out costs no more than SHOWN_LOSS of AP at IoU .3; confidence: score → share of boxes right at IoU .3,
            knots, linear between, flat beyond.
        count: count = weights · (density, mean of count_distribution) + bias, at least 0; their plain mean, whose
            cross-validated error was less than that of fitted lines.
        severity: chance of worse than mild, moderate, severe = sigmoid(weights (3, 2) · features + bias (3)), features
            as `severity_features`; strength: inverse regularisation that was chosen. Ordinal, since 88 photos
            cannot fit the 28 numbers of a multinomial regression: its cross-validated loss was higher, .54 for .51.
        wrinkles: by zone, chance = sigmoid(slope · logit(wrinkles) + bias), the logit clipped to ±9.
        wrinkles_confidence: cross-validated share of zones whose chance lies on the right side of one half.
    """
    candidates = LesionNumbers(
        score_min=SCORE_MIN,
        show_min=SCORE_MIN,
        boxes_max=BOXES_MAX,
        overlap_max=OVERLAP_MAX,
        confidence=ConfidenceTable(score=[0.0], right=[0.0]),
    )
    construct: Any = Calibration.model_construct  # the lesions' part alone: the rest is not fitted yet
    found = [peaks(acne_outputs, number, construct(lesions=candidates)) for number in range(len(acne))]
    right = [matches(boxes, example.lesions, 0.3) for (boxes, _), example in zip(found, acne, strict=True)]
    scores, hits = np.concatenate([own for _, own in found]), np.concatenate(right)
    true = np.array([len(example.lesions) for example in acne], dtype=np.float64)
    estimates = _estimates(acne_outputs)
    classes = np.array([example.severity for example in acne])
    severity = _ordinal(severity_features(acne_outputs), classes, [example.group for example in acne])
    logits, truth = _logits(wrinkle_outputs), _truth(wrinkled)
    return {
        "lesions": {
            "score_min": SCORE_MIN,
            "show_min": _shown_from(scores, hits, int(true.sum())),
            "boxes_max": BOXES_MAX,
            "overlap_max": OVERLAP_MAX,
            "confidence": _table(scores, hits),
        },
        "count": {"weights": [0.5, 0.5], "bias": _bias(estimates.mean(axis=1) - true)},
        "severity": severity,
        "wrinkles": {zone: _platt(logits[:, k], truth[:, k]) for k, zone in enumerate(WRINKLE_ZONES)},
        "wrinkles_confidence": _zones_right(logits, truth, [example.group for example in wrinkled]),
    }


def measure(
    numbers: dict[str, Any], acne: list[Example], acne_outputs: Outputs, wrinkled: list[Example], lined: Outputs
) -> dict[str, Any]:
    """Figures of the served answers on labelled crops; what they are made of stands beside them."""
    calibration = Calibration.model_validate(numbers)
    true = np.array([len(example.lesions) for example in acne])
    classes = np.array([example.severity for example in acne])
    count = np.rint(count_of(acne_outputs, calibration)).astype(int)
    by_class = severity_chances(acne_outputs, calibration)
    said = [severity_beside(int(own), row) for own, row in zip(count, by_class.tolist(), strict=True)]
    grade = np.array([max(SEVERITIES.index(name) - 1, 0) for name, _ in said])  # clear counts as mild
    sure = np.array([np.nan if chance is None else chance for _, chance in said])
    known = ~np.isnan(sure)
    found = [peaks(acne_outputs, number, calibration) for number in range(len(acne))]
    scores = np.concatenate([own for _, own in found])
    confidence = np.interp(scores, calibration.lesions.confidence.score, calibration.lesions.confidence.right)
    shown = scores >= calibration.lesions.show_min
    right = {
        least: np.concatenate([matches(boxes, e.lesions, least) for (boxes, _), e in zip(found, acne, strict=True)])
        for least in (0.3, 0.5)
    }
    chances, truth = wrinkle_chances(lined, calibration), _truth(wrinkled)
    density, distribution = _estimates(acne_outputs).T
    areas = {zone: round(float(roc_auc_score(truth[:, k], chances[:, k])), 4) for k, zone in enumerate(WRINKLE_ZONES)}
    figures: dict[str, Any] = {
        "photos": {"acne": len(acne), "wrinkles": len(wrinkled)},
        "severity_accuracy": (grade == classes).mean(),
        "severity_accuracy_95": _interval(grade == classes),
        "severity_accuracy_unbound": (by_class.argmax(axis=1) == classes).mean(),
        "severity_accuracy_by_head": (acne_outputs["severity"].argmax(axis=1) == classes).mean(),
        "severity_accuracy_by_count": (np.searchsorted(HAYASHI_LIMITS[1:], count) == classes).mean(),
        "severity_kappa": cohen_kappa_score(grade, classes, weights="quadratic"),
        "severity_confidence_ece": error_of(sure[known], (grade == classes)[known]),
        "severity_recall": [(grade[classes == k] == k).mean() for k in range(4)],
        "count_mae": np.abs(count - true).mean(),
        "count_mae_95": _interval(np.abs(count - true)),
        "count_bias": (count - true).mean(),
        "count_spearman": spearmanr(count, true)[0],
        "count_mae_of_density": np.abs(density - true).mean(),
        "count_bias_of_density": (density - true).mean(),
        "count_mae_of_distribution": np.abs(distribution - true).mean(),
        "count_bias_of_distribution": (distribution - true).mean(),
        "box_ap_30": average_precision(scores[shown], right[0.3][shown], int(true.sum())),
        "box_ap_50": average_precision(scores[shown], right[0.5][shown], int(true.sum())),
        "box_ap_30_of_candidates": average_precision(scores, right[0.3], int(true.sum())),
        "box_confidence_ece": error_of(confidence[shown], right[0.3][shown]),
        "boxes_shown_over_lesions": shown.sum() / true.sum(),
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
    parts = [places == place for place in np.unique(places)]
    return float(sum(part.sum() * abs(chance[part].mean() - right[part].mean()) for part in parts) / len(chance))


def _estimates(outputs: Outputs) -> NDArray[np.float64]:
    """(batch, 2): the density's sum, and the mean of the count's distribution."""
    chances = outputs["count_distribution"].astype(np.float64)
    return np.stack([outputs["density"].astype(np.float64), chances @ np.arange(chances.shape[1])], axis=1)


def _bias(errors: NDArray[np.float64]) -> float:
    """What to add to the counts: nothing where the held-out part is too small to tell their bias from chance.

    The losses saw ten times as many faces: left alone, their balance is the better estimate.
    """
    mean, error = float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(len(errors) / 2))  # two crops a photo
    return round(-mean, DIGITS) if abs(mean) > SURE_BIAS * error else 0.0


def _ordinal(features: NDArray[np.float64], classes: NDArray[np.int64], names: list[str]) -> dict[str, Any]:
    """A logistic regression for each limit, all of the regularisation with the best cross-validated likelihood."""
    scaled = features * (1.0, LOGIT_SCALE)
    folds = GroupKFold(min(FOLDS, len(set(names))))
    limits = range(features.shape[1])

    def loss(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=5000)
        total = 0.0
        for k in limits:
            worse = cross_val_predict(model, scaled[:, k], classes > k, groups=names, cv=folds, method="predict_proba")
            total -= float(np.log(np.maximum(worse[np.arange(len(classes)), (classes > k).astype(int)], 1e-6)).sum())
        return total

    best = min(STRENGTHS, key=loss)
    fits = [LogisticRegression(C=best, max_iter=5000).fit(scaled[:, k], classes > k) for k in limits]
    return {
        "weights": _short([fit.coef_[0] * (1.0, LOGIT_SCALE) for fit in fits]),
        "bias": _short([fit.intercept_[0] for fit in fits]),
        "strength": best,
    }


def _table(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Isotonic regression, thinned to KNOTS bins of equal width."""
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, right.astype(np.float64))
    edges = np.linspace(scores.min(), scores.max(), KNOTS + 1)
    parts = [(scores >= low) & (scores <= high) for low, high in pairwise(edges)]
    parts = [part for part in parts if part.sum() >= KNOT_BOXES] or [np.ones(len(scores), dtype=np.bool_)]
    values = np.array([isotonic.predict(scores[part]).mean() for part in parts])
    return {"score": _short([scores[part].mean() for part in parts]), "right": _short(np.maximum.accumulate(values))}


def _shown_from(scores: NDArray[np.float64], right: NDArray[np.bool_], total: int) -> float:
    """The highest score from which showing boxes costs no more than SHOWN_LOSS of AP."""
    least = average_precision(scores, right, total) - SHOWN_LOSS
    for score in np.arange(0.5, SCORE_MIN, -0.01):
        shown = scores >= score
        if average_precision(scores[shown], right[shown], total) >= least:
            return round(float(score), 2)
    return SCORE_MIN


def _platt(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    model = LogisticRegression(C=1.0, max_iter=1000).fit(logits[:, None], truth)
    return {"slope": round(float(model.coef_[0, 0]), DIGITS), "bias": round(float(model.intercept_[0]), DIGITS)}


def _zones_right(logits: NDArray[np.float64], truth: NDArray[np.bool_], names: list[str]) -> float:
    """Share of zones that Platt's calibration judges rightly, each by the one fitted on the other folds."""
    model = LogisticRegression(C=1.0, max_iter=1000)
    folds = GroupKFold(min(FOLDS, len(set(names))))
    judged = [
        cross_val_predict(model, logits[:, [k]], truth[:, k], groups=names, cv=folds) for k in range(truth.shape[1])
    ]
    return round(float((np.stack(judged, axis=1) == truth).mean()), DIGITS)


def _truth(examples: list[Example]) -> NDArray[np.bool_]:
    """(n, 4), whether a zone has a wrinkle."""
    return np.array([[len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES] for example in examples])


def _logits(outputs: Outputs) -> NDArray[np.float64]:
    """(batch, 4), of the zones' raw chances."""
    chance = np.clip(outputs["wrinkles"].astype(np.float64), 1e-7, 1 - 1e-7)
    return np.clip(np.log(chance / (1 - chance)), -9, 9)


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


def _short(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return [round(float(one), 4) for one in value] if isinstance(value, list) else round(float(value), 4)
