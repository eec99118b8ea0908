"""Draws the plots of the evaluation as PNG and SVG; the same metrics give the same bytes, and no plot shows a photo."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np

from bentos.skin.findings import WRINKLE_ZONES
from training.distortions import DISTORTIONS
from training.metrics import LABELLED_SEVERITIES
from training.summary import ROBUST_ACNE, ROBUST_WRINKLES, Tables

COLOURS = {"model": "#1b6ca8", "heuristic": "#d1721b"}
CURVE_POINTS = 200  # of a precision-recall curve
DPI = 90  # keeps the files small
LABELS = {
    "count_spearman": "count, Spearman",
    "severity_accuracy": "severity accuracy",
    "box_ap_30": "box AP at IoU .3",
    "auc_mean": "wrinkle AUC, mean",
}


def render(tables: Mapping[str, Tables], metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """Render all plots.

    Args:
        tables: by predictor, "model" first.
        metrics: content of metrics.json by predictor.

    Returns:
        File name → content.
    """
    import matplotlib

    settings = {
        "svg.hashsalt": "shine",  # the ids in the file are then the same in every run
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
    plots: dict[str, Callable[[], Any]] = {
        "reliability": lambda: _reliability(metrics),
        "count": lambda: _count(tables),
        "precision_recall": lambda: _precision_recall(tables),
        "severity": lambda: _confusion(metrics),
        "wrinkles": lambda: _zones(metrics),
    }
    if all("robustness" in content for content in metrics.values()):
        plots["robustness"] = lambda: _robustness(metrics)
    files = {}
    with matplotlib.rc_context(settings):
        for name, plot in plots.items():
            figure = plot()
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
                buffer = BytesIO()
                figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
                files[f"{name}.{kind}"] = buffer.getvalue()
    return files


def _axes(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """Make a figure and its axes, (rows, columns), without pyplot, so that nothing must be closed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _reliability(metrics: Mapping[str, Any]) -> Any:
    """Plot the share of correct predictions over the confidence; a point's area grows with its predictions."""
    titles = {"boxes": "boxes shown, correct at IoU .3", "severity": "severity class", "zones": "wrinkles in a zone"}
    figure, axes = _axes(1, 3, 10, 3.5)
    for axis, (key, title) in zip(axes[0], titles.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for name, content in metrics.items():
            bins = content["reliability"][key]
            total = max(sum(row["count"] for row in bins), 1)
            x, y = [row["chance"] for row in bins], [row["right"] for row in bins]
            axis.plot(x, y, color=COLOURS[name], linewidth=1, label=name)
            axis.scatter(x, y, [10 + 250 * row["count"] / total for row in bins], color=COLOURS[name], alpha=0.7)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share correct", title=title, aspect="equal")
    axes[0][0].legend(loc="upper left")
    return figure


def _count(tables: Mapping[str, Tables]) -> Any:
    figure, axes = _axes(1, len(tables), 4 * len(tables), 4)
    limit = max(int(max(table.acne.count.max(), table.acne.true_count.max())) for table in tables.values()) + 3
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        axis.plot([0, limit], [0, limit], color="0.7", linewidth=1)
        axis.scatter(table.acne.true_count, table.acne.count, 9, color=COLOURS[name], alpha=0.5, linewidths=0)
        axis.set(xlim=(-1, limit), ylim=(-1, limit), xlabel="labelled lesions", ylabel="predicted count", title=name)
    return figure


def _precision_recall(tables: Mapping[str, Tables]) -> Any:
    """Plot precision over recall of all candidates by score; the dot marks the last box that the service shows."""
    figure, axes = _axes(1, 2, 8, 4)
    for axis, min_iou in zip(axes[0], (0.3, 0.5), strict=True):
        for name, table in tables.items():
            order = np.argsort(-table.acne.box_confidence, kind="stable")
            hits = np.cumsum(table.acne.box_correct[min_iou][order])
            precision, recall = hits / np.arange(1, len(hits) + 1), hits / max(table.acne.true_count.sum(), 1)
            if not len(hits):
                continue
            points = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).astype(int))
            axis.plot(recall[points], precision[points], color=COLOURS[name], linewidth=1.5, label=name)
            shown = int(table.acne.box_shown.sum()) - 1
            if shown >= 0:
                axis.plot(recall[shown], precision[shown], "o", color=COLOURS[name])
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=f"boxes at IoU {min_iou}")
    axes[0][0].legend(loc="upper right")
    return figure


def _confusion(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, len(metrics), 4.4 * len(metrics), 4)
    labels = [severity.replace("_", " ") for severity in LABELLED_SEVERITIES]
    for axis, (name, content) in zip(axes[0], metrics.items(), strict=True):
        confusion = content["acne"]["severity_confusion"]
        table = np.array([[confusion[true][output] for output in LABELLED_SEVERITIES] for true in LABELLED_SEVERITIES])
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*table.shape):
            colour = "white" if share[row, column] > 0.6 else "black"
            axis.text(column, row, str(table[row, column]), ha="center", va="center", color=colour)
        axis.set_xticks(range(len(labels)), labels, rotation=30)
        axis.set_yticks(range(len(labels)), labels)
        axis.set(xlabel="predicted", ylabel="judged by dermatologists", title=name)
    return figure


def _zones(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, 1, 6, 3.5)
    width = 0.8 / len(metrics)
    for number, (name, content) in enumerate(metrics.items()):
        _bars(axes[0][0], number, width, name, [content["wrinkles"]["auc"][zone] for zone in WRINKLE_ZONES])
    axes[0][0].set_xticks(range(len(WRINKLE_ZONES)), [zone.replace("_", " ") for zone in WRINKLE_ZONES])
    axes[0][0].set(ylim=(0.5, 1), ylabel="area under the ROC curve")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _robustness(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(2, 2, 11, 6.5)
    keys = ["undistorted", *DISTORTIONS]
    labels = ["undistorted", *(distortion.label for distortion in DISTORTIONS.values())]
    for axis, metric in zip(axes.ravel(), (*ROBUST_ACNE, *ROBUST_WRINKLES), strict=True):
        width = 0.8 / len(metrics)
        for number, (name, content) in enumerate(metrics.items()):
            _bars(axis, number, width, name, [content["robustness"][key][metric] for key in keys])
        axis.set_xticks(range(len(keys)), labels, rotation=25, ha="right")
        axis.set(ylim=(0, 1), title=LABELS[metric])
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2)
    return figure


def _bars(axis: Any, number: int, width: float, name: str, intervals: list[dict[str, float | None]]) -> None:
    """Draw the bars of one predictor with their intervals; an undefined value has no bar."""
    values = np.array([[row[key] for key in ("value", "low", "high")] for row in intervals], dtype=np.float64)
    spread = np.abs(values[:, 1:] - values[:, :1]).T
    places = np.arange(len(intervals)) + (number - 0.5) * width
    error = {"elinewidth": 0.8, "ecolor": "0.3"}
    axis.bar(places, values[:, 0], width, yerr=spread, color=COLOURS[name], label=name, error_kw=error)
