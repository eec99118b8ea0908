"""Rejects malformed, NaN, out-of-range or constant model output."""

import threading
import zlib

import numpy as np
from numpy.typing import NDArray

from bentos.skin.model.postprocess import Outputs

OUTPUT_SHAPES = {  # the outputs that are decoded, by their shape without the batch
    "heat": (128, 128),
    "size": (128, 128, 2),
    "offset": (128, 128, 2),
    "density": (),
    "severity": (4,),
    "count_distribution": (66,),
    "wrinkles": (4,),
    "wrinkle_maps": (64, 64, 4),
}
PROBABILITIES = ("heat", "severity", "count_distribution", "wrinkles", "wrinkle_maps")  # shares: 0 to 1
SLACK = 1e-3  # beyond their range; for rounding errors of float32 sums
DENSITY_MAX = 10_000.0  # lesions on a face; the labelled maximum is 65
SAME_MAX = 8  # different crops with the same outputs, in a row; a working network never gave two
COMPARED = ("density", "severity", "wrinkles")  # outputs that differ between faces
SAMPLE_STEP = 8  # px; crops are compared by one pixel in so many, along each axis


class InvalidModelOutput(ValueError):
    """The outputs of the network are invalid; the message says why."""


def check(outputs: Outputs, batch: int) -> None:
    """Reject outputs of another shape, not finite, or outside their range.

    Raises:
        InvalidModelOutput: with the name of the output.
    """
    for name, shape in OUTPUT_SHAPES.items():
        values = outputs[name]
        if values.shape != (batch, *shape):
            raise InvalidModelOutput(f"{name} has shape {values.shape}")
        if not np.isfinite(values).all():
            raise InvalidModelOutput(f"{name} is not finite")
    for name in (*PROBABILITIES, "density"):
        low, high = float(outputs[name].min()), float(outputs[name].max())
        if low < -SLACK or high > (DENSITY_MAX if name == "density" else 1 + SLACK):
            raise InvalidModelOutput(f"{name} reaches from {low:.3g} to {high:.3g}")


class ConstantOutputDetector:
    """Detects a network that gives the same outputs for every face. Several threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crop = 0
        self._answer = b""
        self._same = 0

    def check(self, crops: NDArray[np.uint8], outputs: Outputs) -> None:
        """Compare the outputs of each crop with those of the previous one.

        Raises:
            InvalidModelOutput: more than SAME_MAX different crops in a row got the same outputs.
        """
        for number, pixels in enumerate(crops):
            crop = zlib.crc32(pixels[::SAMPLE_STEP, ::SAMPLE_STEP].tobytes())
            answer = b"".join(outputs[name][number].tobytes() for name in COMPARED)
            with self._lock:
                if answer != self._answer:
                    self._same = 0
                elif crop != self._crop:
                    self._same += 1
                self._crop, self._answer, same = crop, answer, self._same
            if same > SAME_MAX:
                raise InvalidModelOutput(f"{same} different crops got the same answer")
