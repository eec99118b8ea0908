"""Failures as HTTP responses, all in one shape."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from bentos.skin import errors
from bentos.skin.errors import RequestTimeout, ShineError
from bentos.skin.runtime.body import Body, after_body
from bentos.skin.runtime.context import current
from bentos.skin.schema import ErrorAnswer, ErrorDetail

ERROR_HANDLED = "shine.error_handled"  # key in the ASGI scope: this error response already has its final shape

BY_STATUS: dict[int, type[ShineError]] = {
    400: errors.BadRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.RequestTimeout,
    413: errors.BodyTooLarge,
    415: errors.ContentTypeUnsupported,
    422: errors.BadRequest,
    429: errors.Overloaded,
    503: errors.ModelUnavailable,
    504: errors.TimedOut,
}


class ErrorResponse(JSONResponse):
    """A response that marks its request as answered in the one shape."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ERROR_HANDLED] = True
        await super().__call__(scope, receive, send)


def error_body(error: ShineError, request_id: str) -> ErrorAnswer:
    """The JSON of an error."""
    detail = ErrorDetail(code=error.code, message=error.message, hint=error.hint, request_id=request_id)
    return ErrorAnswer(error=detail)


def error_response(error: ShineError, request_id: str, headers: Mapping[str, str] | None = None) -> ErrorResponse:
    """An error as a response, with Retry-After where the error has one."""
    extra = dict(headers or {})
    if error.retry_after_s is not None:
        extra["retry-after"] = str(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["www-authenticate"] = "Bearer"
    return ErrorResponse(error_body(error, request_id).model_dump(), status_code=error.status, headers=extra)


def error_for(status: int) -> ShineError:
    """The error for a status that the framework or the router chose."""
    kind = BY_STATUS.get(status)
    if kind is None and 400 <= status < 500:
        kind = errors.BadRequest
    if kind is None:
        return ShineError("Something went wrong in the service.")
    error = kind(f"{HTTPStatus(status).phrase}.")
    if kind is errors.ModelUnavailable:
        error.hint = "Try again later; /ml/status tells why."
    error.status = status
    return error


async def refuse(error: ShineError, body: Body, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error before its endpoint is called; the unread rest of its body is drained first."""
    if not isinstance(error, RequestTimeout):  # a client that sends too slowly has had its time
        await body.drain()
    context = current()
    context.error_code = error.code
    respond = error_response(error, context.request_id, None if body.complete else {"connection": "close"})
    await respond(scope, after_body(receive), send)
