"""How many numeric threads a process gets: from the CPU quota, not from the host's core count."""

import os

from bentos.skin import cgroup
from bentos.skin.settings import Settings

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_count(settings: Settings) -> int:
    """SHINE_THREADS, or the CPU quota when it is 0."""
    return settings.threads or cgroup.cpus()


def limit_pools() -> None:
    """One thread for each call into a numeric library, which would count the host's cores: photos run side by side.

    Workers inherit the environment.
    """
    for name in POOLS:
        os.environ.setdefault(name, "1")
