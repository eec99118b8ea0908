"""How many photos are in the house: beyond the limit the door says so at once, instead of letting all wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from bentos.skin.errors import Overloaded


class Admission:
    """Counts photos from the moment their bytes are read until they are answered.

    Args:
        max_pending: photos at the same time.
    """

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self.pending = 0

    @contextmanager
    def admit(self, photos: int = 1) -> Iterator[None]:
        """Hold room for some photos. A batch larger than the house is let in when the house is empty.

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
