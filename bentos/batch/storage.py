"""The output: a folder or a prefix in S3, whose files appear whole or not at all, and which one run at a time has."""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bentos.batch import s3
from bentos.batch.errors import BatchError, OutputInUse
from bentos.skin.files import write_whole

LOCK = "_lock"  # names with an underscore are left out by those who read a folder of Parquet files
TAIL = 1 << 17  # bytes at the end of a file of Parquet, where it says what it holds: five times of what ours take
UNFINISHED = ("*/.part-*.part", ".run.json.*.part")  # what a killed run leaves of files that it was writing
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Storage(Protocol):
    """Where the output goes.

    Attributes:
        name: as the user knows it.
    """

    name: str

    def names(self) -> set[str]:
        """All files below it but the lock and hidden ones, relative; raises BatchError."""
        ...

    def read(self, name: str) -> bytes:
        """One file; raises BatchError."""
        ...

    def tail(self, name: str) -> bytes:
        """The last TAIL bytes of one file, or all of a shorter one; raises BatchError."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """One file, which is there whole afterwards or not at all; raises BatchError."""
        ...

    def remove(self, name: str) -> None:
        """One file less; raises BatchError."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Have it alone.

        Raises:
            OutputInUse: another run has it; the message names it.
            BatchError: it cannot be written.
        """
        ...


def storage(place: str) -> Storage:
    """The output at a path, or at s3://bucket/prefix."""
    return Bucket(place) if place.startswith(s3.SCHEME) else Folder(place)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that has a lock.

    Attributes:
        host: its name.
        pid: process id.
        began: of the process, ticks after boot: process ids are given anew.
        since: when it took the lock.
    """

    host: str
    pid: int
    began: int
    since: str

    @classmethod
    def this(cls) -> "Owner":
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), _began(os.getpid()) or 0, now)

    @classmethod
    def read(cls, text: bytes) -> "Owner | None":
        """What a lock says; None where that is nothing."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    @property
    def gone(self) -> bool:
        """Whether it was a process of this host that has ended."""
        return self.host == socket.gethostname() and _began(self.pid) != self.began

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class Folder:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, place: str) -> None:
        self.name = place
        self._root = Path(place)

    def names(self) -> set[str]:
        if not self._root.exists():
            return set()
        with self._told("read"):
            return {
                os.path.relpath(os.path.join(folder, name), self._root)  # noqa: PTH118  any bytes
                for folder, _, names in os.walk(self._root, onerror=_raise)
                for name in names
                if not name.startswith(".")
            } - {LOCK}

    def read(self, name: str) -> bytes:
        with self._told("read"):
            return (self._root / name).read_bytes()

    def tail(self, name: str) -> bytes:
        with self._told("read"), (self._root / name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        with self._told("written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            _sync(path.parent)  # so that no power failure leaves a part that is done without the one before

    def remove(self, name: str) -> None:
        with self._told("written"):
            (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """As `Storage.locked`; the kernel frees the lock of a process that has ended."""
        path = self._root / LOCK
        new = not self._root.exists()
        if not new and not self._root.is_dir():
            raise OutputInUse(f"{self.name} is a file: name a folder.")
        with self._told("written"):
            self._root.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise self._in_use(path) from None
            if not path.exists() or not path.samefile(f"/proc/self/fd/{file.fileno()}"):
                raise self._in_use(path)  # whoever had it has just ended
            try:
                with self._told("written"):
                    file.truncate(0)
                    file.write(json.dumps(asdict(Owner.this())).encode())
                    for pattern in UNFINISHED:
                        for unfinished in self._root.glob(pattern):
                            unfinished.unlink()
                yield
            finally:
                path.unlink(missing_ok=True)
                if new:
                    with contextlib.suppress(OSError):  # it holds something
                        self._root.rmdir()

    def _in_use(self, path: Path) -> OutputInUse:
        owner = None
        with contextlib.suppress(OSError):
            owner = Owner.read(path.read_bytes())
        return OutputInUse(
            f"Another run works on {self.name}: {owner or 'it has just begun'}. Wait for it, or name another folder."
        )

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise BatchError(
                    f"The disk of {self.name} is full. What is written stays: make room, and run again with --resume."
                ) from None
            raise BatchError(
                f"{error.filename or self.name} cannot be {done}: {error.strerror or error}. Allow that, or name "
                "another output; what is written stays."
            ) from None


class Bucket:
    """A prefix in S3. An object is there once it is put whole, so that needs no more.

    The lock is an object that is put only where there is none; S3 has no locks that end with their process, so that
    one of another host whose run was killed has to be deleted by hand, as its sentence says.
    """

    def __init__(self, place: str) -> None:
        self._bucket, prefix = s3.bucket_of(place)
        self.name, prefix = place.rstrip("/"), prefix.rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def names(self) -> set[str]:
        with self._told("s3:ListBucket"):
            pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            keys = {entry["Key"].removeprefix(self._prefix) for page in pages for entry in page.get("Contents", [])}
        return keys - {LOCK, ""}

    def read(self, name: str) -> bytes:
        return self._got(name)

    def tail(self, name: str) -> bytes:
        return self._got(name, Range=f"bytes=-{TAIL}")

    def _got(self, name: str, **part: str) -> bytes:
        with self._told("s3:GetObject", name):
            try:
                answer = s3.client().get_object(Bucket=self._bucket, Key=self._prefix + name, **part)
            except s3.ERRORS as error:
                if s3.code_of(error) in s3.NO_SUCH_RANGE:  # an object without a byte has none
                    return b""
                raise
            data: bytes = answer["Body"].read()
            return data

    def write(self, name: str, data: bytes) -> None:
        with self._told("s3:PutObject", name):
            s3.client().put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def remove(self, name: str) -> None:
        with self._told("s3:DeleteObject", name):
            s3.client().delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """As `Storage.locked`; the lock of a process of this host that has ended is taken over."""
        mine = json.dumps(asdict(Owner.this())).encode()
        if not self._taken(mine, IfNoneMatch="*"):
            with self._told("s3:GetObject", LOCK):
                answer = s3.client().get_object(Bucket=self._bucket, Key=self._prefix + LOCK)
                owner = Owner.read(answer["Body"].read())
            if owner is None or not owner.gone or not self._taken(mine, IfMatch=answer["ETag"]):
                raise OutputInUse(
                    f"Another run works on {self.name}: {owner or 'unknown'}. Wait for it; if it was killed, delete "
                    f"{self.name}/{LOCK}."
                )
        try:
            yield
        finally:
            with contextlib.suppress(*s3.ERRORS):  # expired credentials: the next run takes it over
                s3.client().delete_object(Bucket=self._bucket, Key=self._prefix + LOCK)

    def _taken(self, mine: bytes, **condition: str) -> bool:
        try:
            s3.client().put_object(Bucket=self._bucket, Key=self._prefix + LOCK, Body=mine, **condition)
        except s3.ERRORS as error:
            if s3.code_of(error) in s3.PRESENT:
                return False
            raise s3.problem(error, "s3:PutObject", f"{self.name}/{LOCK}") from None
        return True

    @contextmanager
    def _told(self, action: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except s3.ERRORS as error:
            raise s3.problem(error, action, f"{self.name}/{name}" if name else self.name) from None


def _began(pid: int) -> int | None:
    """When a process began, ticks after boot; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])  # the name before may hold blanks; fields count from the third on


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _raise(error: Any) -> None:
    raise error
