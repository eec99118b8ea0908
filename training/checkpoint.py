"""Reads and writes checkpoints, the files from which a stopped training run continues."""

import errno
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.files import write_atomically
from training.network import SkinNetwork

KEYS = {"settings", "step", "network", "average", "optimiser", "history"}


class CheckpointError(Exception):
    """A checkpoint cannot be used or written; the message says why and what to do."""


def write(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint.

    Args:
        content: a value for each of KEYS.
        path: the file to replace; the old one is kept until the new one is complete.

    Raises:
        CheckpointError: the disk is full or cannot be written.
    """
    try:
        write_atomically(path, lambda part: torch.save(content, part))
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        full = getattr(error, "errno", None) == errno.ENOSPC or "PytorchStreamWriter" in str(error)
        reason = "the disk is full" if full else str(error)
        raise CheckpointError(
            f"{path} could not be saved, {reason}; the last checkpoint is kept: run the same command to continue"
        ) from error


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Returns:
        A value for each of KEYS; tensors lie on the CPU.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of this training.
    """
    if not path.exists():
        raise CheckpointError(f"there is no {path}; train it first with python -m training.train")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = KEYS - set(content)
    except Exception as error:  # torch raises half a dozen kinds for a broken file
        raise CheckpointError(f"{path} is broken or is no checkpoint; delete it to start again") from error
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}, so it is no checkpoint of this training")
    return content


def load_weights(network: SkinNetwork, weights: dict[str, Tensor], path: Path) -> None:
    """Copy weights into a network.

    Args:
        network: receives the weights.
        weights: parameter name → tensor.
        path: where the weights come from, for the message.

    Raises:
        CheckpointError: a name or a shape differs from the network's.
    """
    own = network.state_dict()
    different = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if different:
        raise CheckpointError(f"{path} belongs to another network: {different[0]} does not fit")
    network.load_state_dict(weights)
