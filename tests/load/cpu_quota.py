"""A control group with a CPU quota, version 1 or 2: what a container's CPU limit is made of."""

import contextlib
import os
import signal
import time
from pathlib import Path
from types import TracebackType

from tests.load.processes import Broken

MOUNT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000  # of the kernel's scheduler, as container engines set it
REMOVED_WITHIN_S = 5.0


class CpuQuota:
    """A control group for the length of a `with` block. Its end kills what is left in it, and removes it.

    Args:
        cores: CPU seconds that all its processes together get each second.
        mount: where control groups are.

    Raises:
        Broken: there is no CPU controller here, or it may not be used; with what would help.
    """

    def __init__(self, cores: float, mount: Path = MOUNT) -> None:
        self._quota_us = round(cores * PERIOD_US)
        self._version_2 = "cpu" in _words(mount / "cgroup.controllers")
        parent = mount if self._version_2 else mount / "cpu"
        if not (parent / "cgroup.procs").exists():
            raise Broken(f"there is no CPU controller in {mount}: mount control groups, version 1 or 2")
        self._parent, self.folder = parent, parent / f"shine-capacity-{os.getpid()}"

    def __enter__(self) -> "CpuQuota":
        try:
            if self._version_2 and "cpu" not in _words(self._parent / "cgroup.subtree_control"):
                (self._parent / "cgroup.subtree_control").write_text("+cpu")
            self.folder.mkdir()
        except OSError as error:
            hint = "; run as root" if isinstance(error, PermissionError) else ""
            raise Broken(f"no control group can be made in {self._parent}: {error.strerror}{hint}") from None
        try:
            if self._version_2:
                (self.folder / "cpu.max").write_text(f"{self._quota_us} {PERIOD_US}")
            else:
                (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (self.folder / "cpu.cfs_quota_us").write_text(str(self._quota_us))
        except OSError as error:
            self._remove()
            raise Broken(f"the kernel refuses a quota of {self._quota_us} µs: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def add(self, pid: int) -> None:
        """Move a process here; what it starts from then on is here too."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    @property
    def pids(self) -> set[int]:
        """The processes that are here."""
        return {int(word) for word in _words(self.folder / "cgroup.procs")}

    def _remove(self) -> None:
        ends = time.monotonic() + REMOVED_WITHIN_S
        while True:
            for pid in self.pids - {0}:  # 0 would be this process's own group
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                self.folder.rmdir()
            except OSError as error:
                if time.monotonic() > ends:
                    raise Broken(f"{self.folder} could not be removed: {error.strerror}") from None
                time.sleep(0.05)
            else:
                return


def _words(file: Path) -> list[str]:
    """What a file says; nothing where there is none."""
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []
