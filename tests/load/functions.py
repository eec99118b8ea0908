"""The whole way of a photo, bytes → Analysis as JSON, made of the service's own functions, in one process without HTTP.

Every way that `make bench` compares with the service answers by this class: the calls in process, FastAPI, LitServe and
plain BentoML. It runs with PYTHONPATH=TREE:tests/load, where TREE is this repository or an older commit of it, in an
environment without pytest: so it imports nothing of `tests`, and what the trees have differently is settled here.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from bentos.skin.findings import Measured
from bentos.skin.measure import measure
from bentos.skin.model.bundle import read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine
from bentos.skin.options import Options
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.photo.view import FaceView
from bentos.skin.report import PreparedPhoto, RunnerResult, build
from bentos.skin.schema import Analysis, Timing

PIPELINE = "bentos.skin.pipeline"  # of trees that have one; before, the step lay in the gateway
prepare = import_module(PIPELINE if find_spec(PIPELINE) else "bentos.skin.runtime.gateway").prepare
PROCESS_MEMORY = "bentos.skin.runtime.process_memory"
REQUEST_ID = "bench"  # of every answer, so that equal findings are equal bytes
UNTIMED = Timing(decode=0.0, face=0.0, analysis=0.0, total=0.0)


def keep_freed_memory() -> None:
    """Manage this process's memory as the service does, in trees where it does: the limit has every advantage it has.

    Called by the ways that a good engineer has tuned, not by plain BentoML.
    """
    if find_spec(PROCESS_MEMORY) is not None:
        import_module(PROCESS_MEMORY).keep_freed_memory()


class Functions:
    """Face detector, face mesh and skin model, loaded once; one object may serve many threads.

    Args:
        threads: of ONNX Runtime, for each call.

    Raises:
        BundleError: the embedded weights cannot be used.
    """

    def __init__(self, threads: int = 1) -> None:
        self._reader = FaceReader(threads)
        self._engine = OnnxEngine(read(EMBEDDED), threads)

    def analyze(self, data: bytes) -> bytes:
        """The Analysis of one photo, as JSON.

        Args:
            data: the whole file, in any format that the service takes.

        Raises:
            ShineError: the photo cannot be analysed.
        """
        return self.analyze_batch([data])[0]

    def analyze_batch(self, photos: Sequence[bytes]) -> list[bytes]:
        """The Analysis of each of several photos, as JSON; the network sees them as one batch; raises as `analyze`."""
        return [analysis.model_dump_json().encode() for analysis in self.analyses(photos)]

    def analyses(self, photos: Sequence[bytes]) -> list[Analysis]:
        """The Analysis of each of several photos; raises as `analyze`."""
        prepared = [self._prepare(data) for data in photos]
        crops: Any = np.stack([photo.view.crop.pixels for photo in prepared])  # some trees take arrays, others lists
        answers = self._engine.predict(crops)
        results = [
            RunnerResult(_measure(photo.view), answer, "model", degraded=False, reason=None, model=self._engine.info)
            for photo, answer in zip(prepared, answers, strict=True)
        ]
        return [
            build(photo, result, Options(), REQUEST_ID, UNTIMED)
            for photo, result in zip(prepared, results, strict=True)
        ]

    def _prepare(self, data: bytes) -> PreparedPhoto:
        photo = decode(data)
        return prepare(photo, self._reader.read(photo))


def _measure(view: FaceView) -> Measured:
    """What is measured on a crop whose acne and wrinkles the model has found."""
    return measure(view)
