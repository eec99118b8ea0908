"""Limits the photos a minute of each API key: one token bucket a key, in the memory of the gateway process."""

import math
import time
from collections.abc import Callable

from bentos.skin.errors import RateLimited


class RateLimiter:
    """Counts photos by key. There is one bucket per key, so that no caller can make it grow.

    A bucket holds one minute's worth. A smaller one would refuse batches to callers who keep their rate; this one
    allows at most two minutes' worth in any minute, and the rate over longer times. Each instance of the service
    counts for itself.

    Args:
        per_minute: photos a minute for each key; 0 for no limit.
        keys: number of keys.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: int, keys: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = [float(per_minute)] * keys  # photos; below 0 after a batch larger than the bucket
        self._filled_at = [clock()] * keys

    def check(self, key: int) -> None:
        """Check whether a key may send a photo now, before a body is read and its photos can be counted.

        Raises:
            RateLimited: its bucket is empty; with the seconds until it has a photo again.
        """
        self._refill_and_check(key, 1)

    def take(self, key: int, photos: int) -> None:
        """Take some photos out of a key's bucket; a refused request takes none.

        A batch larger than the bucket is accepted when the bucket is full; its debt is paid off afterwards.

        Raises:
            RateLimited: the bucket does not hold enough; with the seconds until it does.
        """
        self._refill_and_check(key, photos)
        self._left[key] -= photos

    def _refill_and_check(self, key: int, photos: int) -> None:
        if not self._per_minute:
            return
        per_second = self._per_minute / 60
        now = self._clock()
        self._left[key] = min(self._per_minute, self._left[key] + (now - self._filled_at[key]) * per_second)
        self._filled_at[key] = now
        missing = min(photos, self._per_minute) - self._left[key]
        # Adding small refills leaves rounding errors; a millionth of a photo must not cost another second.
        if missing > 1e-6:
            raise RateLimited(
                f"This request goes beyond the {self._per_minute} photos a minute that its API key may send.",
                retry_after_s=math.ceil(missing / per_second - 1e-6),
            )
