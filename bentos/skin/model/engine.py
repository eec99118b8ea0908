"""Runs the skin model: ONNX Runtime on a checked bundle."""

import base64
import binascii
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.findings import LesionsAndWrinkles
from bentos.skin.inference import new_session
from bentos.skin.model.bundle import MODEL, Bundle, BundleError, SelfTest
from bentos.skin.model.output_checks import OUTPUT_SHAPES, ConstantOutputDetector, check
from bentos.skin.model.postprocess import Outputs, lesions_and_wrinkles
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.schema import ModelInfo

EMBEDDED = Path(__file__).resolve().parents[1] / "weights"


class Engine(Protocol):
    """Loaded weights, ready to answer.

    Attributes:
        info: name, version and sha256 of the manifest.
        kind: the runtime, e.g. "onnxruntime 1.32.0".
        metrics: measured accuracy and repeatability of the weights.
    """

    info: ModelInfo
    kind: str
    metrics: dict[str, Any]

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[LesionsAndWrinkles]:
        """Acne and wrinkles of a batch of crops, each uint8 (512, 512, 3).

        Raises:
            InvalidModelOutput: the outputs are invalid.
        """
        ...


class OnnxEngine:
    """An ONNX Runtime session on a bundle, whose self-test has passed.

    On a CPU a batch is run as its single crops, one thread each: two threads at one crop spend a quarter more, and
    larger batches gain nothing. On an accelerator it is one call.

    Args:
        bundle: checked.
        threads: crops that are run at the same time.

    Raises:
        BundleError: weights_incompatible (the network cannot be run) or self_test_failed.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        manifest = bundle.manifest
        try:
            self._session = new_session(bundle.folder / MODEL, threads=1)
        except Exception as error:  # ONNX Runtime raises classes of its own for a file it cannot read
            raise BundleError("weights_incompatible", f"{MODEL} cannot be run ({type(error).__name__}).") from None
        names = {output.name for output in self._session.get_outputs()}
        lacking = sorted(set(OUTPUT_SHAPES) - names)
        if lacking or [node.name for node in self._session.get_inputs()] != [manifest.input.name]:
            raise BundleError("weights_incompatible", f"{MODEL} has other inputs or lacks outputs {lacking}.")
        self._input = manifest.input.name
        self._calibration = manifest.calibration
        self.info = ModelInfo(name=manifest.name, version=manifest.version, sha256=bundle.sha256)
        self.kind = f"onnxruntime {ort.__version__}"
        self.metrics = bundle.metrics
        self._constant = ConstantOutputDetector()
        self._on_cpu = self._session.get_providers()[0] == "CPUExecutionProvider"
        self._count = threads
        self._pool = os.getpid(), ThreadPoolExecutor(threads, thread_name_prefix="network")
        self._test(manifest.self_test)

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[LesionsAndWrinkles]:
        """Acne and wrinkles of a batch of crops, each uint8 (512, 512, 3).

        Raises:
            InvalidModelOutput: the outputs are invalid, or the same for many different crops.
        """
        batches = [crop[np.newaxis] for crop in crops] if self._on_cpu else [np.stack(crops)]
        outputs = list(self._threads().map(self.run, batches))
        for batch, output in zip(batches, outputs, strict=True):
            self._constant.check(batch, output)
        return [
            lesions_and_wrinkles(output, number, self._calibration)
            for batch, output in zip(batches, outputs, strict=True)
            for number in range(len(batch))
        ]

    def _threads(self) -> ThreadPoolExecutor:
        """The threads of this process: those of the parent do not exist in a process that was forked."""
        owner, pool = self._pool
        if owner != os.getpid():
            pool = ThreadPoolExecutor(self._count, thread_name_prefix="network")
            self._pool = os.getpid(), pool
        return pool

    def run(self, crops: NDArray[np.uint8]) -> Outputs:
        """The raw outputs of a batch, by name.

        Raises:
            InvalidModelOutput: one has another shape, is not finite, or lies outside its range.
        """
        values = self._session.run(list(OUTPUT_SHAPES), {self._input: crops})
        outputs = dict(zip(OUTPUT_SHAPES, values, strict=True))
        check(outputs, len(crops))
        return outputs

    def _test(self, test: SelfTest) -> None:
        """Compare the outputs for the recorded picture with the recorded outputs; this warms the session up too."""
        try:
            outputs = self.run(picture(test.png)[np.newaxis])
        except Exception as error:
            raise BundleError("self_test_failed", f"The network does not answer its self-test: {error}.") from None
        for name, expected in test.expected.items():
            if name not in outputs:
                raise BundleError("self_test_failed", f"The self-test expects an output {name}, which is not there.")
            values = outputs[name].ravel()
            if len(values) != len(expected):
                raise BundleError(
                    "self_test_failed", f"{name} has {len(values)} values, {len(expected)} were recorded."
                )
            off = float(np.abs(values - np.array(expected)).max())
            if off > test.tolerance:
                raise BundleError("self_test_failed", f"{name} differs by {off:.3g} from what was recorded.")


def picture(png: str) -> NDArray[np.uint8]:
    """The self-test's picture as a crop, uint8 (512, 512, 3).

    Raises:
        ValueError: it cannot be decoded or has the wrong size.
    """
    try:
        with Image.open(BytesIO(base64.b64decode(png, validate=True)), formats=["PNG"]) as image:
            small = np.asarray(image.convert("RGB"))
    except (binascii.Error, OSError) as error:
        raise ValueError("the picture cannot be decoded") from error
    times, rest = divmod(CROP_SIZE, small.shape[0])
    if rest or small.shape[0] != small.shape[1]:
        raise ValueError(f"the picture has {small.shape[1]}×{small.shape[0]} pixels")
    return small.repeat(times, axis=0).repeat(times, axis=1)


def load(bundle: Bundle, threads: int) -> Engine:
    """The engine of a checked bundle.

    Raises:
        BundleError: weights_incompatible or self_test_failed.
    """
    return OnnxEngine(bundle, threads)
