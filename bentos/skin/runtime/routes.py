"""The GET endpoints, which BentoML's APIs (POST only) cannot be."""

import json
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from bentos.skin import __version__
from bentos.skin.runtime.answers import SHAPED
from bentos.skin.runtime.gateway import House
from bentos.skin.runtime.openapi import complete
from bentos.skin.schema import SCHEMA_VERSION, ModelInfo
from bentos.skin.settings import HEALTH_PATH, Settings

ROOT = Path(__file__).resolve().parents[3]
REVISION = ROOT / "bentos" / "skin" / "REVISION"
METRICS = ROOT / "bentos" / "skin" / "measure" / "metrics.json"
MAX_LATENCY_MS = 60_000  # BentoML sheds what waits longer with 503; the gateway's own deadline comes long before


class HasSpec(Protocol):
    """A BentoML service."""

    openapi_spec: Any
    bento: Any


def routes(settings: Settings, house: Callable[[], House], service: Callable[[], HasSpec]) -> Starlette:
    """The GET endpoints as an ASGI app.

    Args:
        settings: of this process.
        house: the gateway of this process, once it has started.
        service: the BentoML service that the OpenAPI document describes.
    """

    async def health(_: Request) -> JSONResponse:
        uptime = round(time.monotonic() - house().started_at, 1)
        return JSONResponse({"status": "ok", "phase": settings.phase, "uptime_s": uptime})

    async def ready(request: Request) -> JSONResponse:
        is_ready = house().ready
        request.scope[SHAPED] = True  # at 503 too, its own keys are its shape
        reason = None if is_ready else house().model_reason
        body = {"ready": is_ready, "state": house().state, "reason": reason}
        return JSONResponse(body, status_code=200 if is_ready else 503)

    async def status(_: Request) -> JSONResponse:
        return JSONResponse(ml_status(settings, house()))

    async def version(_: Request) -> JSONResponse:
        bento = service().bento
        return JSONResponse(
            {
                "service": "shine",
                "version": __version__,
                "revision": revision(),
                "bento": None if bento is None else str(bento.tag),
                "phase": settings.phase,
                "model": _model(house()),
                "schema_version": SCHEMA_VERSION,
            }
        )

    async def document(_: Request) -> JSONResponse:
        return JSONResponse(complete(service().openapi_spec.asdict()))

    async def home(_: Request) -> RedirectResponse:
        return RedirectResponse("/demo")

    app = Starlette(
        routes=[
            Route("/", home),
            Route(HEALTH_PATH, health),
            Route("/ready", ready),
            Route("/ml/status", status),
            Route("/version", version),
            Route("/docs.json", document),
        ]
    )
    app.router.redirect_slashes = False
    return app


def ml_status(settings: Settings, house: House) -> dict[str, Any]:
    """The whole truth about the model."""
    told = house.model
    model = told.model if told is not None else None
    return {
        "state": house.state,
        "reason": house.model_reason,
        "phase": settings.phase,
        "policy": {
            "model_wanted": settings.wants_model,
            "require_model": settings.require_model,
            "without_the_model": "503 model_unavailable" if settings.require_model else "heuristic answers",
            "model_deadline_ms": settings.model_deadline_ms,
            "request_deadline_ms": settings.request_deadline_ms,
        },
        "model": None if model is None else model.model_dump(),
        "attempts": told.attempts if told is not None else 0,
        "last_error": told.last_error.model_dump() if told is not None and told.last_error is not None else None,
        "next_retry_s": told.next_retry_s if told is not None else None,
        "breaker": house.predict.breaker.state,
        "breakers": {"model": house.predict.breaker.state, "heuristic": house.measure.breaker.state},
        "answers": dict(house.answers),
        "batching": {
            "max_batch_size": settings.max_batch_size,
            "max_latency_ms": MAX_LATENCY_MS,
            "mean_batch": round(told.photos / told.batches, 2) if told is not None and told.batches else None,
        },
        "accuracy": {"model": house.model_accuracy, "heuristic": heuristic_accuracy()},
    }


@cache
def heuristic_accuracy() -> dict[str, Any]:
    """The measured figures of the heuristics; they ship with the code, so that they are there when no weights are."""
    figures: dict[str, Any] = json.loads(METRICS.read_text())
    return figures


def _model(house: House) -> dict[str, Any] | None:
    if house.model is None or house.model.model is None:
        return None
    return ModelInfo.model_validate(house.model.model.model_dump(include=set(ModelInfo.model_fields))).model_dump()


@cache
def revision() -> str | None:
    """The git commit this code is of: asked of git in a checkout, written by `make bento` into a bento; else None."""
    if not (ROOT / ".git").exists():
        return REVISION.read_text().strip() if REVISION.is_file() else None
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603  no input of a client
    except (OSError, subprocess.SubprocessError):
        return None
