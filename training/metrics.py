"""Computes the metrics of a predictor from tables of its predictions and the labels, with bootstrap intervals.

A metric is a function of the rows of the photos it is computed on. Both predictors use the same bootstrap resamples, so
the differences between them are paired.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bentos.skin.findings import HAYASHI_LIMITS, SEVERITIES, WRINKLE_ZONES
from training.labels import LondonFace
from training.matching import match_boxes

RESAMPLES = 1000  # of the bootstrap; the usual number for intervals (Efron and Tibshirani, 1993)
BINS = 10  # of equal width, for the expected calibration error and the reliability diagrams
LEVELS = 1000  # probabilities of a map are rounded to thousandths; average precision changes by less than .001
LABELLED_SEVERITIES = SEVERITIES[1:]  # ACNE04 has no clear face; a predicted "clear" counts as mild
MIN_IOUS = {0.3: "30", 0.5: "50"}  # least intersection over union of a correct box → suffix of the metric's name
GROUP_MIN = 10  # photos; smaller groups have no metrics
SEED = 0  # of the bootstrap and the choice of photos

Rows = NDArray[np.intp]
Metric = Callable[[Rows], float]
Sample = NDArray[np.float64]  # (1 + resamples,): the value, then the values of the resamples


@dataclass(frozen=True, slots=True)
class AcneTable:
    """The labels of n acne photos and one predictor's predictions for them, m candidate boxes in all.

    Attributes:
        true_count: int (n,), boxes labelled by the dermatologists.
        true_severity: int (n,), 0..3, as the dermatologists judged it.
        count: int (n,), predicted.
        severity: int (n,), 0..3, predicted; clear counts as mild.
        severity_confidence: float (n,), probability that `severity` is correct; NaN where none was predicted.
        box_photo: int (m,), row of each candidate's photo.
        box_confidence: float (m,), as served with min_confidence 0.
        box_shown: bool (m,), whether the candidate is served by default.
        box_correct: least intersection over union → bool (m,).
    """

    true_count: NDArray[np.int64]
    true_severity: NDArray[np.int64]
    count: NDArray[np.int64]
    severity: NDArray[np.int64]
    severity_confidence: NDArray[np.float64]
    box_photo: NDArray[np.intp]
    box_confidence: NDArray[np.float64]
    box_shown: NDArray[np.bool_]
    box_correct: dict[float, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class WrinkleTable:
    """The labels of n wrinkle photos and one predictor's predictions for them.

    Attributes:
        truth: bool (n, 4), whether a zone has a labelled wrinkle; the columns are WRINKLE_ZONES.
        probabilities: float (n, 4), predicted; NaN where the zone is not seen.
        shown_boxes: int (n,), lesions that are served by default; most of these faces have none.
        map_cells: int (n, 4, LEVELS + 1, 2), the wrinkle map's cells by level of probability: all cells, and the cells
            in a labelled box; None where the predictor has no map.
    """

    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    shown_boxes: NDArray[np.int64]
    map_cells: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class LondonTable:
    """The labels of n London faces and one predictor's predictions for them.

    Attributes:
        faces: n labels.
        count: int (n,), predicted.
        shown_boxes: int (n,), lesions that are served by default.
        unseen_zones: int (n,), of the ten.
        severity: int (n,), 0 (clear) to 4, predicted.
        wrinkles: float (n, 4), predicted probabilities; NaN where the zone is not seen.
    """

    faces: list[LondonFace]
    count: NDArray[np.int64]
    shown_boxes: NDArray[np.int64]
    unseen_zones: NDArray[np.int64]
    severity: NDArray[np.int64]
    wrinkles: NDArray[np.float64]


def london_metrics(
    table: LondonTable, split: str | None = None, where: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Compute the figures of the London faces.

    Args:
        table: of one predictor.
        split: "fit" or "check"; None: all.
        where: bool (n,), the faces to use; None: all.

    Returns:
        faces; where there are any: count_within, the share whose count lies within the labelled least and most; clear
        and called_clear, faces that surely are (least 0, most 1 or less), and those of them with a count of 0; spotted
        and called_spotted, faces with a least of 1 or more, and those with a count above 0; severity_within, the share
        whose severity is that of a count within the bounds; shown_boxes, their mean; zone_ece and zone_auc, of the
        wrinkle probabilities of all zones together against what was labelled by eye.
    """
    chosen = np.array([split is None or face.split == split for face in table.faces])
    chosen = chosen if where is None else chosen & where
    least, most = (np.array([getattr(face, name) for face in table.faces])[chosen] for name in ("least", "most"))
    count = table.count[chosen]
    if not len(count):
        return {"faces": 0}
    clear, spotted = (least == 0) & (most <= 1), least >= 1
    lowest, highest = (np.searchsorted(HAYASHI_LIMITS, bound) for bound in (least, most))
    grades = table.severity[chosen]
    zones = [[face.wrinkles.get(zone, -1) for zone in WRINKLE_ZONES] for face in table.faces]
    labelled, chances = np.array(zones)[chosen].ravel(), table.wrinkles[chosen].ravel()
    known = (labelled >= 0) & ~np.isnan(chances)
    wrinkled = labelled[known] > 0
    return {
        "faces": len(count),
        "count_within": rounded(((count >= least) & (count <= most)).mean()),
        "clear": int(clear.sum()),
        "called_clear": int((count[clear] == 0).sum()),
        "spotted": int(spotted.sum()),
        "called_spotted": int((count[spotted] > 0).sum()),
        "severity_within": rounded(((grades >= lowest) & (grades <= highest)).mean()),
        "shown_boxes": rounded(table.shown_boxes[chosen].mean()),
        "zone_ece": rounded(expected_calibration_error(chances[known], wrinkled)) if known.any() else None,
        "zone_auc": rounded(roc_auc(chances[known], wrinkled)) if 0 < wrinkled.sum() < known.sum() else None,
    }


def acne_metrics(table: AcneTable, median_count: float) -> dict[str, Metric]:
    """Define the metrics of count, severity and boxes.

    Args:
        table: labels and predictions.
        median_count: lesions of the median train photo, a constant prediction to compare the count with.

    Returns:
        Name → metric.
    """
    error = table.count - table.true_count
    correct_severity = table.severity == table.true_severity
    majority = int(np.bincount(table.true_severity).argmax())
    known = np.flatnonzero(~np.isnan(table.severity_confidence))
    shown, photos = table.box_shown, len(table.true_count)
    metrics: dict[str, Metric] = {
        "count_mae": lambda rows: float(np.abs(error[rows]).mean()),
        "count_mae_of_train_median": lambda rows: float(np.abs(median_count - table.true_count[rows]).mean()),
        "count_bias": lambda rows: float(error[rows].mean()),
        "count_spearman": lambda rows: rank_correlation(table.count[rows], table.true_count[rows]),
        "severity_accuracy": lambda rows: float(correct_severity[rows].mean()),
        "severity_accuracy_of_majority": lambda rows: float((table.true_severity[rows] == majority).mean()),
        "severity_kappa": lambda rows: quadratic_kappa(table.severity[rows], table.true_severity[rows]),
    }
    for min_iou, name in MIN_IOUS.items():
        correct = table.box_correct[min_iou]
        metrics[f"box_ap_{name}"] = box_precision(table.box_photo, table.box_confidence, correct, table.true_count)
        hits, predicted = (np.bincount(table.box_photo[part], minlength=photos) for part in (shown & correct, shown))
        metrics[f"box_precision_{name}"] = _ratio(hits, predicted)
        metrics[f"box_recall_{name}"] = _ratio(hits, table.true_count)
    metrics["box_confidence_ece"] = calibration_error(
        table.box_photo[shown], table.box_confidence[shown], table.box_correct[0.3][shown], photos
    )
    metrics["severity_confidence_ece"] = calibration_error(
        known, table.severity_confidence[known], correct_severity[known], photos
    )
    return metrics


def wrinkle_metrics(table: WrinkleTable) -> dict[str, Metric]:
    """Define the metrics of the zones and, where there is one, of the wrinkle map.

    Args:
        table: labels and predictions.

    Returns:
        Name → metric; a name with a slash, "auc/forehead", belongs to one zone.
    """

    def zone_auc(column: int) -> Metric:
        return lambda rows: _seen_auc(table.probabilities[rows, column], table.truth[rows, column])

    aucs = {zone: zone_auc(column) for column, zone in enumerate(WRINKLE_ZONES)}
    seen = ~np.isnan(table.probabilities)
    correct = seen & ((table.probabilities > 0.5) == table.truth)
    photo = np.repeat(np.arange(len(table.truth)), len(WRINKLE_ZONES))[seen.ravel()]
    metrics: dict[str, Metric] = {f"auc/{zone}": auc for zone, auc in aucs.items()}
    metrics |= {
        "auc_mean": lambda rows: float(np.mean([auc(rows) for auc in aucs.values()])),
        "accuracy": lambda rows: float(correct[rows].sum() / max(seen[rows].sum(), 1)),
        "accuracy_of_majority": lambda rows: float(table.truth[rows].mean()),
        "unseen_zones": lambda rows: float(1 - seen[rows].mean()),
        "shown_boxes": lambda rows: float(table.shown_boxes[rows].mean()),
        "zone_chance_ece": calibration_error(photo, table.probabilities[seen], table.truth[seen], len(table.truth)),
    }
    if table.map_cells is not None:
        aps = {zone: _map_precision(table.map_cells[:, column]) for column, zone in enumerate(WRINKLE_ZONES)}
        metrics |= {f"pixel_ap/{zone}": ap for zone, ap in aps.items()}
        metrics["pixel_ap_mean"] = lambda rows: float(np.mean([ap(rows) for ap in aps.values()]))
    return metrics


def bootstrap_rows(count: int, resamples: int = RESAMPLES) -> NDArray[np.intp]:
    """Draw the bootstrap resamples of `count` photos, always the same ones.

    Returns:
        int (1 + resamples, count); the first row is every photo once.
    """
    resampled = np.random.default_rng(SEED).integers(0, max(count, 1), (resamples, count))
    return np.concatenate([np.arange(count)[None], resampled])


def sample(metrics: Mapping[str, Metric], rows: Rows, resamples: int = RESAMPLES) -> dict[str, Sample]:
    """Compute metrics on the photos `rows` and on bootstrap resamples of them.

    Returns:
        Name → float (1 + resamples,), the value first; two predictors' samples of the same photos are paired.
    """
    resampled = rows[bootstrap_rows(len(rows), resamples)]
    return {name: np.array([metric(photos) for photos in resampled]) for name, metric in metrics.items()}


def interval(sample: Sample) -> dict[str, float | None]:
    """Return value, low and high of the 95 % interval; None where undefined, as the AUC of a single class is."""
    defined = sample[1:][~np.isnan(sample[1:])]
    if math.isnan(sample[0]) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, (0.025, 0.975))
    return {"value": rounded(sample[0]), "low": rounded(low), "high": rounded(high)}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Convert names with slashes to nested dictionaries: {"a/b": 1} → {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[leaf] = value
    return tree


def groups(names: ArrayLike, order: Sequence[str]) -> dict[str, Rows]:
    """Group rows by name: name → its rows, in the given order; names without a row are left out."""
    all_names = np.asarray(names)
    return {name: np.flatnonzero(all_names == name) for name in order if (all_names == name).any()}


def rounded(value: float) -> float:
    """Round to the four digits of metrics.json; negative zero becomes zero."""
    return round(float(value), 4) + 0.0


def correct_boxes(predicted: ArrayLike, labelled: ArrayLike) -> dict[float, NDArray[np.bool_]]:
    """Match boxes at each of MIN_IOUS; arguments and values as those of `matching.match_boxes`."""
    return {min_iou: match_boxes(predicted, labelled, min_iou) for min_iou in MIN_IOUS}


def rank_correlation(some: ArrayLike, others: ArrayLike) -> float:
    """Compute Spearman's rank correlation; NaN where one side is constant."""
    a, b = (ranks - ranks.mean() for ranks in (rankdata(some), rankdata(others)))
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / spread if spread else math.nan


def quadratic_kappa(predicted: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Compute Cohen's kappa with quadratic weights of severities 0..3; NaN where both sides are one same class."""
    size = len(LABELLED_SEVERITIES)
    observed = np.bincount(size * true + predicted, minlength=size**2).reshape(size, size)
    weights = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
    by_chance = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / max(observed.sum(), 1)
    expected = float((weights * by_chance).sum())
    return 1.0 - float((weights * observed).sum()) / expected if expected else math.nan


def roc_auc(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve by ranks (Mann-Whitney); NaN where there is one class only."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return math.nan
    return float(rankdata(probabilities)[truth].sum() - positive * (positive + 1) / 2) / (positive * negative)


def _seen_auc(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """`roc_auc` of the zones that are seen."""
    seen = ~np.isnan(probabilities)
    return roc_auc(probabilities[seen], truth[seen])


def box_precision(
    photo: NDArray[np.intp], score: NDArray[np.float64], correct: NDArray[np.bool_], true_count: NDArray[np.int64]
) -> Metric:
    """Define the average precision of boxes, as `matching.average_precision` computes it.

    A photo that was drawn twice counts twice: boxes are sorted once and weighted by the draws of their photo.

    Args:
        photo: (m,), row of each box's photo.
        score: (m,), by which boxes are ranked.
        correct: (m,).
        true_count: (n,), labelled boxes of each photo.

    Returns:
        The metric; NaN where the photos have no labelled box.
    """
    order = np.argsort(-score, kind="stable")
    photo, correct = photo[order], correct[order]

    def metric(rows: Rows) -> float:
        draws = np.bincount(rows, minlength=len(true_count))
        total = int((draws * true_count).sum())
        if not total:
            return math.nan
        weight = draws[photo]
        hits, predicted = np.cumsum(weight * correct), np.cumsum(weight)
        precision = hits / np.maximum(predicted, 1)
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(hits / total, prepend=0.0) * best_from_here))

    return metric


def calibration_error(
    photo: NDArray[np.intp], confidence: NDArray[np.float64], correct: NDArray[np.bool_], photos: int
) -> Metric:
    """Define the expected calibration error (Guo et al., ICML 2017).

    It is |mean confidence - share of correct predictions|, averaged over BINS bins with their sizes as weights.

    Args:
        photo: (m,), row of each prediction's photo.
        confidence: (m,), 0..1.
        correct: (m,).
        photos: number of photos.

    Returns:
        The metric; NaN where the photos have no prediction.
    """
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    excess = np.zeros((photos, BINS))
    np.add.at(excess, (photo, bins), confidence - correct)
    predictions = np.bincount(photo, minlength=photos)

    def metric(rows: Rows) -> float:
        count = int(predictions[rows].sum())
        return float(np.abs(excess[rows].sum(axis=0)).sum()) / count if count else math.nan

    return metric


def expected_calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """`calibration_error` of predictions (n,) that each stand for themselves; NaN where there is none."""
    rows = np.arange(len(correct))
    return calibration_error(rows, confidence, correct, len(correct))(rows)


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Bin predictions by confidence for a reliability diagram.

    Args:
        confidence: (m,), 0..1.
        correct: (m,).

    Returns:
        For each bin that is not empty: chance, its mean confidence; right, its share of correct predictions; count.
    """
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    parts = [bins == number for number in np.unique(bins)]
    return [
        {"chance": float(confidence[part].mean()), "right": float(correct[part].mean()), "count": int(part.sum())}
        for part in parts
    ]


def count_levels(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count one map's cells by level of probability; returns int (LEVELS + 1, 2): all cells, and the true ones."""
    levels = np.clip(np.rint(probabilities.astype(np.float64) * LEVELS), 0, LEVELS).astype(np.intp).ravel()
    true = levels[truth.ravel()]
    return np.stack([np.bincount(part, minlength=LEVELS + 1) for part in (levels, true)], axis=1).astype(np.int64)


def level_precision(levels: NDArray[Any]) -> float:
    """Compute average precision from `count_levels`, as scikit-learn does; NaN where no cell is true."""
    predicted, hits = np.cumsum(levels[::-1], axis=0).T
    if not hits[-1]:
        return math.nan
    return float(np.sum(np.diff(hits / hits[-1], prepend=0.0) * hits / np.maximum(predicted, 1)))


def _map_precision(levels: NDArray[np.int64]) -> Metric:
    """Define the average precision of the map cells of all photos; `levels` is (n, LEVELS + 1, 2)."""
    flat = levels.reshape(len(levels), -1).astype(np.float64)  # a float product is much faster than an integer one

    def metric(rows: Rows) -> float:
        draws = np.bincount(rows, minlength=len(flat)).astype(np.float64)
        return level_precision((draws @ flat).reshape(levels.shape[1:]))

    return metric


def _ratio(numerators: NDArray[np.int64], denominators: NDArray[np.int64]) -> Metric:
    """Define the ratio of two sums over the photos; NaN where the denominator is 0."""

    def metric(rows: Rows) -> float:
        denominator = int(denominators[rows].sum())
        return float(numerators[rows].sum()) / denominator if denominator else math.nan

    return metric
