"""S3 for the record: moto's server over HTTP, changed to behave as the real S3, or to fail."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from deploy.record.store import Store
from tests.rollout.records import SERVICE
from tests.s3 import S3

BUCKET, URI = "trail-records", "s3://trail-records/trail/shine/"
RECORD, LOCK = "trail/shine/record.json", "trail/shine/lock.json"
CLIENTS: dict[str, Any] = {}  # by endpoint; creating one takes longer than most tests


class AtomicClient:
    """A client whose conditional calls are atomic, as S3's are; moto compares and writes in two steps.

    Args:
        client: of moto's server.

    Attributes:
        calls: names of the operations, in order.
        before, after: by operation: functions that are called with its arguments before and after it, and may raise.
    """

    def __init__(self, client: Any) -> None:
        self._client, self._mutex = client, threading.RLock()
        self.calls: list[str] = []
        self.before: dict[str, Callable[[dict[str, Any]], None]] = {}
        self.after: dict[str, Callable[[dict[str, Any]], None]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with self._mutex:
                self.calls.append(name)
                if name in self.before:
                    self.before[name](arguments)
                answer = getattr(self._client, name)(**arguments)
                if name in self.after:
                    self.after[name](arguments)
                return answer

        return call


def atomic_client(s3: S3) -> AtomicClient:
    """A client with an empty bucket."""
    if s3.url not in CLIENTS:
        CLIENTS[s3.url] = s3.client()
    client = CLIENTS[s3.url]
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    return AtomicClient(client)


def store(client: Any) -> Store:
    """The store of the tests' service."""
    return Store(client, URI, SERVICE)


def body(client: Any, key: str) -> bytes:
    """The content of an object."""
    content: bytes = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def put(client: Any, key: str, content: bytes) -> None:
    """Write an object unconditionally."""
    client.put_object(Bucket=BUCKET, Key=key, Body=content)


def refusal(status: int, code: str, operation: str) -> ClientError:
    """An error response of S3."""
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def once(error: Exception) -> Callable[[dict[str, Any]], None]:
    """A function that raises only the first time it is called."""
    left = [error]

    def raising(_: dict[str, Any]) -> None:
        if left:
            raise left.pop()

    return raising
