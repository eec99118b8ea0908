"""The service with a batching queue that stops for ever while a file exists, as it does where memory runs out."""

import os
from pathlib import Path
from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher

from service import Gateway

FLAG = "HANG_FILE"
queue: Any = CorkDispatcher
take = queue._get_inputs


def out_of_memory(self: Any) -> Any:
    """Raises between BentoML's taking the semaphore and its giving it back, so that it is never given back."""
    if Path(os.environ[FLAG]).exists():
        raise MemoryError
    return take(self)


queue._get_inputs = out_of_memory
__all__ = ["Gateway"]
