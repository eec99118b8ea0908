"""Summarises the tables of one predictor as the content of metrics.json.

The content: all metrics with intervals, by severity, on the London faces, under distortions, the reliability of
confidences, and for the model the paired differences to the heuristics.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import WRINKLE_ZONES
from training import metrics
from training.metrics import LABELLED_SEVERITIES, Metric, Rows, Sample, rounded

# Metrics that are written without an interval.
SCALARS = ("box_confidence_ece", "severity_confidence_ece", "zone_chance_ece")
CONSTANT = ("_of_train_median", "_of_majority")  # metrics of constant predictions, the same for both predictors
BY_GROUP = ("severity_accuracy", "count_mae", "count_bias", "box_ap_30", "box_ap_50", "box_recall_30")
BY_PERSON = (
    *("severity_accuracy", "severity_kappa", "count_mae", "count_bias", "count_spearman", "box_ap_30", "box_ap_50"),
    *("box_precision_30", "box_recall_30", "box_confidence_ece", "severity_confidence_ece"),
)
ROBUST_ACNE = ("count_spearman", "severity_accuracy", "box_ap_30")
ROBUST_WRINKLES = ("auc_mean",)
LARGEST = 5  # number of the largest count errors that are listed
DATASET = {
    "acne": "ACNE04 (Wu et al., ICCV 2019) in a re-export: {} faces with acne, judged by dermatologists",
    "london": "Face Research Lab London Set (DeBruine and Jones, 2017): {} adults, mostly clear, labelled by eye",
    "wrinkles": "public collection of {} wrinkle photos; a photo without a box of a zone is its negative",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one predictor.

    Attributes:
        acne: of the acne photos.
        wrinkles: of the wrinkle photos.
        distorted: distortion → tables of the distorted photos.
        distorted_rows: rows of the acne and of the wrinkle photos that were distorted.
        london: of the London faces; None where they were not measured.
        by_person: of acne photos of people of whom no photo was trained on; None where there are none.
        doctors: severities by single doctors, 0..3, of each acne photo.
    """

    acne: metrics.AcneTable
    wrinkles: metrics.WrinkleTable
    distorted: dict[str, tuple[metrics.AcneTable, metrics.WrinkleTable]]
    distorted_rows: tuple[Rows, Rows]
    london: metrics.LondonTable | None = None
    by_person: metrics.AcneTable | None = None
    doctors: Sequence[Sequence[int]] = ()


def samples(tables: Tables, median_count: float, resamples: int) -> dict[str, Sample]:
    """Compute every metric and its bootstrap resamples.

    Args:
        tables: of one predictor.
        median_count: lesions of the median train photo.
        resamples: number of bootstrap resamples.

    Returns:
        Path in metrics.json ("acne/count_mae") → sample; the samples of two predictors are paired.
    """
    acne, wrinkles = metrics.acne_metrics(tables.acne, median_count), metrics.wrinkle_metrics(tables.wrinkles)
    all_acne, all_wrinkles = np.arange(len(tables.acne.true_count)), np.arange(len(tables.wrinkles.truth))
    sampled = _prefixed("acne", metrics.sample(acne, all_acne, resamples))
    sampled |= _prefixed("wrinkles", metrics.sample(wrinkles, all_wrinkles, resamples))
    severities = np.array(LABELLED_SEVERITIES)[tables.acne.true_severity]
    for name, rows in metrics.groups(severities, LABELLED_SEVERITIES).items():
        sampled |= _prefixed(f"by_severity/{name}", _sample_group(acne, BY_GROUP, rows, resamples))
    if tables.by_person is not None:
        others = _select(metrics.acne_metrics(tables.by_person, median_count), BY_PERSON)
        rows = np.arange(len(tables.by_person.true_count))
        sampled |= _prefixed("by_person", metrics.sample(others, rows, resamples))
    if not tables.distorted:
        return sampled
    before = metrics.sample(_select(acne, ROBUST_ACNE), tables.distorted_rows[0], resamples)
    before |= metrics.sample(_select(wrinkles, ROBUST_WRINKLES), tables.distorted_rows[1], resamples)
    sampled |= _prefixed("robustness/undistorted", before)
    for name, (acne_table, wrinkle_table) in tables.distorted.items():
        robust_acne = _select(metrics.acne_metrics(acne_table, median_count), ROBUST_ACNE)
        robust_wrinkles = _select(metrics.wrinkle_metrics(wrinkle_table), ROBUST_WRINKLES)
        after = metrics.sample(robust_acne, np.arange(len(acne_table.true_count)), resamples)
        after |= metrics.sample(robust_wrinkles, np.arange(len(wrinkle_table.truth)), resamples)
        sampled |= _prefixed(f"robustness/{name}", after)
        sampled |= _prefixed(f"robustness/{name}/change", {key: after[key] - before[key] for key in after})
    return sampled


def summarise(
    tables: Tables, sampled: Mapping[str, Sample], faceless: Mapping[str, int], others: Mapping[str, Sample] | None
) -> dict[str, Any]:
    """Make the content of metrics.json, which `/ml/status` serves.

    Args:
        tables: of one predictor.
        sampled: from `samples`, for these tables.
        faceless: "acne" and "wrinkles" → photos in which no face was found.
        others: the samples of the heuristics, where the tables are those of the model; else None.
    """
    acne, wrinkles = tables.acne, tables.wrinkles
    resamples = len(next(iter(sampled.values()))) - 1
    tree = metrics.nested(
        {name: _scalar(value) if name.endswith(SCALARS) else metrics.interval(value) for name, value in sampled.items()}
    )
    tree["acne"] |= {
        "photos": len(acne.true_count),
        "photos_without_face": faceless["acne"],
        "severity_kappa_of_majority": {"value": 0.0},
        "severity_confusion": _confusion(acne),
        "largest_count_errors": _largest_count_errors(acne),
    }
    tree["wrinkles"] |= {
        "photos": len(wrinkles.truth),
        "photos_without_face": faceless["wrinkles"],
        "negatives": _by_zone((~wrinkles.truth).sum(axis=0)),
    }
    for name, group in tree.get("by_severity", {}).items():
        group["photos"] = int((acne.true_severity == LABELLED_SEVERITIES.index(name)).sum())
    if any(tables.doctors):
        tree["doctors"] = doctors_agreement(tables.doctors, acne.true_severity.tolist())
    if tables.by_person is not None:
        tree["by_person"]["photos"] = len(tables.by_person.true_count)
    if tables.london is not None:
        tree["london"] = london(tables.london)
    if tables.distorted:
        tree["robustness"]["photos"] = {
            "acne": len(tables.distorted_rows[0]),
            "wrinkles": len(tables.distorted_rows[1]),
        }
    known, seen = ~np.isnan(acne.severity_confidence), ~np.isnan(wrinkles.probabilities)
    tree["reliability"] = {
        "boxes": _bins(acne.box_confidence[acne.box_shown], acne.box_correct[0.3][acne.box_shown]),
        "severity": _bins(acne.severity_confidence[known], (acne.severity == acne.true_severity)[known]),
        "zones": _bins(wrinkles.probabilities[seen], wrinkles.truth[seen]),
    }
    if others is not None:
        tree["minus_heuristic"] = metrics.nested(_differences(sampled, others))
    return {
        "dataset": {
            "acne": DATASET["acne"].format(len(acne.true_count)),
            "wrinkles": DATASET["wrinkles"].format(len(wrinkles.truth)),
            **({} if tables.london is None else {"london": DATASET["london"].format(len(tables.london.faces))}),
        },
        "interval": f"95 % of {resamples:,} bootstrap resamples of the photos",
        **tree,
    }


def doctors_agreement(severities: Sequence[Sequence[int]], official: Sequence[int]) -> dict[str, Any]:
    """How often doctors give the official class, and how often two of them agree, over all photos.

    Args:
        severities: by the doctors who judged each photo, 0..3.
        official: the official class of each photo.
    """
    pairs = [pair for judged in severities for pair in combinations(judged, 2)]
    beside = [(given, true) for judged, true in zip(severities, official, strict=True) for given in judged]
    return {
        "photos": sum(map(bool, severities)),
        "with_official": rounded(float(np.mean([given == true for given, true in beside]))),
        "between": rounded(float(np.mean([a == b for a, b in pairs]))) if pairs else None,
        "within_one_class": rounded(float(np.mean([abs(a - b) <= 1 for a, b in pairs]))) if pairs else None,
    }


MONK_GROUPS = {"1-3": (1, 3), "4-6": (4, 6), "7-10": (7, 10)}


def london(table: metrics.LondonTable) -> dict[str, Any]:
    """The figures of the London faces: on the check split, which nothing was chosen on, and by group on all faces.

    Zones of faces without beard and fringe must all be seen.
    """
    bare = np.array([face.beard < 2 and face.hair_forehead < 2 for face in table.faces])
    monk = np.array([face.monk for face in table.faces])
    ethnicity = np.array([face.ethnicity for face in table.faces])
    return {
        "check": metrics.london_metrics(table, "check"),
        "by_monk": {
            name: metrics.london_metrics(table, where=(monk >= low) & (monk <= high))
            for name, (low, high) in MONK_GROUPS.items()
        },
        "by_ethnicity": {
            name: metrics.london_metrics(table, where=ethnicity == name) for name in sorted(set(ethnicity.tolist()))
        },
        "bare_faces": int(bare.sum()),
        "bare_faces_with_unseen_zones": int((table.unseen_zones[bare] > 0).sum()),
    }


def better(name: str, difference: Mapping[str, float | None]) -> bool | None:
    """Decide which predictor is better by more than the interval of the paired difference.

    Args:
        name: of the metric; errors are better when smaller.
        difference: value, low, high of model minus heuristics.

    Returns:
        True: the model; False: the heuristics; None: neither, the interval contains 0.
    """
    low, high = difference["low"], difference["high"]
    if low is None or high is None or low <= 0 <= high:
        return None
    return (high < 0) == name.endswith(("_mae", "_ece", "_size", "shown_boxes", "unseen_zones"))


def _differences(sampled: Mapping[str, Sample], others: Mapping[str, Sample]) -> dict[str, Any]:
    """Compute the paired differences of the common metrics; of a bias, the difference of the absolute values."""
    differences = {}
    for name, value in sampled.items():
        if name not in others or name.endswith(CONSTANT) or "/change/" in name:
            continue
        if name.endswith("_bias"):
            differences[f"{name}_size"] = metrics.interval(np.abs(value) - np.abs(others[name]))
        else:
            differences[name] = metrics.interval(value - others[name])
    return differences


def _sample_group(defined: Mapping[str, Metric], names: Iterable[str], rows: Rows, resamples: int) -> dict[str, Sample]:
    """Compute metrics on one group's photos; none where the group is too small."""
    return metrics.sample(_select(defined, names), rows, resamples) if len(rows) >= metrics.GROUP_MIN else {}


def _select(defined: Mapping[str, Metric], names: Iterable[str]) -> dict[str, Metric]:
    return {name: defined[name] for name in names}


def _prefixed(prefix: str, sampled: Mapping[str, Sample]) -> dict[str, Sample]:
    return {f"{prefix}/{name}": value for name, value in sampled.items()}


def _scalar(value: Sample) -> float | None:
    return None if np.isnan(value[0]) else rounded(value[0])


def _confusion(acne: metrics.AcneTable) -> dict[str, dict[str, int]]:
    """Count photos: true severity → predicted severity → photos."""
    pairs = list(zip(acne.true_severity.tolist(), acne.severity.tolist(), strict=True))
    return {
        true: {predicted: pairs.count((i, j)) for j, predicted in enumerate(LABELLED_SEVERITIES)}
        for i, true in enumerate(LABELLED_SEVERITIES)
    }


def _largest_count_errors(acne: metrics.AcneTable) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(acne.count - acne.true_count), kind="stable")[:LARGEST]
    return [
        {
            "severity": LABELLED_SEVERITIES[acne.true_severity[row]],
            "lesions": int(acne.true_count[row]),
            "said": int(acne.count[row]),
        }
        for row in order
    ]


def _bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[dict[str, float]]:
    return [
        {"chance": rounded(row["chance"]), "right": rounded(row["right"]), "count": int(row["count"])}
        for row in metrics.reliability(confidence, correct)
    ]


def _by_zone(values: NDArray[Any]) -> dict[str, int]:
    return {zone: int(value) for zone, value in zip(WRINKLE_ZONES, values, strict=True)}


def latency(milliseconds: list[float]) -> dict[str, Any]:
    """Make the content of latency.json; it depends on the machine, so it is no part of metrics.json.

    Args:
        milliseconds: CPU time of each photo.
    """
    return {
        "what": "CPU milliseconds of acne and wrinkles of one crop, one thread",
        "median": round(float(np.median(milliseconds)), 1),
        "p95": round(float(np.quantile(milliseconds, 0.95)), 1),
    }
