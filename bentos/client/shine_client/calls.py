"""What a call sends, when it is repeated, and how its answer is read: all that the two clients share, without I/O."""

import email.utils
import logging
import math
import os
import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, NoReturn, TypeAlias, TypeVar

import httpx
from pydantic import BaseModel

from . import __version__
from .errors import BY_CODE, ConnectionFailed, DeadlineExceeded, PhotoUnreadable, ShineError, UnexpectedAnswer
from .models import Analysis, BatchAnswer, ErrorAnswer, ErrorDetail, QualityAnswer

log = logging.getLogger("shine_client")

Include: TypeAlias = Literal["outlines", "maps"]
Layer: TypeAlias = Literal["boxes", "zones", "acne", "wrinkles", "redness", "pigmentation", "shine", "texture"]
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

API_KEY = "SHINE_API_KEY"  # of the environment
DEADLINE_S = 60.0  # of a call by default: several times the service's own, and time to send the photo
MAX_DEADLINE_S = 999_999  # about the most that X-Request-Deadline-Ms can say
CONNECT_S = 10.0  # a host that has not answered by then is tried again
RETRIES = 3
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.25, 8.0
CHUNK = 16 * 1024  # bytes of the body that are sent before the deadline is looked at again
# Sending again is safe: the service keeps nothing. 502 and 504 are also those of a load balancer.
RETRIED = frozenset({429, 502, 503, 504})
# What is the same for every photo: a wrong option, key or address.
FATAL = frozenset({400, 401, 404, 405})


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """One question to the service.

    Attributes:
        path: of the endpoint, without a slash at its start.
        parse: reads the answer's body; raises ValueError where it is not what the contract says.
        files: names of form fields and their content; none for a GET.
        fields: the other fields of the form.
        accepted: statuses of an answer that is no error.
        content_type: of the answer.
    """

    path: str
    parse: Callable[[bytes], T]
    files: Sequence[tuple[str, bytes]] = ()
    fields: Mapping[str, str] | None = None
    accepted: frozenset[int] = frozenset({200})
    content_type: str = "application/json"


def get(path: str, answer: type[M], *accepted: int) -> Ask[M]:
    """A question without a photo."""
    return Ask(path, answer.model_validate_json, accepted=frozenset({200, *accepted}))


def analyze(photo: bytes, fields: Mapping[str, str]) -> Ask[Analysis]:
    """Findings on a photo."""
    return Ask("analyze", Analysis.model_validate_json, [("image", photo)], fields)


def quality(photo: bytes) -> Ask[QualityAnswer]:
    """How fit a photo is."""
    return Ask("quality", QualityAnswer.model_validate_json, [("image", photo)])


def overlay(photo: bytes, fields: Mapping[str, str]) -> Ask[bytes]:
    """The photo with findings drawn in."""
    return Ask("overlay", bytes, [("image", photo)], fields, content_type="image/png")


def batch(photos: Iterable[bytes], fields: Mapping[str, str]) -> Ask[list[Analysis | ShineError]]:
    """Findings on several photos."""
    files = [("images", photo) for photo in photos]

    def results(body: bytes) -> list[Analysis | ShineError]:
        results = BatchAnswer.model_validate_json(body).results
        if len(results) != len(files):
            raise ValueError(f"{len(results)} results of {len(files)} photos")
        return [one if isinstance(one, Analysis) else error_of(one.error) for one in results]

    return Ask("analyze_batch", results, files, fields)


def merged(
    read: Sequence[bytes | PhotoUnreadable], results: list[Analysis | ShineError]
) -> list[Analysis | ShineError]:
    """The results of a batch, with the photos in their places that could not be read and were not sent."""
    sent = iter(results)
    return [one if isinstance(one, PhotoUnreadable) else next(sent) for one in read]


def options(
    require: Literal["model"] | None = None,
    min_confidence: float | None = None,
    include: Include | Iterable[Include] = (),
    layers: Layer | Iterable[Layer] = (),
    legend: bool | None = None,
    width: int | None = None,
) -> dict[str, str]:
    """The options of a request as form fields; the service refuses what is wrong."""
    fields = {
        "require": require,
        "min_confidence": None if min_confidence is None else repr(float(min_confidence)),
        "include": _comma_list(include),
        "layers": _comma_list(layers),
        "legend": None if legend is None else str(legend).lower(),
        "width": width,
    }
    return {name: str(value) for name, value in fields.items() if value not in (None, "")}


def _comma_list(names: str | Iterable[str]) -> str:
    return names if isinstance(names, str) else ",".join(names)


def error_of(detail: ErrorDetail, *, status: int | None = None, retry_after: float | None = None) -> ShineError:
    """An error of the service as an exception: of the class of its code, or a ShineError where the code is new."""
    return BY_CODE.get(detail.code, ShineError)(
        detail.message,
        code=detail.code,
        hint=detail.hint,
        request_id=detail.request_id,
        status=status,
        retry_after=retry_after,
    )


def base_url(url: str) -> str:
    """The service's address, with a slash at its end.

    Raises:
        ValueError: it is none.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"The base URL is invalid: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(
            "The base URL must be http:// or https://, a host and perhaps a port and a path, e.g. http://localhost:5000"
        )
    return str(parsed).rstrip("/") + "/"


def common_headers(api_key: str | None) -> dict[str, str]:
    """Headers of every request.

    Args:
        api_key: None for that of the environment; "" for none.

    Raises:
        ValueError: no header can hold the key.
    """
    key = (os.environ.get(API_KEY, "") if api_key is None else api_key).strip()
    headers = {"User-Agent": f"shine-client/{__version__} (Python)"}
    return headers | {"X-API-Key": _header_value("API key", key)} if key else headers


def _header_value(what: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"The {what} has a character that no HTTP header can hold.")
    return value


class Call(Generic[T]):
    """One call: its request, its deadline, its attempts.

    Args:
        ask: what is asked.
        base: the service's address, with a slash at its end.
        headers: of every request.
        deadline: seconds from now, all attempts included.
        retries: how often it is tried again at most.
        request_id: None for a new one; it is the same in all attempts.

    Attributes:
        method, url, body, request_id: of its request; the body of a GET is empty.

    Raises:
        ValueError: the deadline or the request id cannot be.
    """

    def __init__(
        self,
        ask: Ask[T],
        base: str,
        headers: Mapping[str, str],
        *,
        deadline: float,
        retries: int,
        request_id: str | None = None,
    ) -> None:
        self._ask, self._deadline, self._retries = ask, checked_deadline(deadline), retries
        self._ends_at = time.monotonic() + deadline
        self._attempts = 0
        self._error: ShineError | None = None
        self.request_id = _header_value("request id", request_id) if request_id else uuid.uuid4().hex
        method = "POST" if ask.files else "GET"
        # A file's name may be a person's: it is not sent.
        files = [(name, ("photo", content, "application/octet-stream")) for name, content in ask.files]
        whole = httpx.Request(method, base + ask.path, data=ask.fields if files else None, files=files or None)
        self.body = whole.read()
        self.method, self.url = method, str(whole.url)
        self._origin = str(whole.url.copy_with(raw_path=b""))
        self._headers = {**headers, "X-Request-ID": self.request_id}
        if files:
            self._headers |= {name: whole.headers[name] for name in ("Content-Type", "Content-Length")}

    def left(self) -> float:
        """Seconds until its deadline.

        Raises:
            DeadlineExceeded: it has passed.
        """
        left = self._ends_at - time.monotonic()
        if left <= 0:
            self.end()
        return left

    def end(self, cause: BaseException | None = None) -> NoReturn:
        """Say that its deadline has passed.

        Raises:
            DeadlineExceeded: always.
        """
        raise DeadlineExceeded(
            f"There was no answer within {self._deadline:g} seconds.",
            hint="Try again with a longer deadline; a smaller photo is sent faster.",
            request_id=self.request_id,
        ) from self._error or cause

    def headers(self) -> dict[str, str]:
        """Headers of the next attempt; the service learns how long it has for it."""
        left = self.left()
        return self._headers | ({"X-Request-Deadline-Ms": str(max(1, int(left * 1000)))} if self.body else {})

    def limits(self) -> dict[str, float | None]:
        """Limits of the next attempt in seconds, for httpx."""
        left = self.left()
        return httpx.Timeout(left, connect=min(left, CONNECT_S)).as_dict()

    def chunks(self, limits: dict[str, float | None]) -> Iterator[bytes]:
        """The body in parts, as long as the deadline has not passed; the wait for the answer gets what is left."""
        for start in range(0, len(self.body), CHUNK):
            yield self.body[start : start + CHUNK]
            limits["read"] = self.left()

    def fail(self, error: httpx.RequestError) -> NoReturn:
        """Say what it means that an attempt ended without an answer.

        Raises:
            ShineError: always.
        """
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            self.end(error)
        if isinstance(error, httpx.DecodingError):
            raise UnexpectedAnswer("The answer's encoding is damaged.", request_id=self.request_id) from error
        raise ConnectionFailed(
            f"The connection to {self._origin} failed ({str(error) or type(error).__name__}).",
            hint="Check the network and the address of the service.",
            request_id=self.request_id,
        ) from error

    def pause(self, error: ShineError) -> float:
        """Seconds after which the next attempt begins.

        Raises:
            ShineError: the error; there is no next attempt, or it would begin after the deadline.
        """
        self._error = error
        if self._attempts >= self._retries or not _is_temporary(error):
            raise error
        backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**self._attempts)
        jitter = random.uniform(0, backoff / 2)  # noqa: S311  clients that failed together come back one by one
        pause = jitter + (backoff / 2 if error.retry_after is None else error.retry_after)
        if pause >= self._ends_at - time.monotonic():
            raise error
        self._attempts += 1
        log.debug("%s; attempt %d in %.2f s", error, self._attempts + 1, pause)
        return pause

    def result(self, response: httpx.Response, body: bytes) -> T:
        """What the service answered.

        Raises:
            ShineError: an error of the service, or no answer of the contract.
        """
        status, retry_after = response.status_code, retry_after_s(response.headers)
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        unfit: ValueError | None = None
        if status in self._ask.accepted and content_type == self._ask.content_type:
            try:
                return self._ask.parse(body)
            except ValueError as error:
                unfit = error  # but /ready answers 503 with errors too
        if status >= 400:
            try:
                detail = ErrorAnswer.model_validate_json(body).error
            except ValueError:
                pass
            else:
                raise error_of(detail, status=status, retry_after=retry_after)
        raise self._unexpected(response, content_type, retry_after) from unfit

    def _unexpected(self, response: httpx.Response, content_type: str, retry_after: float | None) -> UnexpectedAnswer:
        status = response.status_code
        if response.has_redirect_location:
            what = f"a redirect to {response.headers['location']}"
            hint = "Use the address that it leads to as base URL, with https where it begins with http."
        else:
            what = f"status {status} and {content_type or 'no content type'}"
            hint = "Check the base URL, its path included, and the proxy before the service."
        return UnexpectedAnswer(
            f"{self.url} answered with {what}, which is no answer of Shine.",
            hint=hint,
            request_id=self.request_id,
            status=status,
            retry_after=retry_after,
        )


def checked_deadline(seconds: float) -> float:
    """A deadline in seconds.

    Raises:
        ValueError: it is none.
    """
    if not 0 < seconds <= MAX_DEADLINE_S:
        raise ValueError(f"The deadline is {seconds}; it must be seconds above 0, at most {MAX_DEADLINE_S}.")
    return seconds


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which has a number of them or a date; None where it has neither.

    A date is compared with the answer's own, since the clocks of two machines differ.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        at = _date(value)
        if at is None:
            return None
        seconds = (at - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _date(value: str) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is_temporary(error: ShineError) -> bool:
    if isinstance(error, ConnectionFailed):
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        return cause is None  # a certificate stays as it is
    return error.status in RETRIED
