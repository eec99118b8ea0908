"""The one place that touches BentoML's and uvicorn's internals: each workaround, why, and what would let it go.

Measured on BentoML 1.4.39. Every item has a contract test in tests/service/test_compat.py which fails when the item is
removed, so that an upgrade shows which may go. `apply` runs when service.py is imported: in the parent, before it
starts the workers, and in every worker.
"""

import asyncio
import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from bentos.skin.errors import BadRequest, ShineError
from bentos.skin.runtime.answers import SHAPED, error_body, error_for, error_response
from bentos.skin.runtime.context import begin, current

log = logging.getLogger("shine.gateway")

# #5540, #5544: the shared HTTP session to a runner is closed every 100 requests, with calls in flight: 10 to 21 % of
# them are lost at concurrency 32. Goes when a session is closed only once its calls are done.
RUNNER_CONNECTION = {"max_requests": 2**31 - 1, "max_age": 1e9}

# /readyz asks every runner and hangs while one is dead or stuck; `__is_ready__` answers from what the gateway knows.
RUNNER_PROBE = {"enabled": False}

KEEP_ALIVE_S = 75  # above the 60 s for which an Application Load Balancer keeps an idle connection
METRICS_FILE_BYTES = 1 << 20  # prometheus_client's initial size of a metrics file
CHECK_DELAY_S = 0.5  # how often the parent looks for dead workers; BentoML's 10 s would be 10 s of outage
MAX_HEAD_BYTES = 512 * 1024  # twice what uvloop reads at once, which may end in the body of a request before
GATEWAY_GRACE_S = 20  # from SIGTERM to SIGKILL; BentoML's is a day, and a stopped worker would use it
RUNNER_GRACE_S = 5  # the same for a runner, which nobody needs any more; both together end before ECS kills (30 s)
GATEWAY_WATCHER = "service"  # BentoML's name for the watcher of the entry service

if TYPE_CHECKING:
    Upload = bytes
    Uploads = list[bytes]
    Base64Text = bytes
    PngImage = Response
else:
    # What the OpenAPI document and BentoML's own client see. Handlers get bytes: see `take_parsed_form`.
    Upload = Annotated[Path, bentoml.validators.ContentType("image/*")]
    Uploads = list[Upload]
    Base64Text = str
    PngImage = Annotated[Path, bentoml.validators.ContentType("image/png")]


def apply() -> None:
    """Put every process-wide workaround in place; more than once does no harm."""
    if getattr(bentoml, "_shine_applied", False):
        return
    bentoml._shine_applied = True
    send_no_usage_data()
    keep_metrics_apart()
    reserve_metric_files()
    dispatch_at_once()
    respawn_dead_workers()
    stop_gateway_first()
    keep_idle_connections()
    answer_in_one_shape()
    bound_metric_labels()
    redirect_no_slashes()
    keep_half_closed_connections()
    shape_malformed_http()
    refuse_websockets()


def send_no_usage_data() -> None:
    """No usage data to third parties. BentoML asks the environment once, before this module is imported."""
    from bentoml._internal.utils.analytics import usage_stats

    os.environ["BENTOML_DO_NOT_TRACK"] = "true"  # for the workers
    usage_stats.do_not_track = lambda: True


def keep_metrics_apart() -> None:
    """Each server has a folder of its own for its metrics; BentoML's is one a user, wiped by whoever starts next."""
    import bentoml.serving as serving

    def own_folder(*_: Any, **__: Any) -> str:
        folder = tempfile.mkdtemp(prefix="shine-metrics-")
        owner = os.getpid()
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
        return folder

    serving.ensure_prometheus_dir = own_folder


def reserve_metric_files() -> None:
    """The blocks of a metrics file are taken when it is made.

    prometheus_client maps sparse files: where the disk fills up later, the first write into a hole kills the process
    by SIGBUS, and each worker started after it. Goes when it reserves them itself.
    """
    from prometheus_client.mmap_dict import MmapedDict

    patched: Any = MmapedDict
    init = patched.__init__

    def reserved(self: Any, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with Path(filename).open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, max(METRICS_FILE_BYTES, file.tell()))
        init(self, filename, read_mode)

    patched.__init__ = reserved


def dispatch_at_once() -> None:
    """A batch is what has queued while the batch before was at work; nobody waits for company.

    BentoML's dispatcher holds a call back for as long as calls had to queue before: one burst teaches it to make each
    later single photo wait, and that waiting teaches it to go on. On CPU a larger batch gains nothing.
    """
    from bentoml._internal.marshal.dispatcher import CorkDispatcher, Optimizer

    refresh = Optimizer.trigger_refresh

    def without_waiting(self: Any) -> None:
        refresh(self)
        self.wait = 0

    async def untrained(*_: Any) -> None:
        """The training holds calls back too."""

    Optimizer.trigger_refresh = without_waiting
    CorkDispatcher.train_optimizer = untrained


def respawn_dead_workers() -> None:
    """A dead worker comes back, at once and in a container too.

    bentoml/serving.py sets `respawn=not running_inside_container()`, so that in a container one dead runner takes the
    whole server down. Goes when respawning can be configured.
    """
    import bentoml._internal.utils.circus as circus_utils
    import bentoml.serving as serving

    create_watcher, create_arbiter = serving.create_watcher, circus_utils.create_standalone_arbiter

    def create_respawning_watcher(*args: Any, **kwargs: Any) -> Any:
        watcher = create_watcher(*args, **kwargs)
        watcher.respawn = True
        watcher.graceful_timeout = GATEWAY_GRACE_S if watcher.name == GATEWAY_WATCHER else RUNNER_GRACE_S
        reap = watcher.reap_process

        def reap_loudly(pid: int, status: int | None = None) -> Any:
            if pid in watcher.processes and not watcher.is_stopping() and not watcher.is_stopped():
                fields = {"worker": watcher.name.removeprefix("service_"), "pid": pid}
                log.error("a worker ended by itself and is started anew", extra={"fields": fields})
            return reap(pid, status)

        watcher.reap_process = reap_loudly
        return watcher

    def create_watchful_arbiter(*args: Any, **kwargs: Any) -> Any:
        return create_arbiter(*args, **{"check_delay": CHECK_DELAY_S, **kwargs})

    serving.create_watcher = create_respawning_watcher
    circus_utils.create_standalone_arbiter = create_watchful_arbiter


def stop_gateway_first() -> None:
    """On SIGTERM the gateway ends before its runners, which it needs for the requests it has accepted.

    The arbiter stops all workers at once, and BentoML's takes the sockets of the runners away even before. Goes when
    they are stopped in the order of their dependencies.
    """
    from bentoml._internal.utils import circus as circus_utils
    from circus.arbiter import Arbiter

    async def stop_watchers(self: Any, close_output_streams: bool = False, watcher_iter_func: Any = None) -> None:
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        for gateway in (True, False):
            chosen = [watcher for watcher in watchers if (watcher.name == GATEWAY_WATCHER) is gateway]
            await asyncio.gather(*(watcher._stop(close_output_streams) for watcher in chosen))
        if self._stopping and hasattr(self, "exit_stack"):
            self.exit_stack.__exit__(None, None, None)

    Arbiter._stop_watchers = stop_watchers
    circus_utils.Arbiter.stop = Arbiter.stop  # without the early end of its exit stack


def keep_idle_connections() -> None:
    """An idle connection is kept longer than any load balancer or client keeps it, so that it is they who close it.

    At BentoML's 5 s a request may be sent into a connection that is being closed: 502 at the load balancer, a lost
    request elsewhere. Goes when it becomes a setting of the service.
    """
    import bentoml.serving as serving

    construct = serving.construct_timeouts_args

    def construct_patient(timeout_keep_alive: int | None, timeout_graceful_shutdown: int | None) -> Any:
        return construct(timeout_keep_alive or KEEP_ALIVE_S, timeout_graceful_shutdown)

    serving.construct_timeouts_args = construct_patient


def answer_in_one_shape() -> None:
    """Errors raised in an API of the gateway are answered in the contract's shape.

    BentoML hides 5xx messages, answers 4xx with a JSON list (a stray comma in app.py) and anything else with 500.
    Runners keep BentoML's own way, by which an exception keeps its class across the hop.
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
        request.scope[SHAPED] = True
        current().error_code = failure.code
        return error_response(failure, current().request_id)

    ServiceAppFactory.api_endpoint = shaped


def bound_metric_labels() -> None:
    """BentoML's own metrics take the raw path as a label, which a scanner makes as many of as it likes."""
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
    """A path with a slash too many is 404. Starlette redirects it, to http:// behind a TLS-ending load balancer."""
    from _bentoml_impl.server.app import ServiceAppFactory

    make_app = ServiceAppFactory.__call__

    def without_redirects(self: Any) -> Any:
        app = make_app(self)
        app.router.redirect_slashes = False
        return app

    ServiceAppFactory.__call__ = without_redirects


def keep_half_closed_connections() -> None:
    """A client that has sent its request and closed its sending side still reads; uvicorn would hang up on it."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    def eof_received(self: Any) -> bool:
        cycle = self.cycle
        waiting = cycle is not None and not cycle.response_complete and not cycle.more_body
        if waiting:
            cycle.keep_alive = False
        return waiting

    protocol: Any = HttpToolsProtocol
    protocol.eof_received = eof_received


def shape_malformed_http() -> None:
    """What is no HTTP at all is answered in the one shape too; uvicorn answers in plain text, and may raise.

    A head without end is no HTTP either: with httptools uvicorn would take it into memory without limit.
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
        error = BadRequest("The request is not valid HTTP.", "Send HTTP/1.1.")
        request_id = begin(None, "other").request_id
        body = error_body(error, request_id).model_dump_json().encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        log.info("what came is no HTTP", extra={"fields": {"request_id": request_id, "status": 400}})
        self.transport.write(head.encode() + body)
        self.transport.close()

    def guarded(self: Any, data: bytes) -> None:
        try:
            data_received(self, data)
        except Exception:  # e.g. a target that is no URL: httptools.parse_url raises outside of uvicorn's own guard
            self.send_400_response("")
            return
        if getattr(self, "head_bytes", None) is not None:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")

    protocol: Any = HttpToolsProtocol
    protocol.send_400_response, protocol.data_received = send_400_response, guarded
    protocol.on_message_begin, protocol.on_headers_complete = head_begins, head_ends


def refuse_websockets() -> None:
    """An upgrade to a WebSocket is ignored, as HTTP allows, and the request answered; 403 without a body it was."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    protocol: Any = HttpToolsProtocol
    protocol._should_upgrade = lambda self: False  # noqa: ARG005  uvicorn calls it with itself
    protocol._unsupported_upgrade_warning = lambda self: None  # noqa: ARG005  uvicorn calls it with itself


def take_parsed_form(service: Any, form_key: str) -> None:
    """Hand the gateway's APIs the form that the door has parsed, instead of parsing the body again.

    BentoML's parsing answers 500 to a malformed form, spools photos to disk, and fetches an upload field that holds a
    URL from inside the network. Goes when all three can be switched off.

    Args:
        service: the gateway service.
        form_key: where in the ASGI scope the parsed form lies; its `photos` and `require` become the arguments.
    """
    for method in service.apis.values():
        method.input_spec.from_http_request = classmethod(_from_form(form_key))


def _from_form(form_key: str) -> Callable[..., Any]:
    async def from_http_request(cls: Any, request: Request, _: Any) -> Any:
        form = request.scope[form_key]
        name = next(field for field in cls.model_fields if field != "require")
        return cls.model_construct(
            **{name: form.photos if name == "images" else form.photos[0], "require": form.require}
        )

    return from_http_request
