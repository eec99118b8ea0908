"""The same findings as over HTTP, in one's own process: `from bentos.skin import Analyzer`.

analyzer = Analyzer()                       # the weights of this package; or a folder, or s3://…
analysis = analyzer.analyze("face.jpg")     # a path, bytes, a PIL image or a NumPy array
analysis.concerns.acne.count
"""

import logging
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.errors import ModelUnavailable, ShineError
from bentos.skin.layers import HeatMaps
from bentos.skin.measure import find, measure
from bentos.skin.model.lifecycle import Lifecycle
from bentos.skin.model.status import ModelAnswer, ModelNotReady, ModelStatus
from bentos.skin.options import Options, of_json
from bentos.skin.photo.decode import of_image
from bentos.skin.photo.view import FaceView
from bentos.skin.pipeline import Preparation, Prepared, of_heuristics, of_model, pictured, timing
from bentos.skin.report import PreparedPhoto, RunnerResult, build, maps_of, quality_answer
from bentos.skin.schema import Analysis, QualityAnswer, Reason
from bentos.skin.settings import PREFIX, check_weights_uri, read
from bentos.skin.threads import in_order, limit_pools, thread_count

log = logging.getLogger("shine.analyzer")

CACHE_DIR = f"{PREFIX}CACHE_DIR"

PhotoLike = str | Path | bytes | Image.Image | NDArray[np.uint8]
Failure = ShineError | OSError | TypeError | ValueError  # what `analyze` raises


class Analyzer:
    """Findings on photos, without a server; answers, errors and marking are those of the HTTP endpoints.

    One analyzer may serve many threads, and processes that are forked while it does nothing. It can be pickled: what
    arrives loads its weights anew. Numeric libraries of this process are limited to one thread a call, for photos are
    analysed in parallel already; where they are not set, OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS are
    set to 1, so processes that it starts inherit that.

    Where the weights cannot be used nothing is raised: the heuristics answer, and each answer says so (`degraded`,
    `reason`), unless a call requires the model. `status` tells the cause.

    Args:
        weights: a bundle's folder, or `s3://bucket/prefix`; None: the weights of this package.
        threads: photos that are analysed at the same time; None: as many as there are CPUs.

    What is fetched from S3 is kept in SHINE_CACHE_DIR, as the service does; no other of its settings is read.

    Raises:
        SettingsError: `weights` names neither a folder nor a place in S3.
        TypeError: `weights` is neither.
        ValueError: `threads` is no whole number from 1.
    """

    def __init__(self, weights: str | Path | None = None, threads: int | None = None) -> None:
        _refuse_below_one("threads", threads)
        threads = threads and int(threads)
        if weights is not None and (not isinstance(weights, str | Path) or not str(weights)):
            raise TypeError(f"weights is {weights!r}; it must be a folder, s3://bucket/prefix, or None.")
        uri = None if weights is None else str(weights)
        if uri is not None:
            check_weights_uri(uri, "weights")
        limit_pools()
        self._arguments = (weights, threads)
        cache = {name: value for name, value in os.environ.items() if name == CACHE_DIR}
        self._settings = read(cache).model_copy(update={"weights_uri": uri, "threads": threads or 0})
        self._prepare = Preparation(self._settings)
        self._model = Lifecycle(self._settings, _Unobserved())
        self._model.load()

    def __reduce__(self) -> tuple[type["Analyzer"], tuple[str | Path | None, int | None]]:
        return Analyzer, self._arguments

    def __repr__(self) -> str:
        weights, threads = self._arguments
        return f"Analyzer(weights={weights!r}, threads={threads})"

    @property
    def status(self) -> ModelStatus:
        """What is loaded, and else why not."""
        return ModelStatus.model_validate(self._model.status())

    def analyze(
        self,
        photo: PhotoLike,
        *,
        require: str | None = None,
        min_confidence: float | None = None,
        include: Collection[str] | None = None,
    ) -> Analysis:
        """Findings on one photo.

        Args:
            photo: a path, the bytes of a file, a PIL image, or an array uint8 (height, width) of grey or
                (height, width, 3 or 4) of RGB or RGBA; of OpenCV's BGR give `pixels[..., ::-1]`.
            require: "model" where the heuristics shall not answer.
            min_confidence: of the boxes that are listed, 0..1; None: where F1 on labelled photos is best.
            include: of "outlines" and "maps"; None: neither.

        Raises:
            ShineError: as over HTTP, by class.
            OSError: the file cannot be read.
            TypeError: another kind of photo.
            ValueError: an array of another shape or type.
        """
        options = _options(require=require, min_confidence=min_confidence, include=_listed(include))
        return self._analyze(photo, options)[0]

    def quality(self, photo: PhotoLike) -> QualityAnswer:
        """How fit one photo is, without findings; raises as `analyze`."""
        return quality_answer(self._prepared(photo).photo, uuid.uuid4().hex)

    def overlay(
        self,
        photo: PhotoLike,
        *,
        layers: Collection[str] | None = None,
        legend: bool = True,
        width: int | None = None,
        require: str | None = None,
        min_confidence: float | None = None,
    ) -> bytes:
        """The upright photo as PNG with its findings drawn in; raises as `analyze`.

        Args:
            photo: as of `analyze`.
            layers: of "boxes", "zones" and the concerns; None: boxes and zones.
            legend: whether there is one.
            width: of the picture, px; None: its usual size.
            require: as of `analyze`.
            min_confidence: as of `analyze`.
        """
        return self.illustrate(
            photo, layers=layers, legend=legend, width=width, require=require, min_confidence=min_confidence
        )[1]

    def illustrate(
        self,
        photo: PhotoLike,
        *,
        layers: Collection[str] | None = None,
        legend: bool = True,
        width: int | None = None,
        require: str | None = None,
        min_confidence: float | None = None,
        include: Collection[str] | None = None,
    ) -> tuple[Analysis, bytes]:
        """What `analyze` and `overlay` give, for the work of one of them; arguments and errors are theirs."""
        options = _options(
            require=require,
            min_confidence=min_confidence,
            include=_listed(include),
            layers=_listed(layers),
            legend=legend,
            width=width,
        )
        analysis, prepared, result = self._analyze(photo, options)
        return analysis, pictured(analysis, prepared, result, options)

    def maps(self, photo: PhotoLike, *, require: str | None = None) -> HeatMaps:
        """The heat maps of one photo: uint8 arrays, and the part of the photo that they show; raises as `analyze`."""
        analysis, prepared, result = self._analyze(photo, _options(require=require))
        return maps_of(prepared, result, analysis.concerns)

    def analyze_many(
        self,
        photos: Iterable[PhotoLike],
        *,
        batch_size: int | None = None,
        require: str | None = None,
        min_confidence: float | None = None,
        include: Collection[str] | None = None,
    ) -> Iterator[Analysis | Failure]:
        """Findings on any number of photos, in their order; what is raised for one photo is its item.

        Args:
            photos: read as they are needed, and never more than `batch_size` ahead.
            batch_size: photos in work or waiting at the same time, which bounds the memory; None: twice the threads.
            require: as of `analyze`.
            min_confidence: as of `analyze`.
            include: as of `analyze`.

        Raises:
            BadRequest: an option has no such value.
            TypeError: `photos` is one photo.
            ValueError: `batch_size` is no whole number from 1.
        """
        if isinstance(photos, str | Path | bytes | bytearray | memoryview | Image.Image | np.ndarray):
            raise TypeError(f"photos is one {type(photos).__name__}; give a list, or call analyze().")
        if not isinstance(photos, Iterable):
            raise TypeError(f"photos is {type(photos).__name__}; give a list.")
        _refuse_below_one("batch_size", batch_size)
        options = _options(require=require, min_confidence=min_confidence, include=_listed(include))
        threads = thread_count(self._settings)

        def item(photo: PhotoLike) -> Analysis | Failure:
            try:
                return self._analyze(photo, options)[0]
            except (ShineError, OSError, TypeError, ValueError) as error:
                return error

        # A program that ends while a photo is analysed would tell of threads that cannot be started any more.
        return in_order(item, photos, threads=threads, at_once=batch_size or 2 * threads, wait=True)

    def _prepared(self, photo: PhotoLike) -> Prepared:
        if isinstance(photo, np.ndarray):
            photo = _image_of(photo)
        if isinstance(photo, Image.Image):
            began = time.perf_counter()
            return self._prepare.of_decoded(of_image(photo, max_pixels=self._settings.max_pixels), began)
        if isinstance(photo, str | Path):
            photo = self._file(Path(photo))
        if not isinstance(photo, bytes | bytearray | memoryview):
            raise TypeError(f"a photo is a path, bytes, a PIL image or a NumPy array, not {type(photo).__name__}")
        return self._prepare(bytes(photo))

    def _file(self, path: Path) -> bytes:
        """The content of a file; of one that is too large the beginning, which is refused as such."""
        with path.open("rb") as file:
            return file.read(self._settings.max_photo_bytes + 1)

    def _analyze(self, photo: PhotoLike, options: Options) -> tuple[Analysis, PreparedPhoto, RunnerResult]:
        received = time.perf_counter()
        prepared = self._prepared(photo)
        began = time.perf_counter()
        result = self._infer(prepared.photo.view, options)
        ended = time.perf_counter()
        taken = timing(prepared, analysis_s=ended - began, total_s=ended - received)
        return build(prepared.photo, result, options, uuid.uuid4().hex, taken), prepared.photo, result

    def _infer(self, view: FaceView, options: Options) -> RunnerResult:
        answer, reason = self._ask_model(view)
        if answer is not None:
            return of_model(measure(view), answer)
        if options.require == "model":
            raise ModelUnavailable(f"The model is required and does not answer ({reason}).")
        return of_heuristics(measure(view), find(view), reason, self._settings)

    def _ask_model(self, view: FaceView) -> tuple[ModelAnswer | None, Reason | None]:
        """The model's answer, or the reason why there is none."""
        try:
            return self._model.predict([view.crop.pixels])[0], None
        except ModelNotReady as refusal:
            return None, str(refusal)  # type: ignore[return-value]  # one of the contract's codes
        except Exception:  # whatever ONNX Runtime raises; the heuristics answer, as they do for a runner that crashed
            log.exception("the model failed")
            return None, "model_crashed"


class _Unobserved:
    """Nobody counts the loads of an analyzer."""

    def loaded(self, outcome: str, seconds: float) -> None: ...

    def fetched(self, count: int) -> None: ...

    def swapped(self) -> None: ...


def _refuse_below_one(name: str, value: object) -> None:
    """Raise ValueError where an argument is given and is no whole number from 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
        raise ValueError(f"{name} is {value!r}; it must be a whole number from 1.")


def _listed(names: Collection[str] | None) -> object:
    """Names as JSON would have them; a text is left as it is, and is refused with what is meant."""
    return list(names) if isinstance(names, Iterable) and not isinstance(names, str) else names


def _options(**values: Any) -> Options:
    """The options of a call, checked as those of a request.

    Raises:
        BadRequest: an option has no such value.
    """
    return of_json({name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()})


def _image_of(pixels: NDArray[Any]) -> Image.Image:
    grey_or_colour = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not grey_or_colour:
        raise ValueError(
            f"an array must be uint8 of shape (height, width), (height, width, 3) or (height, width, 4); "
            f"this one is {pixels.dtype} of shape {pixels.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))
