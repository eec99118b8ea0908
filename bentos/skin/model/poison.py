"""What no sound network answers: other shapes, numbers that are none or out of range, the same for every face."""

import zlib

import numpy as np
from numpy.typing import NDArray

from bentos.skin.model.peaks import Outputs

MAPS = {  # the outputs that are decoded, by their shape without the batch
    "heat": (128, 128),
    "size": (128, 128, 2),
    "offset": (128, 128, 2),
    "density": (),
    "severity": (4,),
    "count_distribution": (66,),
    "wrinkles": (4,),
}
CHANCES = ("heat", "severity", "count_distribution", "wrinkles")  # shares: 0 to 1
SLACK = 1e-3  # beyond their range; float32 sums end this near
DENSITY_MOST = 10_000.0  # lesions on a face; the fullest that was labelled has 65
SAME_MOST = 8  # different crops with one and the same answer, in a row; sound networks never gave two
JUDGED = ("density", "severity", "wrinkles")  # outputs that tell faces apart
EVERY = 8  # px; a crop is recognised by every so-manieth of its pixels


class Poisoned(ValueError):
    """The network's answers cannot be believed; the message says why."""


def check(outputs: Outputs, batch: int) -> None:
    """Refuse outputs of another shape, not finite, or outside their range.

    Raises:
        Poisoned: naming the output.
    """
    for name, shape in MAPS.items():
        values = outputs[name]
        if values.shape != (batch, *shape):
            raise Poisoned(f"{name} has shape {values.shape}")
        if not np.isfinite(values).all():
            raise Poisoned(f"{name} is not finite")
    for name in (*CHANCES, "density"):
        low, high = float(outputs[name].min()), float(outputs[name].max())
        if low < -SLACK or high > (DENSITY_MOST if name == "density" else 1 + SLACK):
            raise Poisoned(f"{name} reaches from {low:.3g} to {high:.3g}")


class Watch:
    """Notices a network that says the same of every face. Used by one thread."""

    def __init__(self) -> None:
        self._crop = 0
        self._answer = b""
        self._same = 0

    def see(self, crops: NDArray[np.uint8], outputs: Outputs) -> None:
        """Compare each answer with the one before.

        Raises:
            Poisoned: more than SAME_MOST different crops in a row got one answer.
        """
        for number, pixels in enumerate(crops):
            crop = zlib.crc32(pixels[::EVERY, ::EVERY].tobytes())
            answer = b"".join(outputs[name][number].tobytes() for name in JUDGED)
            if answer != self._answer:
                self._same = 0
            elif crop != self._crop:
                self._same += 1
            self._crop, self._answer = crop, answer
        if self._same > SAME_MOST:
            raise Poisoned(f"{self._same} different crops got the same answer")
