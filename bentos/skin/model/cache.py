"""Bundles that were fetched, on disk: whole or not there, verified before each use, one download for all workers."""

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bentos.skin.model.bundle import Bundle, BundleError, read

KEPT = 2  # versions, beside the last good one of each source: the live one and the one before


class Cache:
    """A folder of bundles, by the sha256 of their manifests.

    Args:
        folder: is made; of nobody else.

    Raises:
        BundleError: weights_unreachable: it cannot be made, or belongs to another.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "weights"
        with writing(self.root):
            for own in (folder, self.root):
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = own.lstat()
                # In a shared /tmp somebody else may have been there first, with weights or links of theirs.
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                    raise BundleError("weights_unreachable", f"The cache {own} is a link or belongs to another user.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Of all processes on this disk one is inside; the kernel lets go when it dies."""
        with ExitStack() as held:
            with writing(self.root):  # what goes wrong inside the lock is not the cache's fault
                file = held.enter_context((self.root / "lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def good(self, sha256: str) -> Bundle | None:
        """The bundle of that manifest, if it is here and whole; what is broken is removed."""
        entry = self.root / sha256
        if not entry.exists():
            return None
        try:
            return read(entry, sha256)
        except (BundleError, OSError):
            shutil.rmtree(entry, ignore_errors=True)
            return None

    def part(self, sha256: str) -> Path:
        """Where a file is written to until it is whole."""
        return self.root / f"{sha256}.part"

    def keep(self, sha256: str, files: dict[str, Path | bytes]) -> None:
        """Make an entry of files, whole or not at all.

        Args:
            sha256: of the manifest.
            files: name → its bytes, or a file of this cache that is moved.
        """
        staged = self.root / f"{sha256}.new"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for name, content in files.items():
            if isinstance(content, Path):
                content.replace(staged / name)
            else:
                (staged / name).write_bytes(content)
            sync(staged / name)
        shutil.rmtree(self.root / sha256, ignore_errors=True)
        staged.replace(self.root / sha256)
        sync(self.root)

    def remember(self, uri: str, sha256: str) -> None:
        """Note the last good version of a source, and remove versions that nobody needs."""
        path = self._last(uri)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"uri": uri, "sha256": sha256}))
        part.replace(path)
        needed = {json.loads(one.read_text())["sha256"] for one in self.root.glob("last-*.json")}
        entries = [one for one in self.root.iterdir() if one.is_dir() and one.name not in needed]
        for old in sorted(entries, key=lambda one: one.stat().st_mtime, reverse=True)[KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)

    def recalled(self, uri: str) -> str | None:
        """The last good version of a source."""
        try:
            found = json.loads(self._last(uri).read_text())["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def _last(self, uri: str) -> Path:
        return self.root / f"last-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.json"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses into a sentence.

    Raises:
        BundleError: weights_unreachable.
    """
    try:
        yield
    except OSError as error:
        raise BundleError(
            "weights_unreachable", f"The cache {folder} cannot be used: {error.strerror or type(error).__name__}."
        ) from None


def sync(path: Path) -> None:
    """Have a file or folder on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
