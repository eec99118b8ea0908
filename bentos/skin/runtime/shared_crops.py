"""Memory in which gateway and runners share crops, so that a million bytes are not pickled and copied at each hop.

It is one anonymous file (memfd_create(2)), made by the parent and inherited by its workers: it has no name, and ends
with the last process. A slot holds the pixels of one crop and its skin. Each use of a slot has a number of its own, so
that a runner that comes late finds that the photo was answered or given up, and does not work on another one.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.skin import SIZE

INHERITED = "BENTOS_SKIN_CROPS"  # environment variable of the workers: the file's number, and the process that made it
NAME = "shine-crops"  # which the kernel shows of it
PIXELS = CROP_SIZE * CROP_SIZE * 3  # bytes
SKIN = SIZE * SIZE  # bytes
HEADER = mmap.PAGESIZE  # bytes before the first slot: the number of each slot's use, uint64
MOST_SLOTS = HEADER // 8


class CropGone(LookupError):
    """The slot holds another photo by now, or none."""


@dataclass(frozen=True, slots=True)
class CropSlot:
    """Where a crop is: the file's inode, the slot, and the number of its use."""

    memory: int
    slot: int
    use: int


class SharedCrops:
    """The slots. Only the gateway puts crops in, from one thread; any process reads them.

    Args:
        fd: of the file; its size says how many slots there are.
    """

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        self._inode = status.st_ino
        self.slots = (status.st_size - HEADER) // (PIXELS + SKIN)
        memory = mmap.mmap(fd, status.st_size)
        self._uses = np.frombuffer(memory, np.uint64, self.slots)
        slots = np.frombuffer(memory, np.uint8, self.slots * (PIXELS + SKIN), HEADER).reshape(self.slots, -1)
        self._pixels = slots[:, :PIXELS].reshape(-1, CROP_SIZE, CROP_SIZE, 3)
        self._skin = slots[:, PIXELS:].reshape(-1, SIZE, SIZE).view(np.bool_)
        self._free = list(range(self.slots))[::-1]

    @contextmanager
    def holding(self, pixels: NDArray[np.uint8], skin: NDArray[np.bool_]) -> Iterator[CropSlot | None]:
        """Share a crop for as long as it takes; None where no slot is free.

        Args:
            pixels: uint8 (512, 512, 3).
            skin: bool (256, 256).
        """
        if not self._free:
            yield None
            return
        slot = self._free.pop()  # the last that was freed: its memory is there already
        try:
            self._uses[slot] += np.uint64(1)
            self._pixels[slot], self._skin[slot] = pixels, skin
            yield CropSlot(self._inode, slot, int(self._uses[slot]))
        finally:
            self._uses[slot] += np.uint64(1)
            self._free.append(slot)

    def read(self, place: CropSlot) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels and skin of a crop, without a copy: another crop may replace them once its photo was given up.

        Raises:
            CropGone: it is no longer there.
        """
        if place.memory != self._inode or place.slot >= self.slots or self._uses[place.slot] != place.use:
            raise CropGone(f"slot {place.slot} holds another photo")
        return self._pixels[place.slot], self._skin[place.slot]


def share(slots: int) -> None:
    """Make the memory, for this process and the workers that it starts; nothing where it was inherited.

    Args:
        slots: crops at the same time; more are sent as they are. At most MOST_SLOTS are made.
    """
    if _inherited() is not None:
        return
    fd = os.memfd_create(NAME)
    os.ftruncate(fd, HEADER + min(slots, MOST_SLOTS) * (PIXELS + SKIN))  # takes memory where it is used
    os.set_inheritable(fd, True)
    os.environ[INHERITED] = f"{fd} {os.getpid()}"


def _inherited() -> int | None:
    """The number of the file that this process or its parent has made; None where there is none.

    The variable may come without the file, or from another server that this one was started by.
    """
    fd, _, maker = os.environ.get(INHERITED, "").partition(" ")
    try:
        is_ours = int(maker) in (os.getpid(), os.getppid())
        is_there = str(Path(f"/proc/self/fd/{int(fd)}").readlink()).startswith(f"/memfd:{NAME} ")
    except (ValueError, OSError):
        return None
    return int(fd) if is_ours and is_there else None


@cache
def shared_crops() -> SharedCrops:
    """The memory of this process.

    Raises:
        LookupError: none was made before the process started, or it was not inherited.
    """
    fd = _inherited()
    if fd is None:
        raise LookupError("no crops are shared with this process")
    return SharedCrops(fd)
