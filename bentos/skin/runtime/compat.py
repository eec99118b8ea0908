"""Workarounds in the internals of BentoML and uvicorn: each with its reason, and when it can be removed.

Those about HTTP are here, those about processes in compat_workers.py. No other module touches internals.

Measured on BentoML 1.4.39. Every item has a contract test in tests/service/test_compat.py that fails without the item,
so that an upgrade shows which can be removed. `apply` runs when service.py is imported: in the parent, before it
starts the workers, and in every worker.
"""

import logging
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import bentoml
from _bentoml_sdk.io_models import IODescriptor
from pydantic import ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from bentos.skin.errors import BadRequest, RequestTimeout, ShineError
from bentos.skin.runtime.compat_workers import (
    dispatch_at_once,
    keep_control_inside,
    keep_metrics_apart,
    reload_weights_on_sighup,
    reserve_metric_files,
    respawn_dead_workers,
    send_no_usage_data,
    stop_gateway_first,
)
from bentos.skin.runtime.context import begin, current
from bentos.skin.runtime.error_responses import error_body, error_for, error_response
from bentos.skin.runtime.middleware import SECURITY_HEADERS
from bentos.skin.settings import KEEP_ALIVE_S

log = logging.getLogger("shine.gateway")

# #5540, #5544: the shared HTTP session to a runner is closed every 100 requests, with calls in flight: 10 to 21 % of
# them are lost at concurrency 32. Can be removed when a session is closed only after its calls.
RUNNER_CONNECTION = {"max_requests": 2**31 - 1, "max_age": 1e9}

# /readyz asks every runner and hangs while one is dead or stuck; `__is_ready__` answers from the gateway's own state.
RUNNER_PROBE = {"enabled": False}

HEAD_S = 30.0  # in which the head of a request has to come; it is a packet or two
MAX_HEAD_BYTES = 512 * 1024  # twice what uvloop reads at once, which may include the end of the previous request

if TYPE_CHECKING:
    PngImage = bytes
else:
    PngImage = Annotated[Path, bentoml.validators.ContentType("image/png")]  # as clients and OpenAPI see it

Photo = Annotated[Path, bentoml.validators.ContentType("image/*")]
Require = Literal["model"] | None


class UploadInput(IODescriptor):  # type: ignore[misc]  # BentoML is untyped to mypy
    """The input of an API of the gateway: the photos that UploadMiddleware has parsed; the body is not parsed again.

    BentoML's own parsing answers 500 to a malformed form, spools photos to disk, and fetches an upload field that
    holds a URL from inside the network. Can be removed when all three can be switched off.

    The fields of the subclasses are what the OpenAPI document and BentoML's own client see, docstrings included;
    handlers get bytes.
    """

    model_config = ConfigDict(title="Input")

    @classmethod
    async def from_http_request(cls, _: Request, __: object) -> Any:
        """The arguments of the handler."""
        upload = current().upload
        if upload is None:
            raise LookupError("the route of this API is missing in upload_specs")
        return cls.model_construct(**cls.arguments(upload.photos), require=upload.require)

    @classmethod
    def arguments(cls, photos: list[bytes]) -> dict[str, Any]:
        """The photos by the name of the handler's parameter."""
        return {"image": photos[0]}


class PhotoInput(UploadInput):
    image: Photo
    require: Require = None


class BatchInput(UploadInput):
    images: list[Photo]
    require: Require = None

    @classmethod
    def arguments(cls, photos: list[bytes]) -> dict[str, Any]:
        return {"images": photos}


class Base64Input(UploadInput):
    image: str
    require: Require = None


def apply() -> None:
    """Install every process-wide workaround; a second call does nothing."""
    if getattr(bentoml, "_shine_applied", False):
        return
    bentoml._shine_applied = True
    send_no_usage_data()
    keep_metrics_apart()
    reserve_metric_files()
    dispatch_at_once()
    respawn_dead_workers()
    stop_gateway_first()
    keep_control_inside()
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


def keep_half_closed_connections() -> None:
    """Answer a client that has closed its sending side after its request; uvicorn closes the connection."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    def eof_received(self: Any) -> bool:
        cycle = self.cycle
        waiting = cycle is not None and not cycle.response_complete and not cycle.more_body
        if waiting:
            cycle.keep_alive = False
        return waiting

    protocol: Any = HttpToolsProtocol
    protocol.eof_received = eof_received


def ignore_upgrades() -> None:
    """Answer a request that offers an upgrade (Java's client: h2c; a WebSocket) as if it offered none, as HTTP allows.

    httptools takes all that follows such a head for another protocol, so uvicorn loses the body and the next request
    (Kludex/uvicorn#2722); a WebSocket it answers with 403 without a body. The head is parsed once more without its
    `Upgrade`, by a new parser. Can be removed when uvicorn delivers such bodies and WebSockets can be switched off.
    """
    import httptools
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    on_headers_complete = HttpToolsProtocol.on_headers_complete
    on_message_complete = HttpToolsProtocol.on_message_complete

    def offers_upgrade(self: Any) -> bool:
        return bool(self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT")

    def head_ends(self: Any) -> None:
        if not offers_upgrade(self):
            on_headers_complete(self)

    def message_ends(self: Any) -> None:
        if not offers_upgrade(self):
            on_message_complete(self)

    def without_upgrade(self: Any) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def feed(self: Any, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not offers_upgrade(self):  # CONNECT: it is refused, and what follows it is no HTTP
                    self.cycle.keep_alive = False
                    return
                head, data = without_upgrade(self), data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def data_received(self: Any, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            feed(self, memoryview(data))
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    protocol: Any = HttpToolsProtocol
    protocol.on_headers_complete, protocol.on_message_complete = head_ends, message_ends
    protocol.data_received = data_received
    protocol._should_upgrade = lambda self: False  # noqa: ARG005  it is called as a method


def shape_malformed_http() -> None:
    """Answer malformed HTTP in the one shape too; uvicorn answers in plain text, and may raise.

    An endless head counts as malformed: with httptools uvicorn would read it into memory without limit.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    data_received = HttpToolsProtocol.data_received
    on_message_begin, on_headers_complete = HttpToolsProtocol.on_message_begin, HttpToolsProtocol.on_headers_complete

    def head_begins(self: Any) -> None:
        self.head_bytes = 0
        on_message_begin(self)

    def head_ends(self: Any) -> None:
        self.head_bytes = None
        on_headers_complete(self)

    def send_400_response(self: Any, _: str) -> None:
        _refuse(self.transport, BadRequest("The request is not valid HTTP.", "Send HTTP/1.1."))

    def guarded(self: Any, data: bytes) -> None:
        try:
            data_received(self, data)
        except Exception:  # e.g. an invalid target: httptools.parse_url raises where uvicorn does not catch it
            self.send_400_response("")
            return
        if getattr(self, "head_bytes", None) is not None:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")

    protocol: Any = HttpToolsProtocol
    protocol.send_400_response, protocol.data_received = send_400_response, guarded
    protocol.on_message_begin, protocol.on_headers_complete = head_begins, head_ends


def cut_slow_heads() -> None:
    """Refuse a request whose head is not there in time, and close a connection that never sends one.

    uvicorn waits for both forever, so that a client can hold as many connections as there are file descriptors.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    connection_made, connection_lost = HttpToolsProtocol.connection_made, HttpToolsProtocol.connection_lost
    on_message_begin, on_headers_complete = HttpToolsProtocol.on_message_begin, HttpToolsProtocol.on_headers_complete

    def begins(self: Any, transport: Any) -> None:
        connection_made(self, transport)
        self.head_timer = None
        handler = self.timeout_keep_alive_handler  # as for a connection that is idle between two requests
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, handler)

    def ends(self: Any, error: Exception | None) -> None:
        self._unset_keepalive_if_required()
        stop(self)
        connection_lost(self, error)

    def stop(self: Any) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def start(self: Any) -> None:
        self.head_timer = self.loop.call_later(HEAD_S, expired, self)

    def expired(self: Any) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # the previous request is being answered
            start(self)
        elif not self.transport.is_closing():
            _refuse(self.transport, RequestTimeout("The head of the request came too slowly."))

    def head_begins(self: Any) -> None:
        stop(self)
        start(self)
        on_message_begin(self)

    def head_ends(self: Any) -> None:
        stop(self)
        on_headers_complete(self)

    protocol: Any = HttpToolsProtocol
    protocol.connection_made, protocol.connection_lost = begins, ends
    protocol.on_message_begin, protocol.on_headers_complete = head_begins, head_ends


def _refuse(transport: Any, error: ShineError) -> None:
    """Answer with an error where there is no request to answer yet, and close the connection."""
    request_id = begin(None, "other").request_id
    body = error_body(error, request_id).model_dump_json().encode()
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n"
    )
    head += "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in SECURITY_HEADERS) + "\r\n"
    log.info("malformed HTTP", extra={"fields": {"request_id": request_id, "status": error.status}})
    transport.write(head.encode() + body)
    transport.close()


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
