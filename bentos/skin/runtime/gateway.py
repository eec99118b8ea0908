"""The gateway's work: bytes → Analysis, with a runner chosen for it that can answer."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from bentos.skin import cgroup, overlay
from bentos.skin.errors import ModelUnavailable, QualityTooLow, ShineError, TimedOut
from bentos.skin.findings import Measured
from bentos.skin.measure import measure
from bentos.skin.model.status import ModelAnswer, ModelNotReady, ModelStatus
from bentos.skin.photo import crop, quality
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import FaceDetector
from bentos.skin.report import Answer, Seen, build
from bentos.skin.runtime.answers import error_body
from bentos.skin.runtime.breaker import Breaker, announce
from bentos.skin.runtime.context import RequestContext, current
from bentos.skin.runtime.runners import Runner, RunnerFailed, known_reason
from bentos.skin.runtime.telemetry import Telemetry
from bentos.skin.schema import Analysis, BatchAnswer, ErrorAnswer, Reason, Timing
from bentos.skin.settings import Settings
from bentos.skin.threads import thread_count

log = logging.getLogger("shine.gateway")

T = TypeVar("T")

POLL_S = 1.0  # how often the model runner is asked for its state
POLL_DEADLINE_S = 1.0
HEURISTIC_SHARE = 0.4  # of the request's deadline, for a heuristic batch; the rest is for doing it here instead


class House:
    """Answers photos. One per gateway process; everything but `seen` runs on its event loop.

    Args:
        settings: of this process.
        telemetry: counts what happens.
        predict: takes one crop to the model runner.
        measured: takes one crop to the heuristic runner.
        model_status: asks the model runner for its `ModelStatus`, given the sha256 whose metrics are known here.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        predict: Callable[[crop.Crop], Awaitable[ModelAnswer]],
        measured: Callable[[crop.Crop], Awaitable[Measured]],
        model_status: Callable[[str | None], Awaitable[dict[str, Any]]],
    ) -> None:
        self._settings = settings
        self.telemetry = telemetry
        self._model_status = model_status
        self.predict = Runner(predict, settings.model_deadline_s, Breaker(on_change=announce("SkinModel")))
        heuristic = Breaker(on_change=announce("HeuristicFallback"))
        self.measure = Runner(measured, HEURISTIC_SHARE * settings.request_deadline_s, heuristic)
        self.model: ModelStatus | None = None  # as last heard
        self.model_accuracy: dict[str, Any] | None = None  # of the weights with the sha256 below
        self._accuracy_of: str | None = None
        self.was_ready = False  # whether the model has loaded since this process started
        self.started_at = time.monotonic()
        threads = thread_count(settings)
        self._detector = FaceDetector(threads=1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="photo")
        self._spare = ThreadPoolExecutor(threads, thread_name_prefix="last-resort")
        self._watch: asyncio.Task[None] | None = None

    # --- photos -------------------------------------------------------------------------------------------------

    async def analyze(self, data: bytes, require: str | None) -> Analysis:
        """Findings on one photo.

        Raises:
            ShineError: the photo cannot be analysed, the model was required and did not answer, or time ran out.
        """
        return (await self._in_time(self._analyze(data, require)))[0]

    async def overlay(self, data: bytes, require: str | None) -> bytes:
        """The photo as PNG with its findings drawn in; raises as `analyze`."""

        async def draw() -> bytes:
            analysis, seen = await self._analyze(data, require)
            keypoints = seen.faces[0].keypoints if seen.faces else None
            return await self._in_thread(overlay.draw, seen.photo, analysis, keypoints)

        return await self._in_time(draw())

    async def batch(self, photos: Sequence[bytes], require: str | None) -> BatchAnswer:
        """Findings on several photos; the failure of one is its own result."""
        context = current()

        async def one(data: bytes) -> Analysis | ErrorAnswer:
            try:
                return await self.analyze(data, require)
            except ShineError as error:
                if not context.drill:
                    self.telemetry.photo_refused(error.code)
                return error_body(error, context.request_id)

        return BatchAnswer(results=list(await asyncio.gather(*(one(data) for data in photos))))

    async def _in_time(self, work: Awaitable[T]) -> T:
        left = current().received_at + self._settings.request_deadline_s - time.monotonic()
        try:
            async with asyncio.timeout(left):
                return await work
        except TimeoutError:
            seconds = self._settings.request_deadline_s
            raise TimedOut(f"The photo could not be analysed within {seconds:g} seconds.") from None

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _analyze(self, data: bytes, require: str | None) -> tuple[Analysis, Seen]:
        context = current()
        seen, decode_ms, face_ms = await self._in_thread(self._look, data)
        began = time.monotonic()
        answer = await self._answer(seen.crop, require)
        ended = time.monotonic()
        judged = quality.assess(seen.photo, seen.faces, seen.crop, answer.measured.skin_share)
        if self._settings.quality == "strict" and judged.issues:
            raise QualityTooLow(f"The photo is not fit for analysis: {', '.join(judged.issues)}.")
        timing = Timing(
            decode=round(decode_ms, 1),
            face=round(face_ms, 1),
            analysis=round(1000 * (ended - began), 1),
            total=round(1000 * (ended - context.received_at), 1),
        )
        analysis = build(
            seen, answer, judged, context.request_id, timing, report_issues=self._settings.quality != "off"
        )
        self._note(context, analysis)
        return analysis, seen

    def _look(self, data: bytes) -> tuple[Seen, float, float]:
        """Decode, find faces, cut the crop; milliseconds of decoding and of the rest. Runs in a thread."""
        began = time.perf_counter()
        photo = decode(data, max_bytes=self._settings.max_photo_bytes, max_pixels=self._settings.max_pixels)
        decoded = time.perf_counter()
        faces = self._detector.detect(photo)
        square = crop.cut(photo, faces[0] if faces else None)
        return Seen(photo, faces, square), 1000 * (decoded - began), 1000 * (time.perf_counter() - decoded)

    def _note(self, context: RequestContext, analysis: Analysis) -> None:
        context.source, context.reason = analysis.source, analysis.reason
        context.degraded = bool(context.degraded) or analysis.degraded
        context.stages_ms = analysis.timing_ms.model_dump()
        if not context.drill:
            self.telemetry.answered(analysis)

    # --- policy -------------------------------------------------------------------------------------------------

    async def _answer(self, square: crop.Crop, require: str | None) -> Answer:
        """Both runners at once: the heuristic runner always measures, the model answers when it can."""
        required = require == "model" or self._settings.require_model
        if required and self._absent is not None:
            raise self._unavailable(self._absent)
        measuring = asyncio.ensure_future(self._measured(square))
        try:
            found, reason = await self._learned(square)
            if found is None and required:
                raise self._unavailable(reason)
            measured = await measuring
        finally:
            measuring.cancel()
        if found is not None:
            return Answer(measured, found.learned, "model", degraded=False, reason=None, model=found.model)
        degraded = self._settings.wants_model
        return Answer(measured, measured.learned, "heuristic", degraded=degraded, reason=reason, model=None)

    def _unavailable(self, reason: Reason | None) -> ModelUnavailable:
        if not current().drill:
            self.telemetry.refused()
        return ModelUnavailable(f"The model is required and does not answer ({reason}).")

    async def _learned(self, square: crop.Crop) -> tuple[ModelAnswer | None, Reason | None]:
        """The model's answer, or why there is none."""
        if self._absent is not None:
            return None, self._absent
        try:
            return await self.predict(square), None
        except RunnerFailed as failure:
            return None, failure.reason  # type: ignore[return-value]  # one of the contract's codes
        except ModelNotReady as refusal:
            return None, known_reason(str(refusal))

    async def _measured(self, square: crop.Crop) -> Measured:
        """The heuristic runner's measurements; in this process when that runner is the one that died."""
        try:
            return await self.measure(square)
        except RunnerFailed as failure:
            self.telemetry.last_resort(failure.reason)
            return await asyncio.get_running_loop().run_in_executor(self._spare, measure, square)

    @property
    def _absent(self) -> Reason | None:
        """Why the model is not asked for the photo at hand; a drill is a photo for which there is none."""
        return "model_disabled" if current().drill else self.model_reason

    @property
    def model_reason(self) -> Reason | None:
        """Why the model will not be asked; None when it will."""
        if not self._settings.wants_model:
            return "model_disabled"
        if self.model is None:
            return "model_loading"
        return self.model.reason  # type: ignore[return-value]  # one of the contract's codes

    # --- watching -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch the runners, on the running event loop."""
        self._watch = asyncio.get_running_loop().create_task(self._watch_runners())
        blank = Photo(blank_crop().pixels, crop.CROP_SIZE, crop.CROP_SIZE, "PNG")
        self._threads.submit(self._detector.detect, blank)  # the first call of all pays for set-up

    def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()

    async def _watch_runners(self) -> None:
        while True:
            try:
                if self._settings.wants_model:
                    await self._ask_model()
                for runner in (self.predict, self.measure):
                    if runner.breaker.wants_probe:
                        await self._probe(runner)
                self.telemetry.model_state(self.state)
                self.telemetry.memory(cgroup.memory())
                self.telemetry.breakers(model=self.predict.breaker.state, heuristic=self.measure.breaker.state)
            except Exception:  # the watch must outlive whatever it sees
                log.exception("watching the runners failed; it goes on")
            await asyncio.sleep(POLL_S)

    async def _ask_model(self) -> None:
        try:
            async with asyncio.timeout(POLL_DEADLINE_S):
                told = ModelStatus.model_validate(await self._model_status(self._accuracy_of))
        except Exception as error:  # dead, stuck or restarting: the breaker and the last known state decide
            log.debug("the model runner did not tell its state: %s", type(error).__name__)
            return
        loaded = None if told.model is None else told.model.sha256
        if loaded != self._accuracy_of:
            self.model_accuracy, self._accuracy_of = told.metrics, loaded
        self.model = told
        self.was_ready = self.was_ready or told.state == "ready"

    async def _probe(self, runner: Runner[Any]) -> None:
        """Let one made-up crop, not a user's photo, find out whether the runner is back."""
        try:
            await runner(blank_crop(), probe=True)
        except (RunnerFailed, ModelNotReady) as failure:
            log.debug("probe: %s", failure)

    @property
    def answers(self) -> dict[str, int]:
        """Photos answered by source, and those refused because the model was required, since the start."""
        return dict(self.telemetry.answers)

    # --- readiness ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """disabled, loading, ready or degraded, as the next photo would meet it."""
        if not self._settings.wants_model:
            return "disabled"
        if self.model is None:
            return "loading"
        if self.model.state == "ready" and self.predict.breaker.state != "closed":
            return "degraded"
        return self.model.state

    @property
    def ready(self) -> bool:
        """Whether requests are answered as the phase demands: only `full` waits for the model's first load."""
        return self._settings.phase != "full" or self.was_ready


def blank_crop() -> crop.Crop:
    """A crop that shows nothing: to probe a runner, and to warm one up."""
    size = crop.CROP_SIZE
    pixels = np.full((size, size, 3), 127, dtype=np.uint8)
    return crop.Crop(pixels, to_photo=np.eye(2, 3), valid=(0, 0, size, size), keypoints=None)
