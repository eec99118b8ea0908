"""Admits photos that can be answered in time; others get 429 at once, instead of waiting past their deadline."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bentos.skin.errors import Overloaded

SPARE, MOST_SPARE_S = 0.4, 1.0  # of a deadline, and at most: the cost is a mean, and single photos take longer
MEMORY = 20  # photos over which the cost is averaged
KNOWN = 10  # answers from which the cost is believed: the first photos of a process take longer


class Admission:
    """Counts photos from the moment their bytes are read until they are answered, and what they cost.

    The cost of a photo is the time that it had all threads to itself, as if those that are pending shared them evenly:
    an integral of 1 / max(pending, threads). So it is the time between two answers when all threads are busy, and it
    is right when they are not. The expected wait of a photo is the number of those that are pending times that cost.
    For one thread.

    Args:
        max_pending: photos at the same time, whatever their deadlines.
        threads: photos that are worked on at the same time.
        clock: monotonic seconds.
    """

    def __init__(self, max_pending: int, threads: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_pending = max_pending
        self.pending = 0
        self._threads = threads
        self._clock = clock
        self._shared_s = 0.0  # the integral, from the start
        self._shared_until = clock()
        self._cost_s = 0.0
        self._answered = 0

    @property
    def seconds_per_photo(self) -> float:
        """Seconds between two answers when all threads are busy; 0 as long as that is not known."""
        return self._cost_s if self._answered >= KNOWN else 0.0

    @contextmanager
    def admit(self, photos: int = 1, within_s: float = math.inf) -> Iterator["Reservation"]:
        """Count some photos as pending. A batch larger than the limit is admitted when no other photo is pending.

        Args:
            photos: of one request.
            within_s: seconds that are left until its deadline.

        Raises:
            Overloaded: too many are pending, or they would have to wait too long.
        """
        self.check(photos, within_s)
        reservation = Reservation(self, min(photos, self.max_pending))
        try:
            yield reservation
        finally:
            reservation.release(answered=0)

    def check(self, photos: int = 1, within_s: float = math.inf) -> None:
        """Raise Overloaded when too many photos are pending, or some more would have to wait too long."""
        over = self.pending + min(photos, self.max_pending) - self.max_pending
        takes_s = max(self.pending + photos, self._threads) * self.seconds_per_photo
        late = takes_s - within_s + min(SPARE * within_s, MOST_SPARE_S)
        if over > 0:
            # Honest: until as many photos are answered as there are too many.
            seconds = math.ceil(max(over * self.seconds_per_photo, late))
            raise Overloaded(
                "The service is answering as many photos as it can at the moment.", retry_after_s=max(seconds, 1)
            )
        if self.pending and late > 0:
            raise Overloaded(
                "The photo could not be answered in time: others are before it.",
                retry_after_s=max(math.ceil(late), 1),
            )

    def change(self, photos: int) -> float:
        """Count so many photos more as pending; the seconds of all threads that a photo has had since the start."""
        now = self._clock()
        self._shared_s += (now - self._shared_until) / max(self.pending, self._threads)
        self._shared_until = now
        self.pending += photos
        return self._shared_s

    def note(self, cost_s: float, photos: int) -> None:
        """Take what some photos cost, on average."""
        self._answered += photos
        weight = max(1 / self._answered, 1 - (1 - 1 / MEMORY) ** photos)
        self._cost_s += min(weight, 1.0) * (cost_s - self._cost_s)


class Reservation:
    """The photos of one request, pending from now on.

    Args:
        admission: where they are counted.
        photos: that are counted.
    """

    def __init__(self, admission: Admission, photos: int) -> None:
        self._admission, self._photos = admission, photos
        self._began = admission.change(photos)

    def release(self, *, answered: int) -> None:
        """Count them as pending no longer; once.

        Args:
            answered: photos that were analysed; the others say nothing about the cost.
        """
        photos, self._photos = self._photos, 0
        had = self._admission.change(-photos) - self._began
        if photos and answered:
            self._admission.note(had * photos / answered, answered)
