"""Objects in S3 that several people write: only ever whole, and only where nobody else wrote in the meantime."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from deploy.aws.errors import DENIED, describe

# 409: S3 saw another conditional write to the same key just then, and decided for neither.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICTS = (409, 412)
NO_CONDITION = frozenset({"NotImplemented", "InvalidRequest", "InvalidArgument"})  # of a store that knows none
MISSING = frozenset({"NoSuchKey", "404"})


class RecordError(Exception):
    """The trail record cannot be used; the message is a sentence or two."""


class RecordUnreachable(RecordError):
    """The place where it lies cannot be asked."""


class Changed(Exception):
    """The object is no longer what it was when it was read."""


@dataclass(frozen=True)
class Found:
    """An object.

    Attributes:
        body: whole.
        etag: as S3 wrote it, quotes included.
        age_s: seconds since it was written, by S3's own clock; None where the answer tells no times.
    """

    body: bytes
    etag: str
    age_s: float | None


class Objects:
    """A place in S3.

    Args:
        s3: boto3's client.
        uri: s3://bucket/prefix, with or without a slash at its end.
    """

    def __init__(self, s3: Any, uri: str) -> None:
        self._s3 = s3
        self.bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, name: str) -> str:
        """Of an object, for people."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def get(self, name: str, most: int) -> Found | None:
        """An object; None where there is none.

        Args:
            name: below the place.
            most: bytes that it may have.

        Raises:
            RecordError: it is larger, or there is no such bucket.
            RecordUnreachable: S3 cannot be asked.
        """
        with self._sentences(name, "read"):
            try:
                answer = self._s3.get_object(Bucket=self.bucket, Key=self.prefix + name)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
            body = answer["Body"].read(most + 1)
        if len(body) > most:
            raise RecordError(f"{self.uri(name)} has more than {most:,} bytes, and is nothing that trail wrote.")
        return Found(body, answer["ETag"], _age(answer))

    def put(self, name: str, body: bytes, etag: str | None) -> str:
        """Write an object whole; its new ETag.

        Args:
            name: below the place.
            body: whole.
            etag: that it has now; None where there is none yet.

        Raises:
            Changed: it has another by now, or came to be, or is gone.
            RecordError, RecordUnreachable: as `get`.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self._sentences(name, "written"):
            try:
                answer = self._s3.put_object(
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
        return str(answer["ETag"])

    def delete(self, name: str, etag: str) -> None:
        """Delete an object that has this ETag; one that is gone already is no error.

        Raises:
            Changed: it has another by now.
            RecordError, RecordUnreachable: as `get`.
        """
        where = {"Bucket": self.bucket, "Key": self.prefix + name}
        with self._sentences(name, "deleted"):
            try:
                self._s3.delete_object(**where, IfMatch=etag)
            except ClientError as error:
                if _code(error) in MISSING:
                    return
                if _status(error) in CONFLICTS:
                    raise Changed(name) from None
                if _code(error) not in NO_CONDITION and _status(error) != 501:
                    raise
                self._s3.delete_object(**where)  # its reader has just compared it

    @contextlib.contextmanager
    def _sentences(self, name: str, done: str) -> Iterator[None]:
        """What AWS refuses, as a sentence."""
        try:
            yield
        except ClientError as error:
            if _code(error) == "NoSuchBucket":
                raise RecordError(
                    f"There is no bucket {self.bucket}, where the trail record should lie; make it, or name another "
                    "place in trail.yaml (`record: s3://…`)."
                ) from None
            # Without s3:ListBucket, S3 says "denied" of an object that is not there.
            more = " s3:ListBucket on the bucket is needed too." if done == "read" and _code(error) in DENIED else ""
            raise RecordUnreachable(f"{self.uri(name)} cannot be {done}: {describe(error, 's3')}{more}") from None
        except BotoCoreError as error:
            raise RecordUnreachable(f"{self.uri(name)} cannot be {done}: {describe(error, 's3')}") from None
        except ResponseParserError:
            raise RecordUnreachable(
                f"{self.uri(name)} cannot be {done}: what answers there does not speak S3; a proxy, perhaps."
            ) from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _age(answer: dict[str, Any]) -> float | None:
    """Two clocks of one machine are compared, and neither is this one, which may go wrong by minutes."""
    written = answer.get("LastModified")
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        now = parsedate_to_datetime(headers["date"])
        return max(0.0, (now - written).total_seconds()) if isinstance(written, datetime) else None
    except (KeyError, TypeError, ValueError):
        return None
