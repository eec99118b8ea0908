"""The engine of one machine: as many processes as there are CPUs, each of which analyses one photo at a time."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from bentos.batch.errors import BatchError
from bentos.batch.work import Done, Task, Weights, Work, Worker, lost, worker_of_process
from bentos.skin.threads import limit_pools

WAITING = 2  # tasks of a process: one in work, and one that it begins at once
DEATHS = 3  # of processes one after the other before any was ready, and of one photo
STOP_S = 5.0  # for a process that is asked to end


@dataclass(slots=True)
class _Process:
    """A process that analyses, and what it has not answered yet, the task in work first."""

    process: SpawnProcess
    channel: Connection
    ready: bool = False
    tasks: deque[Task] = field(default_factory=deque)


class LocalEngine:
    """Processes of this machine.

    They are spawned and not forked: a copy of a process with threads can hang. One that is killed is replaced, and the
    photos that it had in work are done one by one; a photo that has ended DEATHS processes is a failure.

    Args:
        work: how photos are analysed.
        processes: how many.
        make: makes the worker of a process.
    """

    def __init__(self, work: Work, processes: int, make: Callable[[Work], Worker] = worker_of_process) -> None:
        self._work, self._count, self._make = work, processes, make
        self._processes: list[_Process] = []
        self._again: deque[Task] = deque()  # tasks of processes that ended
        self._deaths: dict[tuple[int, int], int] = {}  # (part, number) of a photo → processes that it has ended
        self._starts_failed = 0
        self._weights: Weights | None = None

    def __enter__(self) -> "LocalEngine":
        limit_pools()  # the processes inherit it; they import NumPy before they could say so
        self._processes = [self._start() for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._processes:
            worker.channel.close()  # at the end of its input a process ends, whatever it does
        for worker in self._processes:
            worker.process.join(STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._processes = []

    def weights(self) -> Weights:
        """As `Engine.weights`: those of the process that is ready first."""
        while self._weights is None:
            self._receive()
        return self._weights

    def results(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """As `Engine.results`; no more tasks are taken than the processes hold, so memory does not grow with them."""
        coming = iter(tasks)
        more = True
        while True:
            while more and not self._again and any(self._free()):
                if (task := next(coming, None)) is None:
                    more = False
                else:
                    self._again.append(task)
                self._hand_out()
            self._hand_out()
            if not more and not self._again and not any(worker.tasks for worker in self._processes):
                return
            yield from self._receive()

    def _free(self) -> Iterator[_Process]:
        return (worker for worker in self._processes if worker.ready and len(worker.tasks) < WAITING)

    def _hand_out(self) -> None:
        while self._again and (free := min(self._free(), key=lambda worker: len(worker.tasks), default=None)):
            task = self._again.popleft()
            free.tasks.append(task)
            with contextlib.suppress(OSError):  # it has just ended; `_receive` notices, and hands its tasks out again
                free.channel.send(task)

    def _receive(self) -> list[Done]:
        """Wait until a process says something, or ends."""
        done: list[Done] = []
        ready = wait([worker.channel for worker in self._processes])
        for worker in [worker for worker in self._processes if worker.channel in ready]:
            try:
                message = worker.channel.recv()
            except (EOFError, OSError):
                done += self._replace(worker)
                continue
            if isinstance(message, str):
                raise BatchError(f"No process can analyse: {message} Repair that, and run again.")
            if isinstance(message, Weights):
                worker.ready, self._starts_failed = True, 0
                self._weights = self._weights or message
            else:
                worker.tasks.popleft()
                done.append(message)
        return done

    def _replace(self, worker: _Process) -> list[Done]:
        worker.channel.close()
        worker.process.join()
        code = worker.process.exitcode
        worker.process.close()
        self._processes.remove(worker)
        if not worker.ready:
            self._starts_failed += 1
            if self._starts_failed >= DEATHS:
                raise BatchError(
                    f"The processes that analyse end before they are ready, {_told(code)}: is memory short?"
                )
        done = self._redo(worker.tasks)
        self._processes.append(self._start())
        return done

    def _redo(self, tasks: deque[Task]) -> list[Done]:
        """Have the tasks of a process that has ended done by others, the photos that it had in work one by one."""
        if not tasks or (weights := self._weights) is None:
            return []
        in_work, *others = tasks
        done, again = [], []
        for single in in_work.singles():
            key = single.part, single.first
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] >= DEATHS:
                done.append(lost(single, weights))
            else:
                again.append(single)
        self._again.extendleft(reversed([*again, *others]))
        return done

    def _start(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_main, args=(theirs, self._work, self._make), name="shine batch", daemon=True)
        process.start()
        theirs.close()  # so that the end of the process ends the reading here
        return _Process(process, ours)


def _told(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"with {code}"


def _main(channel: Connection, work: Work, make: Callable[[Work], Worker]) -> None:
    """One process: do what comes in, and end with its input, which the end of the other side is too."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the first ends the others
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()

    def receive() -> None:
        while True:  # a thread of its own, for the other side must never wait until a photo is done
            try:
                tasks.put(channel.recv())
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    try:
        worker = make(work)
    except Exception as error:  # each process would meet it
        with contextlib.suppress(BrokenPipeError):
            channel.send(f"{type(error).__name__}: {error}.")
        return
    with contextlib.suppress(BrokenPipeError):
        channel.send(worker.weights)
        while True:
            channel.send(worker(tasks.get()))
