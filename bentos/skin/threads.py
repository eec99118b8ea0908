"""Numeric threads of a process: by the CPU quota, not by the host's core count."""

import os

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
    for name in POOLS:
        os.environ.setdefault(name, "1")
