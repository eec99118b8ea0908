"""Files of a run: written whole or not at all, and refused with a sentence where they are not what they should be."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.network import SkinNetwork

KEYS = {"settings", "step", "network", "average", "optimiser", "history"}


class CheckpointError(Exception):
    """A checkpoint cannot be gone on from, or not be saved; the message says why."""


def write(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint.

    Args:
        content: of KEYS.
        path: replaced when all is written.

    Raises:
        CheckpointError: the disk is full, or cannot be written.
    """
    try:
        write_atomically(path, lambda part: torch.save(content, part))
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        full = getattr(error, "errno", None) == errno.ENOSPC or "PytorchStreamWriter" in str(error)
        why = "the disk is full" if full else str(error)
        raise CheckpointError(f"{path} could not be saved, {why}; the last one is kept, go on from it") from error


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content.

    Raises:
        CheckpointError: it is missing or broken.
    """
    if not path.exists():
        raise CheckpointError(f"there is no {path}; train it first with python -m training.train")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = KEYS - set(content)
    except Exception as error:  # torch raises half a dozen kinds for a broken file
        raise CheckpointError(f"{path} is no checkpoint or a broken one; delete it to begin anew") from error
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}, so it is no checkpoint of this training")
    return content


def load(network: SkinNetwork, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        CheckpointError: they are of another network.
    """
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise CheckpointError(f"{path} is of another network: {wrong[0]} does not fit")
    network.load_state_dict(weights)


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the file and put it in place, so that the file is always whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
