"""The request being answered: filled in by each stage, read by headers, metrics and the log line."""

import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

from opentelemetry import trace

from bentos.skin.runtime.forms import Upload

VALID_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request.

    Attributes:
        request_id: the caller's own if it is valid.
        trace_id: of the caller's trace if it sent a valid `traceparent`; 32 hexadecimal digits.
        endpoint: one of the known paths, or "other": bounded, so that it may be a metric's label.
        started_at: monotonic seconds when its head arrived.
        received_at: monotonic seconds when its whole body had arrived; deadlines count from here.
        deadline_s: seconds that its client waits, from `started_at`; None where it did not say.
        api_key: index of the API key that was sent; None where none is needed.
        upload: its photos, from the time they are read until it is answered.
        photos: number of photos in it.
        answered: of them, those that have been analysed.
        drill: whether it asked to be answered as if the model were absent.
        source: "model" or "heuristic", once known.
        degraded: whether the model was wanted and did not answer, once known.
        reason: why the model did not answer.
        error_code: of the error that was answered.
        stages_ms: milliseconds by stage.
    """

    request_id: str
    trace_id: str
    endpoint: str
    started_at: float = field(default_factory=time.monotonic)
    received_at: float = field(default_factory=time.monotonic)
    deadline_s: float | None = None
    api_key: int | None = None
    upload: Upload | None = None
    photos: int = 0
    answered: int = 0
    drill: bool = False
    source: str | None = None
    degraded: bool | None = None
    reason: str | None = None
    error_code: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)

    def ends_at(self, longest_s: float) -> float:
        """Monotonic seconds by which it has to be answered.

        Args:
            longest_s: seconds that the service takes at most, from `received_at`.
        """
        ends = self.received_at + longest_s
        return ends if self.deadline_s is None else min(ends, self.started_at + self.deadline_s)

    def seconds_left(self, longest_s: float) -> float:
        """Seconds until `ends_at`; negative after it."""
        return self.ends_at(longest_s) - time.monotonic()


_current: ContextVar[RequestContext] = ContextVar("request")


def begin(request_id: str | None, endpoint: str) -> RequestContext:
    """Start the context of a request; an invalid request id is replaced."""
    if request_id is None or not VALID_ID.fullmatch(request_id):
        request_id = uuid.uuid4().hex
    context = RequestContext(request_id, _trace_id() or uuid.uuid4().hex, endpoint)
    _current.set(context)
    return context


def current() -> RequestContext:
    """The request being answered; a new one outside of any request."""
    try:
        return _current.get()
    except LookupError:
        return begin(None, "other")


def ids() -> dict[str, str]:
    """The ids of the current request, for any log line; a runner knows only that of the trace."""
    context = _current.get(None)
    if context is not None:
        return {"request_id": context.request_id, "trace_id": context.trace_id}
    trace_id = _trace_id()
    return {"trace_id": trace_id} if trace_id else {}


def _trace_id() -> str | None:
    """The id of the trace, which BentoML takes from `traceparent` and passes on to the runners.

    OpenTelemetry reads that header as strictly as W3C Trace Context requires, and begins a new trace where it is
    invalid. None for what is not traced: probes, while spans are exported. The response has no such header:
    `traceparent` is a request header, and the `traceresponse` of later drafts never became part of the standard.
    """
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else None
