"""The service with a runner that hangs as a file says: its queue begins no batch, or a heuristic task never ends."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher

from bentos.skin.photo.view import FaceView
from bentos.skin.runtime import runner_messages
from service import Gateway

FLAG = "HANG_FILE"
FOR_EVER, FIND = "for ever", "find"
queue: Any = CorkDispatcher
take = queue._get_inputs


def take_nothing(self: Any) -> Any:
    """Raises what ends one turn of the queue's consumer, as no memory does, or what ends the consumer."""
    if (flag := said()) not in (None, FIND):
        raise asyncio.CancelledError if flag == FOR_EVER else MemoryError
    return take(self)


def said() -> str | None:
    """What the file says; None without it."""
    flag = Path(os.environ[FLAG])
    return flag.read_text() if flag.exists() else None


def find(view: FaceView) -> Any:
    """What the heuristics find; never, where it hangs."""
    if said() == FIND:
        threading.Event().wait()
    return runner_messages.FIND.function(view)


queue._get_inputs = take_nothing
runner_messages.TASKS["find"] = runner_messages.Task("find", find)
__all__ = ["Gateway"]
