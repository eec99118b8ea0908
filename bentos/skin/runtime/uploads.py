"""Receives photos: which endpoints take them, how large they may be, how many at a time, and how they are parsed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.skin.errors import BadRequest, Overloaded, ShineError, TimedOut
from bentos.skin.options import OVERLAY
from bentos.skin.runtime import forms
from bentos.skin.runtime.admission import Admission, Reservation
from bentos.skin.runtime.body import Body, ClientGone, after_body, content_codings, inflate
from bentos.skin.runtime.context import RequestContext, current
from bentos.skin.runtime.error_responses import refuse
from bentos.skin.runtime.forms import Upload
from bentos.skin.runtime.rate_limiter import RateLimiter
from bentos.skin.settings import DEADLINE_HEADER, DRILL, DRILL_HEADER, MAX_BATCH_BODY_MIB, Settings
from bentos.skin.threads import thread_count

OVERHEAD = 64 * 1024  # bytes of a form around its photos
SMALL_BODY = 64 * 1024  # bytes read of a body that no endpoint asked for
SLOW_PARSE = 256 * 1024  # bytes from which parsing leaves the event loop


@dataclass(frozen=True, slots=True)
class UploadSpec:
    """How the body of one endpoint is read: its limit in bytes and its parser."""

    limit: int
    parse: Callable[[bytes, str], Upload]


def upload_specs(settings: Settings) -> dict[str, UploadSpec]:
    """The endpoints that take photos, by path."""
    photo = settings.max_photo_bytes
    base64_length = photo * 4 // 3
    return {
        "/analyze": UploadSpec(photo + OVERHEAD, forms.parse_photo_form),
        "/overlay": UploadSpec(photo + OVERHEAD, partial(forms.parse_photo_form, options=OVERLAY)),
        "/quality": UploadSpec(photo + OVERHEAD, partial(forms.parse_photo_form, options=())),
        # Line breaks every 64 characters, %0D%0A in a data: URL, and + and / as three characters each add 16 %.
        "/analyze_base64": UploadSpec(base64_length + base64_length // 4 + OVERHEAD, forms.parse_base64),
        "/analyze_batch": UploadSpec(max(MAX_BATCH_BODY_MIB * 2**20, photo) + OVERHEAD, forms.parse_batch_form),
    }


def spec_of(scope: Scope, specs: dict[str, UploadSpec]) -> UploadSpec | None:
    """How the body of a request is read; None where its endpoint takes no photo."""
    return specs.get(scope["path"]) if scope["method"] == "POST" else None


def body_of(scope: Scope, receive: Receive, spec: UploadSpec | None, settings: Settings) -> Body:
    """The body of a request, with the limit of its endpoint."""
    limit = SMALL_BODY if spec is None else spec.limit
    return Body(receive, headers_of(scope), limit, settings.min_upload_bytes_per_s, settings.upload_grace_s)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Request headers by lower-case name; the last of a repeated one."""
    return dict(scope["headers"])


class UploadMiddleware:
    """Reads and parses the photos of a request, within every limit, and leaves them in the request's context."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._specs = upload_specs(settings)
        self._admission = Admission(settings.max_pending, thread_count(settings))
        self._rate = RateLimiter(settings.rate_per_minute, len(settings.api_keys))
        self._reserved = 0  # bytes that the bodies being read may come to hold
        self._max_reserved = 2 * settings.max_pending * settings.max_photo_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        spec = spec_of(scope, self._specs)
        body = body_of(scope, receive, spec, self._settings)
        if spec is None:
            await body.drain()  # this endpoint takes no body
            await self._app(scope, after_body(receive), send if body.complete else _closing(send))
            return
        try:
            refuse_options_in_query(scope.get("query_string", b""))
            headers, context = headers_of(scope), current()
            context.drill = wants_drill(headers)
            context.deadline_s = deadline_of(headers)
            if context.api_key is not None:
                self._rate.check(context.api_key)
            codings = content_codings(scope["headers"])
            self._admission.check(within_s=self._seconds_left(context))
            upload = await self._read(body, spec, headers.get(b"content-type", b"").decode("latin-1"), codings)
            context.received_at = time.monotonic()
            context.photos = len(upload.photos)
            if (left := self._seconds_left(context)) <= 0:
                raise TimedOut("The time that the client waits was over before the photo had arrived.")
            with self._admission.admit(context.photos, left) as reservation:
                if context.api_key is not None:
                    # Last, so that a request that is refused for another reason costs nothing.
                    self._rate.take(context.api_key, context.photos)
                context.upload = upload
                try:
                    await _while_connected(
                        self._app(scope, after_body(receive), _releasing(send, reservation, context)), receive
                    )
                finally:
                    # Connections to the runners that were opened meanwhile keep this context for as long as they live.
                    context.upload = None
        except ShineError as error:
            await refuse(error, body, scope, receive, send)

    def _seconds_left(self, context: RequestContext) -> float:
        return context.seconds_left(self._settings.request_deadline_s)

    async def _read(self, body: Body, spec: UploadSpec, content_type: str, codings: list[str]) -> Upload:
        size = spec.limit if codings else body.largest
        if self._reserved and self._reserved + size > self._max_reserved:
            raise Overloaded("The service is receiving as many photos as it can at the moment.")
        self._reserved += size
        try:
            data = await body.read()
            if codings or len(data) > SLOW_PARSE:
                return await asyncio.to_thread(_parse, data, spec, content_type, codings)
            return spec.parse(data, content_type)
        finally:
            self._reserved -= size


def _parse(data: bytes, spec: UploadSpec, content_type: str, codings: list[str]) -> Upload:
    return spec.parse(inflate(data, codings, spec.limit), content_type)


def refuse_options_in_query(query: bytes) -> None:
    """Refuse options in the query of a URL: they would be ignored.

    Raises:
        BadRequest: the first, by its name.
    """
    names = {name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if found := next((name for name in OVERLAY if name in names), None):
        raise BadRequest(f"'{found}' has no effect in the query.", "Send it in the form, or in the JSON.")


def wants_drill(headers: dict[bytes, bytes]) -> bool:
    """Whether a photo is to be answered as if there were no model, so that a rollout can test the fallback.

    Raises:
        BadRequest: the header has another value: a misspelt drill must not be answered by the model.
    """
    given = headers.get(DRILL_HEADER.lower().encode())
    if given is None:
        return False
    if given.strip() != DRILL.encode():
        raise BadRequest(f"{DRILL_HEADER} is not '{DRILL}'.", f"Leave {DRILL_HEADER} out, or send '{DRILL}'.")
    return True


def deadline_of(headers: dict[bytes, bytes]) -> float | None:
    """Seconds that a client waits for its answer, by its header; None where it does not say.

    Raises:
        BadRequest: the header is no whole number of milliseconds.
    """
    given = headers.get(DEADLINE_HEADER.lower().encode())
    if given is None:
        return None
    if not (text := given.strip()).isdigit() or len(text) > 9 or int(text) == 0:
        raise BadRequest(
            f"{DEADLINE_HEADER} is no number of milliseconds.",
            "Send how long you wait, 1 to 999999999, or leave it out.",
        )
    return int(text) / 1000


def _releasing(send: Send, reservation: Reservation, context: RequestContext) -> Send:
    """Release the reservation before the end of the response is sent: its client may send the next photo at once."""

    async def release_and_send(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            reservation.release(answered=context.answered)
        await send(message)

    return release_and_send


async def _while_connected(answering: Awaitable[None], receive: Receive) -> None:
    """Answer a request; where its client goes, give up what has not been done for it.

    Raises:
        ClientGone: it has gone.
    """
    answer = asyncio.ensure_future(answering)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise ClientGone
    finally:
        leaving.cancel()
        answer.cancel()
        await asyncio.gather(answer, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _closing(send: Send) -> Send:
    """Close the connection after the response, since unread bytes are still on it."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return send_and_close
