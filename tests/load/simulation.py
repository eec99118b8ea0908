"""A small simulation of one task: photos that arrive, wait, share its cores, and are answered or refused.

Its three stages are those of the service. The gateway decodes photos and finds faces, as many at the same time as there
are threads, first come, first served. The model runner takes all that wait as one batch, the crops of a batch side by
side on the threads; meanwhile the heuristic runner measures. What works at the same time shares the cores equally, and
none gets more than one core. Admission is the service's own class, on the clock of the simulation.
"""

import math
import random
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from bentos.skin.errors import Overloaded
from bentos.skin.runtime.admission import Admission, Reservation
from bentos.skin.settings import Settings
from tests.load.arithmetic import percentile, poisson_arrivals
from tests.load.job import GIVE_UP_S

MAX_BATCH = Settings().max_batch_size
MAX_PENDING = Settings().max_pending
SEARCH_PHOTOS = 20_000  # a rate is judged by so many: 200 of them are above the 99th percentile
SEARCH_STEPS = 8  # halvings: the rate is known to 1/256 of the capacity

Stage = Literal["gateway", "model", "measure"]


@dataclass(frozen=True, slots=True)
class TaskModel:
    """What a task is made of.

    Attributes:
        cores: CPU seconds a second, all processes together.
        threads: of each process.
        gateway_s: CPU seconds that a photo needs in the gateway, on average.
        model_s: in the model runner.
        measure_s: in the heuristic runner.
        variation: how much single photos need over the average; one is drawn for each photo.
        max_pending: photos that are admitted at the same time.
        deadline_s: for which clients wait.
    """

    cores: float
    threads: int
    gateway_s: float
    model_s: float = 0.0
    measure_s: float = 0.0
    variation: Sequence[float] = (1.0,)
    max_pending: int = MAX_PENDING
    deadline_s: float = GIVE_UP_S

    @property
    def capacity(self) -> float:
        """Photos a second that keep all cores busy."""
        return self.cores / (self.gateway_s + self.model_s + self.measure_s)


@dataclass(slots=True)
class _Photo:
    number: int
    arrived: float
    share: float  # of the average work
    reservation: Reservation
    stack: ExitStack
    parts: int = 2  # that are not done: the model's and the measurements


@dataclass(slots=True)
class _Stream:
    """Work that one core at most does at a time."""

    left_s: float
    stage: Stage
    photo: _Photo | None = None


@dataclass(slots=True)
class _Task:
    model: TaskModel
    latencies: list[float]
    now: float = 0.0
    queues: dict[Stage, deque[_Photo]] = field(
        default_factory=lambda: {"gateway": deque(), "model": deque(), "measure": deque()}
    )
    streams: list[_Stream] = field(default_factory=list)
    batch: list[_Photo] = field(default_factory=list)

    def advance(self, until: float) -> _Stream | None:
        """Work until some time at most; the stream that has ended before, which is then the time."""
        if self.streams:
            pace = min(1.0, self.model.cores / len(self.streams))
            first = min(self.streams, key=lambda stream: stream.left_s)
            ends = self.now + first.left_s / pace
            done = first.left_s if ends <= until else (until - self.now) * pace
            for stream in self.streams:
                stream.left_s = max(0.0, stream.left_s - done)
            if ends <= until:
                self.now = ends
                self.streams = [stream for stream in self.streams if stream is not first]
                return first
        self.now = until
        return None

    def end(self, stream: _Stream) -> None:
        """Hand photos on to their next stage."""
        if stream.stage == "gateway":
            assert stream.photo is not None
            self.queues["model"].append(stream.photo)
            self.queues["measure"].append(stream.photo)
        elif stream.stage == "measure":
            assert stream.photo is not None
            self._part_done(stream.photo)
        elif self._running("model") == 0:
            batch, self.batch = self.batch, []
            for photo in batch:
                self._part_done(photo)

    def begin(self) -> None:
        """Begin what can be begun."""
        stages: tuple[tuple[Stage, float], ...] = (
            ("gateway", self.model.gateway_s),
            ("measure", self.model.measure_s),
        )
        for stage, work_s in stages:
            queue = self.queues[stage]
            while queue and self._running(stage) < self.model.threads:
                photo = queue.popleft()
                if stage == "gateway" and self.now - photo.arrived > self.model.deadline_s:
                    photo.stack.close()  # its client has gone
                    continue
                self.streams.append(_Stream(photo.share * work_s, stage, photo))
        queue = self.queues["model"]
        if queue and not self.batch:
            self.batch = [queue.popleft() for _ in range(min(len(queue), MAX_BATCH))]
            for lane in range(min(len(self.batch), self.model.threads)):
                shares = (photo.share for photo in self.batch[lane :: self.model.threads])
                self.streams.append(_Stream(sum(shares) * self.model.model_s, "model"))

    def _running(self, stage: Stage) -> int:
        return sum(stream.stage == stage for stream in self.streams)

    def _part_done(self, photo: _Photo) -> None:
        photo.parts -= 1
        if photo.parts == 0:
            photo.reservation.release(answered=1)
            photo.stack.close()
            latency = self.now - photo.arrived
            self.latencies[photo.number] = latency if latency <= self.model.deadline_s else math.inf


def simulate(model: TaskModel, arrivals: Sequence[float], seed: int) -> list[float]:
    """Send photos to an idle task.

    Args:
        model: of the task.
        arrivals: seconds, rising.
        seed: of how much each photo needs.

    Returns:
        Latency of each photo in seconds; infinite where it was refused, or its client had gone.
    """
    source = random.Random(seed)
    task = _Task(model, [math.inf] * len(arrivals))
    admission = Admission(model.max_pending, model.threads, clock=lambda: task.now)
    for number, arrival in enumerate([*arrivals, math.inf]):
        while (ended := task.advance(arrival)) is not None:
            task.end(ended)
            task.begin()
        if arrival == math.inf:
            break
        share, stack = source.choice(model.variation), ExitStack()
        try:
            reservation = stack.enter_context(admission.admit(within_s=model.deadline_s))
        except Overloaded:
            continue
        task.queues["gateway"].append(_Photo(number, arrival, share, reservation, stack))
        task.begin()
    return task.latencies


def highest_rate(model: TaskModel, within_s: float, share: float = 0.99, seed: int = 1) -> float | None:
    """The highest rate of independent arrivals of which a share is answered in time; None where there is none.

    Args:
        model: of the task.
        within_s: seconds; a photo that is refused is not answered in time.
        share: of the photos.
        seed: of arrivals and work, the same for all rates.

    Returns:
        Photos a second.
    """

    def holds(rate: float) -> bool:
        latency = percentile(simulate(model, poisson_arrivals(rate, SEARCH_PHOTOS / rate, seed), seed), share)
        return latency is not None and latency <= within_s

    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle * model.capacity) else (low, middle)
    return low * model.capacity or None
