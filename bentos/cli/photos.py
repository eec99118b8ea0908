"""The photos that a command line names: files, folders with all below them, standard input."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentos.cli.command import CommandError, say
from bentos.skin.folder import Identity, files_below, identity, is_photo, nothing_in

STDIN = "-"
MOST_BYTES = 64 << 20  # of one photo; what analyses it has its own limit, which is lower


class PhotoUnreadable(Exception):
    """A photo cannot be read; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo.

    Attributes:
        name: as the user knows it; may hold any character, and lone surrogates for bytes that are no UTF-8.
        path: of its file, or of a folder that cannot be read; None for standard input.
        folder: the argument below which it was found; None where it was named itself.
    """

    name: str
    path: Path | None
    folder: Path | None = None

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            PhotoUnreadable: they cannot be had, or are too many.
        """
        try:
            if self.path is None:
                data = sys.stdin.buffer.read(MOST_BYTES + 1)
            else:
                with self.path.open("rb") as file:
                    data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise PhotoUnreadable(f"It cannot be read: {error.strerror or error}.") from None
        except ValueError as error:  # a name with a zero byte
            raise PhotoUnreadable(f"It cannot be read: {error}.") from None
        if len(data) > MOST_BYTES:
            raise PhotoUnreadable(f"It has more than {MOST_BYTES >> 20} MiB.")
        return data


def find(arguments: tuple[str, ...]) -> list[Photo]:
    """The photos that arguments name, each folder's in the order of their names.

    In a folder a photo is what has a photo's content or a photo's name; hidden files are left out. Links are followed,
    and each folder is read once.

    Raises:
        CommandError: there is none; the sentence says what there is instead.
    """
    photos: list[Photo] = []
    empty: dict[str, int] = {}  # folders without a photo, and how many other files they hold
    seen: set[Identity] = set()
    for argument in arguments:
        if argument == STDIN:
            photos.append(Photo("standard input", None))
        elif not os.path.isdir(argument):  # noqa: PTH112  unlike Path's it never raises
            photos.append(Photo(argument, Path(argument)))
        else:
            if identity(argument) in seen:
                continue  # named twice, or within a folder that is named
            found = list(_below(Path(argument), seen))
            photos += [photo for photo in found if photo is not None]
            if found.count(None) == len(found):
                empty[argument] = len(found)
    sentences = [_nothing(name, number) for name, number in empty.items()]
    if not photos:
        raise CommandError(" ".join(sentences))
    for sentence in sentences:
        say(sentence)
    once: dict[str | None, Photo] = {}  # what is named twice is analysed once
    for photo in photos:
        once.setdefault(None if photo.path is None else os.path.abspath(photo.path), photo)  # noqa: PTH100  without `..`
    return list(once.values())


def _nothing(folder: str, others: int) -> str:
    way_on = "photos are JPEG, PNG, WebP, HEIC or AVIF" if others else "name photos, or a folder with some"
    return f"{nothing_in(folder, others)}; {way_on}."


def _below(folder: Path, seen: set[Identity]) -> Iterator[Photo | None]:
    """The photos in a folder and below; None for each other file."""
    for name in files_below(folder, seen):
        yield Photo(str(folder / name), folder / name, folder) if is_photo(folder, name) else None
