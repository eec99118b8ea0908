"""Where weights come from: the embedded bundle, or a folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bentos.skin.model.bundle import MANIFEST, Bundle, BundleError, read
from bentos.skin.settings import Settings

EMBEDDED = Path(__file__).resolve().parents[1] / "weights"


class Source(Protocol):
    """A place that holds weights.

    Attributes:
        name: for people.
        note: what was unusual about the last fetch.
    """

    name: str
    note: str | None

    def fetch(self) -> Bundle:
        """A checked bundle; raises `BundleError`."""
        ...

    def newest(self) -> str | None:
        """sha256 of the manifest that is there now; raises `BundleError`."""
        ...


class Folder:
    """A bundle on this machine."""

    note: str | None = None

    def __init__(self, folder: Path, name: str, pin: str | None) -> None:
        self.name, self._folder, self._pin = name, folder, pin

    def fetch(self) -> Bundle:
        """The folder's bundle, checked."""
        return read(self._folder, self._pin)

    def newest(self) -> str | None:
        """sha256 of the manifest in the folder."""
        path = self._folder / MANIFEST
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def source(settings: Settings, on_bytes: Callable[[int], None] = lambda _: None) -> Source:  # noqa: ARG001
    """The source that the settings name; raises `BundleError`."""
    where = settings.weights_uri
    if where is not None and "://" in where:
        scheme = where.partition("://")[0]
        raise BundleError("weights_unreachable", f"Weights from {scheme}:// are not supported; name a folder.")
    folder = EMBEDDED if where is None else Path(where)
    return Folder(folder, "embedded" if where is None else str(folder), settings.weights_sha256)
