"""Around every request: its id, one shape for errors, headers for every response, one count and one log line."""

import logging
import time
from typing import Any

import bentoml
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.skin.errors import BadRequest, ShineError
from bentos.skin.runtime.body import ClientGone
from bentos.skin.runtime.context import RequestContext, begin, current
from bentos.skin.runtime.error_responses import ERROR_HANDLED, error_for, error_response
from bentos.skin.runtime.gateway import current_analyzer
from bentos.skin.runtime.tracing import describe_span
from bentos.skin.runtime.uploads import headers_of, upload_specs
from bentos.skin.settings import DEADLINE_HEADER, DRILL_HEADER, OPEN_PATHS, PAGE_PATH, Settings

log = logging.getLogger("shine.gateway")

GET_PATHS = frozenset({*OPEN_PATHS, "/ml/status", "/version", "/metrics", "/docs.json", "/schema.json", "/healthz"})
# On every response that has not set the same header. No Strict-Transport-Security: TLS ends at the load balancer, and
# only the owner of the certificate may promise that a host name will never again be asked without TLS.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),  # an API has nothing to load or run
    # Other sites cannot embed a response by <img> or <script>; browsers do not check it for CORS requests.
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
# Request headers that pages may set, besides those that browsers always let them set. Tracing libraries add theirs to
# every request of a page: W3C Trace Context and Baggage, Sentry.
ALLOWED_HEADERS = (
    *("authorization", "content-encoding", "content-type", "x-api-key", "x-request-id"),
    *("baggage", "sentry-trace", "traceparent", "tracestate"),
)
CLIENT_CLOSED = 499  # in logs and metrics only, as in nginx: the client had gone before it could be answered


class RequestContextMiddleware:
    """Gives each request its id, each error its shape, each response its headers; counts and logs the request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known_paths = GET_PATHS | upload_specs(settings).keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given_id = headers_of(scope).get(b"x-request-id", b"").decode("latin-1")
        path = PAGE_PATH if scope["path"].startswith(f"{PAGE_PATH}/") else scope["path"]
        context = begin(given_id or None, path if path in self._known_paths else "other")
        sender = ResponseSender(context, scope, receive, send)
        try:
            await self._app(scope, receive, sender.send)
            await sender.finish()
        except ClientGone:
            sender.status = CLIENT_CLOSED
            # Nobody reads it, but BentoML's metrics count requests by their response.
            await send({"type": "http.response.start", "status": CLIENT_CLOSED, "headers": []})
            await send({"type": "http.response.body"})
        except Exception:
            log.exception("unhandled", extra={"fields": {"request_id": context.request_id}})
            if sender.started:
                raise
            await sender.replace(ShineError("Something went wrong in the service."))
        finally:
            _count(context, scope["method"], sender.status)


def _count(context: RequestContext, method: str, status: int) -> None:
    try:
        telemetry = current_analyzer().telemetry
    except bentoml.exceptions.BentoMLException:  # the service is not constructed yet, or no longer there
        return
    telemetry.request(context, method, status, time.monotonic() - context.started_at)


class ResponseSender:
    """Sends a response with the headers that every response has; holds back an error that lacks the one shape."""

    def __init__(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        self._context, self._scope, self._receive, self._send = context, scope, receive, send
        self._held: Message | None = None
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """An ASGI `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400 and ERROR_HANDLED not in self._scope:
                self._held = message
                return
            self.started = True
            describe_span(self._context)
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif self._held is not None:
            return
        await self._send(message)

    async def finish(self) -> None:
        """Send an error of the framework's in the one shape, if one was held back."""
        if self._held is not None:
            kept = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in self._held.get("headers", ())
                if not name.lower().startswith(b"content-")  # Allow, and what CORS added
            }
            await self.replace(error_for(self._held["status"]), kept)

    async def replace(self, error: ShineError, headers: dict[str, str] | None = None) -> None:
        """Send an error instead of whatever was held back."""
        self._held = None
        self._context.error_code = error.code
        await error_response(error, self._context.request_id, headers)(self._scope, self._receive, self.send)

    def _headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        context = self._context
        headers = [(name, value) for name, value in given if name.lower() not in (b"server", b"x-bentoml-request-id")]
        headers.append((b"x-request-id", context.request_id.encode()))
        if context.source is not None:
            headers.append((b"x-analysis-source", context.source.encode()))
        if context.degraded is not None:
            headers.append((b"x-degraded", str(context.degraded).lower().encode()))
        present = {name.lower() for name, _ in headers}
        headers.extend(header for header in SECURITY_HEADERS if header[0] not in present)
        return headers


class CorsMiddleware(CORSMiddleware):
    """Answers preflights, and lets the pages of the listed origins read responses; others may read none.

    It is Starlette's, but a refused preflight says what is refused: Starlette names neither header nor origin.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=[*ALLOWED_HEADERS, DEADLINE_HEADER, DRILL_HEADER],
            allow_private_network=settings.cors_private_network,
            expose_headers=["x-request-id", "x-analysis-source", "x-degraded", "retry-after"],
            max_age=600,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        error = BadRequest(*self._why_refused(request_headers))
        context = current()
        context.error_code = error.code
        log.info("preflight refused", extra={"fields": {"request_id": context.request_id, "because": error.message}})
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return error_response(error, context.request_id, kept)

    def _why_refused(self, asked: Headers) -> tuple[str, str]:
        """The first thing that is refused in a preflight, in one sentence, and what would be right."""
        origin, method = asked["origin"], asked["access-control-request-method"]
        if not self.is_allowed_origin(origin):
            return f"The origin {origin[:200]!r} is not allowed.", "SHINE_CORS_ORIGINS lists the origins, exactly."
        if method not in self.allow_methods:
            return f"The method {method[:40]!r} is not allowed.", f"Allowed are {', '.join(self.allow_methods)}."
        headers = [name.strip().lower() for name in asked.get("access-control-request-headers", "").split(",")]
        refused = [repr(name[:80]) for name in headers if name not in self.allow_headers][:5]
        if refused and "access-control-request-headers" in asked:
            what = f"header {refused[0]} is" if len(refused) == 1 else f"headers {', '.join(refused)} are"
            return f"The {what} not allowed.", f"Allowed are {', '.join(self.allow_headers)}."
        return (
            "A page of the public internet may not call this service in a private network.",
            "SHINE_CORS_PRIVATE_NETWORK=true allows it.",
        )
