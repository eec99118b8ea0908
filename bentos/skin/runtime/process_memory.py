"""How a worker's memory is managed: kept for the next photo, and not searched for garbage that is none."""

import ctypes
import gc

# Parameters of mallopt(3), glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_THRESHOLD = 32 << 20  # bytes, glibc's maximum; larger blocks are mapped, and given back when they are freed
TRIM_THRESHOLD = 64 << 20  # bytes free at the end of the heap, from which they are given back


def keep_freed_memory() -> None:
    """Keep freed memory for the next photo.

    By default glibc maps each large array anew and gives it back: 3,200 page faults a photo, a tenth of its time.
    Nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)


def freeze_what_stays() -> None:
    """Leave what is there now out of each garbage collection: modules, classes, services."""
    gc.collect()
    gc.freeze()
