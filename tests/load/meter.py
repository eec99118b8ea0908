"""What the processes of a way use while photos are sent: CPU, memory, and what else the machine did meanwhile."""

import threading
import time
from types import TracebackType

from tests.load.process_tree import ProcessTree, machine_busy_s

SAMPLE_S = 1.0  # between looks at the processes, so that the time of those that end is not lost
PSS_EVERY = 2  # looks between two at memory; the kernel walks all pages for it, which takes milliseconds


class Meter:
    """Measures a tree of processes from the beginning to the end of a `with` block.

    Args:
        tree: of the way; nobody else looks at it meanwhile.
        memory: whether its memory is read too.

    Attributes:
        cpu_s: CPU seconds of the tree.
        machine_s: CPU seconds of all processes of the machine.
        wall_s: seconds by the clock.
        pss_mib: the largest proportional set size of the tree, MiB; None where it was not read.
    """

    def __init__(self, tree: ProcessTree, memory: bool = False) -> None:
        self._tree, self._memory = tree, memory
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter")
        self.cpu_s = self.machine_s = self.wall_s = 0.0
        self.pss_mib: float | None = None

    def __enter__(self) -> "Meter":
        self._cpu, self._machine, self._began = self._tree.cpu_s(), machine_busy_s(), time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_s = time.perf_counter() - self._began
        self._ended.set()
        self._thread.join()
        self.machine_s = machine_busy_s() - self._machine
        self.cpu_s = self._tree.cpu_s() - self._cpu

    def _watch(self) -> None:
        looks = 0
        while not self._ended.wait(SAMPLE_S):
            looks += 1
            if self._memory and looks % PSS_EVERY == 0:
                self.pss_mib = max(self.pss_mib or 0.0, self._tree.pss_mib())
            else:
                self._tree.sample()
