"""The fitted weights of blemishes and lines: tuned.json beside this file, written by `training/tune.py`."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

TUNED = Path(__file__).with_name("tuned.json")


class Network:
    """Standardisation and a few dense layers, ReLU between them: from a logistic regression to a small perceptron.

    Args:
        fitted: "mean" and "scale" of the features, (f,), and "layers", a list of {"weights", (in, out), and
            "bias", (out,)}.
    """

    def __init__(self, fitted: dict[str, Any]) -> None:
        layers = [
            (np.array(layer["weights"], np.float32), np.array(layer["bias"], np.float32)) for layer in fitted["layers"]
        ]
        mean, scale = np.array(fitted["mean"], np.float32), np.array(fitted["scale"], np.float32)
        first, bias = layers[0]  # includes the standardisation, so that it costs nothing
        layers[0] = (first / scale[:, None], (bias - (mean / scale) @ first).astype(np.float32))
        self._layers = layers

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, f) → outputs before any activation, float32 (n, outputs)."""
        values = features
        for number, (weights, bias) in enumerate(self._layers):
            if number:
                values = np.maximum(values, 0, out=values)
            values = values @ weights
            values += bias
        return values


@lru_cache(maxsize=1)
def tuned() -> dict[str, Any]:
    """What `training/tune.py` fitted: "blemishes" and "lines".

    Raises:
        FileNotFoundError: tuned.json is missing.
    """
    fitted: dict[str, Any] = json.loads(TUNED.read_text())
    return fitted


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + e^-x), without overflow."""
    return np.asarray(np.float32(0.5) * (np.tanh(np.float32(0.5) * logits) + np.float32(1)), dtype=np.float32)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Class probabilities along the last axis."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
