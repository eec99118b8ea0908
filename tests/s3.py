"""A real S3 API on loopback: moto's server."""

import gc
import warnings
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def collect_clients() -> None:
    """Have connections of clients that are gone closed now: else whichever test runs later is blamed for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class S3:
    """The server, and what tests put into it.

    Attributes:
        url: its endpoint.
    """

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def client(self) -> Any:
        """A client of it."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  moto takes any
        )

    def clear(self, bucket: str) -> None:
        """An empty bucket, whatever was there."""
        self.remove(bucket)
        self.client().create_bucket(Bucket=bucket)

    def remove(self, bucket: str) -> None:
        """No such bucket any more."""
        client = self.client()
        if bucket not in {item["Name"] for item in client.list_buckets()["Buckets"]}:
            return
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for content in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=content["Key"])
        client.delete_bucket(Bucket=bucket)

    def put_bundle(self, bucket: str, prefix: str, folder: Path) -> None:
        """Put a bundle's files under a prefix, the manifest last."""
        for name in (MODEL, METRICS, MANIFEST):
            self.client().put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=(folder / name).read_bytes())

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()
