"""Every error that a client can get: status, code and hint. One small class each."""

from bentos.skin.schema import ErrorCode


class ShineError(Exception):
    """An error that is answered in the contract's error shape.

    Args:
        message: what was wrong, in one sentence, without paths, stack traces or other clients' data.
        hint: what the client can do; that of the class by default.
        retry_after_s: seconds for the Retry-After header; None for no header.
    """

    status = 500
    code: ErrorCode = "internal_error"
    hint = "Try again; if it happens again, report the request id."
    retry_after_s: int | None = None

    def __init__(self, message: str, hint: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or type(self).hint
        self.retry_after_s = retry_after_s if retry_after_s is not None else type(self).retry_after_s


class BadRequest(ShineError):
    status, code = 400, "bad_request"
    hint = "See /docs.json for the form of this request."


class ImageMissing(ShineError):
    status, code = 400, "image_missing"
    hint = "Send multipart/form-data with one file in the field 'image', e.g. curl -F image=@face.jpg."


class BadBase64(ShineError):
    status, code = 400, "bad_base64"
    hint = 'Send {"image": "<base64 of a photo file>"}; a data: URL is fine too.'


class ApiKeyMissing(ShineError):
    status, code = 401, "api_key_missing"
    hint = "Send your key as X-API-Key: <key> or Authorization: Bearer <key>."


class ApiKeyWrong(ShineError):
    status, code = 401, "api_key_wrong"
    hint = "Check the key, or ask the operator of this service for a new one."


class NotFound(ShineError):
    status, code = 404, "not_found"
    hint = "The endpoints are listed in /docs.json."


class MethodNotAllowed(ShineError):
    status, code = 405, "method_not_allowed"
    hint = "See the Allow header for the methods of this path."


class RequestTimeout(ShineError):
    status, code = 408, "request_timeout"
    hint = "Send a smaller photo, or the whole body without long pauses."


class BodyTooLarge(ShineError):
    status, code = 413, "body_too_large"
    hint = "Send a smaller photo; 2,000 pixels on the long side are plenty."


class ImageTooManyPixels(ShineError):
    status, code = 413, "image_too_many_pixels"
    hint = "Scale the photo down; 2,000 pixels on the long side are plenty."


class BatchTooLarge(ShineError):
    status, code = 413, "batch_too_large"
    hint = "Send at most 16 photos in one batch."


class ContentTypeUnsupported(ShineError):
    status, code = 415, "content_type_unsupported"
    hint = (
        "Send multipart/form-data to /analyze, /quality, /analyze_batch and /overlay, application/json to "
        "/analyze_base64."
    )


class ImageFormatUnsupported(ShineError):
    status, code = 415, "image_format_unsupported"
    hint = "Convert the photo to JPEG, PNG, WebP, HEIC or AVIF."


class ImageUnreadable(ShineError):
    status, code = 422, "image_unreadable"
    hint = "Send the whole, undamaged file."


class ImageTooSmall(ShineError):
    status, code = 422, "image_too_small"
    hint = "Send a photo whose short side has at least 64 pixels; 512 and more give good results."


class QualityTooLow(ShineError):
    status, code = 422, "quality_too_low"
    hint = "Take the photo again: one face, in focus, evenly lit, filling most of the frame."


class Overloaded(ShineError):
    status, code = 429, "overloaded"
    hint = "Wait as long as Retry-After says, then send it again."
    retry_after_s = 1


class RateLimited(ShineError):
    status, code = 429, "rate_limited"
    hint = "Wait as long as Retry-After says, then send it again."
    retry_after_s = 1


class ModelUnavailable(ShineError):
    status, code = 503, "model_unavailable"
    hint = "Try again later, or leave out require=model to accept heuristic findings."
    retry_after_s = 5


class ShuttingDown(ShineError):
    status, code = 503, "shutting_down"
    hint = "Send it again: another instance will answer."
    retry_after_s = 1


class TimedOut(ShineError):
    status, code = 504, "timeout"
    hint = "Send it again; if it happens often, the service needs more instances."
