"""Workers whose processes end at certain photos; a module, for the processes that import it by name."""

import os
import signal

from bentos.batch.work import Done, Task, Work, Worker, worker_of_process

POISON = "poison"  # in the path of a photo that ends its process


class Mortal(Worker):
    """Ends its process at each photo that is named so."""

    def __call__(self, task: Task) -> Done:
        if any(POISON in photo.path for photo in task.photos):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


def mortal(work: Work) -> Worker:
    """A worker that some photos kill."""
    return Mortal(work)


def stillborn(_: Work) -> Worker:
    """No worker: its process is killed at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    return worker_of_process(_)


def misfit(_: Work) -> Worker:
    """No worker: what it needs is not there."""
    raise ImportError("no such library")
