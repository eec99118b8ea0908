"""The engine of a cluster: Ray Data with a pool of actors, each of which analyses as a process of one machine does.

Ray retries nothing here. A task whose actor or node is lost comes back as an error of its block; Ray Data starts
another actor, and what is missing in the end is done once more, photo by photo. So no task waits for a node that never
comes back, and a photo that kills its actor each time ends no run.
"""

import logging
import os
import pickle
import signal
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import ray
import ray.data
import ray.exceptions

from bentos.batch.errors import BatchError
from bentos.batch.work import Done, Task, Weights, Work, lost, worker_of_process
from bentos.skin import cgroup
from bentos.skin.threads import POOLS

ADDRESS = "RAY_ADDRESS"
AUTH_MODE = "RAY_AUTH_MODE"
WAVE = 20_000  # tasks that Ray is given at once: its driver keeps an object of each
WAVE_BYTES = 256 << 20  # of photos that travel with their tasks
OBJECT_STORE_BYTES = 512 << 20  # of a cluster of this process's own; by default it is a third of the memory
REACH_S = 10.0  # for the head of a cluster to accept a connection
IN_FLIGHT = 2  # tasks of an actor: one in work, and one that it begins at once
ATTEMPTS = 3  # at one photo


class _Actor:
    """Analyses tasks; the class that Ray Data makes its actors of."""

    def __init__(self, work: Work) -> None:
        self._worker = worker_of_process(work)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"done": [pickle.dumps(self._worker(pickle.loads(task))) for task in batch["task"]]}  # noqa: S301  ours


class RayEngine:
    """Actors of the cluster at RAY_ADDRESS, or of one that is started here and ends with this process.

    Args:
        work: how photos are analysed; each node has this package, the photos and the weights at the same places.
        actors: how many; 0: as many as the cluster has CPUs.
    """

    def __init__(self, work: Work, actors: int) -> None:
        self._work, self._count = work, actors
        self._weights: Weights | None = None

    def __enter__(self) -> "RayEngine":
        address = os.environ.get(ADDRESS)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lost actors are no news to a person: they come again
        own: dict[str, Any] = {
            "num_cpus": self._count or cgroup.cpus(),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
        try:
            _reach(address)
            with _silent():
                ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    runtime_env={"env_vars": dict.fromkeys(POOLS, "1")},
                    **({} if address else own),
                )
        except Exception as error:  # Ray raises bare ones, too
            place = f"the cluster at {ADDRESS}={address}" if address else "Ray on this machine"
            reason = _ended(str(error).partition("\n")[0])
            token = f" If it runs and wants a token, set {AUTH_MODE}=token here as well." if address else ""
            raise BatchError(
                f"{place} cannot be used: {reason} Start it, correct or unset {ADDRESS}, or use --engine local.{token}"
            ) from None
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # Ray's own would end the run without a word
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what is lost is done again, below
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
        if self._count > cpus:  # Ray would wait for them without end
            ray.shutdown()
            raise BatchError(f"The cluster has {cpus} CPUs, and {self._count} processes are wanted: name fewer.")
        self._count = self._count or cpus
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def weights(self) -> Weights:
        """As `Engine.weights`: those of one process of the cluster."""
        if self._weights is None:
            try:
                self._weights = ray.get(ray.remote(_weights).options(max_retries=ATTEMPTS).remote(self._work))
            except ray.exceptions.RayError as error:
                raise BatchError(
                    f"No process of the cluster can analyse: {_last_line(error)} Install this package and its "
                    "requirements on each node, and see that there is memory."
                ) from None
        return self._weights

    def results(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """As `Engine.results`; tasks are given to Ray in waves, for it keeps a record of each."""
        coming = iter(tasks)
        while wave := {(task.part, task.first): task for task in _wave(coming)}:
            for attempt in range(ATTEMPTS):
                for done in self._carry_out(list(wave.values())):
                    del wave[done.part, done.first]
                    yield done
                if attempt == 0:
                    wave = {(task.part, task.first): task for whole in wave.values() for task in whole.singles()}
                if not wave:
                    break
            for task in wave.values():
                yield lost(task, self.weights())

    def _carry_out(self, tasks: list[Task]) -> Iterator[Done]:
        """What becomes of tasks; those that were lost do not come back."""
        items = [{"task": pickle.dumps(task)} for task in tasks]
        pool = ray.data.ActorPoolStrategy(size=min(self._count, len(items)), max_tasks_in_flight_per_actor=IN_FLIGHT)
        with warnings.catch_warnings():
            # Ray means to take max_task_retries away in 2.64, and names nothing in its place; the lock has 2.60.
            warnings.simplefilter("ignore", ray.data.dataset.RayDeprecationWarning)
            dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Actor,
                fn_constructor_args=(self._work,),
                batch_size=1,
                num_cpus=1,
                compute=pool,
                max_restarts=-1,
                max_task_retries=0,
            )
        try:
            for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
                for done in batch["done"]:
                    yield pickle.loads(done)  # noqa: S301  written by our actors
        except (ray.exceptions.RayError, RuntimeError) as error:
            raise BatchError(
                f"The cluster does not go on: {_last_line(error)} What is written stays: repair it, and run again with "
                "--resume."
            ) from None


def _reach(address: str | None) -> None:
    """Raise OSError at once where nobody listens at an address: Ray would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), REACH_S).close()


@contextmanager
def _silent() -> Iterator[None]:
    """Standard error goes nowhere meanwhile: Ray's own part in C++ writes there, at any level of its log."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _weights(work: Work) -> Weights:
    return worker_of_process(work).weights


def _wave(coming: Iterator[Task]) -> Iterator[Task]:
    held = 0
    for task in islice(coming, WAVE):
        yield task
        held += sum(len(photo.data) for photo in task.photos if photo.data)
        if held >= WAVE_BYTES:
            return


def _last_line(error: Exception) -> str:
    return _ended(str(error).strip().rpartition("\n")[2].strip())


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."
