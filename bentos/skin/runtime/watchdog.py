"""The last cure for a runner that hangs: it ends itself, and the parent starts it anew."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("shine.runner")

STUCK_BATCHES = 10  # times a batch's deadline: whoever takes that long is stuck, not slow
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


@contextmanager
def end_process_after(seconds: float) -> Iterator[None]:
    """End this process when the block has not ended in time: a thread stuck in native code cannot be stopped.

    Without it each probe would queue behind the stuck batch for ever, and the runner would never heal.
    """
    timer = threading.Timer(seconds, _end, (seconds,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(seconds: float) -> None:
    log.error("a batch has been stuck for %g s; this runner ends, to be started anew", seconds)
    os._exit(EXIT_CODE)
