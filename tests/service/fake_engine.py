"""The service with an engine whose behaviour a test sets: `bentoml serve tests.service.fake_engine:Gateway`.

The engine replaces `model.engine.load` and `model.source.source`; everything else is the real code.
It reads its behaviour, before each load and each batch, from the file that FAKE_ENGINE_BEHAVIOUR names:

healthy          answers
slow SECONDS     answers after so many seconds per batch
raises           every batch raises
hangs            batches and loads answer only once the file says something else
stuck            the next batch never answers, whatever the file says later
dies             the process is killed by its next batch

Measurements are quick, so that the times that a test measures are those of the runtime.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.skin import measure as measure_package
from bentos.skin.findings import COLOUR_ZONES, WRINKLE_ZONES, Graded, Lesion, LesionsAndWrinkles, Measured, Tone
from bentos.skin.model import engine, source
from bentos.skin.photo.view import FaceView
from bentos.skin.schema import ModelInfo

BEHAVIOUR = Path(os.environ["FAKE_ENGINE_BEHAVIOUR"])
COUNT = 7  # lesions found on every crop
MEASURE_S = 0.02


class FakeEngine:
    """Finds the same lesions on every crop, and wrinkles as strong as the crop is bright."""

    info: ModelInfo = ModelInfo(name="fake", version="1.0.0", sha256="0" * 64)
    kind: str = "fake"
    metrics: dict[str, Any] = {}  # noqa: RUF012  as the protocol has it

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[LesionsAndWrinkles]:
        behave()
        return [
            LesionsAndWrinkles(
                lesions=[Lesion((246.0, 300.0, 20.0, 20.0), 0.5), Lesion((300.0, 290.0, 20.0, 20.0), 0.1)],
                min_confidence=0.3,
                count=COUNT,
                severity="moderate",
                severity_confidence=None,
                wrinkles=dict.fromkeys(WRINKLE_ZONES, float(pixels.mean()) / 255),
                acne_map=np.full((128, 128), 200, np.uint8),
                wrinkle_map=np.full((64, 64), 100, np.uint8),
            )
            for pixels in crops
        ]


def behave() -> None:
    """Behave as the file says."""
    word, _, seconds = BEHAVIOUR.read_text().partition(" ")
    if word == "slow":
        time.sleep(float(seconds))
    elif word == "raises":
        raise RuntimeError("the engine is broken")
    elif word == "stuck":
        threading.Event().wait()
    elif word == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    while BEHAVIOUR.read_text() == "hangs":
        time.sleep(0.02)


class Memory:
    """A source that has nothing to fetch."""

    name: str = "memory"
    note: str | None = None

    def fetch(self) -> Any:
        """Nothing, once loading does not hang."""
        while BEHAVIOUR.read_text() == "hangs":
            time.sleep(0.02)

    def newest(self) -> str:
        """Always the same."""
        return FakeEngine.info.sha256


def load(*_: object) -> engine.Engine:
    """The fake engine."""
    return FakeEngine()


def only_memory(*_: object) -> source.Source:
    """The source, whatever the settings name."""
    return Memory()


def measure(view: FaceView) -> Measured:
    """Measurements that tell photos apart, in MEASURE_S."""
    time.sleep(MEASURE_S)
    share = float(view.crop.pixels.mean()) / 255
    graded = Graded(100 * share, dict.fromkeys(COLOUR_ZONES, share), np.zeros((128, 128), np.uint8))
    return Measured(graded, graded, graded, graded, Tone(30.0, "intermediate"))


def find(view: FaceView) -> LesionsAndWrinkles:
    """The same of acne and wrinkles."""
    share = float(view.crop.pixels.mean()) / 255
    return LesionsAndWrinkles(
        lesions=[],
        min_confidence=0.3,
        count=0,
        severity="clear",
        severity_confidence=None,
        wrinkles=dict.fromkeys(WRINKLE_ZONES, 1 - share),
        acne_map=np.zeros((128, 128), np.uint8),
        wrinkle_map=np.zeros((64, 64), np.uint8),
    )


engine.load = load  # type: ignore[assignment]  # which takes whatever the real one does
source.source = only_memory  # type: ignore[assignment]
measure_package.measure = measure
measure_package.find = find

from service import Gateway, HeuristicFallback, SkinModel  # noqa: E402  the functions must be replaced before

__all__ = ["Gateway", "HeuristicFallback", "SkinModel"]
