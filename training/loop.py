"""Trains the skin network step by step: settings, learning rate, validation, saving and continuing."""

import json
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from bentos.skin.findings import WRINKLE_ZONES
from training import augment, checkpoint, losses
from training.augment import View
from training.checkpoint import CheckpointError
from training.crops import Example
from training.data import Labelled, Split
from training.files import write_atomically
from training.network import INPUT_MEAN, INPUT_SCALE, SERVED_SIDE, SkinNetwork, imagenet


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run; its checkpoint stores them, and only the same settings can continue it."""

    seed: int = 0  # of the order, the augmentation and the dropout
    steps: int = 6000  # 80 minutes on two cores, 17 epochs of the acne photos; may change until the cool-down
    side: int = 384  # px; 512 takes 1.8 times as long, and close views show small lesions as large as 512 does
    last_side: int = SERVED_SIDE  # px, of the last steps: the heads for whole faces then see them as in the service
    last_share: float = 0.25  # of the steps with last_side; .12 did not improve the heads for whole faces
    acne: int = 5  # crops a step; lesions, severity and count need longer training than wrinkles
    clear: int = 1  # crops a step of clear faces, half of them with lesions pasted in
    wrinkle: int = 2  # crops a step; the wrinkle AUC is near its end after 11 minutes
    halved: float = 0.35  # share of acne crops joined from two faces, which the network cannot memorise
    rate_encoder: float = 2e-4  # learning rate, a tenth of the heads': the encoder knows edges and textures already
    rate_heads: float = 2e-3  # learning rate of neck and heads, which start untrained
    decay: float = 0.05  # weight decay of AdamW, of kernels only; .02 overfitted (severity .94 on train, .77 held out)
    betas: tuple[float, float] = (0.9, 0.99)  # a short run: the second moment must follow within a hundred steps
    warm_up: int = 100  # steps in which the rate rises; then it is constant, so that a run can be prolonged
    cool: float = 0.45  # share of the steps, the last, in which the rate falls to 0: most of the gain comes then
    frozen: int = 250  # first steps that train the heads only, so that their noise does not reach the encoder
    clip: float = 10.0  # largest norm of the gradient; only the first steps reach it
    average: float = 0.996  # decay per step of the averaged weights, which are validated and exported
    check_every: int = 600  # steps between validations on the held-out part; one takes as long as 20 steps
    save_every: int = 100  # steps; a killed run loses at most a minute of work
    bfloat16: bool = True  # of the 1×1 convolutions only; takes .7 of the time


@dataclass(slots=True)
class State:
    """Everything that changes during training.

    Attributes:
        step: number of finished steps.
        network: is trained.
        average: exponential moving average of the network's weights.
        optimiser: AdamW with its moments.
        history: one row of losses and metrics for each save.
    """

    step: int
    network: SkinNetwork
    average: SkinNetwork
    optimiser: torch.optim.Optimizer
    history: list[dict[str, float]]


def train(
    labelled: Labelled, run: Path, settings: Settings, stop_at: int | None = None, seconds: float = math.inf
) -> State:
    """Train a run, or continue it from its checkpoint.

    Args:
        labelled: the part to train on, and the held-out part for validation.
        run: folder of the run; made if missing.
        settings: must be those of the checkpoint, if there is one.
        stop_at: stop after this many steps, as if killed; None: train all steps.
        seconds: stop at the first checkpoint after this time; the same call goes on.

    Returns:
        The state after the last step.

    Raises:
        CheckpointError: the checkpoint has other settings or another network, or cannot be saved.
    """
    run.mkdir(parents=True, exist_ok=True)
    state = new_state(settings)
    path = run / "checkpoint.pt"
    if path.exists():
        restore(state, settings, path)
    end = settings.steps if stop_at is None else min(stop_at, settings.steps)
    bar = tqdm(total=settings.steps, initial=state.step, desc=run.name, mininterval=10, smoothing=0.05)
    sums: dict[str, float] = {}  # of the losses since the last save
    summed = 0  # steps
    start = time.monotonic()
    # The views of the next step are made while the network computes: torch leaves a fifth of two cores idle.
    ahead = ThreadPoolExecutor(1)
    views = ahead.submit(step_views, labelled.fit, settings, state.step)
    while state.step < end:
        ready, views = views.result(), ahead.submit(step_views, labelled.fit, settings, state.step + 1)
        for name, value in train_step(state, *ready, settings).items():
            sums[name] = sums.get(name, 0.0) + value
        summed += 1
        bar.update()
        bar.set_postfix({name: f"{value / summed:.2f}" for name, value in sums.items()}, refresh=False)
        last = state.step == settings.steps
        if last or state.step % settings.save_every == 0:
            row = {"step": float(state.step), **{name: value / summed for name, value in sums.items()}}
            if last or state.step % settings.check_every == 0:
                metrics = validate(state.average, labelled.held_out)
                row |= {f"held_out_{name}": value for name, value in metrics.items()}
                tqdm.write(json.dumps({name: round(value, 4) for name, value in row.items()}))
            state.history.append(row)
            sums, summed = {}, 0
            save(state, settings, path)
            if state.step <= cool_down_start(settings) < state.step + settings.save_every:
                write_atomically(run / "level.pt", lambda part: shutil.copyfile(path, part))
            write_atomically(run / "history.json", lambda part: part.write_text(json.dumps(state.history)))
            if time.monotonic() - start > seconds:
                break
    ahead.shutdown(cancel_futures=True)
    bar.close()
    return state


def new_state(settings: Settings) -> State:
    """Make an untrained network with the ImageNet encoder, its average, and the optimiser."""
    torch.manual_seed(settings.seed)
    network, average = (imagenet().use_bfloat16(settings.bfloat16).channels_last() for _ in range(2))
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False).eval()
    kernels: dict[bool, list[Tensor]] = {True: [], False: []}
    biases: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        (kernels if parameter.ndim > 1 else biases)[name.startswith("encoder.")].append(parameter)
    rates = {True: settings.rate_encoder, False: settings.rate_heads}
    groups = [
        {"params": kind[encoder], "weight_decay": decay, "base": rates[encoder]}
        for kind, decay in ((kernels, settings.decay), (biases, 0.0))
        for encoder in (True, False)
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate_heads, betas=settings.betas)
    return State(0, network, average, optimiser, [])


def step_views(split: Split, settings: Settings, step: int) -> tuple[list[View], int]:
    """Choose and augment the examples of a step; the same arguments give the same views.

    Args:
        split: the examples to train on.
        settings: of the run.
        step: its number.

    Returns:
        The views, those of wrinkle photos last, and how many of them are those of wrinkle photos.
    """
    rng = np.random.default_rng([settings.seed, step])
    late = step >= settings.steps * (1 - settings.last_share)
    side = settings.last_side if late else settings.side
    marked = settings.acne + (0 if split.clear else settings.clear)
    acne = step_examples(split.acne, marked, step, settings.seed)
    others = step_examples(split.acne, marked, step, settings.seed + 1)
    acne = [
        augment.join_halves(example, other) if settings.halved and rng.random() < settings.halved else example
        for example, other in zip(acne, others, strict=True)
    ]
    if split.clear:
        acne += step_examples(split.clear, settings.clear, step, settings.seed)
    wrinkled = step_examples(split.wrinkles, settings.wrinkle, step, settings.seed)
    return [augment.random_view(example, side, rng) for example in (*acne, *wrinkled)], len(wrinkled)


def train_step(state: State, views: list[View], wrinkled: int, settings: Settings) -> dict[str, float]:
    """Do one step of the optimiser.

    Args:
        state: is changed.
        views: of `step_views`.
        wrinkled: how many of them, the last, are of wrinkle photos.
        settings: of the run.

    Returns:
        Name → weighted loss of the step.
    """
    torch.manual_seed(settings.seed * 1_000_003 + state.step)  # of dropout; other in each step and each run
    state.network.train()
    state.network.freeze(state.step < settings.frozen)
    share = learning_rate_share(state.step, settings)
    for group in state.optimiser.param_groups:
        group["lr"] = group["base"] * share
    raw = state.network(to_input(np.stack([view.pixels for view in views])))
    parts = losses.lesion_loss(raw, losses.lesion_targets(views))
    wrinkle_raw = {name: value[len(views) - wrinkled :] for name, value in raw.items()}
    parts |= losses.wrinkle_loss(wrinkle_raw, losses.wrinkle_targets(views[len(views) - wrinkled :]))
    state.optimiser.zero_grad(set_to_none=True)
    total: Any = torch.stack(list(parts.values())).sum()
    total.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    state.optimiser.step()
    state.step += 1
    # The average follows fast at first; else it would contain the untrained heads for hundreds of steps.
    keep = min(settings.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, current in zip(state.average.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(current, 1 - keep)
    return {name: float(value.detach()) for name, value in parts.items()}


def learning_rate_share(step: int, settings: Settings) -> float:
    """Compute the learning rate of a step as a share of the highest: warm-up, constant, cosine decay; 0..1."""
    rise, fall = min((step + 1) / max(settings.warm_up, 1), 1.0), cool_down_start(settings)
    return rise if step < fall else rise * 0.5 * (1 + math.cos(math.pi * (step - fall) / (settings.steps - fall)))


def cool_down_start(settings: Settings) -> int:
    """Return the first step of the cool-down; before it, nothing depends on the total number of steps."""
    return round(settings.steps * (1 - max(settings.cool, settings.last_share)))


def step_examples(examples: list[Example], count: int, step: int, seed: int) -> list[Example]:
    """Select the `count` examples of a step; each example occurs once an epoch, each epoch has another order."""
    selected = []
    for position in range(step * count, (step + 1) * count):
        epoch, index = divmod(position, len(examples))
        selected.append(examples[int(np.random.default_rng([seed, epoch]).permutation(len(examples))[index])])
    return selected


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 (batch, side, side, 3) to the network's input, float32 (batch, 3, side, side), normalised."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()  # no copy: channels stay last in memory
    return x.sub_(INPUT_MEAN).div_(INPUT_SCALE)


def validate(network: SkinNetwork, split: Split, side: int = 384) -> dict[str, float]:
    """Measure the network quickly, without calibration.

    Args:
        network: to measure.
        split: the held-out part.
        side: px to which the crops are shrunk.

    Returns:
        severity, accuracy; mae and bias of the count by the density, in lesions; the AUC of each wrinkle zone that has
        both classes.
    """
    from sklearn.metrics import roc_auc_score

    metrics: dict[str, float] = {}
    correct, errors = [], []
    for example in split.acne[::2]:  # one variant of each photo
        raw = infer(network, [augment.whole_view(example, side).pixels])
        correct.append(int(raw["severity"].argmax()) == example.severity)
        errors.append(float(raw["density"].sum()) - len(example.lesions))
    if correct:
        metrics["severity"] = float(np.mean(correct))
        metrics["mae"], metrics["bias"] = float(np.mean(np.abs(errors))), float(np.mean(errors))
    truth, scores = [], []
    for example in split.wrinkles:
        raw = infer(network, [augment.whole_view(example, side).pixels])
        truth.append([len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES])
        scores.append(raw["wrinkles"].amax(dim=(2, 3))[0].numpy())
    for number, zone in enumerate(WRINKLE_ZONES):
        labels = [row[number] for row in truth]
        if len(set(labels)) == 2:
            metrics[zone] = float(roc_auc_score(labels, [row[number] for row in scores]))
    return metrics


@torch.no_grad()
def infer(network: SkinNetwork, pixels: list[NDArray[np.uint8]]) -> dict[str, Tensor]:
    """Compute the raw outputs for crops, each uint8 (side, side, 3), in evaluation mode; see `SkinNetwork.forward`."""
    network.eval()
    raw: dict[str, Tensor] = network(to_input(np.stack(pixels)))
    return raw


def save(state: State, settings: Settings, path: Path) -> None:
    """Write a checkpoint.

    Raises:
        CheckpointError: it cannot be written; the old one is kept.
    """
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
    """Start a new run with other settings from the state of another run before its cool-down.

    Args:
        source: `level.pt` of the other run.
        path: of the new run's checkpoint; an existing one is kept.
        settings: of the new run.

    Raises:
        CheckpointError: the source is missing, broken, or later than the start of the new run's cool-down.
    """
    if path.exists():
        return
    content = checkpoint.read(source)
    if content["step"] > cool_down_start(settings):
        raise CheckpointError(
            f"{source} is at step {content['step']}, but the new run cools down from step {cool_down_start(settings)}; "
            "raise --steps"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write({**content, "settings": asdict(settings)}, path)


def restore(state: State, settings: Settings, path: Path) -> None:
    """Read a checkpoint into a state.

    Args:
        state: is changed.
        settings: must be those of the checkpoint; the number of steps may differ until the cool-down.
        path: of the checkpoint.

    Raises:
        CheckpointError: the checkpoint is broken, or has other settings or another network.
    """
    content = checkpoint.read(path)
    stored = content["settings"]
    changed = {name for name, value in asdict(settings).items() if stored.get(name) != value}
    if changed == {"steps"} and content["step"] <= min(
        cool_down_start(replace(settings, steps=n)) for n in (stored["steps"], settings.steps)
    ):
        changed = set()
    if changed:
        raise CheckpointError(f"{path} was trained with another {', '.join(sorted(changed))}; name another --run")
    checkpoint.load_weights(state.network, content["network"], path)
    checkpoint.load_weights(state.average, content["average"], path)
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.history = content["step"], content["history"]
