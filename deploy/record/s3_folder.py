"""Objects in S3 that several people write: each write is conditional, so that nobody overwrites a change unread."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from deploy.aws.errors import DENIED, describe

# 409: another conditional write to the same key was in progress.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICTS = (409, 412)
NO_CONDITION = frozenset({"NotImplemented", "InvalidRequest", "InvalidArgument"})  # conditions are not supported
MISSING = frozenset({"NoSuchKey", "404"})


class RecordError(Exception):
    """The trail record cannot be used; the message is a sentence or two."""


class RecordUnreachable(RecordError):
    """S3 cannot be reached, or refuses."""


class Changed(Exception):
    """The object has changed since it was read."""


@dataclass(frozen=True)
class StoredObject:
    """An object in S3.

    Attributes:
        body: the content.
        etag: as S3 returns it, with quotes.
        age_s: seconds since it was written, by S3's clock; None if the response has no times.
    """

    body: bytes
    etag: str
    age_s: float | None


class S3Folder:
    """A folder in S3.

    Args:
        s3: boto3's client.
        uri: s3://bucket/prefix, with or without a slash at its end.
    """

    def __init__(self, s3: Any, uri: str) -> None:
        self._s3 = s3
        self.bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, name: str) -> str:
        """URI of an object, for people."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def get(self, name: str, most: int) -> StoredObject | None:
        """Read an object; None if there is none.

        Args:
            name: in the folder.
            most: largest size in bytes.

        Raises:
            RecordError: it is larger, or there is no such bucket.
            RecordUnreachable: S3 cannot be reached, or refuses.
        """
        with self._translated(name, "read"):
            try:
                response = self._s3.get_object(Bucket=self.bucket, Key=self.prefix + name)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
            body = response["Body"].read(most + 1)
        if len(body) > most:
            raise RecordError(f"{self.uri(name)} has more than {most:,} bytes; trail did not write it.")
        return StoredObject(body, response["ETag"], _age(response))

    def put(self, name: str, body: bytes, etag: str | None) -> str:
        """Write an object; returns its new ETag.

        Args:
            name: in the folder.
            body: the content.
            etag: its present ETag; None if there is no object yet.

        Raises:
            Changed: the ETag differs, or the object was created or deleted.
            RecordError, RecordUnreachable: as in `get`.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self._translated(name, "written"):
            try:
                response = self._s3.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + name,
                    Body=body,
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                if _status(error) in CONFLICTS or _code(error) in MISSING:
                    raise Changed(name) from None
                raise
        return str(response["ETag"])

    def delete(self, name: str, etag: str) -> None:
        """Delete an object that has this ETag; it is no error if the object is gone.

        Raises:
            Changed: the ETag differs.
            RecordError, RecordUnreachable: as in `get`.
        """
        key = {"Bucket": self.bucket, "Key": self.prefix + name}
        with self._translated(name, "deleted"):
            try:
                self._s3.delete_object(**key, IfMatch=etag)
            except ClientError as error:
                if _code(error) in MISSING:
                    return
                if _status(error) in CONFLICTS:
                    raise Changed(name) from None
                if _code(error) not in NO_CONDITION and _status(error) != 501:
                    raise
                self._s3.delete_object(**key)  # the caller has just compared the ETag

    @contextlib.contextmanager
    def _translated(self, name: str, done: str) -> Iterator[None]:
        """Turn an error of AWS into a RecordError with a sentence."""
        try:
            yield
        except ClientError as error:
            if _code(error) == "NoSuchBucket":
                raise RecordError(
                    f"There is no bucket {self.bucket} for the trail record; create it, or name another location in "
                    "trail.yaml (`record: s3://…`)."
                ) from None
            # Without s3:ListBucket, S3 answers "denied" for an object that does not exist.
            more = " s3:ListBucket on the bucket is required too." if done == "read" and _code(error) in DENIED else ""
            raise RecordUnreachable(f"{self.uri(name)} cannot be {done}: {describe(error, 's3')}{more}") from None
        except BotoCoreError as error:
            raise RecordUnreachable(f"{self.uri(name)} cannot be {done}: {describe(error, 's3')}") from None
        except ResponseParserError:
            raise RecordUnreachable(
                f"{self.uri(name)} cannot be {done}: the endpoint does not answer as S3 does; it may be a proxy."
            ) from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _age(response: dict[str, Any]) -> float | None:
    """Seconds since the object was written, by S3's clock alone; the clock of this machine may be wrong."""
    written = response.get("LastModified")
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        now = parsedate_to_datetime(headers["date"])
        return max(0.0, (now - written).total_seconds()) if isinstance(written, datetime) else None
    except (KeyError, TypeError, ValueError):
        return None
