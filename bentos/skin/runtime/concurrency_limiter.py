"""Limits concurrent photos; more get 429 at once, instead of waiting past their deadline."""

from collections.abc import Iterator
from contextlib import contextmanager

from bentos.skin.errors import Overloaded


class ConcurrencyLimiter:
    """Counts photos from the moment their bytes are read until they are answered.

    Args:
        max_pending: photos at the same time.
    """

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self.pending = 0

    @contextmanager
    def admit(self, photos: int = 1) -> Iterator[None]:
        """Hold room for some photos. A batch larger than the limit is admitted when no other photo is pending.

        Raises:
            Overloaded: there is no room.
        """
        photos = min(photos, self.max_pending)
        self.check(photos)
        self.pending += photos
        try:
            yield
        finally:
            self.pending -= photos

    def check(self, photos: int = 1) -> None:
        """Raise Overloaded when there is no room."""
        if self.pending + min(photos, self.max_pending) > self.max_pending:
            raise Overloaded("The service is answering as many photos as it can at the moment.")
