"""What stands between the socket and the endpoints: identity, one error shape, headers, keys, limits, parsing."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.skin.errors import ApiKeyMissing, ApiKeyWrong, BadRequest, Overloaded, RequestTimeout, ShineError
from bentos.skin.keys import is_short, read_entry, which
from bentos.skin.runtime import forms
from bentos.skin.runtime.admission import Admission
from bentos.skin.runtime.answers import SHAPED, error_for, error_response
from bentos.skin.runtime.body import Body, ClientGone
from bentos.skin.runtime.context import RequestContext, begin, current
from bentos.skin.runtime.rate import Rate
from bentos.skin.runtime.telemetry import Telemetry
from bentos.skin.runtime.tracing import describe_span
from bentos.skin.settings import DRILL, DRILL_HEADER, MAX_BATCH_BODY_MIB, OPEN_PATHS, Settings

log = logging.getLogger("shine.gateway")

FORM = "shine.form"  # key in the ASGI scope: what the request carries, parsed
OVERHEAD = 64 * 1024  # bytes of a form around its photos
SMALL_BODY = 64 * 1024  # bytes read of a body that no endpoint asked for
SLOW_PARSE = 256 * 1024  # bytes from which parsing leaves the event loop
GET_PATHS = frozenset(
    {*OPEN_PATHS, "/", "/ml/status", "/version", "/metrics", "/docs.json", "/schema.json", "/healthz"}
)
# On every answer that has not its own of the same name. No Strict-Transport-Security: TLS ends at the load balancer,
# and whether a whole host name may never again be asked in the clear is for the owner of its certificate to promise.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),  # an API has nothing to load or run
    # Keeps other sites from embedding an answer by <img> or <script>; browsers do not ask it of CORS requests.
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
CLIENT_CLOSED = 499  # in logs and metrics only, as nginx writes it: nobody was there to be answered


@dataclass(frozen=True, slots=True)
class Intake:
    """How the body of one endpoint is read: its limit in bytes and its parser."""

    limit: int
    parse: Callable[[bytes, str], forms.Form]


def intakes(settings: Settings) -> dict[str, Intake]:
    """The POST endpoints."""
    photo = settings.max_photo_bytes
    base64_length = photo * 4 // 3
    return {
        "/analyze": Intake(photo + OVERHEAD, forms.photo_form),
        "/overlay": Intake(photo + OVERHEAD, forms.photo_form),
        # Line breaks every 64 characters, escaped as \r\n in JSON, add a sixteenth.
        "/analyze_base64": Intake(base64_length + base64_length // 16 + OVERHEAD, forms.base64_form),
        "/analyze_batch": Intake(max(MAX_BATCH_BODY_MIB * 2**20, photo) + OVERHEAD, forms.batch_form),
    }


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Request headers by lower-case name; the last of a repeated one."""
    return dict(scope["headers"])


class Envelope:
    """Outermost: gives each request its id, each error its shape, each answer its headers, and counts it."""

    def __init__(self, app: ASGIApp, telemetry: Callable[[], Telemetry], known: frozenset[str]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = headers_of(scope).get(b"x-request-id", b"").decode("latin-1")
        context = begin(given or None, scope["path"] if scope["path"] in self._known else "other")
        answer = _Answer(context, scope, receive, send)
        try:
            await self._app(scope, receive, answer.send)
            await answer.finish()
        except ClientGone:
            answer.status = CLIENT_CLOSED
            # Nobody reads it, but BentoML's TimeoutMiddleware holds the request for 600 s until something is sent.
            await send({"type": "http.response.start", "status": CLIENT_CLOSED, "headers": []})
            await send({"type": "http.response.body"})
        except Exception:
            log.exception("unhandled", extra={"fields": {"request_id": context.request_id}})
            if answer.started:
                raise
            await answer.replace(ShineError("Something went wrong in the service."))
        finally:
            seconds = time.monotonic() - context.started_at
            self._telemetry().request(context, scope["method"], answer.status, seconds)


class _Answer:
    """Passes a response on with the headers every answer has; holds back an error that lacks the one shape."""

    def __init__(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        self._context, self._scope, self._receive, self._send = context, scope, receive, send
        self._held: Message | None = None
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400 and SHAPED not in self._scope:
                self._held = message
                return
            self.started = True
            describe_span(self._context)
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif self._held is not None:
            return
        await self._send(message)

    async def finish(self) -> None:
        """Answer an error of the framework's own in the one shape."""
        if self._held is not None:
            kept = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in self._held.get("headers", ())
                if not name.lower().startswith(b"content-")  # Allow, and what CORS added
            }
            await self.replace(error_for(self._held["status"]), kept)

    async def replace(self, error: ShineError, headers: dict[str, str] | None = None) -> None:
        self._held = None
        self._scope[SHAPED] = True
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
        own = {name.lower() for name, _ in headers}
        headers.extend(header for header in SECURITY_HEADERS if header[0] not in own)
        return headers


class Door:
    """Checks the key, makes room, reads and parses the body; refuses what cannot be answered."""

    def __init__(self, app: ASGIApp, settings: Settings, admission: Admission) -> None:
        self._app = app
        self._intakes = intakes(settings)
        self._admission = admission
        self._keys = [read_entry(key.get_secret_value()) for key in settings.api_keys]
        for number, key in enumerate(settings.api_keys, 1):
            if is_short(key.get_secret_value()):
                log.warning(
                    "an API key is short enough to be guessed; make key makes a long one",
                    extra={"fields": {"entry": number}},
                )
        self._rate = Rate(settings.rate_per_minute, len(self._keys))
        self._reading = 0  # bytes that the bodies on their way in may come to hold
        self._may_read = 2 * settings.max_pending * settings.max_photo_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        intake = self._intakes.get(scope["path"]) if scope["method"] == "POST" else None
        body = Body(receive, headers, intake.limit if intake else SMALL_BODY)
        try:
            key = self._check_key(scope, headers)
            if intake is None:
                await self._pass(scope, receive, body, send)
            else:
                await self._serve(scope, receive, body, intake, key, send)
        except ShineError as error:
            await self._refuse(error, scope, receive, body, send)

    async def _serve(
        self, scope: Scope, receive: Receive, body: Body, intake: Intake, key: int | None, send: Send
    ) -> None:
        if b"require" in scope.get("query_string", b""):
            raise BadRequest(
                "'require' stands in the query, where it does nothing.", "Send it in the form, or the JSON."
            )
        headers, context = headers_of(scope), current()
        context.drill = wants_drill(headers)
        if key is not None:
            self._rate.check(key)
        self._admission.check()
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        form = await self._read(body, intake, content_type)
        context.received_at = time.monotonic()
        context.photos = len(form.photos)
        with self._admission.admit(len(form.photos)):
            if key is not None:
                self._rate.take(key, len(form.photos))  # last, so that who is refused for another reason pays nothing
            scope[FORM] = form
            await self._app(scope, _after_body(receive), send)

    async def _read(self, body: Body, intake: Intake, content_type: str) -> forms.Form:
        if self._reading and self._reading + intake.limit > self._may_read:
            raise Overloaded("The service is receiving as many photos as it can at the moment.")
        self._reading += intake.limit
        try:
            data = await body.read()
        finally:
            self._reading -= intake.limit
        if len(data) > SLOW_PARSE:
            return await asyncio.to_thread(intake.parse, data, content_type)
        return intake.parse(data, content_type)

    async def _pass(self, scope: Scope, receive: Receive, body: Body, send: Send) -> None:
        """An endpoint that takes no body; whatever came with it is thrown away within bounds."""
        await body.drain()
        await self._app(scope, _after_body(receive), send if body.complete else _closing(send))

    async def _refuse(self, error: ShineError, scope: Scope, receive: Receive, body: Body, send: Send) -> None:
        if not isinstance(error, RequestTimeout):  # whoever trickles has had its time
            await body.drain()
        scope[SHAPED] = True
        context = current()
        context.error_code = error.code
        respond = error_response(error, context.request_id, None if body.complete else {"connection": "close"})
        await respond(scope, _after_body(receive), send)

    def _check_key(self, scope: Scope, headers: dict[bytes, bytes]) -> int | None:
        """Which of the keys was sent; None where none is wanted."""
        if not self._keys or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get(b"x-api-key", b"").strip()
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not given and scheme.lower() == b"bearer":
            given = token.strip()
        if not given:
            raise ApiKeyMissing("This service wants an API key.")
        key = which(self._keys, given)
        if key is None:
            raise ApiKeyWrong("This API key is not known.")
        return key


def wants_drill(headers: dict[bytes, bytes]) -> bool:
    """Whether a photo is to be answered as if the model were absent, so that a rollout can see that this works.

    Raises:
        BadRequest: the header says something else: who misspells it must not take the model's answer for a drill.
    """
    given = headers.get(DRILL_HEADER.lower().encode())
    if given is None:
        return False
    if given.strip() != DRILL.encode():
        raise BadRequest(f"{DRILL_HEADER} is not '{DRILL}'.", f"Leave {DRILL_HEADER} out, or send '{DRILL}'.")
    return True


def _after_body(receive: Receive) -> Receive:
    """A body that has been read: empty once, then whatever happens to the connection."""
    told = False

    async def receive_nothing() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive_nothing


def _closing(send: Send) -> Send:
    """Close the connection after the answer, since unread bytes are still on it."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return send_and_close


def cors(settings: Settings) -> dict[str, Any]:
    """Options of Starlette's CORSMiddleware: origins by exact list; none means that no browser page may read."""
    return {
        "allow_origins": list(settings.cors_origins),
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["authorization", "content-type", "traceparent", "x-api-key", "x-request-id", DRILL_HEADER],
        "expose_headers": ["x-request-id", "x-analysis-source", "x-degraded", "retry-after"],
        "max_age": 600,
    }
