"""Numeric threads of a process: by the CPU quota, not by the host's core count."""

import os

from threadpoolctl import threadpool_limits

from bentos.skin import cgroup
from bentos.skin.settings import Settings

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
