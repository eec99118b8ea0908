"""Train the skin network on the labelled crops; goes on where it was stopped.

    python -m training.train                       # the first run, 53 minutes on two cores
    python -m training.train --run halves --branch main --seed 1 --halved 0.4    # its last half again, 28 minutes
    python -m training.export --average halves     # then calibrate and export the mean of both
    python -m training.train --smoke               # drawn pictures, a dozen steps: does it still run?

A run is a folder: `checkpoint.pt` (all that is needed to go on), `level.pt` (before the cool-down), `history.json`,
`curves.png`, and `left_out.txt`, the photos that look like valid ones. Chance is drawn anew for each step from the seed
and the step's number, so a run that was killed ends with the weights of one that was not.
"""

import argparse
import ctypes
import json
import math
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from bentos.skin.findings import WRINKLE_ZONES
from training import augment, checkpoint, curves, data, labels, losses
from training.checkpoint import CheckpointError, write_atomically
from training.crops import CACHE, Example
from training.data import DataError, Labelled, Split
from training.drawn import drawn_pictures
from training.network import INPUT_MEAN, INPUT_SCALE, SERVED_SIDE, SkinNetwork, imagenet

RUNS = CACHE / "runs"


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a run; what is stored in its checkpoint, which another setting can't go on from."""

    seed: int = 0  # of the order, the views and the dropout
    steps: int = (
        5400  # 53 minutes on two cores, 20 epochs of the acne photos; may be changed until the cool-down begins
    )
    side: int = 384  # px; 512 costs 1.8 times as much a step, and close views bring its small lesions
    last_side: int = SERVED_SIDE  # px, of the last steps: the heads that judge whole faces see them as they will
    last_share: float = 0.25  # of the steps; .12 at another side left the whole-face heads where they were
    acne: int = 6  # crops a step; lesions, severity and count gain from more for longer than wrinkles do
    wrinkle: int = 2  # crops a step; their AUC is near its end after 11 minutes
    halved: float = 0.0  # share of acne crops joined of two faces' halves, which cannot be known by heart
    rate_encoder: float = 2e-4  # ten times less than the heads: it knows edges and textures already
    rate_heads: float = 2e-3
    decay: float = 0.05  # weight decay of AdamW, on kernels only; .02 overfitted (severity .94 on train, .77 off it)
    betas: tuple[float, float] = (0.9, 0.99)  # a short run: the second moment must follow within a hundred steps
    warm_up: int = 100  # steps in which the rate rises; then it stays, so that a run can be prolonged
    cool: float = 0.45  # share of the steps, the last, in which the rate falls to 0: most of the gain comes then
    frozen: int = 250  # steps for the heads alone, so that their first noise does not reach the encoder
    clip: float = 10.0  # of the gradient's norm; only the first steps reach it
    average: float = 0.996  # of the weights that are measured and exported, per step
    check_every: int = 600  # steps between looks at the held-out part; one costs as much as 20 steps
    save_every: int = 100  # steps; a minute of work is what a kill may cost
    bfloat16: bool = True  # 1×1 convolutions only: .7 of the time


@dataclass(slots=True)
class State:
    """Everything that changes while training."""

    step: int
    network: SkinNetwork
    average: SkinNetwork
    optimiser: torch.optim.Optimizer
    history: list[dict[str, float]]


def train(labelled: Labelled, run: Path, settings: Settings, stop_at: int | None = None) -> State:
    """Train, or go on; the folder of the run holds what is needed to go on at any time.

    Args:
        labelled: what to learn from, and the held-out part that is looked at on the way.
        run: folder; made if missing.
        settings: must be those of the checkpoint, if there is one.
        stop_at: a step to stop before, as if killed.

    Raises:
        CheckpointError: the checkpoint is of other settings or another network, or cannot be saved.
    """
    run.mkdir(parents=True, exist_ok=True)
    state = start(settings)
    path = run / "checkpoint.pt"
    if path.exists():
        restore(state, settings, path)
    end = settings.steps if stop_at is None else min(stop_at, settings.steps)
    bar = tqdm(total=settings.steps, initial=state.step, desc=run.name, mininterval=10, smoothing=0.05)
    sums: dict[str, float] = {}
    since = 0
    while state.step < end:
        for name, value in step(state, labelled.fit, settings).items():
            sums[name] = sums.get(name, 0.0) + value
        since += 1
        bar.update()
        bar.set_postfix({name: f"{value / since:.2f}" for name, value in sums.items()}, refresh=False)
        last = state.step == settings.steps
        if last or state.step % settings.save_every == 0:
            row = {"step": float(state.step), **{name: value / since for name, value in sums.items()}}
            if last or state.step % settings.check_every == 0:
                row |= {f"held_out_{name}": value for name, value in look(state.average, labelled.held_out).items()}
                tqdm.write(json.dumps({name: round(value, 4) for name, value in row.items()}))
            state.history.append(row)
            sums, since = {}, 0
            save(state, settings, path)
            if state.step <= cool_from(settings) < state.step + settings.save_every:
                write_atomically(run / "level.pt", lambda part: shutil.copyfile(path, part))
            write_atomically(run / "history.json", lambda part: part.write_text(json.dumps(state.history)))
    bar.close()
    return state


def start(settings: Settings) -> State:
    """A network with the ImageNet encoder, its average, and the optimiser."""
    torch.manual_seed(settings.seed)
    network, average = (imagenet().use_bfloat16(settings.bfloat16).channels_last() for _ in range(2))
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False).eval()
    kernels: dict[bool, list[Tensor]] = {True: [], False: []}
    biases: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        (kernels if parameter.ndim > 1 else biases)[name.startswith("encoder.")].append(parameter)
    rates = {True: settings.rate_encoder, False: settings.rate_heads}
    parts = [
        {"params": kind[encoder], "weight_decay": decay, "base": rates[encoder]}
        for kind, decay in ((kernels, settings.decay), (biases, 0.0))
        for encoder in (True, False)
    ]
    optimiser = torch.optim.AdamW(parts, lr=settings.rate_heads, betas=settings.betas)
    return State(0, network, average, optimiser, [])


def step(state: State, split: Split, settings: Settings) -> dict[str, float]:
    """One step of the optimiser; losses by name."""
    rng = np.random.default_rng([settings.seed, state.step])
    torch.manual_seed(settings.seed * 1_000_003 + state.step)  # dropout
    late = state.step >= settings.steps * (1 - settings.last_share)
    side = settings.last_side if late else settings.side
    acne = drawn(split.acne, settings.acne, state.step, settings.seed)
    wrinkled = drawn(split.wrinkles, settings.wrinkle, state.step, settings.seed)
    others = drawn(split.acne, settings.acne, state.step, settings.seed + 1)
    acne = [
        augment.halved(one, other) if settings.halved and rng.random() < settings.halved else one
        for one, other in zip(acne, others, strict=True)
    ]
    views = [augment.varied(example, side, rng) for example in (*acne, *wrinkled)]
    acne_views, wrinkle_views = views[: len(acne)], views[len(acne) :]

    state.network.train()
    state.network.freeze(state.step < settings.frozen)
    share = rate_share(state.step, settings)
    for group in state.optimiser.param_groups:
        group["lr"] = group["base"] * share
    raw = state.network(as_input(np.stack([view.pixels for view in views])))
    found = {name: value[: len(acne)] for name, value in raw.items()}
    lined = {name: value[len(acne) :] for name, value in raw.items()}
    parts = losses.acne_loss(found, losses.acne_targets(acne_views, [example.severity for example in acne]))
    parts |= losses.wrinkle_loss(lined, losses.wrinkle_targets(wrinkle_views))
    state.optimiser.zero_grad(set_to_none=True)
    total: Any = torch.stack(list(parts.values())).sum()
    total.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    state.optimiser.step()
    state.step += 1
    # The average follows fast at first, or it would remember the untrained heads for hundreds of steps.
    keep = min(settings.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, own in zip(state.average.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(own, 1 - keep)
    return {name: float(value.detach()) for name, value in parts.items()}


def rate_share(number: int, settings: Settings) -> float:
    """The learning rate of a step over its highest: rising, level, falling by a cosine (warm-up, stable, decay)."""
    rise, fall = min((number + 1) / max(settings.warm_up, 1), 1.0), cool_from(settings)
    return rise if number < fall else rise * 0.5 * (1 + math.cos(math.pi * (number - fall) / (settings.steps - fall)))


def cool_from(settings: Settings) -> int:
    """The first step of the cool-down; until it, nothing depends on how many steps there will be."""
    return round(settings.steps * (1 - max(settings.cool, settings.last_share)))


def drawn(examples: list[Example], count: int, number: int, seed: int) -> list[Example]:
    """The examples of a step: each once an epoch, every epoch in an order of its own."""
    chosen = []
    for position in range(number * count, (number + 1) * count):
        epoch, place = divmod(position, len(examples))
        chosen.append(examples[int(np.random.default_rng([seed, epoch]).permutation(len(examples))[place])])
    return chosen


def as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (batch, side, side, 3) → float32 (batch, 3, side, side), normalised."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()  # a view: channels stay last in memory
    return x.sub_(INPUT_MEAN).div_(INPUT_SCALE)


def look(network: SkinNetwork, split: Split, side: int = 384) -> dict[str, float]:
    """A quick look at the held-out part: severity accuracy, count's error by the density, and wrinkle AUC."""
    from sklearn.metrics import roc_auc_score

    figures: dict[str, float] = {}
    right, errors, bias = [], [], []
    for example in split.acne[::2]:  # one variant of each photo
        raw = answer(network, [augment.plain(example, side).pixels])
        right.append(int(raw["severity"].argmax()) == example.severity)
        bias.append(float(raw["density"].sum()) - len(example.lesions))
        errors.append(abs(bias[-1]))
    if right:
        figures |= {"severity": float(np.mean(right)), "mae": float(np.mean(errors)), "bias": float(np.mean(bias))}
    truth, chance = [], []
    for example in split.wrinkles:
        raw = answer(network, [augment.plain(example, side).pixels])
        truth.append([len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES])
        chance.append(raw["wrinkles"].amax(dim=(2, 3))[0].numpy())
    for number, zone in enumerate(WRINKLE_ZONES):
        if len({row[number] for row in truth}) == 2:
            column = [row[number] for row in truth]
            figures[zone] = float(roc_auc_score(column, [row[number] for row in chance]))
    return figures


@torch.no_grad()
def answer(network: SkinNetwork, pixels: list[NDArray[np.uint8]]) -> dict[str, Tensor]:
    """Raw answers of the network in evaluation."""
    network.eval()
    answers: dict[str, Tensor] = network(as_input(np.stack(pixels)))
    return answers


def save(state: State, settings: Settings, path: Path) -> None:
    """Write a checkpoint, whole or not at all; raises as `checkpoint.write`."""
    content = {
        "settings": asdict(settings),
        "step": state.step,
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "history": state.history,
    }
    checkpoint.write(content, path)


def branch(source: Path, path: Path, settings: Settings) -> None:
    """Make a checkpoint to go on from with other settings, from what a run was before it cooled down.

    Args:
        source: `level.pt` of that run.
        path: of the checkpoint to write; one that is there is kept.
        settings: of the new run.

    Raises:
        CheckpointError: the source is missing, broken, or later than the new run's cool-down.
    """
    if path.exists():
        return
    content = checkpoint.read(source)
    if content["step"] > cool_from(settings):
        raise CheckpointError(f"{source} is of step {content['step']}, the new run would cool down before")
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write({**content, "settings": asdict(settings)}, path)


def restore(state: State, settings: Settings, path: Path) -> None:
    """Read a checkpoint into a state.

    Raises:
        CheckpointError: it is broken, of other settings, or of another network.
    """
    content = checkpoint.read(path)
    stored = content["settings"]
    other = {name for name, value in asdict(settings).items() if stored.get(name) != value}
    if other == {"steps"} and content["step"] <= min(
        cool_from(replace(settings, steps=n)) for n in (stored["steps"], settings.steps)
    ):
        other = set()
    if other:
        raise CheckpointError(f"{path} was trained with another {', '.join(sorted(other))}; name another --run")
    checkpoint.load(state.network, content["network"], path)
    checkpoint.load(state.average, content["average"], path)
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.history = content["step"], content["history"]


def _start_anew() -> None:
    """Start again with what C libraries read only at their start.

    Freed memory is kept: page faults took more time than the convolutions. Threads sleep while they wait: where other
    programs run too, spinning made a step of .9 processor seconds one of 4.
    """
    wanted = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000", "MALLOC_TOP_PAD_": "2000000000"}
    wanted |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    if sys.platform == "linux" and not set(wanted) <= set(os.environ) and hasattr(ctypes.CDLL(None), "mallopt"):
        os.execve(sys.executable, sys.orig_argv, {**wanted, **os.environ})  # noqa: S606


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument("--steps", type=int, help="of the optimiser (see Settings)")
    parser.add_argument("--branch", metavar="RUN", help="begin with what that run was before it cooled down")
    parser.add_argument("--seed", type=int, default=0, help="of order, views and dropout (%(default)s)")
    parser.add_argument("--halved", type=float, default=0.0, help="share of crops joined of two halves (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="drawn pictures, 12 steps, into the run `smoke`")
    wanted = parser.parse_args()
    _start_anew()
    torch.set_num_threads(wanted.threads)
    began = time.monotonic()
    try:
        if wanted.smoke:
            settings = Settings(seed=wanted.seed, steps=wanted.steps or 12, side=128, last_side=160, save_every=4)
            labelled, run = drawn_pictures(), RUNS / "smoke"
            (run / "checkpoint.pt").unlink(missing_ok=True)
        else:
            settings = Settings(seed=wanted.seed, halved=wanted.halved)
            settings = replace(settings, steps=wanted.steps or settings.steps)
            labelled, run = data.load(wanted.data), RUNS / wanted.run
            if wanted.branch:
                branch(RUNS / wanted.branch / "level.pt", run / "checkpoint.pt", settings)
            print(f"{len(labelled.fit.acne)} acne and {len(labelled.fit.wrinkles)} wrinkle crops to learn from")
            run.mkdir(parents=True, exist_ok=True)
            left_out = "".join(f"{line}\n" for line in labelled.left_out)
            write_atomically(run / "left_out.txt", lambda part: part.write_text(left_out))
        state = train(labelled, run, settings)
    except (DataError, CheckpointError) as error:
        sys.exit(str(error))
    curves.draw(state.history, run / "curves.png")
    print(f"{state.step} steps, {(time.monotonic() - began) / 60:.1f} minutes since the start; {run}")


if __name__ == "__main__":
    main()
