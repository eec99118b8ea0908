"""The gateway's work: bytes → Analysis, by the runner that can answer."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, TypeVar

import bentoml
import numpy as np

from bentos.skin import cgroup
from bentos.skin.errors import ModelUnavailable, ShineError, TimedOut
from bentos.skin.model.status import ModelAnswer, ModelNotReady, ModelStatus
from bentos.skin.options import Options
from bentos.skin.photo.crop import CROP_SIZE, PADDING, Crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.photo.skin import SIZE
from bentos.skin.photo.view import FaceView
from bentos.skin.pipeline import Preparation, of_heuristics, of_model, pictured, refuse_unfit, timing
from bentos.skin.report import PreparedPhoto, RunnerResult, build, quality_answer
from bentos.skin.runtime.breaker import Breaker, log_changes
from bentos.skin.runtime.context import RequestContext, current
from bentos.skin.runtime.error_responses import error_body
from bentos.skin.runtime.runner_client import RunnerClient, RunnerFailed, known_reason
from bentos.skin.runtime.runner_messages import FIND, MEASURE, Task, answer_from, task_message, view_message
from bentos.skin.runtime.shared_crops import share, shared_crops
from bentos.skin.runtime.telemetry import Telemetry
from bentos.skin.schema import Analysis, BatchAnswer, ErrorAnswer, ModelState, QualityAnswer, Reason
from bentos.skin.settings import MAX_BATCH_PHOTOS, Settings
from bentos.skin.threads import thread_count

log = logging.getLogger("shine.gateway")

T = TypeVar("T")

POLL_S = 1.0  # how often the model runner is asked for its state
POLL_DEADLINE_S = 1.0
# Shares of a request's time: a heuristic batch; a batch of either runner on the busiest machine; and of what is left of
# that time when the batch begins. The rest is for what then takes the runner's place: the heuristics, or this process.
HEURISTIC_SHARE, LONGEST_SHARE, BATCH_SHARE = 0.4, 0.5, 0.6


class ModelRunner(Protocol):
    """The APIs of SkinModel, as BentoML calls them from another process."""

    async def predict(self, messages: list[bytes]) -> list[bytes]: ...

    async def status(self, known: str | None) -> dict[str, Any]: ...


class HeuristicRunner(Protocol):
    """The API of HeuristicFallback."""

    async def measure(self, messages: list[bytes]) -> list[bytes]: ...


class PhotoAnalyzer:
    """Analyses photos with the help of two runners. One per gateway process; it runs on the process's event loop.

    Args:
        settings: of this process.
        telemetry: counts photos and states.
        model: the model runner.
        heuristic: the heuristic runner.
    """

    def __init__(
        self, settings: Settings, telemetry: Telemetry, model: ModelRunner, heuristic: HeuristicRunner
    ) -> None:
        self._settings = settings
        self.telemetry = telemetry
        self._model, self._heuristic = model, heuristic
        longest_s = LONGEST_SHARE * settings.request_deadline_s
        self.model_runner = RunnerClient(
            self._send_to_model,
            settings.model_deadline_s,
            Breaker(on_change=log_changes("SkinModel")),
            longest_s=longest_s,
        )
        self.heuristic_runner: RunnerClient[Any] = RunnerClient(  # the answer's type is that of the task
            self._send_to_heuristic,
            HEURISTIC_SHARE * settings.request_deadline_s,
            Breaker(on_change=log_changes("HeuristicFallback")),
            longest_s=longest_s,
        )
        self.model: ModelStatus | None = None  # as last reported
        self.model_metrics: dict[str, Any] | None = None  # of the weights with the sha256 below
        self._metrics_of: str | None = None
        self.was_ready = False  # whether the model has loaded since this process started
        share(crop_slots(settings))  # where it was not inherited: gateway and runners are one process
        threads = thread_count(settings)
        self._prepare = Preparation(settings)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="photo")
        self._last_resort_threads = ThreadPoolExecutor(threads, thread_name_prefix="last-resort")
        self._watch: asyncio.Task[None] | None = None

    # --- photos -------------------------------------------------------------------------------------------------

    async def analyze(self, data: bytes, options: Options) -> Analysis:
        """Findings on one photo.

        Raises:
            ShineError: the photo cannot be analysed, the model was required and did not answer, or time ran out.
        """
        async with self._deadline():
            analysis, _, _ = await self._analyze(data, options)
            return analysis

    async def quality(self, data: bytes) -> QualityAnswer:
        """How fit one photo is; no runner is asked.

        Raises:
            ShineError: the photo cannot be read, or time ran out.
        """
        context = current()
        async with self._deadline():
            prepared = await self._in_thread(self._prepare, data)
        context.stages_ms = {"decode": round(prepared.decode_ms, 1), "face": round(prepared.face_ms, 1)}
        return quality_answer(prepared.photo, context.request_id)

    async def overlay(self, data: bytes, options: Options) -> bytes:
        """The photo as PNG with its findings drawn in; raises as `analyze`."""
        plain = replace(options, include=frozenset())  # the picture has no place for what is added to an Analysis
        async with self._deadline():
            return await self._in_thread(pictured, *await self._analyze(data, plain), options)

    async def batch(self, photos: Sequence[bytes], options: Options) -> BatchAnswer:
        """Findings on several photos; the failure of one is its own result."""
        context = current()

        async def analyze_one(data: bytes) -> Analysis | ErrorAnswer:
            try:
                return await self.analyze(data, options)
            except ShineError as error:
                if not context.drill:
                    self.telemetry.photo_refused(error.code)
                return error_body(error, context.request_id)

        return BatchAnswer(results=list(await asyncio.gather(*(analyze_one(data) for data in photos))))

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        context = current()
        ends_at = context.ends_at(self._settings.request_deadline_s)
        try:
            async with asyncio.timeout(self._seconds_left()):
                yield
        except TimeoutError:
            seconds = round(ends_at - context.received_at, 3)
            raise TimedOut(f"The photo could not be analysed within {max(seconds, 0):g} seconds.") from None

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _analyze(self, data: bytes, options: Options) -> tuple[Analysis, PreparedPhoto, RunnerResult]:
        context = current()
        steps = await self._in_thread(self._prepare, data)
        prepared = steps.photo
        refuse_unfit(prepared, self._settings)
        began = time.monotonic()
        result = await self._infer(prepared.view, options.require)
        ended = time.monotonic()
        taken = timing(steps, analysis_s=ended - began, total_s=ended - context.received_at)
        if options.include:  # pictures are written, which takes some milliseconds
            analysis = await self._in_thread(build, prepared, result, options, context.request_id, taken)
        else:
            analysis = build(prepared, result, options, context.request_id, taken)
        self._note(context, analysis)
        return analysis, prepared, result

    def _note(self, context: RequestContext, analysis: Analysis) -> None:
        context.answered += 1
        context.source, context.reason = analysis.source, analysis.reason
        context.degraded = bool(context.degraded) or analysis.degraded
        context.stages_ms = analysis.timing_ms.model_dump()
        if not context.drill:
            self.telemetry.answered(analysis)

    # --- which runner answers -----------------------------------------------------------------------------------

    async def _infer(self, view: FaceView, require: str | None) -> RunnerResult:
        """Call both runners at once: the heuristic one measures colour and texture, the model finds acne and wrinkles.

        Where the model does not answer, the heuristic runner is called once more, to find them.
        """
        required = require == "model" or self._settings.require_model
        if required and self._absence_reason is not None:
            raise self._unavailable(self._absence_reason)
        with shared_crops().holding(view.crop.pixels, view.skin) as place:
            message = view_message(view, place)
            measuring = asyncio.ensure_future(self._call_heuristic(MEASURE, view, message))
            try:
                answer, reason = await self._call_model(message)
                if answer is not None:
                    return of_model(await measuring, answer)
                if required:
                    raise self._unavailable(reason)
                found = await self._call_heuristic(FIND, view, message)
                return of_heuristics(await measuring, found, reason, self._settings)
            finally:
                measuring.cancel()

    def _unavailable(self, reason: Reason | None) -> ModelUnavailable:
        if not current().drill:
            self.telemetry.refused()
        return ModelUnavailable(f"The model is required and does not answer ({reason}).")

    async def _call_model(self, message: bytes) -> tuple[ModelAnswer | None, Reason | None]:
        """The model's answer, or the reason why there is none."""
        if self._absence_reason is not None:
            return None, self._absence_reason
        try:
            return await self.model_runner(message, within_s=BATCH_SHARE * self._seconds_left()), None
        except RunnerFailed as failure:
            return None, failure.reason  # type: ignore[return-value]  # one of the contract's codes
        except ModelNotReady as refusal:
            return None, known_reason(str(refusal))

    async def _call_heuristic(self, task: Task[T], view: FaceView, message: bytes) -> T:
        """What the heuristic runner makes of a view; made in this process where that runner does not answer."""
        within_s = BATCH_SHARE * self._seconds_left()
        try:
            answer: T = await self.heuristic_runner(task_message(task, message), within_s=within_s)
            return answer
        except RunnerFailed as failure:
            self.telemetry.last_resort(failure.reason)
            return await asyncio.get_running_loop().run_in_executor(self._last_resort_threads, task.function, view)

    async def _send_to_model(self, message: bytes) -> ModelAnswer:
        return answer_from((await self._model.predict([message]))[0])  # type: ignore[no-any-return]  # as it is there

    async def _send_to_heuristic(self, message: bytes) -> Any:
        return answer_from((await self._heuristic.measure([message]))[0])

    def _seconds_left(self) -> float:
        return current().seconds_left(self._settings.request_deadline_s)

    @property
    def _absence_reason(self) -> Reason | None:
        """Why the model is not asked for the current photo; a drill behaves as if there were no model."""
        return "model_disabled" if current().drill else self.model_reason

    @property
    def model_reason(self) -> Reason | None:
        """Why the model will not be asked; None when it will."""
        if not self._settings.wants_model:
            return "model_disabled"
        if self.model is None:
            return "model_loading"
        return self.model.reason  # type: ignore[return-value]  # one of the contract's codes

    # --- watching the runners -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch the runners from now on, on the running event loop."""
        self._watch = asyncio.get_running_loop().create_task(self._watch_runners())
        blank = Photo(blank_view().crop.pixels, CROP_SIZE, CROP_SIZE, "PNG")
        self._threads.submit(self._prepare.reader.read, blank)  # the first call takes longer: it sets up

    def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()

    async def _watch_runners(self) -> None:
        while True:
            try:
                if self._settings.wants_model:
                    await self._ask_model()
                for runner in (self.model_runner, self.heuristic_runner):
                    if runner.breaker.wants_probe:
                        await self._probe(runner)
                self.telemetry.model_state(self.state)
                self.telemetry.memory(cgroup.memory())
                self.telemetry.breakers(
                    model=self.model_runner.breaker.state, heuristic=self.heuristic_runner.breaker.state
                )
            except Exception:  # whatever happens, the runners must be watched
                log.exception("watching the runners failed; it is tried again")
            await asyncio.sleep(POLL_S)

    async def _ask_model(self) -> None:
        try:
            async with asyncio.timeout(POLL_DEADLINE_S):
                status = ModelStatus.model_validate(await self._model.status(known=self._metrics_of))
        except Exception as error:  # dead, stuck or restarting: the breaker and the last known state decide
            log.debug("the model runner does not report its state: %s", type(error).__name__)
            return
        loaded = None if status.model is None else status.model.sha256
        if loaded != self._metrics_of:
            self.model_metrics, self._metrics_of = status.metrics, loaded
        self.model = status
        self.was_ready = self.was_ready or status.state == "ready"

    async def _probe(self, runner: RunnerClient[Any]) -> None:
        """Find out with a blank crop, not with a user's photo, whether the runner is back."""
        message = view_message(blank_view(), None)
        try:
            await runner(message if runner is self.model_runner else task_message(MEASURE, message), probe=True)
        except (RunnerFailed, ModelNotReady) as failure:
            log.debug("probe: %s", failure)

    @property
    def answers(self) -> dict[str, int]:
        """Photos answered by source, and those refused because the model was required, since the start."""
        return dict(self.telemetry.answers)

    @property
    def has_landmarks(self) -> bool:
        """Whether the face mesh is loaded, without which no zone is seen."""
        return self._prepare.reader.has_mesh

    # --- readiness ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> ModelState:
        """disabled, loading, ready or degraded, as the next photo would meet it."""
        if not self._settings.wants_model:
            return "disabled"
        if self.model is None:
            return "loading"
        if self.model.state == "ready" and self.model_runner.breaker.state != "closed":
            return "degraded"
        return self.model.state

    @property
    def ready(self) -> bool:
        """Whether requests are answered as the phase demands: only `full` waits for the model's first load."""
        return self._settings.phase != "full" or self.was_ready


def crop_slots(settings: Settings) -> int:
    """How many crops are shared at the same time: a batch is admitted whole when nothing else is pending."""
    return max(settings.max_pending, MAX_BATCH_PHOTOS)


@cache
def blank_view() -> FaceView:
    """A view that shows nothing, all of it skin: to probe a runner, and to warm one up."""
    pixels = np.full((CROP_SIZE, CROP_SIZE, 3), PADDING, dtype=np.uint8)
    crop = Crop(pixels, np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None)
    return FaceView(crop, None, np.ones((SIZE, SIZE), dtype=np.bool_), dict.fromkeys(ZONES, "no_face"), {})


def current_analyzer() -> PhotoAnalyzer:
    """The analyzer of the gateway service that runs in this process.

    Raises:
        BentoMLException: the service is not constructed yet, or has ended.
    """
    analyzer: PhotoAnalyzer = bentoml.get_current_service().analyzer
    return analyzer
