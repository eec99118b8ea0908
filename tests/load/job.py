"""What the load generator is told to do, and what it tells then: two JSON files, written and read here alone."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

GIVE_UP_S = 2.0  # clients of the open loop wait this long
CLOSED_TIMEOUT_S = 60.0  # and those of the closed loop this long, after which an answer counts as lost
DEADLINE_HEADER = "X-Request-Deadline-Ms"
HEALTH_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """A load on one server.

    Attributes:
        port: of the server, on loopback.
        path: of the endpoint that takes a photo.
        photos: the files that are sent, in turn.
        clients: of a closed loop: each sends its next photo when the last is answered; 0 for an open loop.
        rate: of an open loop, arrivals a second; each is sent when it is due, whatever became of the others.
        seconds: for which photos are sent.
        seed: of the arrivals.
        health: path that is asked every HEALTH_EVERY_S meanwhile; None for not at all.
        expected: JSON file, name of a photo's file → the findings expected of it; None: nothing is compared.
    """

    port: int
    path: str
    photos: list[str]
    seconds: float
    clients: int = 0
    rate: float = 0.0
    seed: int = 0
    health: str | None = None
    expected: str | None = None


Kind = Literal["answered", "gave_up", "lost"]


@dataclass(slots=True)
class Sent:
    """What became of one request. All times are seconds from the start of the load.

    Attributes:
        photo: number of the file that was sent.
        due: when it was to be sent; latency counts from here.
        sent: when it was sent.
        ended: when the whole answer was there, or the client gave up, or the connection was lost.
        kind: whether there was an answer of whatever status.
        status: of the answer; 0 without one.
        source: "model" or "heuristic"; "" where the answer names none.
        degraded: whether the answer says so.
    """

    photo: int
    due: float
    sent: float
    ended: float
    kind: Kind
    status: int = 0
    source: str = ""
    degraded: bool = False

    @property
    def latency_ms(self) -> float:
        """From when it was to be sent to the end, so that a late start is not left out."""
        return 1000 * (self.ended - self.due)


@dataclass(slots=True)
class Report:
    """What a load saw.

    Attributes:
        sent: one a request.
        seconds: from the start to the last answer.
        compared: answers whose findings were compared.
        different: of these, those that differ; `differences` tells the first few.
        health_ms: latency of each question to the health path that was answered by 200.
        health_failed: how many were not.
        own_cpu_s: CPU seconds of the load generator meanwhile.
    """

    sent: list[Sent]
    seconds: float
    compared: int = 0
    different: int = 0
    differences: list[str] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    health_failed: int = 0
    own_cpu_s: float = 0.0

    @property
    def good(self) -> list[Sent]:
        """Those that were answered by 200."""
        return [request for request in self.sent if request.status == 200]

    @property
    def statuses(self) -> dict[str, int]:
        """How many requests ended how: a status, gave_up or lost."""
        ends = Counter(str(request.status) if request.status else request.kind for request in self.sent)
        return dict(sorted(ends.items()))

    @property
    def sources(self) -> dict[str, int]:
        """How many of the answers by 200 came from where."""
        return dict(sorted(Counter(request.source or "not told" for request in self.good).items()))


def write_job(job: Job, path: Path) -> None:
    """Write what is to be done."""
    path.write_text(json.dumps(asdict(job)))


def read_job(path: Path) -> Job:
    """Read what is to be done."""
    return Job(**json.loads(path.read_text()))


def write_report(report: Report, path: Path) -> None:
    """Write what was seen."""
    path.write_text(json.dumps(asdict(report)))


def read_report(path: Path) -> Report:
    """Read what was seen."""
    content = json.loads(path.read_text())
    return Report(**{**content, "sent": [Sent(**request) for request in content["sent"]]})
