"""Where weights are published: a prefix in S3 or a folder, with the same promises.

A file is there as a whole or not at all, none is overwritten, and `current.json` is replaced only as it was read.
"""

import base64
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import boto3
from botocore.exceptions import ClientError

from bentos.skin.files import write_whole
from bentos.skin.model.bundle import MANIFEST
from bentos.skin.model.pointer import CURRENT

Progress = Callable[[str, int, int], None]
PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class PublishError(Exception):
    """The live version was not changed; the message says why and what to do."""


class AlreadyThere(PublishError):
    """The version exists with other bytes, or another publisher was faster."""


class Conflict(Exception):
    """A file that must not exist, or must be as it was read, is not."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a version, as a listing has it.

    Attributes:
        folder: of the version.
        name: of the file.
        size: bytes.
        modified: when it was written.
    """

    folder: str
    name: str
    size: int
    modified: datetime


class Location(Protocol):
    """A place that holds the versions."""

    @property
    def name(self) -> str:
        """For people: what SHINE_WEIGHTS_URI names."""
        ...

    def get(self, name: str) -> tuple[bytes, str] | None:
        """The bytes of a file and a tag that changes with them; None where it does not exist."""
        ...

    def put(self, name: str, path: Path) -> None:
        """Write a file of a version; raises Conflict where it exists."""
        ...

    def put_current(self, data: bytes, tag: str | None) -> None:
        """Write `current.json`; raises Conflict where it has another tag than this, or exists where this is None."""
        ...

    def files(self) -> Iterator[Stored]:
        """The files of all versions."""
        ...


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix in S3 that holds the versions.

    Attributes:
        s3: boto3 client.
        bucket: name of the bucket.
        prefix: without slashes at its ends; may be empty.
        name: see `Location`.
        progress: called with a file's key, its bytes, and how many more of them were sent.
    """

    s3: Any
    bucket: str
    prefix: str
    name: str
    progress: Progress

    def get(self, name: str) -> tuple[bytes, str] | None:
        """See `Location`; raises ClientError, BotoCoreError."""
        try:
            response = self.s3.get_object(Bucket=self.bucket, Key=self._key(name))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return response["Body"].read(), response["ETag"]

    def put(self, name: str, path: Path) -> None:
        """See `Location`; raises ClientError, BotoCoreError."""
        data = path.read_bytes()
        digest, key = base64.b64encode(hashlib.sha256(data).digest()).decode(), self._key(name)
        with path.open("rb") as file:
            body = _Observed(file, lambda count: self.progress(key, len(data), count))
            self._put(key, body, ContentLength=len(data), ChecksumSHA256=digest, IfNoneMatch="*")

    def put_current(self, data: bytes, tag: str | None) -> None:
        """See `Location`; raises ClientError, BotoCoreError."""
        self._put(self._key(CURRENT), data, **({"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}))

    def files(self) -> Iterator[Stored]:
        """See `Location`; raises ClientError, BotoCoreError."""
        start = self.prefix + "/" if self.prefix else ""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
            for entry in page.get("Contents", []):
                folder, _, name = entry["Key"].removeprefix(start).partition("/")
                yield Stored(folder, name, entry["Size"], entry["LastModified"])

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self.prefix, name)))

    def _put(self, key: str, body: Any, **more: Any) -> None:
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)
        except ClientError as error:
            if error.response["Error"]["Code"] not in PRECONDITION_FAILED:
                raise
            raise Conflict from None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds the versions. Every file is written beside its name and then renamed, so none is half there.

    Attributes:
        path: of the folder.
        name: see `Location`.
    """

    path: Path
    name: str

    def get(self, name: str) -> tuple[bytes, str] | None:
        """See `Location`; raises OSError."""
        try:
            data = (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def put(self, name: str, path: Path) -> None:
        """See `Location`; raises OSError."""
        with self._locked():
            if (self.path / name).exists():
                raise Conflict
            self._write(name, path.read_bytes())

    def put_current(self, data: bytes, tag: str | None) -> None:
        """See `Location`; raises OSError."""
        with self._locked():
            there = self.get(CURRENT)
            if (None if there is None else there[1]) != tag:
                raise Conflict
            self._write(CURRENT, data)

    def files(self) -> Iterator[Stored]:
        """See `Location`; raises OSError."""
        for path in sorted(self.path.glob("*/*")):
            if path.is_file() and not path.name.startswith("."):
                status = path.stat()
                yield Stored(path.parent.name, path.name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder, made where it is missing, for this publisher alone."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, name: str, data: bytes) -> None:
        target = self.path / name
        target.parent.mkdir(exist_ok=True)
        write_whole(target, data)


class _Observed:
    """A file that tells how many bytes are read of it."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self._file, self._on_bytes = file, on_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def parse_location(uri: str, progress: Progress = lambda _key, _size, _count: None) -> Location:
    """The place that s3://bucket/prefix or the path of a folder names.

    Args:
        uri: of the place.
        progress: of what is sent over the network, see `Prefix`.

    Raises:
        PublishError: the URI has another form, or the folder is a bundle itself.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme == "s3" and bucket:
        return Prefix(boto3.session.Session().client("s3"), bucket, prefix.strip("/"), uri.rstrip("/"), progress)
    if separator or not uri:
        raise PublishError(f"{uri!r} is neither a location in S3 nor a folder; write s3://bucket/prefix or a path.")
    path = Path(uri)
    if (path / MANIFEST).exists():
        raise PublishError(f"{uri} is a bundle itself; name the folder that holds the versions.")
    return Folder(path, uri)
