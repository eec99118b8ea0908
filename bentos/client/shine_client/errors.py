"""Why there is no answer: a class for each code of the service, and four for what happens before it can answer."""

from typing import ClassVar


class ShineError(Exception):
    """Base of all errors of a call; also an error of the service with a code that this release does not know.

    Attributes:
        code: of the contract, or of this client: connection_failed, timeout, unexpected_answer, photo_unreadable.
        message: what was wrong, in one sentence.
        hint: what would be right; may be empty.
        request_id: by which the service's log tells of the request; None where none was sent.
        status: of HTTP; None where no answer came.
        retry_after: seconds after which the service asked to be called again; None where it did not.
    """

    CODE: ClassVar[str] = ""  # of the class

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        request_id: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.CODE
        self.message = message
        self.hint = hint
        self.request_id = request_id
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        request = f"(request {self.request_id})" if self.request_id else ""
        return " ".join(filter(None, (f"{self.code}: {self.message}", self.hint, request)))


class ConnectionFailed(ShineError):
    """No connection, or it was cut before the whole answer had come."""

    CODE = "connection_failed"


class DeadlineExceeded(ShineError):
    """The call's deadline passed. The last error of an attempt before, if there was one, is the `__cause__`."""

    CODE = "timeout"


class UnexpectedAnswer(ShineError):
    """The answer is none of the contract, e.g. a proxy's page or a redirect."""

    CODE = "unexpected_answer"


class PhotoUnreadable(ShineError):
    """A photo of several that could not be read on this side; the error of reading it is the `__cause__`."""

    CODE = "photo_unreadable"


class BadRequest(ShineError):
    """400: an option that is unknown or has a wrong value."""

    CODE = "bad_request"


class ImageMissing(ShineError):
    """400: a request without a photo."""

    CODE = "image_missing"


class BadBase64(ShineError):
    """400: this client sends no base64; it is here since the contract has it."""

    CODE = "bad_base64"


class ApiKeyMissing(ShineError):
    """401: the service wants an API key."""

    CODE = "api_key_missing"


class ApiKeyWrong(ShineError):
    """401: the service does not know this API key."""

    CODE = "api_key_wrong"


class NotFound(ShineError):
    """404: the service has no such endpoint."""

    CODE = "not_found"


class MethodNotAllowed(ShineError):
    """405: the endpoint has other methods."""

    CODE = "method_not_allowed"


class RequestTimeout(ShineError):
    """408: the body came too slowly."""

    CODE = "request_timeout"


class BodyTooLarge(ShineError):
    """413: a photo's file, or a batch, has too many bytes."""

    CODE = "body_too_large"


class ImageTooManyPixels(ShineError):
    """413: a photo has too many pixels."""

    CODE = "image_too_many_pixels"


class BatchTooLarge(ShineError):
    """413: a batch has too many photos."""

    CODE = "batch_too_large"


class ContentTypeUnsupported(ShineError):
    """415: something between client and service changed the request's Content-Type or Content-Encoding."""

    CODE = "content_type_unsupported"


class ImageFormatUnsupported(ShineError):
    """415: the file is not JPEG, PNG, WebP, HEIC or AVIF."""

    CODE = "image_format_unsupported"


class ImageUnreadable(ShineError):
    """422: the file is truncated, damaged or empty."""

    CODE = "image_unreadable"


class ImageTooSmall(ShineError):
    """422: the photo has too few pixels."""

    CODE = "image_too_small"


class QualityTooLow(ShineError):
    """422: the service is strict, and the photo has issues."""

    CODE = "quality_too_low"


class Overloaded(ShineError):
    """429: the service is busy with other photos."""

    CODE = "overloaded"


class RateLimited(ShineError):
    """429: this API key has sent as many photos as it may for now."""

    CODE = "rate_limited"


class InternalError(ShineError):
    """500: a bug of the service."""

    CODE = "internal_error"


class ModelUnavailable(ShineError):
    """503: the model was required and does not answer."""

    CODE = "model_unavailable"


class ShuttingDown(ShineError):
    """503: this instance ends; another will answer."""

    CODE = "shutting_down"


class TimedOut(ShineError):
    """504: the service did not find an answer in time."""

    CODE = "timeout"


OF_CLIENT = (ConnectionFailed, DeadlineExceeded, UnexpectedAnswer, PhotoUnreadable)
BY_CODE: dict[str, type[ShineError]] = {
    kind.CODE: kind for kind in ShineError.__subclasses__() if kind not in OF_CLIENT
}
