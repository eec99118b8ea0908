"""The learning curves of a run."""

import math
from pathlib import Path

from training.checkpoint import write_atomically


def draw(history: list[dict[str, float]], path: Path) -> None:
    """Draw losses and held-out figures over the steps as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for name in [name for name in (history[0] if history else {}) if name != "step" and "held_out" not in name]:
        left.plot([row["step"] for row in history], [row.get(name, math.nan) for row in history], label=name)
    seen = [row for row in history if any("held_out" in name for name in row)]
    for name in [name for name in (seen[0] if seen else {}) if name.startswith("held_out_")]:
        if name not in ("held_out_mae", "held_out_bias"):
            right.plot(
                [row["step"] for row in seen], [row[name] for row in seen], "o-", label=name.removeprefix("held_out_")
            )
    left.set(xlabel="step", ylabel="weighted loss", yscale="log", title="train")
    right.set(xlabel="step", ylabel="accuracy or AUC", title="held out")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=120))
    plt.close(figure)
