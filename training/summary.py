"""One path's tables → its metrics: figures, their differences to the other path's, groups, distortions, calibration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure.tone import GROUPS
from training import figures
from training.figures import GRADES, Figure, Rows, Sample, rounded

SCALARS = ("box_confidence_ece", "severity_confidence_ece", "zone_chance_ece", "confidence_minus_accuracy")
GUESSES = ("_of_train_median", "_of_majority")  # of constant answers, the same for both paths
BY_GROUP = ("severity_accuracy", "count_mae", "count_bias", "box_ap_30", "box_ap_50", "box_recall_30")
ROBUST_ACNE = ("count_spearman", "severity_accuracy", "box_ap_30")
ROBUST_WRINKLES = ("auc_mean",)
LARGEST = 5  # errors of the count that are told
DATASET = {
    "acne": "ACNE04 (Wu et al., ICCV 2019) in a re-export: {} faces with acne, judged by dermatologists",
    "wrinkles": "public collection of {} wrinkle photos; a photo without a box of a zone is its negative",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """One path's answers.

    Attributes:
        acne: on the acne photos.
        wrinkles: on the wrinkle photos.
        distorted: distortion → answers on the distorted photos.
        parts: rows of the acne and of the wrinkle photos that were distorted.
    """

    acne: figures.Acne
    wrinkles: figures.Wrinkles
    distorted: dict[str, tuple[figures.Acne, figures.Wrinkles]]
    parts: tuple[Rows, Rows]


def samples(tables: Tables, usual_count: float, resamples: int) -> dict[str, Sample]:
    """Every figure by its place in the metrics ("acne/count_mae"), with its resamples, alike for every path."""
    acne, wrinkles = figures.acne_figures(tables.acne, usual_count), figures.wrinkle_figures(tables.wrinkles)
    all_acne, all_wrinkles = np.arange(len(tables.acne.lesions)), np.arange(len(tables.wrinkles.truth))
    found = _placed("acne", figures.sample(acne, all_acne, resamples))
    found |= _placed("wrinkles", figures.sample(wrinkles, all_wrinkles, resamples))
    grades = np.array(GRADES)[tables.acne.grade]
    for name, rows in figures.groups(grades, GRADES).items():
        found |= _placed(f"by_severity/{name}", _of_group(acne, BY_GROUP, rows, resamples))
    for name, rows in figures.groups(tables.acne.tone, GROUPS).items():
        found |= _placed(f"by_tone/{name}", _of_group(acne, BY_GROUP, rows, resamples))
    for name, rows in figures.groups(tables.wrinkles.tone, GROUPS).items():
        found |= _placed(f"by_tone/{name}", _of_group(wrinkles, ROBUST_WRINKLES, rows, resamples))
    if not tables.distorted:
        return found
    part = figures.sample(_some(acne, ROBUST_ACNE), tables.parts[0], resamples)
    part |= figures.sample(_some(wrinkles, ROBUST_WRINKLES), tables.parts[1], resamples)
    found |= _placed("robustness/undistorted", part)
    for name, (spots, folds) in tables.distorted.items():
        after = figures.sample(
            _some(figures.acne_figures(spots, usual_count), ROBUST_ACNE), np.arange(len(spots.lesions)), resamples
        )
        after |= figures.sample(
            _some(figures.wrinkle_figures(folds), ROBUST_WRINKLES), np.arange(len(folds.truth)), resamples
        )
        found |= _placed(f"robustness/{name}", after)
        found |= _placed(f"robustness/{name}/change", {key: after[key] - part[key] for key in after})
    return found


def metrics(
    tables: Tables, sampled: Mapping[str, Sample], faceless: Mapping[str, int], others: Mapping[str, Sample] | None
) -> dict[str, Any]:
    """What `/ml/status` shows of a path.

    Args:
        tables: its answers.
        sampled: its `samples`.
        faceless: "acne" and "wrinkles" → photos in which no face was found.
        others: the heuristics' samples, where this is the model.
    """
    acne, wrinkles = tables.acne, tables.wrinkles
    resamples = len(next(iter(sampled.values()))) - 1
    tree = figures.nested(
        {name: _scalar(value) if name.endswith(SCALARS) else figures.told(value) for name, value in sampled.items()}
    )
    tree["acne"] |= {
        "photos": len(acne.lesions),
        "photos_without_face": faceless["acne"],
        "severity_kappa_of_majority": {"value": 0.0},
        "severity_confusion": _confusion(acne),
        "largest_count_errors": _largest(acne),
    }
    tree["wrinkles"] |= {
        "photos": len(wrinkles.truth),
        "photos_without_face": faceless["wrinkles"],
        "negatives": _by_zone((~wrinkles.truth).sum(axis=0)),
    }
    for name, group in tree.get("by_severity", {}).items():
        group["photos"] = int((acne.grade == GRADES.index(name)).sum())
    for name, group in tree.get("by_tone", {}).items():
        group["photos"] = {
            "acne": int((acne.tone == name).sum()),
            "wrinkles": int((wrinkles.tone == name).sum()),
        }
    if tables.distorted:
        tree["robustness"]["photos"] = {"acne": len(tables.parts[0]), "wrinkles": len(tables.parts[1])}
    known = ~np.isnan(acne.sure)
    tree["reliability"] = {
        "boxes": _bins(acne.confidence[acne.shown], acne.right[0.3][acne.shown]),
        "severity": _bins(acne.sure[known], (acne.said == acne.grade)[known]),
        "zones": _bins(wrinkles.chances.ravel(), wrinkles.truth.ravel()),
    }
    if others is not None:
        tree["minus_heuristic"] = figures.nested(_differences(sampled, others))
    return {
        "dataset": {
            "acne": DATASET["acne"].format(len(acne.lesions)),
            "wrinkles": DATASET["wrinkles"].format(len(wrinkles.truth)),
        },
        "interval": f"95 % of {resamples:,} bootstrap resamples of the photos",
        **tree,
    }


def better(name: str, difference: Mapping[str, float | None]) -> bool | None:
    """Whether a paired difference speaks for the model by more than its interval; False: for the heuristics; else None.

    Args:
        name: of the figure; errors are better when smaller.
        difference: value, low, high of model minus heuristics.
    """
    low, high = difference["low"], difference["high"]
    if low is None or high is None or low <= 0 <= high:
        return None
    return (high < 0) == name.endswith(("_mae", "_ece", "_size"))


def _differences(some: Mapping[str, Sample], others: Mapping[str, Sample]) -> dict[str, Any]:
    """Of every figure both have; a bias counts by its size, whichever way it goes."""
    found = {}
    for name, value in some.items():
        if name not in others or name.endswith((*GUESSES, "confidence_minus_accuracy")) or "/change/" in name:
            continue
        if name.endswith("_bias"):
            found[f"{name}_size"] = figures.told(np.abs(value) - np.abs(others[name]))
        else:
            found[name] = figures.told(value - others[name])
    return found


def _of_group(found: Mapping[str, Figure], names: Iterable[str], rows: Rows, resamples: int) -> dict[str, Sample]:
    """Samples of one group's photos; none of a group too small to tell of."""
    return figures.sample(_some(found, names), rows, resamples) if len(rows) >= figures.GROUP_MIN else {}


def _some(found: Mapping[str, Figure], names: Iterable[str]) -> dict[str, Figure]:
    return {name: found[name] for name in names}


def _placed(place: str, found: Mapping[str, Sample]) -> dict[str, Sample]:
    return {f"{place}/{name}": value for name, value in found.items()}


def _scalar(value: Sample) -> float | None:
    return None if np.isnan(value[0]) else rounded(value[0])


def _confusion(acne: figures.Acne) -> dict[str, dict[str, int]]:
    """True severity → said severity → photos."""
    return {
        true: {said: int(((acne.grade == i) & (acne.said == j)).sum()) for j, said in enumerate(GRADES)}
        for i, true in enumerate(GRADES)
    }


def _largest(acne: figures.Acne) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(acne.count - acne.lesions), kind="stable")[:LARGEST]
    return [
        {"severity": GRADES[acne.grade[row]], "lesions": int(acne.lesions[row]), "said": int(acne.count[row])}
        for row in order
    ]


def _bins(chance: NDArray[np.float64], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    return [
        {"chance": rounded(one["chance"]), "right": rounded(one["right"]), "count": int(one["count"])}
        for one in figures.reliability(chance, right)
    ]


def _by_zone(values: NDArray[Any]) -> dict[str, int]:
    return {zone: int(value) for zone, value in zip(WRINKLE_ZONES, values, strict=True)}


def latency(milliseconds: list[float]) -> dict[str, Any]:
    """Of this machine, and no part of the metrics, which are to be the same everywhere."""
    return {
        "what": "CPU milliseconds of acne and wrinkles of one crop, one thread",
        "median": round(float(np.median(milliseconds)), 1),
        "p95": round(float(np.quantile(milliseconds, 0.95)), 1),
    }
