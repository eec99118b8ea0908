"""Numeric threads of a process: by the CPU quota, not by the host's core count."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from bentos.skin import cgroup
from bentos.skin.settings import Settings

T = TypeVar("T")
R = TypeVar("R")
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_count(settings: Settings) -> int:
    """SHINE_THREADS, or the CPU quota when it is 0."""
    return settings.threads or cgroup.cpus()


def limit_pools() -> None:
    """Let each call into a numeric library use one thread: photos are processed in parallel already.

    By default the libraries count the host's cores. Workers inherit the environment.
    """
    unset = [name for name in POOLS if name not in os.environ]
    for name in unset:
        os.environ[name] = "1"
    if len(unset) == len(POOLS):  # what is loaded already has read them; workers that are forked share it
        threadpool_limits(1)


def in_order(
    function: Callable[[T], R], items: Iterable[T], *, threads: int, at_once: int, wait: bool = False
) -> Iterator[R]:
    """Results of a function for any number of items, in their order, by several threads.

    Args:
        function: what it raises ends the results.
        items: taken as they are needed, and never more than `at_once` ahead.
        threads: calls at the same time.
        at_once: items in work or waiting, which bounds the memory.
        wait: for calls that have begun, where the results are given up.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
