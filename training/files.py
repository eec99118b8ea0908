"""Writes files so that a failure leaves the old files, not a part of the new ones."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Write one file beside its place, then move it there.

    Args:
        path: the file to create or to replace; its folder must exist.
        write: writes the content to the path that it is given.

    Raises:
        OSError: the file cannot be written; the old one is kept. What `write` raises is passed on.
    """
    part = _part(path)
    try:
        write(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def replace_files(files: Mapping[Path, bytes]) -> None:
    """Replace several files that belong together: all are written beside their places first, then all are moved.

    A full disk or a killed process therefore leaves the old files. Only a stop between two of the moves, a fraction of
    a millisecond, leaves a mixture; put the file that names the others (a manifest) last.

    Args:
        files: path → content, in the order of the moves; missing folders are made.

    Raises:
        OSError: a file cannot be written; the old files are kept.
    """
    parts = {path: _part(path) for path in files}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_bytes(content)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
