"""The GET endpoints; BentoML's APIs are POST only."""

import json
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from bentos.skin import __version__
from bentos.skin.model.bundle import REPEATABILITY
from bentos.skin.runtime.error_responses import ERROR_HANDLED
from bentos.skin.runtime.gateway import PhotoAnalyzer, current_analyzer
from bentos.skin.runtime.openapi import MlStatus, complete
from bentos.skin.runtime.web import web_routes
from bentos.skin.schema import (
    SCHEMA_VERSION,
    Accuracy,
    Answers,
    Batching,
    Breakers,
    Health,
    HeuristicLimits,
    ModelInfo,
    ModelLimits,
    Policy,
    Readiness,
    Repeatability,
    Version,
)
from bentos.skin.settings import HEALTH_PATH, PAGE_PATH, Settings

ROOT = Path(__file__).resolve().parents[3]
REVISION = ROOT / "bentos" / "skin" / "REVISION"
METRICS = ROOT / "bentos" / "skin" / "measure" / "metrics.json"
MAX_LATENCY_MS = 60_000  # BentoML answers 503 to calls that wait longer; the gateway's own deadline is much shorter


class BentoService(Protocol):
    """What is used here of a BentoML service."""

    openapi_spec: Any
    bento: Any


def routes(settings: Settings, service: BentoService) -> Starlette:
    """The GET endpoints as an ASGI app.

    Args:
        settings: of this process.
        service: the gateway, which the OpenAPI document describes.
    """
    started_at = time.monotonic()  # the service may be under construction still; /health answers without it

    async def health(_: Request) -> JSONResponse:
        uptime = round(time.monotonic() - started_at, 1)
        return JSONResponse(Health(status="ok", phase=settings.phase, uptime_s=uptime).model_dump())

    async def ready(request: Request) -> JSONResponse:
        analyzer = current_analyzer()
        request.scope[ERROR_HANDLED] = True  # a 503 has this shape too
        reason = None if analyzer.ready else analyzer.model_reason
        body = Readiness(ready=analyzer.ready, state=analyzer.state, reason=reason)
        return JSONResponse(body.model_dump(), status_code=200 if body.ready else 503)

    async def status(_: Request) -> JSONResponse:
        return JSONResponse(ml_status(settings, current_analyzer()).model_dump())

    async def version(_: Request) -> JSONResponse:
        bento = service.bento
        running = Version(
            service="shine",
            version=__version__,
            revision=revision(),
            bento=None if bento is None else str(bento.tag),
            phase=settings.phase,
            model=_model(current_analyzer()),
            schema_version=SCHEMA_VERSION,
        )
        return JSONResponse(running.model_dump())

    async def document(_: Request) -> JSONResponse:
        return JSONResponse(complete(service.openapi_spec.asdict()))

    async def home(_: Request) -> RedirectResponse:
        return RedirectResponse(PAGE_PATH.lstrip("/"))  # relative: there may be a prefix before it

    app = Starlette(
        routes=[
            Route("/", home),
            Route(HEALTH_PATH, health),
            Route("/ready", ready),
            Route("/ml/status", status),
            Route("/version", version),
            Route("/docs.json", document),
            *web_routes(),
        ]
    )
    app.router.redirect_slashes = False
    return app


def ml_status(settings: Settings, analyzer: PhotoAnalyzer) -> MlStatus:
    """State, policy, figures and counts of the model and of what answers in its place."""
    status = analyzer.model
    by_model, by_heuristics = analyzer.model_metrics, heuristic_metrics()
    limits = None if by_model is None else by_model.get(REPEATABILITY)
    breakers = Breakers(model=analyzer.model_runner.breaker.state, heuristic=analyzer.heuristic_runner.breaker.state)
    return MlStatus(
        state=analyzer.state,
        reason=analyzer.model_reason,
        phase=settings.phase,
        policy=Policy(
            model_wanted=settings.wants_model,
            require_model=settings.require_model,
            without_the_model="503 model_unavailable" if settings.require_model else "heuristic answers",
            model_deadline_ms=settings.model_deadline_ms,
            request_deadline_ms=settings.request_deadline_ms,
        ),
        landmarks=analyzer.has_landmarks,
        model=status.model if status is not None else None,
        attempts=status.attempts if status is not None else 0,
        last_error=status.last_error if status is not None else None,
        next_retry_s=status.next_retry_s if status is not None else None,
        breaker=breakers.model,
        breakers=breakers,
        answers=Answers(**analyzer.answers),
        batching=Batching(
            max_batch_size=settings.max_batch_size,
            max_latency_ms=MAX_LATENCY_MS,
            mean_batch=round(status.photos / status.batches, 2) if status is not None and status.batches else None,
        ),
        accuracy=Accuracy(model=None if by_model is None else _accuracy(by_model), heuristic=_accuracy(by_heuristics)),
        repeatability=Repeatability(
            model=None if limits is None else ModelLimits.model_validate(limits),
            heuristic=HeuristicLimits.model_validate(by_heuristics[REPEATABILITY]),
        ),
    )


def _accuracy(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures for name, figures in metrics.items() if name != REPEATABILITY}


@cache
def heuristic_metrics() -> dict[str, Any]:
    """Measured accuracy and repeatability of the heuristics; they ship with the code, to be there without weights."""
    figures: dict[str, Any] = json.loads(METRICS.read_text())
    return figures


def _model(analyzer: PhotoAnalyzer) -> ModelInfo | None:
    if analyzer.model is None or analyzer.model.model is None:
        return None
    return ModelInfo.model_validate(analyzer.model.model.model_dump(include=set(ModelInfo.model_fields)))


@cache
def revision() -> str | None:
    """The git commit of this code: from git in a checkout; from a file of `make bento` in a bento; else None."""
    if not (ROOT / ".git").exists():
        return REVISION.read_text().strip() if REVISION.is_file() else None
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603  a fixed command
    except (OSError, subprocess.SubprocessError):
        return None
