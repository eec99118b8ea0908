"""The declarative service: a gateway and two adaptive-batching runners.

Start it with `make serve`, or `bentoml serve service:Gateway`.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bentoml
from starlette.responses import Response

from bentos.skin import settings as config
from bentos.skin.contract import refuse_too_little_memory
from bentos.skin.model.lifecycle import Lifecycle
from bentos.skin.runtime import compat
from bentos.skin.runtime.api_key import ApiKeyMiddleware
from bentos.skin.runtime.compat_workers import on_sighup
from bentos.skin.runtime.forms import Upload
from bentos.skin.runtime.gateway import PhotoAnalyzer, blank_view, crop_slots
from bentos.skin.runtime.logs import configure_logging
from bentos.skin.runtime.middleware import CorsMiddleware, RequestContextMiddleware
from bentos.skin.runtime.process_memory import freeze_what_stays, keep_freed_memory
from bentos.skin.runtime.routes import MAX_LATENCY_MS, routes
from bentos.skin.runtime.runner_messages import TASKS, answer_all, answer_task
from bentos.skin.runtime.shared_crops import share
from bentos.skin.runtime.telemetry import LoadTelemetry, Telemetry
from bentos.skin.runtime.tracing import tracing
from bentos.skin.runtime.uploads import UploadMiddleware
from bentos.skin.runtime.watchdog import STUCK_BATCHES, WatchdogMiddleware
from bentos.skin.schema import Analysis, QualityAnswer
from bentos.skin.threads import limit_pools, thread_count

settings = config.settings()
limit_pools()
keep_freed_memory()
share(crop_slots(settings))
refuse_too_little_memory()
configure_logging(settings.log_format)
TRACING = tracing(os.environ)  # before OpenTelemetry reads the same variables
compat.apply()

STUCK_S = STUCK_BATCHES * settings.model_deadline_s
RUNNER: dict[str, Any] = {
    "runner_connection": compat.RUNNER_CONNECTION,
    "logging": {"access": {"enabled": False}},
    "tracing": TRACING,
}
BATCHED: dict[str, Any] = {
    "batchable": True,
    "max_batch_size": settings.max_batch_size,
    "max_latency_ms": MAX_LATENCY_MS,
}
# Nothing but Python is installed ("none"); BentoML's own choice would add compilers and git, 600 MB of them.
IMAGE = bentoml.images.Image(base_image=os.environ.get("BASE_IMAGE", "python:3.11-slim"), distro="none")


@bentoml.service(name="SkinModel", **RUNNER)
class SkinModel:
    """Acne and wrinkles by the neural model. It always starts; without weights its status tells why."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle(settings, LoadTelemetry())
        self.lifecycle.start()
        on_sighup(self.lifecycle.wake)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        freeze_what_stays()

    @bentoml.api(**BATCHED)
    async def predict(self, messages: list[Any]) -> list[Any]:
        """Views, batched → acne and wrinkles of each, a ModelAnswer; as messages of `runner_messages`."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, answer_all, self.lifecycle, messages)

    @bentoml.api
    async def status(self, known: str | None = None) -> dict[str, Any]:
        """State, last error and loaded weights; without metrics where the caller knows those of this sha256."""
        return self.lifecycle.status(known)


@bentoml.service(name="HeuristicFallback", **RUNNER)
class HeuristicFallback:
    """Classical computer vision: all colour measurements, and acne and wrinkles when the model cannot answer."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(thread_count(settings), thread_name_prefix="measure")
        for task in TASKS.values():
            self.threads.submit(task.function, blank_view())  # fills caches without delaying the start
        freeze_what_stays()

    @bentoml.api(**{**BATCHED, "max_batch_size": max(2, thread_count(settings))})
    async def measure(self, messages: list[Any]) -> list[Any]:
        """Views, batched → of each what its task asks for: a Measured (colour and texture), or a LesionsAndWrinkles.

        One API for both, so that they have one queue, one deadline and one watchdog.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self.threads, answer_task, message) for message in messages))


@bentoml.service(
    name="Gateway",
    image=IMAGE,
    http={"port": config.port()},
    runner_probe=compat.RUNNER_PROBE,
    logging={"access": {"enabled": False}},
    tracing=TRACING,
)
class Gateway:
    """Skin analysis of a photo: acne, wrinkles, redness, pigmentation, shine, texture. It says who found what."""

    model = bentoml.depends(SkinModel)
    heuristic = bentoml.depends(HeuristicFallback)

    def __init__(self) -> None:
        self.analyzer = PhotoAnalyzer(settings, Telemetry(settings), self.model.to_async, self.heuristic.to_async)
        freeze_what_stays()

    @bentoml.on_startup
    async def start(self) -> None:
        self.analyzer.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        self.analyzer.stop()

    async def __is_ready__(self) -> bool:
        return self.analyzer.ready

    @bentoml.api(route="/analyze", input_spec=compat.PhotoInput)
    async def analyze(self, upload: Upload) -> Analysis:
        """Findings on one photo: multipart/form-data with the file in `image`."""
        return await self.analyzer.analyze(upload.photos[0], upload.options)

    @bentoml.api(route="/quality", input_spec=compat.QualityInput)
    async def quality(self, upload: Upload) -> QualityAnswer:
        """Whether a photo is fit for analysis, and what would make it so; quick enough to guide a camera."""
        return await self.analyzer.quality(upload.photos[0])

    @bentoml.api(route="/analyze_base64", input_spec=compat.Base64Input)
    async def analyze_base64(self, upload: Upload) -> Analysis:
        """Findings on one photo: JSON with base64 or a data: URL in `image`."""
        return await self.analyzer.analyze(upload.photos[0], upload.options)

    @bentoml.api(route="/analyze_batch", input_spec=compat.BatchInput)
    async def analyze_batch(self, upload: Upload) -> dict[str, Any]:
        """Findings on 1 to 16 photos in `images`, in the order sent; one bad photo never fails the others."""
        # Declared as a dict: BentoML's client keeps only the fields of a union's first member, so errors arrive empty.
        return (await self.analyzer.batch(upload.photos, upload.options)).model_dump(mode="json")

    @bentoml.api(route="/overlay", input_spec=compat.OverlayInput)
    async def overlay(self, upload: Upload) -> compat.PngImage:
        """The upright photo as PNG, with boxes, zones, heat maps and a legend drawn in."""
        return Response(await self.analyzer.overlay(upload.photos[0], upload.options), media_type="image/png")


# `@bentoml.service` makes a Service of each class, which mypy does not see.
gateway: Any = Gateway
runners: dict[tuple[str, ...], Any] = {("/predict",): SkinModel, ("/measure",): HeuristicFallback}

for paths, runner in runners.items():
    runner.add_asgi_middleware(WatchdogMiddleware, paths=paths, patience_s=STUCK_S)
gateway.add_asgi_middleware(RequestContextMiddleware, settings=settings)
gateway.add_asgi_middleware(CorsMiddleware, settings=settings)
gateway.add_asgi_middleware(ApiKeyMiddleware, settings=settings)
gateway.add_asgi_middleware(UploadMiddleware, settings=settings)
gateway.mount_asgi_app(routes(settings, gateway), path="/")
