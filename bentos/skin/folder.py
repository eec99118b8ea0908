"""All files in a folder and below, and which of them are photos."""

import os
from collections.abc import Iterator
from pathlib import Path

from bentos.skin.photo.magic import begins_as_photo

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".heic", ".heif", ".avif"})
HEAD = 12  # bytes that tell a photo of any format

Identity = tuple[int, int]  # device and inode


def identity(folder: str) -> Identity:
    """By which a folder is known, whatever it is called.

    Raises:
        OSError: it cannot be looked at.
    """
    status = os.stat(folder)  # noqa: PTH116  any bytes
    return status.st_dev, status.st_ino


def files_below(folder: Path, seen: set[Identity] | None = None) -> Iterator[str]:
    """The files in a folder and below, relative to it, each folder's in the order of their names, but hidden ones.

    Links are followed, and each folder is read once, so that a link to a folder above ends. A folder that cannot be
    read is named itself, with a slash: reading it says why. A broken link is a file that is missing; pipes, sockets and
    devices are left out.

    Args:
        folder: to begin with.
        seen: folders that were read already; those that are read now are added.

    Yields:
        Names; bytes that are no UTF-8 are lone surrogates.
    """
    waiting = [""]
    seen = set() if seen is None else seen
    top = os.path.abspath(folder)  # noqa: PTH100  any bytes
    while waiting:
        below = waiting.pop()
        place = os.path.join(top, below)  # noqa: PTH118  any bytes
        try:
            if (known := identity(place)) in seen:
                continue
            seen.add(known)
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            yield f"{below}/"
            continue
        folders = []
        for entry in entries:
            name = os.path.join(below, entry.name)  # noqa: PTH118  any bytes
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    folders.append(name)
                elif entry.is_file() or entry.is_symlink():
                    yield name
            except OSError:  # a link to itself
                yield name
        waiting += reversed(folders)


def nothing_in(folder: object, others: int) -> str:
    """The beginning of a sentence on a folder without a photo.

    Args:
        folder: as the user knows it.
        others: files in it.
    """
    if not others:
        return f"{folder} holds no file"
    return f"{folder} holds no photo among {others:,} {'file' if others == 1 else 'files'}"


def is_photo(folder: Path, name: str) -> bool:
    """Whether a file has a photo's name or a photo's content, or is a folder that cannot be read: reading it says why.

    Args:
        folder: of `files_below`.
        name: that it gave.
    """
    if name.endswith("/") or os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122  any bytes
        return True
    try:
        with (folder / name).open("rb") as file:
            return begins_as_photo(file.read(HEAD))
    except OSError:  # a broken link, a file that cannot be read
        return False
