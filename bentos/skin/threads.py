"""How many numeric threads a process gets: from the CPU quota, not from the host's core count."""

import math
import os
from pathlib import Path

from bentos.skin.settings import Settings

CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
MEMORY_LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")  # v2, v1
UNLIMITED = 1 << 60  # bytes; what v1 says where there is no limit is near 2^63
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def quota() -> int:
    """CPUs this process may use, at least 1: the cgroup's quota (v2, then v1) rounded up, within the affinity mask."""
    cpus = len(os.sched_getaffinity(0))
    try:
        limit, period = CGROUP_V2.read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = (path.read_text().strip() for path in CGROUP_V1)
        except OSError:
            return cpus
    if not limit.isdecimal() or int(limit) == 0:  # "max", or -1 in v1: no quota
        return cpus
    return max(1, min(cpus, math.ceil(int(limit) / int(period))))


def memory_limit() -> int | None:
    """Bytes this container may use; None where there is no limit."""
    for path in MEMORY_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdecimal() and int(text) < UNLIMITED else None
    return None


def thread_count(settings: Settings) -> int:
    """SHINE_THREADS, or the CPU quota when it is 0."""
    return settings.threads or quota()


def limit_pools() -> None:
    """One thread for each call into a numeric library, which would count the host's cores: photos run side by side.

    Workers inherit the environment.
    """
    for name in POOLS:
        os.environ.setdefault(name, "1")
