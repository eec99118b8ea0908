"""CPU time and memory of a process and all its descendants, those that have ended too, from /proc."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What `/proc/PID/stat` says of one process, in ticks of the clock.

    Attributes:
        parent: process id.
        started: ticks after boot; a process id is given anew, together with this it is not.
        own: user and system time of the process itself.
        waited: the same of all descendants that it, and they, have waited for.
    """

    parent: int
    started: int
    own: int
    waited: int

    @property
    def all(self) -> int:
        """Everything that would go to the parent if it waited for this process now."""
        return self.own + self.waited


def usage(pid: int, proc: Path = PROC) -> Usage | None:
    """What a process has used; None where it has ended."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold blanks; fields count from the third on
    return Usage(
        parent=int(fields[1]),
        started=int(fields[19]),
        own=int(fields[11]) + int(fields[12]),
        waited=int(fields[13]) + int(fields[14]),
    )


def pss_bytes(pid: int, proc: Path = PROC) -> int:
    """Memory of a process, shared pages counted in equal shares to those that share them; 0 where it has ended."""
    try:
        lines = (proc / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def machine_busy_s(proc: Path = PROC) -> float:
    """CPU seconds that all cores have worked since the boot, for whomever."""
    fields = [int(field) for field in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = fields[3], fields[4]
    return (sum(fields) - idle - waiting) * TICK_S


class ProcessTree:
    """A process and its descendants, watched from now on.

    Their CPU time is the sum of what each has used and of what it has waited for. A process that ends hands its time to
    its parent, unless nobody waits for it: then the time that was last seen of it is kept here. So look at it often
    enough (`sample`) where processes come and go.

    Args:
        root: its process id.
        proc: where /proc is.
    """

    def __init__(self, root: int, proc: Path = PROC) -> None:
        self._proc = proc
        began = usage(root, proc)
        self._seen: dict[int, Usage] = {} if began is None else {root: began}
        self._kept = 0  # ticks of processes that nobody waited for
        self.sample()

    @property
    def pids(self) -> list[int]:
        """The processes that were there at the last look."""
        return list(self._seen)

    def cpu_s(self) -> float:
        """CPU seconds of the tree since its processes began, ended ones included; it never falls."""
        self.sample()
        return (sum(seen.all for seen in self._seen.values()) + self._kept) * TICK_S

    def pss_mib(self) -> float:
        """Proportional set size of all processes that are there, MiB."""
        self.sample()
        return sum(pss_bytes(pid, self._proc) for pid in self._seen) / 2**20

    def sample(self) -> None:
        """Look at all processes: which are there, which have ended, and where the time of those has gone."""
        before, now = self._seen, self._members()
        ended: dict[int, int] = {}  # nearest ancestor that is still there → ticks of its descendants that are not
        for pid, seen in before.items():
            if pid in now and now[pid].started == seen.started:
                continue
            ancestor = seen.parent
            while ancestor in before and ancestor not in now:
                ancestor = before[ancestor].parent
            ended[ancestor] = ended.get(ancestor, 0) + seen.all
        for ancestor, ticks in ended.items():
            there = ancestor in now and ancestor in before
            inherited = now[ancestor].waited - before[ancestor].waited if there else 0
            self._kept += max(0, ticks - inherited)
        self._seen = now

    def _members(self) -> dict[int, Usage]:
        """Those seen before that are still there, and all descendants of these."""
        everybody = {int(entry.name): usage(int(entry.name), self._proc) for entry in self._entries()}
        alive = {pid: used for pid, used in everybody.items() if used is not None}
        members = {pid for pid, seen in self._seen.items() if pid in alive and alive[pid].started == seen.started}
        while True:
            children = {pid for pid, used in alive.items() if used.parent in members} - members
            if not children:
                return {pid: alive[pid] for pid in members}
            members |= children

    def _entries(self) -> Iterator[Path]:
        return (entry for entry in self._proc.iterdir() if entry.name.isdecimal())
