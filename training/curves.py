"""Draws the learning curves of a run."""

import math
from pathlib import Path

from training.files import write_atomically

NOT_DRAWN = ("held_out_mae", "held_out_bias")  # lesions, on another scale than accuracy and AUC


def draw(history: list[dict[str, float]], path: Path) -> None:
    """Draw losses and held-out metrics over the steps as a PNG.

    Args:
        history: rows in the order of their "step"; keys that begin with "held_out_" are metrics, the others losses.
        path: the PNG file to create or to replace.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (loss_axes, metric_axes) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for name in [name for name in (history[0] if history else {}) if name != "step" and "held_out" not in name]:
        loss_axes.plot([row["step"] for row in history], [row.get(name, math.nan) for row in history], label=name)
    measured = [row for row in history if any("held_out" in name for name in row)]
    steps = [row["step"] for row in measured]
    for name in [name for name in (measured[0] if measured else {}) if name.startswith("held_out_")]:
        if name not in NOT_DRAWN:
            metric_axes.plot(steps, [row[name] for row in measured], "o-", label=name.removeprefix("held_out_"))
    loss_axes.set(xlabel="step", ylabel="weighted loss", yscale="log", title="train")
    metric_axes.set(xlabel="step", ylabel="accuracy or AUC", title="held out")
    for axes in (loss_axes, metric_axes):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=120))
    plt.close(figure)
