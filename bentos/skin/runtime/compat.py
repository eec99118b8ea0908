"""Workarounds in the internals of BentoML and uvicorn: each with its reason, and when it can be removed.

Those in BentoML's HTTP are here, those in uvicorn's in compat_uvicorn.py, about starting in compat_start.py, about
processes in compat_workers.py and compat_fork.py, about files in compat_files.py. No other module touches internals.

Measured on BentoML 1.4.39. Every item has a contract test in tests/service/test_compat.py that fails without the item,
so that an upgrade shows which can be removed. `apply` runs when service.py is imported: in the parent, before it
starts the workers, and in every worker.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import bentoml
from _bentoml_sdk.io_models import IODescriptor
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from bentos.skin.errors import ShineError
from bentos.skin.runtime.compat_files import (
    keep_metric_files,
    keep_metrics_apart,
    keep_runner_sockets,
    reserve_metric_files,
)
from bentos.skin.runtime.compat_fork import fork_workers
from bentos.skin.runtime.compat_start import reload_inside, say_why_it_cannot_start, start_with_both_runners
from bentos.skin.runtime.compat_uvicorn import (
    cut_slow_heads,
    ignore_upgrades,
    keep_half_closed_connections,
    shape_malformed_http,
)
from bentos.skin.runtime.compat_workers import (
    dispatch_at_once,
    end_with_parent,
    keep_control_inside,
    reload_weights_on_sighup,
    respawn_dead_workers,
    send_no_usage_data,
    stop_gateway_first,
    stop_when_asked,
)
from bentos.skin.runtime.context import current
from bentos.skin.runtime.error_responses import error_for, error_response
from bentos.skin.runtime.forms import Upload
from bentos.skin.runtime.tracing import sampler_name
from bentos.skin.settings import KEEP_ALIVE_S

log = logging.getLogger("shine.gateway")

# #5540, #5544: the shared HTTP session to a runner is closed every 100 requests, with calls in flight: 10 to 21 % of
# them are lost at concurrency 32. Can be removed when a session is closed only after its calls.
RUNNER_CONNECTION = {"max_requests": 2**31 - 1, "max_age": 1e9}

# /readyz asks every runner and hangs while one is dead or stuck; `__is_ready__` answers from the gateway's own state.
RUNNER_PROBE = {"enabled": False}

if TYPE_CHECKING:
    PngImage = Response  # BentoML would write bytes to a file in the temporary folder before it sends them
else:
    PngImage = Annotated[Path, bentoml.validators.ContentType("image/png")]  # as clients and OpenAPI see it

Photo = Annotated[Path, bentoml.validators.ContentType("image/*")]
Require = Literal["model"] | None


class UploadInput(IODescriptor):  # type: ignore[misc]  # BentoML is untyped to mypy
    """The input of an API of the gateway: what UploadMiddleware has parsed; the body is not parsed again.

    BentoML's own parsing answers 500 to a malformed form, spools photos to disk, and fetches an upload field that
    holds a URL from inside the network. Can be removed when all three can be switched off.

    The fields of the subclasses are what the OpenAPI document and BentoML's own client see, docstrings included;
    handlers get an Upload.
    """

    model_config = ConfigDict(title="Input")

    @classmethod
    async def from_http_request(cls, _: Request, __: object) -> Any:
        """The arguments of the handler."""
        upload = current().upload
        if upload is None:
            raise LookupError("the route of this API is missing in upload_specs")
        return _Arguments.model_construct(upload=upload)


class _Arguments(BaseModel):
    """Of every handler, by the names of its parameters."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    upload: Upload


class QualityInput(UploadInput):
    image: Photo


class PhotoInput(UploadInput):
    image: Photo
    require: Require = None
    min_confidence: float | None = None
    include: str | None = None


class OverlayInput(PhotoInput):
    layers: str | None = None
    legend: bool | None = None
    width: int | None = None


class BatchInput(UploadInput):
    images: list[Photo]
    require: Require = None
    min_confidence: float | None = None


class Base64Input(UploadInput):
    image: str
    require: Require = None
    min_confidence: float | None = None
    include: Any = None  # a list or null; of a list's type, BentoML's client could not send null


def apply() -> None:
    """Install every process-wide workaround; a second call does nothing."""
    if getattr(bentoml, "_shine_applied", False):
        return
    bentoml._shine_applied = True
    send_no_usage_data()
    keep_metrics_apart()
    reserve_metric_files()
    keep_metric_files()
    keep_runner_sockets()
    say_why_it_cannot_start()
    start_with_both_runners()
    fork_workers()
    end_with_parent()
    dispatch_at_once()
    respawn_dead_workers()
    stop_gateway_first()
    stop_when_asked()
    keep_control_inside()
    reload_inside()
    reload_weights_on_sighup()
    keep_idle_connections()
    answer_in_one_shape()
    bound_metric_labels()
    redirect_no_slashes()
    leave_deadlines_to_the_gateway()
    keep_half_closed_connections()
    ignore_upgrades()
    shape_malformed_http()
    cut_slow_heads()
    one_span_a_request()
    sample_as_told()


def keep_idle_connections() -> None:
    """Keep idle connections longer than load balancers and clients do, so that those close them.

    With BentoML's 5 s a request may be sent on a connection that is being closed: 502 at the load balancer, a lost
    request elsewhere. Can be removed when it becomes a setting of the service.
    """
    import bentoml.serving as serving

    construct = serving.construct_timeouts_args

    def construct_patient(timeout_keep_alive: int | None, timeout_graceful_shutdown: int | None) -> Any:
        return construct(timeout_keep_alive or KEEP_ALIVE_S, timeout_graceful_shutdown)

    serving.construct_timeouts_args = construct_patient


def answer_in_one_shape() -> None:
    """Answer errors raised in an API of the gateway in the contract's shape.

    BentoML hides 5xx messages, answers 4xx with a JSON list (a stray comma in app.py) and anything else with 500.
    Runners keep BentoML's behaviour, which preserves the class of an exception on the way to the gateway.
    """
    from _bentoml_impl.server.app import ServiceAppFactory

    api_endpoint = ServiceAppFactory.api_endpoint

    async def shaped(self: Any, name: str, request: Request) -> Response:
        if not self.is_main:
            return await api_endpoint(self, name, request)  # type: ignore[no-any-return]  # BentoML is untyped
        try:
            return await api_endpoint(self, name, request)  # type: ignore[no-any-return]  # BentoML is untyped
        except ShineError as error:
            failure = error
        except bentoml.exceptions.BentoMLException as error:
            failure = error_for(error.error_code.value)
        except Exception:
            log.exception("unhandled", extra={"fields": {"request_id": current().request_id}})
            failure = error_for(500)
        current().error_code = failure.code
        return error_response(failure, current().request_id)

    ServiceAppFactory.api_endpoint = shaped


def bound_metric_labels() -> None:
    """Leave unknown paths out of BentoML's metrics: they have the raw path as a label, and scanners try many paths."""
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

    measured = RunnerTrafficMetricsMiddleware.__call__

    async def bounded(self: Any, scope: Any, receive: Any, send: Any) -> None:
        from bentoml._internal.context import server_context

        if scope["type"] == "http" and scope["path"] not in server_context.service_routes:
            await self.app(scope, receive, send)
        else:
            await measured(self, scope, receive, send)

    RunnerTrafficMetricsMiddleware.__call__ = bounded


def redirect_no_slashes() -> None:
    """Answer 404 to a path with an extra slash. Starlette redirects it, to http:// even behind TLS termination."""
    from _bentoml_impl.server.app import ServiceAppFactory

    make_app = ServiceAppFactory.__call__

    def without_redirects(self: Any) -> Any:
        app = make_app(self)
        app.router.redirect_slashes = False
        return app

    ServiceAppFactory.__call__ = without_redirects


def leave_deadlines_to_the_gateway() -> None:
    """Do not count the upload into the time of a request: the gateway has a deadline of its own, from receipt.

    BentoML's timeout ends a slow upload, and keeps a timer for that long after each request. Can be removed when it can
    be switched off: a service's `traffic.timeout` must be a number.
    """
    from _bentoml_impl.server.app import ServiceAppFactory

    init = ServiceAppFactory.__init__

    def init_without_timeout(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if self.is_main:
            self.timeout = None

    ServiceAppFactory.__init__ = init_without_timeout


def one_span_a_request() -> None:
    """Make one span a request in each service, not one more for each part of its body: hundreds, for a photo.

    BentoML creates OpenTelemetry's middleware without `exclude_spans`. Can be removed when that can be set.
    """
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    middleware: Any = OpenTelemetryMiddleware
    init = middleware.__init__

    def init_quiet(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{"exclude_spans": ["receive", "send"], **kwargs})

    middleware.__init__ = init_quiet


def sample_as_told() -> None:
    """Sample spans by OTEL_TRACES_SAMPLER; BentoML has `parentbased_traceidratio` alone.

    Like BentoML's own, these samplers record what they do not export, so that it has a trace id in the log. Can be
    removed when BentoML leaves the sampler to the SDK.
    """
    from bentoml._internal.utils import telemetry
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, StaticSampler

    parent_based = telemetry.ParentBasedTraceIdRatio

    def sampler(rate: float) -> Any:
        match sampler_name(os.environ):
            case "always_on":
                return ALWAYS_ON
            case "always_off":
                return StaticSampler(Decision.RECORD_ONLY)
            case "traceidratio":
                return telemetry.TraceIdRatioBasedAlwaysRecording(rate)
            case _:  # with the rate that `tracing` gave BentoML
                return parent_based(rate)

    telemetry.ParentBasedTraceIdRatio = sampler
