"""What is known of the request being answered: written on the way, read by headers, metrics and the log line."""

import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request.

    Attributes:
        request_id: the caller's own if it sent a sane one.
        endpoint: one of the known paths, or "other": bounded, so that it may be a metric's label.
        started_at: monotonic seconds when its head arrived.
        received_at: monotonic seconds when its whole body had arrived; deadlines count from here.
        photos: number of photos in it.
        source: "model" or "heuristic", once known.
        degraded: whether the model was wanted and did not answer, once known.
        reason: why the model did not answer.
        error_code: of the error that was answered.
        stages_ms: milliseconds by stage.
    """

    request_id: str
    endpoint: str
    started_at: float = field(default_factory=time.monotonic)
    received_at: float = field(default_factory=time.monotonic)
    photos: int = 0
    source: str | None = None
    degraded: bool | None = None
    reason: str | None = None
    error_code: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)


_current: ContextVar[RequestContext] = ContextVar("request")


def begin(request_id: str | None, endpoint: str) -> RequestContext:
    """Start the context of a request; a request id that is not sane is replaced."""
    sane = request_id is not None and SANE_ID.fullmatch(request_id)
    context = RequestContext(request_id if sane and request_id else uuid.uuid4().hex, endpoint)
    _current.set(context)
    return context


def current() -> RequestContext:
    """The request being answered; a new one outside of any request."""
    try:
        return _current.get()
    except LookupError:
        return begin(None, "other")
