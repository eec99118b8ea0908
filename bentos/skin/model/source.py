"""Where weights come from: the embedded bundle, a folder, or S3."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bentos.skin.model.bundle import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Bundle,
    BundleError,
    read,
    regular,
)
from bentos.skin.model.engine import EMBEDDED
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer
from bentos.skin.settings import Settings, SettingsError, check_weights_uri


class Source(Protocol):
    """A place that holds weights. For one thread.

    Attributes:
        name: for people.
        note: what was unusual about the last fetch, in one sentence.
    """

    name: str
    note: str | None

    def fetch(self) -> Bundle:
        """The newest bundle, or the pinned one, checked, on the local disk.

        Raises:
            BundleError: with the contract's reason.
        """
        ...

    def newest(self) -> str | None:
        """sha256 of the manifest that is current in the source; None where there is none.

        Raises:
            BundleError: the source cannot be read.
        """
        ...


class Folder:
    """A bundle in a folder, or a folder with `current.json` and version folders beside it.

    Args:
        folder: of the bundle or of the versions.
        name: for people.
        pin: sha256 of the only manifest that may be loaded.
        note: what is unusual about using this source.
    """

    def __init__(self, folder: Path, name: str, pin: str | None, note: str | None = None) -> None:
        self.name, self.note = name, note
        self._folder, self._pin = folder, pin

    def fetch(self) -> Bundle:
        """The bundle; raises as `Source.fetch`."""
        return read(self._live(), self._pin)

    def newest(self) -> str | None:
        """sha256 of the live manifest; raises as `Source.newest`."""
        live = self._live()
        if not (live / MANIFEST).exists():
            return None
        return hashlib.sha256(regular(live, MANIFEST, MAX_MANIFEST_BYTES).read_bytes()).hexdigest()

    def _live(self) -> Path:
        if not (self._folder / CURRENT).exists():
            return self._folder
        current = pointer(regular(self._folder, CURRENT, MAX_POINTER_BYTES).read_bytes(), self.name)
        folder = self._folder / current.folder
        if self._pin is not None and current.sha256 != self._pin:
            pinned = sorted(self._folder.glob(f"*-{self._pin[:PIN_SHOWN]}"))
            if not pinned:
                raise BundleError("weights_missing", f"The pinned version {self._pin} is not in {self.name}.")
            folder = pinned[0]
        if folder.is_symlink():
            raise BundleError("weights_corrupt", f"{folder.name} in {self.name} is a link, not a folder.")
        return folder


def source(settings: Settings, on_bytes: Callable[[int], None] = lambda _: None) -> Source:
    """The source that the settings name.

    Args:
        settings: URI, pin and cache folder.
        on_bytes: called with the number of bytes received over the network.

    Raises:
        BundleError: weights_unreachable: the URI is of a kind that is not supported.
    """
    where, pin = settings.weights_uri, settings.weights_sha256
    if where is None:
        note = None
        if settings.phase in ("foundation", "full"):
            note = f"Phase {settings.phase} wants weights from outside, but SHINE_WEIGHTS_URI is not set."
        return Folder(EMBEDDED, "embedded", pin, note)
    try:
        check_weights_uri(where)
    except SettingsError as error:
        raise BundleError("weights_unreachable", str(error)) from None
    if "://" not in where:
        return Folder(Path(where), where, pin)
    from bentos.skin.model.s3 import S3Source  # boto3 takes 30 MB and 0.3 s, so it is imported only where it is used

    return S3Source(where, pin, settings.cache_dir, on_bytes)
