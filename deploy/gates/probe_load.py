"""A light, steady load with the probe photo while the gates are checked; the outcome of each request is kept."""

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from deploy.gates.target import LiveTarget
from deploy.image.load import PROBE_PHOTO

MOST_IN_FLIGHT = 4  # so that a slow service is not overloaded
KEPT = 100_000  # outcomes; no window has more
RECENT_S = 15.0  # before the window begins only outcomes of these last seconds count, so that a bad start is forgotten
PREFIX = "trail-"  # of the request ids, so that logs distinguish them from users' requests
P95 = 0.95  # share of the responses that must be within the plan's limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one request.

    Attributes:
        id: of the request.
        began: seconds of the probe load's clock.
        sent: UTC.
        status: of the response; 0 if none came.
        seconds: from sending to the end of the response.
        source, degraded, reason: of the analysis; None if there is none.
        retry_after: whether the response has the header Retry-After.
    """

    id: str
    began: float
    sent: datetime
    status: int
    seconds: float
    source: str | None = None
    degraded: bool | None = None
    reason: str | None = None
    retry_after: bool = False

    @property
    def answered(self) -> bool:
        """The service analysed the photo."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """The service refused it because of its limits: 429 with Retry-After."""
        return self.status == 429 and self.retry_after

    @property
    def lost(self) -> bool:
        """Neither answered nor refused: no response, 5xx, or a response of something between client and service."""
        return not self.answered and not self.refused


class Pace:
    """Spaces requests evenly; after a delay it does not send several at once."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._period, self._clock = 1 / per_second, clock
        self._next = clock()
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Reserve the next slot; returns the seconds until then."""
        with self._lock:
            now = self._clock()
            slot = max(self._next, now)
            self._next = slot + self._period
        return slot - now


class ProbeLoad:
    """Sends the probe photo until it is stopped; never raises.

    Args:
        live: the system.
        per_second: requests per second.
        most: requests in flight at a time.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        live: LiveTarget,
        per_second: float,
        most: int = MOST_IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live, self._most, self._per_second = live, most, per_second
        self.clock = clock
        self._photo = PROBE_PHOTO.read_bytes()
        self._outcomes: deque[Outcome] = deque(maxlen=KEPT)
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        pace = Pace(self._per_second, self.clock)
        # Daemon threads: the tool can end although a request hangs.
        self._threads = [threading.Thread(target=self._work, args=(pace,), daemon=True) for _ in range(self._most)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def finish(self, within_s: float) -> None:
        """Stop, and wait for requests in flight."""
        self._over.set()
        ends = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def since(self, began: float) -> list[Outcome]:
        """Outcomes of requests that were sent since then, oldest first."""
        recent = (outcome for outcome in self._outcomes.copy() if outcome.began >= began)
        return sorted(recent, key=lambda outcome: outcome.began)

    @property
    def outcomes(self) -> list[Outcome]:
        """All outcomes that are kept, oldest first."""
        return self.since(-math.inf)

    def _work(self, pace: Pace) -> None:
        while not self._over.wait(pace.reserve()):
            outcome = self._send()
            if not self._over.is_set() or outcome.status:
                self._outcomes.append(
                    outcome
                )  # a request that fails after the end has failed because the client was closed

    def _send(self) -> Outcome:
        request_id, began, sent = PREFIX + secrets.token_hex(8), self.clock(), datetime.now(UTC)
        started = time.monotonic()
        try:
            response = self._live.http.post(
                self._live.base_url + "/analyze",
                files={"image": (PROBE_PHOTO.name, self._photo, "image/png")},
                headers={**self._live.headers, "x-request-id": request_id},
                timeout=self._live.photo_s,
            )
        except Exception:  # no response came, whatever the reason; the gates report it
            return Outcome(request_id, began, sent, 0, time.monotonic() - started)
        seconds, body = time.monotonic() - started, _object(response)
        return Outcome(
            request_id,
            began,
            sent,
            response.status_code,
            seconds,
            source=_text(body.get("source")),
            degraded=body.get("degraded") is True if response.status_code == 200 else None,
            reason=_text(body.get("reason")),
            retry_after="retry-after" in response.headers,
        )


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def percentile(seconds: Sequence[float], share: float = P95) -> float:
    """The percentile of at least one value, by nearest rank."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
