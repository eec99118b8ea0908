"""Admits photos that can be answered in time; others get 429 at once, instead of waiting past their deadline."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bentos.skin.errors import Overloaded

SPARE, MOST_SPARE_S = 0.4, 1.0  # of a deadline, and at most: the rate is a mean, and single photos take longer
MEMORY = 20  # photos over which the rate is averaged
KNOWN = 10  # answers from which the rate is believed: the first photos of a process take longer


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
        self._seconds = 0.0  # between two answers, on average
        self._clock = clock
        self._answered = 0
        self._since = 0.0  # the last answer, or when photos began to be pending

    @property
    def seconds_per_photo(self) -> float:
        """Seconds between two answers while photos were pending; 0 as long as that is not known."""
        return self._seconds if self._answered >= KNOWN else 0.0

    @contextmanager
    def admit(self, photos: int = 1, within_s: float = math.inf) -> Iterator["Room"]:
        """Hold room for some photos. A batch larger than the limit is admitted when no other photo is pending.

        Args:
            photos: of one request.
            within_s: seconds that are left until its deadline.

        Raises:
            Overloaded: there is no room, or they would have to wait too long.
        """
        self.check(photos, within_s)
        if self.pending == 0:
            self._since = self._clock()
        room = Room(self, photos, min(photos, self.max_pending))
        self.pending += room.held
        try:
            yield room
        finally:
            room.leave(analysed=False)

    def check(self, photos: int = 1, within_s: float = math.inf) -> None:
        """Raise Overloaded when there is no room for some photos, or they would have to wait too long."""
        over = self.pending + min(photos, self.max_pending) - self.max_pending
        late = (self.pending + photos) * self.seconds_per_photo - within_s + min(SPARE * within_s, MOST_SPARE_S)
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

    def note(self, photos: int) -> None:
        """Take the time of some photos that were analysed."""
        now = self._clock()
        seconds = (now - self._since) / photos
        self._since = now
        self._answered += photos
        weight = max(1 / self._answered, 1 - (1 - 1 / MEMORY) ** photos)
        self._seconds += min(weight, 1.0) * (seconds - self._seconds)


class Room:
    """The room of one request.

    Args:
        admission: whose it is.
        photos: of the request.
        held: of them, those that are counted as pending.
    """

    def __init__(self, admission: Admission, photos: int, held: int) -> None:
        self._admission, self._photos, self.held = admission, photos, held

    def leave(self, *, analysed: bool) -> None:
        """Give the room back, once.

        Args:
            analysed: whether the photos were; those that were refused say nothing about the rate.
        """
        if analysed and self.held:
            self._admission.note(self._photos)
        self._admission.pending -= self.held
        self.held = 0
