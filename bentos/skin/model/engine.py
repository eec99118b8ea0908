"""What runs the skin model. None is shipped yet: `load` says so, and the heuristic runner answers."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import Learned
from bentos.skin.schema import ModelInfo
from bentos.skin.settings import Settings


class EngineError(Exception):
    """An engine could not be made.

    Attributes:
        reason: the contract's reason code.
        message: what was wrong and what to do, in a sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Engine(Protocol):
    """Loaded weights, ready to answer.

    Attributes:
        info: name, version and sha256 of the manifest.
        source: where the weights came from.
        kind: what runs them, e.g. "onnxruntime 1.32.0".
    """

    info: ModelInfo
    source: str
    kind: str

    def predict(self, crops: NDArray[np.uint8]) -> list[Learned]:
        """Learned concerns of a batch of crops, uint8 (batch, 512, 512, 3)."""
        ...


def load(settings: Settings) -> Engine:
    """Load the weights that the settings name.

    Raises:
        EngineError: there are none.
    """
    where = settings.weights_uri or "the embedded bundle"
    raise EngineError("weights_missing", f"No weights were found in {where}; heuristics answer until there are.")
