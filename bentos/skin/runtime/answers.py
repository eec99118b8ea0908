"""Failures as HTTP: the one error shape."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

from bentos.skin import errors
from bentos.skin.errors import ShineError
from bentos.skin.schema import ErrorAnswer, ErrorDetail

SHAPED = "shine.shaped"  # key in the ASGI scope: this response already has the shape it should have

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


def error_body(error: ShineError, request_id: str) -> ErrorAnswer:
    """The contract's error shape."""
    detail = ErrorDetail(code=error.code, message=error.message, hint=error.hint, request_id=request_id)
    return ErrorAnswer(error=detail)


def error_response(error: ShineError, request_id: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as a response, with Retry-After where the error has one."""
    extra = dict(headers or {})
    if error.retry_after_s is not None:
        extra["retry-after"] = str(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["www-authenticate"] = "Bearer"
    return JSONResponse(error_body(error, request_id).model_dump(), status_code=error.status, headers=extra)


def error_for(status: int) -> ShineError:
    """What to say for a status that the framework or the router came up with."""
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
