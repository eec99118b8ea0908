"""The cache of fetched bundles on disk: entries are complete, verified before each use, and fetched by one process."""

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

KEPT = 2  # versions, beside the last good one of each source: the live one and the previous one


class Cache:
    """A folder of bundles, by the sha256 of their manifests.

    Args:
        folder: is created; no other user may own it.

    Raises:
        BundleError: weights_unreachable: it cannot be created, or belongs to another user.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "weights"
        with writing(self.root):
            for own in (folder, self.root):
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                status = own.lstat()
                # In a shared /tmp another user may have created it first, with other weights or links in it.
                if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                    raise BundleError("weights_unreachable", f"The cache {own} is a link or belongs to another user.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that all processes on this disk share; the kernel releases it when a process dies."""
        with ExitStack() as held:
            with writing(self.root):  # errors inside the lock are not errors of the cache
                file = held.enter_context((self.root / "lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def good(self, sha256: str) -> Bundle | None:
        """The bundle of that manifest; None where it is missing or damaged; a damaged one is removed."""
        entry = self.root / sha256
        if not entry.exists():
            return None
        try:
            return read(entry, sha256)
        except (BundleError, OSError):
            shutil.rmtree(entry, ignore_errors=True)
            return None

    def part(self, sha256: str) -> Path:
        """The path of a file that is not complete yet."""
        return self.root / f"{sha256}.part"

    def keep(self, sha256: str, files: dict[str, Path | bytes]) -> None:
        """Create an entry from files, completely or not at all.

        Args:
            sha256: of the manifest.
            files: name → its bytes, or a file of this cache, which is moved.
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
        """Record the last good version of a source, and remove versions that are no longer needed."""
        path = self._last(uri)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"uri": uri, "sha256": sha256}))
        part.replace(path)
        needed = {json.loads(record.read_text())["sha256"] for record in self.root.glob("last-*.json")}
        entries = [entry for entry in self.root.iterdir() if entry.is_dir() and entry.name not in needed]
        for old in sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True)[KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)

    def recalled(self, uri: str) -> str | None:
        """sha256 of the last good version of a source; None where none is recorded."""
        try:
            sha256 = json.loads(self._last(uri).read_text())["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return sha256 if isinstance(sha256, str) else None

    def _last(self, uri: str) -> Path:
        return self.root / f"last-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.json"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a BundleError.

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
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
