"""The figures drawn, PNG and SVG, the same bytes for the same figures: numbers only, never a photo."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np

from bentos.skin.findings import WRINKLE_ZONES
from training.distortions import DISTORTIONS
from training.figures import GRADES
from training.summary import ROBUST_ACNE, ROBUST_WRINKLES, Tables

COLOURS = {"model": "#1b6ca8", "heuristic": "#d1721b"}
CURVE_POINTS = 200  # of a precision-recall curve
DPI = 90
LABELS = {
    "count_spearman": "count, Spearman",
    "severity_accuracy": "severity accuracy",
    "box_ap_30": "box AP at IoU .3",
    "auc_mean": "wrinkle AUC, mean",
}


def drawn(tables: Mapping[str, Tables], metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """File name → bytes of every plot.

    Args:
        tables: by path, model first.
        metrics: by path.
    """
    import matplotlib

    settings = {
        "svg.hashsalt": "shine",  # ids in the file are the same in every run
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
    if all("robustness" in one for one in metrics.values()):
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
    """A figure and its axes, (rows, columns); not known to pyplot, so that nothing has to be closed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _reliability(metrics: Mapping[str, Any]) -> Any:
    """Chance said against share right; a point's area grows with how many answers it stands for."""
    titles = {"boxes": "boxes shown, right at IoU .3", "severity": "severity class", "zones": "wrinkles in a zone"}
    figure, axes = _axes(1, 3, 10, 3.5)
    for axis, (key, title) in zip(axes[0], titles.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for name, one in metrics.items():
            bins = one["reliability"][key]
            whole = max(sum(each["count"] for each in bins), 1)
            x, y = [each["chance"] for each in bins], [each["right"] for each in bins]
            axis.plot(x, y, color=COLOURS[name], linewidth=1, label=name)
            axis.scatter(x, y, [10 + 250 * each["count"] / whole for each in bins], color=COLOURS[name], alpha=0.7)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="chance said", ylabel="share right", title=title, aspect="equal")
    axes[0][0].legend(loc="upper left")
    return figure


def _count(tables: Mapping[str, Tables]) -> Any:
    figure, axes = _axes(1, len(tables), 4 * len(tables), 4)
    most = max(int(max(one.acne.count.max(), one.acne.lesions.max())) for one in tables.values()) + 3
    for axis, (name, one) in zip(axes[0], tables.items(), strict=True):
        axis.plot([0, most], [0, most], color="0.7", linewidth=1)
        axis.scatter(one.acne.lesions, one.acne.count, 9, color=COLOURS[name], alpha=0.5, linewidths=0)
        axis.set(xlim=(-1, most), ylim=(-1, most), xlabel="lesions drawn", ylabel="count said", title=name)
    return figure


def _precision_recall(tables: Mapping[str, Tables]) -> Any:
    """All candidates by score; the mark is where the service stops showing them."""
    figure, axes = _axes(1, 2, 8, 4)
    for axis, least in zip(axes[0], (0.3, 0.5), strict=True):
        for name, one in tables.items():
            order = np.argsort(-one.acne.score, kind="stable")
            hits = np.cumsum(one.acne.right[least][order])
            precision, recall = hits / np.arange(1, len(hits) + 1), hits / max(one.acne.lesions.sum(), 1)
            if not len(hits):
                continue
            some = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).astype(int))
            axis.plot(recall[some], precision[some], color=COLOURS[name], linewidth=1.5, label=name)
            shown = int(one.acne.shown.sum()) - 1
            if shown >= 0:
                axis.plot(recall[shown], precision[shown], "o", color=COLOURS[name])
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=f"boxes at IoU {least}")
    axes[0][0].legend(loc="upper right")
    return figure


def _confusion(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, len(metrics), 4.4 * len(metrics), 4)
    words = [grade.replace("_", " ") for grade in GRADES]
    for axis, (name, one) in zip(axes[0], metrics.items(), strict=True):
        table = np.array([[one["acne"]["severity_confusion"][true][said] for said in GRADES] for true in GRADES])
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*table.shape):
            colour = "white" if share[row, column] > 0.6 else "black"
            axis.text(column, row, str(table[row, column]), ha="center", va="center", color=colour)
        axis.set_xticks(range(len(words)), words, rotation=30)
        axis.set_yticks(range(len(words)), words)
        axis.set(xlabel="said", ylabel="judged by dermatologists", title=name)
    return figure


def _zones(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, 1, 6, 3.5)
    wide = 0.8 / len(metrics)
    for number, (name, one) in enumerate(metrics.items()):
        _bars(axes[0][0], number, wide, name, [one["wrinkles"]["auc"][zone] for zone in WRINKLE_ZONES])
    axes[0][0].set_xticks(range(len(WRINKLE_ZONES)), [zone.replace("_", " ") for zone in WRINKLE_ZONES])
    axes[0][0].set(ylim=(0.5, 1), ylabel="area under the ROC curve")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _robustness(metrics: Mapping[str, Any]) -> Any:
    figure, axes = _axes(2, 2, 11, 6.5)
    keys = ["undistorted", *DISTORTIONS]
    words = ["undistorted", *(one.label for one in DISTORTIONS.values())]
    for axis, key in zip(axes.ravel(), (*ROBUST_ACNE, *ROBUST_WRINKLES), strict=True):
        wide = 0.8 / len(metrics)
        for number, (name, one) in enumerate(metrics.items()):
            _bars(axis, number, wide, name, [one["robustness"][each][key] for each in keys])
        axis.set_xticks(range(len(keys)), words, rotation=25, ha="right")
        axis.set(ylim=(0, 1), title=LABELS[key])
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2)
    return figure


def _bars(axis: Any, number: int, wide: float, name: str, told: list[dict[str, float | None]]) -> None:
    """One path's bars with their intervals; what is undefined has none."""
    values = np.array([[one[key] for key in ("value", "low", "high")] for one in told], dtype=np.float64)
    spread = np.abs(values[:, 1:] - values[:, :1]).T
    places = np.arange(len(told)) + (number - 0.5) * wide
    error = {"elinewidth": 0.8, "ecolor": "0.3"}
    axis.bar(places, values[:, 0], wide, yerr=spread, color=COLOURS[name], label=name, error_kw=error)
