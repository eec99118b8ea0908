"""Figures of a path's answers beside the truth, with bootstrap intervals: pure functions of tables.

A figure is a function of rows, the photos drawn; the same draws serve both paths, so that their difference is paired.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES
from training.matching import matches

RESAMPLES = 1000
BINS = 10  # of equal width, of the expected calibration error and the reliability diagrams
LEVELS = 1000  # a map's chances are told apart in thousandths; average precision then differs by less than .001
GRADES = SEVERITIES[1:]  # ACNE04 knows no clear face; "clear" counts as mild, the mildest class labelled
OVERLAPS = {0.3: "30", 0.5: "50"}  # least intersection over union of a right box → its name in the figures
GROUP_MIN = 10  # photos; of fewer no figure is told
SEED = 0

Rows = NDArray[np.intp]
Figure = Callable[[Rows], float]
Sample = NDArray[np.float64]  # (1 + resamples,): the value, then what the resamples gave


@dataclass(frozen=True, slots=True)
class Acne:
    """What one path said of n acne photos, with m candidate boxes in all, beside the truth.

    Attributes:
        lesions: int (n,), drawn by the dermatologists.
        grade: int (n,), 0..3, as they judged it.
        tone: (n,), group of the photo's skin tone, "" where none was measured.
        count: int (n,), said.
        said: int (n,), 0..3, said; clear counts as mild.
        sure: float (n,), chance that `said` is right; NaN where none was told.
        photo: int (m,), row of each candidate's photo.
        score: float (m,), by which candidates are ranked.
        confidence: float (m,), the chance that is served.
        shown: bool (m,), whether the candidate is served.
        right: least overlap → bool (m,).
    """

    lesions: NDArray[np.int64]
    grade: NDArray[np.int64]
    tone: NDArray[np.str_]
    count: NDArray[np.int64]
    said: NDArray[np.int64]
    sure: NDArray[np.float64]
    photo: NDArray[np.intp]
    score: NDArray[np.float64]
    confidence: NDArray[np.float64]
    shown: NDArray[np.bool_]
    right: dict[float, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Wrinkles:
    """What one path said of n wrinkle photos, beside the truth.

    Attributes:
        truth: bool (n, 4), a column per WRINKLE_ZONES.
        tone: (n,), as in `Acne`.
        chances: float (n, 4).
        sure: float (n,), of the zones together; NaN where none was told.
        maps: int (n, 4, LEVELS + 1, 2), the map's cells by level: all, and those on a drawn wrinkle; None of a path
            without maps.
    """

    truth: NDArray[np.bool_]
    tone: NDArray[np.str_]
    chances: NDArray[np.float64]
    sure: NDArray[np.float64]
    maps: NDArray[np.int64] | None


def acne_figures(table: Acne, usual_count: float) -> dict[str, Figure]:
    """Figures of count, severity and boxes, by name.

    Args:
        table: the answers.
        usual_count: lesions of the median train photo; the error of always saying it stands beside the count's.
    """
    error = table.count - table.lesions
    hit = table.said == table.grade
    usual_grade = int(np.bincount(table.grade).argmax())
    known = np.flatnonzero(~np.isnan(table.sure))
    shown, photos = table.shown, len(table.lesions)
    figures: dict[str, Figure] = {
        "count_mae": lambda rows: float(np.abs(error[rows]).mean()),
        "count_mae_of_train_median": lambda rows: float(np.abs(usual_count - table.lesions[rows]).mean()),
        "count_bias": lambda rows: float(error[rows].mean()),
        "count_spearman": lambda rows: rank_correlation(table.count[rows], table.lesions[rows]),
        "severity_accuracy": lambda rows: float(hit[rows].mean()),
        "severity_accuracy_of_majority": lambda rows: float((table.grade[rows] == usual_grade).mean()),
        "severity_kappa": lambda rows: quadratic_kappa(table.said[rows], table.grade[rows]),
    }
    for least, name in OVERLAPS.items():
        right = table.right[least]
        figures[f"box_ap_{name}"] = ranked_boxes(table.photo, table.score, right, table.lesions)
        figures[f"box_ap_{name}_shown"] = ranked_boxes(
            table.photo[shown], table.confidence[shown], right[shown], table.lesions
        )
        hits, said = (np.bincount(table.photo[part], minlength=photos) for part in (shown & right, shown))
        figures[f"box_precision_{name}"] = _share(hits, said)
        figures[f"box_recall_{name}"] = _share(hits, table.lesions)
    figures["box_confidence_ece"] = calibration_error(
        table.photo[shown], table.confidence[shown], table.right[0.3][shown], photos
    )
    figures["severity_confidence_ece"] = calibration_error(known, table.sure[known], hit[known], photos)
    return figures


def wrinkle_figures(table: Wrinkles) -> dict[str, Figure]:
    """Figures of the zones' chances and, where there are maps, of the maps; a name with a slash is a zone's own."""

    def area_of(column: int) -> Figure:
        return lambda rows: roc_area(table.chances[rows, column], table.truth[rows, column])

    areas = {zone: area_of(column) for column, zone in enumerate(WRINKLE_ZONES)}
    right = (table.chances > 0.5) == table.truth
    known = ~np.isnan(table.sure)
    boast = np.where(known, table.sure - right.mean(axis=1), 0.0)
    photo = np.repeat(np.arange(len(table.truth)), len(WRINKLE_ZONES))
    figures: dict[str, Figure] = {f"auc/{zone}": area for zone, area in areas.items()}
    figures |= {
        "auc_mean": lambda rows: float(np.mean([area(rows) for area in areas.values()])),
        "accuracy": lambda rows: float(right[rows].mean()),
        "accuracy_of_majority": lambda rows: float(table.truth[rows].mean()),
        "zone_chance_ece": calibration_error(photo, table.chances.ravel(), table.truth.ravel(), len(table.truth)),
        "confidence_minus_accuracy": lambda rows: float(boast[rows].sum() / max(known[rows].sum(), 1)),
    }
    if table.maps is not None:
        cells = {zone: _cells(table.maps[:, column]) for column, zone in enumerate(WRINKLE_ZONES)}
        figures |= {f"pixel_ap/{zone}": cell for zone, cell in cells.items()}
        figures["pixel_ap_mean"] = lambda rows: float(np.mean([cell(rows) for cell in cells.values()]))
    return figures


def draws(count: int, resamples: int = RESAMPLES) -> NDArray[np.intp]:
    """Rows of a figure and of its bootstrap: int (1 + resamples, count); the first is every photo once."""
    drawn = np.random.default_rng(SEED).integers(0, max(count, 1), (resamples, count))
    return np.concatenate([np.arange(count)[None], drawn])


def sample(figures: Mapping[str, Figure], rows: Rows, resamples: int = RESAMPLES) -> dict[str, Sample]:
    """The figures of some photos: the values, and those of resamples of these photos, alike for every path."""
    drawn = rows[draws(len(rows), resamples)]
    return {name: np.array([figure(one) for one in drawn]) for name, figure in figures.items()}


def told(sample: Sample) -> dict[str, float | None]:
    """Value and 95 % interval; None where it is undefined, as the area under a curve of one class is."""
    defined = sample[1:][~np.isnan(sample[1:])]
    if math.isnan(sample[0]) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, (0.025, 0.975))
    return {"value": rounded(sample[0]), "low": rounded(low), "high": rounded(high)}


def differences(some: Mapping[str, Sample], others: Mapping[str, Sample]) -> dict[str, Any]:
    """Paired differences of the figures that both have, with intervals."""
    return {name: told(some[name] - others[name]) for name in some if name in others}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Names with slashes as dictionaries in dictionaries."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = value
    return tree


def groups(names: ArrayLike, order: Sequence[str]) -> dict[str, Rows]:
    """Name → its rows, in the given order; names that nobody has are left out."""
    found = np.asarray(names)
    return {name: np.flatnonzero(found == name) for name in order if (found == name).any()}


def rounded(value: float) -> float:
    """To the four digits that are told; no negative zero."""
    return round(float(value), 4) + 0.0


def right_boxes(found: ArrayLike, true: ArrayLike) -> dict[float, NDArray[np.bool_]]:
    """Least overlap → whether each found box, best first, is right."""
    return {least: matches(found, true, least) for least in OVERLAPS}


def rank_correlation(some: ArrayLike, others: ArrayLike) -> float:
    """Spearman's; NaN where one side is constant."""
    a, b = (ranks - ranks.mean() for ranks in (rankdata(some), rankdata(others)))
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / spread if spread else math.nan


def quadratic_kappa(said: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Cohen's kappa with quadratic weights over GRADES; NaN where chance alone would agree."""
    size = len(GRADES)
    seen = np.bincount(size * true + said, minlength=size**2).reshape(size, size)
    weights = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
    chance = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / max(seen.sum(), 1)
    expected = float((weights * chance).sum())
    return 1.0 - float((weights * seen).sum()) / expected if expected else math.nan


def roc_area(chances: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, by ranks (Mann-Whitney); NaN where there is one class only."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return math.nan
    return float(rankdata(chances)[truth].sum() - positive * (positive + 1) / 2) / (positive * negative)


def ranked_boxes(
    photo: NDArray[np.intp], score: NDArray[np.float64], right: NDArray[np.bool_], lesions: NDArray[np.int64]
) -> Figure:
    """Average precision of boxes as `matching.average_precision` has it; NaN where nothing was to be found.

    A photo drawn twice counts twice: the boxes are sorted once and weighed by how often their photo was drawn.
    """
    order = np.argsort(-score, kind="stable")
    photo, right = photo[order], right[order]

    def figure(rows: Rows) -> float:
        times = np.bincount(rows, minlength=len(lesions))
        total = int((times * lesions).sum())
        if not total:
            return math.nan
        weight = times[photo]
        hits, found = np.cumsum(weight * right), np.cumsum(weight)
        precision = hits / np.maximum(found, 1)
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(hits / total, prepend=0.0) * best_from_here))

    return figure


def calibration_error(
    photo: NDArray[np.intp], chance: NDArray[np.float64], right: NDArray[np.bool_], photos: int
) -> Figure:
    """Expected calibration error: |mean chance - share right| over BINS bins, weighted (Guo et al., ICML 2017)."""
    places = np.minimum((chance * BINS).astype(np.intp), BINS - 1)
    excess = np.zeros((photos, BINS))
    np.add.at(excess, (photo, places), chance - right)
    tally = np.bincount(photo, minlength=photos)

    def figure(rows: Rows) -> float:
        count = int(tally[rows].sum())
        return float(np.abs(excess[rows].sum(axis=0)).sum()) / count if count else math.nan

    return figure


def reliability(chance: NDArray[np.float64], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Bins of chances with their mean, the share that was right, and how many there are; empty bins left out."""
    places = np.minimum((chance * BINS).astype(np.intp), BINS - 1)
    parts = [places == place for place in np.unique(places)]
    return [
        {"chance": float(chance[part].mean()), "right": float(right[part].mean()), "count": int(part.sum())}
        for part in parts
    ]


def map_levels(chances: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One map's cells by level of chance, int (LEVELS + 1, 2): all of them, and those that are true."""
    places = np.clip(np.rint(chances.astype(np.float64) * LEVELS), 0, LEVELS).astype(np.intp).ravel()
    true = places[truth.ravel()]
    return np.stack([np.bincount(part, minlength=LEVELS + 1) for part in (places, true)], axis=1).astype(np.int64)


def binned_precision(levels: NDArray[Any]) -> float:
    """Average precision of cells by level (as scikit-learn's, no interpolation); NaN where nothing is true."""
    found, hits = np.cumsum(levels[::-1], axis=0).T
    if not hits[-1]:
        return math.nan
    return float(np.sum(np.diff(hits / hits[-1], prepend=0.0) * hits / np.maximum(found, 1)))


def _cells(levels: NDArray[np.int64]) -> Figure:
    """Average precision of all cells of the drawn photos' maps, (n, LEVELS + 1, 2)."""
    flat = levels.reshape(len(levels), -1).astype(np.float64)  # for the sake of a quick product

    def figure(rows: Rows) -> float:
        times = np.bincount(rows, minlength=len(flat)).astype(np.float64)
        return binned_precision((times @ flat).reshape(levels.shape[1:]))

    return figure


def _share(some: NDArray[np.int64], others: NDArray[np.int64]) -> Figure:
    """Sum over sum; NaN where the latter is 0."""

    def figure(rows: Rows) -> float:
        whole = int(others[rows].sum())
        return float(some[rows].sum()) / whole if whole else math.nan

    return figure
