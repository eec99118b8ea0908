"""CPUs and memory that the container may use, read from its control group: version 2 first, then version 1."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

CPU_V2 = Path("/sys/fs/cgroup/cpu.max")
CPU_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
MEMORY_V2 = Path("/sys/fs/cgroup")
MEMORY_V1 = Path("/sys/fs/cgroup/memory")
NO_LIMIT_V1 = 2**62  # version 1 writes "no limit" as the largest number of whole pages, just below 2**63


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the container, all its processes together.

    Attributes:
        used: bytes that cannot be freed at once, as `docker stats` and the kubelet show them.
        limit: bytes at which the kernel begins to kill; 0 where there is no limit.
    """

    used: int
    limit: int


def cpus() -> int:
    """CPUs this process may use, at least 1: the quota rounded up, within the affinity mask."""
    allowed = len(os.sched_getaffinity(0))
    try:
        limit, period = CPU_V2.read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = (path.read_text().strip() for path in CPU_V1)
        except OSError:
            return allowed
    if not limit.isdecimal() or int(limit) == 0:  # "max", or -1 in v1: no quota
        return allowed
    return max(1, min(allowed, math.ceil(int(limit) / int(period))))


def memory() -> Memory | None:
    """Memory used and its limit; None outside of any control group, as on a machine's own root.

    Inactive file cache is not counted as used: the kernel drops it before it kills a process.
    """
    for read in (_memory_v2, _memory_v1):
        try:
            return read()
        except (OSError, KeyError, ValueError):
            continue
    return None


def _memory_v2() -> Memory:
    used = int((MEMORY_V2 / "memory.current").read_text())
    limit = (MEMORY_V2 / "memory.max").read_text().strip()
    cache = _stat(MEMORY_V2)["inactive_file"]
    return Memory(max(used - cache, 0), 0 if limit == "max" else int(limit))


def _memory_v1() -> Memory:
    used = int((MEMORY_V1 / "memory.usage_in_bytes").read_text())
    stat = _stat(MEMORY_V1)
    limit = stat["hierarchical_memory_limit"]  # the lowest limit of all parent groups, such as that of an ECS task
    return Memory(max(used - stat["total_inactive_file"], 0), 0 if limit >= NO_LIMIT_V1 else limit)


def _stat(group: Path) -> dict[str, int]:
    lines = (group / "memory.stat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}
