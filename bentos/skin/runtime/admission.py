"""Admits photos that can be answered in time; others get 429 at once, instead of waiting past their deadline."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bentos.skin.errors import Overloaded

SHARE = 0.6  # of a deadline that a photo may be expected to wait: the rate is a mean, and single photos take longer
MEMORY = 20  # photos over which the rate is averaged


class Admission:
    """Counts photos from the moment their bytes are read until they are answered, and how fast they are answered.

    The expected wait of a photo is the number of photos that are pending times the seconds between two answers while
    photos were pending. For one thread.

    Args:
        max_pending: photos at the same time, whatever their deadlines.
        clock: monotonic seconds.
    """

    def __init__(self, max_pending: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_pending = max_pending
        self.pending = 0
        self.seconds_per_photo = 0.0  # between two answers; 0 until the first
        self._clock = clock
        self._answered = 0
        self._since = 0.0  # the last answer, or when photos began to be pending

    @contextmanager
    def admit(self, photos: int = 1, within_s: float = math.inf) -> Iterator[Callable[[], None]]:
        """Hold room for some photos. A batch larger than the limit is admitted when no other photo is pending.

        Args:
            photos: of one request.
            within_s: seconds that are left until its deadline.

        Yields:
            What to call when they have been analysed; a photo that was refused says nothing about the rate.

        Raises:
            Overloaded: there is no room, or they would have to wait too long.
        """
        room = min(photos, self.max_pending)
        self.check(photos, within_s)
        if self.pending == 0:
            self._since = self._clock()
        self.pending += room
        try:
            yield lambda: self._note(photos)
        finally:
            self.pending -= room

    def check(self, photos: int = 1, within_s: float = math.inf) -> None:
        """Raise Overloaded when there is no room for some photos, or they would have to wait too long."""
        over = self.pending + min(photos, self.max_pending) - self.max_pending
        late = (self.pending + photos) * self.seconds_per_photo - SHARE * within_s
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

    def _note(self, photos: int) -> None:
        now = self._clock()
        seconds = (now - self._since) / photos
        self._since = now
        self._answered += photos
        weight = max(1 / self._answered, 1 - (1 - 1 / MEMORY) ** photos)
        self.seconds_per_photo += min(weight, 1.0) * (seconds - self.seconds_per_photo)
