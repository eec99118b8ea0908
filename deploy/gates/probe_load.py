"""A light, steady load of the probe photo while the gates are asked; what became of each request is kept."""

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

MOST_IN_FLIGHT = 4  # a service that does not keep up is not piled upon
KEPT = 100_000  # outcomes; more than any window has
RECENT_S = 15.0  # of these outcomes is judged while the system settles, so that a bad start is forgotten
PREFIX = "trail-"  # of the request ids, by which the log tells them from those of users
LATE = 0.95  # share of the answers that must be in time; the percentile that the plan's limit is for


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        id: of the request.
        began: seconds of the canary's clock.
        sent: UTC.
        status: of the answer; 0 where none came.
        seconds: from sending to the whole answer.
        source, degraded, reason: of the analysis; None where there is none.
        retry_after: whether a refusal says when to come again.
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
        """With an analysis."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """For want of room, as the service refuses."""
        return self.status == 429 and self.retry_after

    @property
    def lost(self) -> bool:
        """Neither answered nor refused: no answer, 5xx, or what only something in between would say."""
        return not self.answered and not self.refused


class Pace:
    """When the next request is due: so many a second, and never several at once to make up for lost time."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._period, self._clock = 1 / per_second, clock
        self._next = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Seconds to wait for the slot that is taken."""
        with self._lock:
            now = self._clock()
            slot = max(self._next, now)
            self._next = slot + self._period
        return slot - now


class ProbeLoad:
    """Sends the probe photo until it is stopped; never raises.

    Args:
        live: that is asked.
        per_second: requests.
        most: in flight at a time.
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
        # Daemons: the end of a rollout does not wait for a request that hangs.
        self._threads = [threading.Thread(target=self._work, args=(pace,), daemon=True) for _ in range(self._most)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def finish(self, within_s: float) -> None:
        """Stop, and wait for what is in flight."""
        self._over.set()
        ends = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def since(self, began: float) -> list[Outcome]:
        """Outcomes of what was sent since then, oldest first."""
        return sorted((one for one in self._outcomes.copy() if one.began >= began), key=lambda one: one.began)

    @property
    def outcomes(self) -> list[Outcome]:
        """All that are kept, oldest first."""
        return self.since(-math.inf)

    def _work(self, pace: Pace) -> None:
        while not self._over.wait(pace.take()):
            outcome = self._send()
            if not self._over.is_set() or outcome.status:
                self._outcomes.append(outcome)  # what is lost because the client was closed is nobody's fault

    def _send(self) -> Outcome:
        name, began, sent = PREFIX + secrets.token_hex(8), self.clock(), datetime.now(UTC)
        started = time.monotonic()
        try:
            answer = self._live.http.post(
                self._live.base_url + "/analyze",
                files={"image": (PROBE_PHOTO.name, self._photo, "image/png")},
                headers={**self._live.headers, "x-request-id": name},
                timeout=self._live.photo_s,
            )
        except Exception:  # whatever it is, the answer did not come; gates say why
            return Outcome(name, began, sent, 0, time.monotonic() - started)
        seconds, body = time.monotonic() - started, _object(answer)
        return Outcome(
            name,
            began,
            sent,
            answer.status_code,
            seconds,
            source=_text(body.get("source")),
            degraded=body.get("degraded") is True if answer.status_code == 200 else None,
            reason=_text(body.get("reason")),
            retry_after="retry-after" in answer.headers,
        )


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def percentile(seconds: Sequence[float], share: float = LATE) -> float:
    """The time within which this share of them was done, by nearest rank; of at least one."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
