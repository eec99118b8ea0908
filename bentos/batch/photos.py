"""The input: which photos there are, in an order that is the same in every run, and the bytes of one."""

import codecs
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from bentos.batch import s3
from bentos.batch.errors import BatchError, PhotoUnreadable
from bentos.skin.folder import files_below, is_photo, nothing_in

PARQUET = b"PAR1"  # the first bytes of such a file
HEAD = 4096  # bytes of a list that are looked at to see that it is one
NO_TEXT = bytes(set(range(32)) - set(b"\0\t\n\r"))
ROWS = 16  # of a table that are read at a time, for each may hold a photo of 10 MiB
FOOTER = 1 << 16  # bytes at the end of a Parquet file, where its sizes and checksums stand
COLUMNS: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {  # of a table: their type, in words too
    "path": ("string", lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind)),
    "bytes": ("binary", lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind)),
    "id": (
        "string or a number",
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_primitive(kind),
    ),
}
EMPTY = "name photos, a folder with some, or another list"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo.

    Attributes:
        path: as it stands in the tables; may have surrogates for bytes that are no UTF-8.
        place: of its file, a path or s3://bucket/key; empty where there is none.
        id: of the input table.
        data: its file, where the input table holds it.
    """

    path: str
    place: str
    id: str | None = None
    data: bytes | None = None


class Listing(Protocol):
    """All photos of an input.

    Attributes:
        count: how many.
        others: files of the input that are no photos.
        fingerprint: sha256 of which they are, so that a resumed run notices others.
    """

    count: int
    others: int
    fingerprint: str

    def read(self, begin: int, end: int) -> Iterator[Photo]:
        """Those from one number to the next; called with rising numbers only."""
        ...


class Paths:
    """Photos that have names.

    Args:
        base: what stands before each name in its place.
        names: in any order; each is taken once.
        others: files that are no photos.
    """

    def __init__(self, base: str, names: Sequence[str], others: int = 0) -> None:
        self._base, self._names = base, sorted(set(names))
        self.count, self.others = len(self._names), others
        digest = hashlib.sha256()
        for name in self._names:
            digest.update(os.fsencode(name) + b"\0")
        self.fingerprint = digest.hexdigest()

    def read(self, begin: int, end: int) -> Iterator[Photo]:
        """As `Listing.read`."""
        for name in self._names[begin:end]:
            at = name if name.startswith(s3.SCHEME) else os.path.join(self._base, name)  # noqa: PTH118  any bytes
            yield Photo(name, at)


class Table:
    """Photos that are rows of a Parquet file, in the order of the rows.

    Args:
        path: of the file.

    Raises:
        BatchError: it cannot be read, or has neither of the two columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - FOOTER))
                self.fingerprint = hashlib.sha256(file.read()).hexdigest()
        except (pa.ArrowException, OSError) as error:
            raise BatchError(f"{path} cannot be read as Parquet: {_first_line(error)}.") from None
        schema = self._file.schema_arrow
        self._columns = [name for name in COLUMNS if name in schema.names]
        if not {"path", "bytes"} & set(self._columns):
            raise BatchError(
                f"{path} has the columns {', '.join(schema.names)}; photos are read from `bytes` or, by name, "
                "from `path`: rename one."
            )
        for name in self._columns:
            if schema.names.count(name) > 1:
                raise BatchError(f"{path} has {schema.names.count(name)} columns `{name}`: rename all but one.")
            kind = schema.field(name).type
            if not COLUMNS[name][1](kind):
                raise BatchError(
                    f"The column `{name}` of {path} is of type {kind}, not {COLUMNS[name][0]}: convert it."
                )
        self.count, self.others = int(self._file.metadata.num_rows), 0
        self._rows = self._all()
        self._next = 0

    def read(self, begin: int, end: int) -> Iterator[Photo]:
        """As `Listing.read`."""
        for row in self._rows:
            number, self._next = self._next, self._next + 1
            if number >= begin:
                yield self._photo(number, row)
            if number + 1 == end:
                return

    def _all(self) -> Iterator[dict[str, Any]]:
        for batch in self._file.iter_batches(ROWS, columns=self._columns, use_threads=False):
            yield from batch.to_pylist()

    def _photo(self, number: int, row: dict[str, Any]) -> Photo:
        named, identity = row.get("path"), row.get("id")
        path = named if named is not None else f"{self._path.name}#{number}"
        identity = None if identity is None else str(identity)
        if (data := row.get("bytes")) is not None:
            return Photo(path, "", identity, data)
        place = os.path.abspath(named) if named and not named.startswith(s3.SCHEME) else named or ""  # noqa: PTH100  any bytes
        return Photo(path, place, identity)


def find(source: str) -> Listing:
    """The photos of a folder, a list, a table or a bucket.

    Args:
        source: a path, or s3://bucket/prefix.

    Raises:
        BatchError: there is no such input, or no photo in it.
    """
    if source.startswith(s3.SCHEME):
        return _some(Paths("", list(_in_bucket(source))), f"{source} holds no object")
    path = Path(source)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # that of INPUT itself must be readable; those below become failures
            files = list(files_below(path))
            names = [name for name in files if is_photo(path, name)]
            found = Paths(os.path.abspath(path), names, len(files) - len(names))  # noqa: PTH100  any bytes
            return _some(found, nothing_in(source, found.others))
        if not stat.S_ISREG(mode):
            raise BatchError(f"{source} is neither a file nor a folder: {EMPTY}.")
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head.startswith(PARQUET):
            return _some(Table(path), f"{source} has no row")
        if head.translate(None, NO_TEXT) != head:
            raise BatchError(f"{source} is neither a list of paths nor a Parquet file: {EMPTY}.")
        return _some(Paths(str(Path.cwd()), _listed(path.read_bytes())), f"{source} names no photo")
    except OSError as error:
        raise BatchError(f"{source} cannot be read: {error.strerror or error}; {EMPTY}.") from None


def read(photo: Photo, most: int) -> bytes:
    """The file of a photo, or its first bytes where it is larger than any photo may be.

    Args:
        photo: which.
        most: bytes that a photo may have; one more is read.

    Raises:
        PhotoUnreadable: it cannot be had.
        BatchError: nor can any other.
    """
    if photo.data is not None:
        return photo.data[: most + 1]
    if not photo.place:
        raise PhotoUnreadable("file_missing", "The row holds no photo.", "Fill the column `bytes` or `path`.")
    return _of_bucket(photo.place, most) if photo.place.startswith(s3.SCHEME) else _of_disk(photo.place, most)


def _of_disk(place: str, most: int) -> bytes:
    try:
        with open(place, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PhotoUnreadable("file_unreadable", "It is no regular file.", "Name a file.")
            return file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in a name
        raise PhotoUnreadable("file_missing", "There is no such file.", "Check the path.") from None
    except OSError as error:
        if place.endswith("/") or isinstance(error, IsADirectoryError):
            raise PhotoUnreadable(
                "folder_unreadable",
                "It is a folder whose files were not listed.",
                "Allow reading it, or name its files.",
            ) from None
        hint = "Correct the link." if error.errno == errno.ELOOP else "Allow reading it."
        sentence = f"The file cannot be read: {error.strerror or error}."
        raise PhotoUnreadable("file_unreadable", sentence, hint) from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would wait for its writer


def _of_bucket(uri: str, most: int) -> bytes:
    bucket, key = s3.split(uri)
    if not bucket or not key:
        raise PhotoUnreadable("file_missing", "The address names no object.", "Write s3://bucket/key.")
    try:
        answer = s3.client().get_object(Bucket=bucket, Key=key)
        with answer["Body"] as body:
            data: bytes = body.read(most + 1)
        return data
    except s3.ERRORS as error:
        if s3.ends_the_run(error):
            raise s3.problem(error, "s3:GetObject", uri) from None
        code = s3.code_of(error)
        if not code:
            raise PhotoUnreadable("file_missing", "It is no address in S3.", "Write s3://bucket/key.") from None
        if code in s3.MISSING:
            raise PhotoUnreadable("file_missing", "There is no such object.", "Check the key.") from None
        raise PhotoUnreadable(
            "file_unreadable", f"S3 answers {code} to s3:GetObject.", "Allow it on this object, or on its key of KMS."
        ) from None


def _in_bucket(uri: str) -> Iterator[str]:
    """The objects below a prefix, but hidden ones; only s3:ListBucket is needed."""
    bucket, prefix = s3.bucket_of(uri)
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    try:
        for page in s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                below = entry["Key"].removeprefix(prefix)
                if below and not below.endswith("/") and not _hidden(below):
                    yield f"{s3.SCHEME}{bucket}/{entry['Key']}"
    except s3.ERRORS as error:
        raise s3.problem(error, "s3:ListBucket", uri) from None


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _listed(text: bytes) -> list[str]:
    """The paths of a list: one a line, or ended by zero bytes, as `find -print0` writes them."""
    text = text.removeprefix(codecs.BOM_UTF8)
    if b"\0" in text:
        return [os.fsdecode(name) for name in text.split(b"\0") if name]
    lines = (line.removesuffix(b"\r") for line in text.split(b"\n"))
    return [os.fsdecode(line) for line in lines if line.strip()]


def _some(listing: Listing, nothing: str) -> Listing:
    if not listing.count:
        raise BatchError(f"{nothing}: {EMPTY}.")
    return listing


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
