"""Weights in S3: small files first, then the model; a cut transfer is resumed, never with bytes of another object."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from bentos.skin.model.bundle import (
    MANIFEST,
    MAX_FILE_BYTES,
    MAX_MANIFEST_BYTES,
    METRICS,
    MODEL,
    Bundle,
    BundleError,
    FileEntry,
    parse,
)
from bentos.skin.model.cache import Cache, sync, writing
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer

CHUNK_BYTES = 1 << 13  # read at a time
STALL_S, STALL_BYTES = 20.0, 1 << 17  # a slower transfer is given up: at 6 kB/s it would take an hour
RESUMES = 3  # of one file, within one attempt
CONFIG = Config(
    connect_timeout=3,  # S3 within a region answers in milliseconds
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},  # the lifecycle tries again, with a longer backoff
    response_checksum_validation="when_required",  # the manifest's sha256 is checked, of ranges too
)
MISSING = frozenset({"NoSuchKey", "404"})
# Raised by a transfer that is cut; botocore follows redirects without limit, hence RecursionError.
TRANSFER_ERRORS = (BotoCoreError, HTTPClientError, HTTPError, ConnectionError, TimeoutError, RecursionError)


class S3Source:
    """A bundle under a prefix, or a prefix with `current.json` and version folders beside it.

    Args:
        uri: s3://bucket/prefix.
        pin: sha256 of the only manifest that may be loaded.
        cache_dir: where bundles are kept.
        on_bytes: called with the number of bytes received.
    """

    def __init__(self, uri: str, pin: str | None, cache_dir: Path, on_bytes: Callable[[int], None]) -> None:
        self.name = uri
        self.note: str | None = None
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._prefix = prefix.strip("/")
        self._pin, self._cache_dir, self._on_bytes = pin, cache_dir, on_bytes
        self._s3: Any = None

    def fetch(self) -> Bundle:
        """The newest bundle, or the pinned one, in the cache; raises as `Source.fetch`."""
        self.note = None
        cache = Cache(self._cache_dir)
        last_good = self._pin or cache.recalled(self.name)
        if self._pin is not None and (bundle := cache.good(self._pin)) is not None:
            return bundle
        try:
            with cache.locked():
                return self._fetch(cache)
        except BundleError as error:
            bundle = cache.good(last_good) if last_good is not None and error.reason == "weights_unreachable" else None
            if bundle is None:
                raise
            self.note = f"Offline, the cached version is used. {error.message}"
            return bundle

    def newest(self) -> str | None:
        """sha256 of the live manifest; raises as `Source.newest`."""
        current = self._small(f"{self._prefix}/{CURRENT}", MAX_POINTER_BYTES)
        if current is not None:
            return pointer(current, self.name).sha256
        manifest = self._small(f"{self._prefix}/{MANIFEST}", MAX_MANIFEST_BYTES)
        return None if manifest is None else hashlib.sha256(manifest).hexdigest()

    # --- one version --------------------------------------------------------------------------------------------

    def _fetch(self, cache: Cache) -> Bundle:
        prefix = self._live()
        manifest = self._small(f"{prefix}/{MANIFEST}", MAX_MANIFEST_BYTES)
        if manifest is None:
            raise BundleError("weights_missing", f"There is no {MANIFEST} in s3://{self._bucket}/{prefix}.")
        sha256 = hashlib.sha256(manifest).hexdigest()
        if self._pin is not None and sha256 != self._pin:
            raise BundleError("weights_corrupt", f"The manifest in {self.name} has sha256 {sha256}, not the pin's.")
        if (bundle := cache.good(sha256)) is None:
            entries = parse(manifest).files
            files: dict[str, Path | bytes] = {
                name: self._download(cache, f"{prefix}/{name}", entries[name]) for name in (METRICS, MODEL)
            }
            with writing(cache.root):
                cache.keep(sha256, {**files, MANIFEST: manifest})
            if (bundle := cache.good(sha256)) is None:
                raise BundleError("weights_corrupt", f"What was fetched from {self.name} cannot be read back.")
        with writing(cache.root):
            cache.remember(self.name, sha256)
        return bundle

    def _live(self) -> str:
        """The prefix of the live version, or of the pinned one."""
        current = self._small(f"{self._prefix}/{CURRENT}", MAX_POINTER_BYTES)
        if current is None:
            return self._prefix
        live = pointer(current, self.name)
        if self._pin is None or live.sha256 == self._pin:
            return f"{self._prefix}/{live.folder}"
        try:
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}/", Delimiter="/"):
                for entry in page.get("CommonPrefixes", []):
                    if entry["Prefix"].endswith(f"-{self._pin[:PIN_SHOWN]}/"):
                        return str(entry["Prefix"]).rstrip("/")
        except (ClientError, *TRANSFER_ERRORS) as error:
            raise self._failure(error, "s3:ListBucket") from None
        raise BundleError("weights_missing", f"The pinned version {self._pin} is not in {self.name}.")

    # --- bytes --------------------------------------------------------------------------------------------------

    def _small(self, key: str, limit: int) -> bytes | None:
        """The bytes of a small object; None where it does not exist."""
        try:
            answer = self._client().get_object(Bucket=self._bucket, Key=key.lstrip("/"))
            if answer["ContentLength"] > limit:
                raise BundleError(
                    "weights_corrupt", f"{key} has {answer['ContentLength']:,} bytes; {limit:,} are the most."
                )
            data: bytes = answer["Body"].read(limit + 1)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise self._failure(error) from None
        except TRANSFER_ERRORS as error:
            raise self._failure(error) from None
        self._on_bytes(len(data))
        return data

    def _download(self, cache: Cache, key: str, entry: FileEntry) -> Path:
        """Download a file of the bundle into the cache's folder; its path."""
        path = cache.part(entry.sha256)
        tag = path.with_suffix(".etag")  # of the object that the part belongs to
        for resume in range(RESUMES + 1):
            try:
                self._transfer(key, entry, path, tag)
                break
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("PreconditionFailed", "412", "InvalidRange", "416"):  # the object has changed
                    path.unlink(missing_ok=True)
                    continue
                if code in MISSING:
                    raise BundleError("weights_corrupt", f"{key} is missing in {self._bucket}.") from None
                raise self._failure(error) from None
            except TRANSFER_ERRORS as error:
                if resume == RESUMES:
                    raise self._failure(error) from None
            except OSError as error:
                path.unlink(missing_ok=True)
                raise BundleError(
                    "weights_unreachable", f"The cache {cache.root} cannot be written: {error.strerror}."
                ) from None
        with writing(cache.root):
            tag.unlink(missing_ok=True)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 != entry.sha256:
                path.unlink()
                raise BundleError("weights_corrupt", f"{key} has not the sha256 that the manifest says.")
            sync(path)
        return path

    def _transfer(self, key: str, entry: FileEntry, path: Path, tag: Path) -> None:
        """Download the missing part of a file; raises what the network and the disk raise."""
        have = path.stat().st_size if path.exists() and tag.exists() else 0
        if not 0 < have < entry.size:
            have = 0
        condition = {"Range": f"bytes={have}-", "IfMatch": tag.read_text()} if have else {}
        answer = self._client().get_object(Bucket=self._bucket, Key=key.lstrip("/"), **condition)
        if have + answer["ContentLength"] != entry.size or entry.size > MAX_FILE_BYTES:
            path.unlink(missing_ok=True)
            raise BundleError(
                "weights_corrupt",
                f"{key} has {have + answer['ContentLength']:,} bytes where the manifest says {entry.size:,}.",
            )
        tag.write_text(answer["ETag"])
        since, received = time.monotonic(), 0
        with path.open("ab" if have else "wb") as file:
            while have < entry.size:
                piece = answer["Body"].read(min(CHUNK_BYTES, entry.size - have))
                if not piece:
                    raise ConnectionError("the body ended early")
                file.write(piece)
                have += len(piece)
                received += len(piece)
                self._on_bytes(len(piece))
                if time.monotonic() - since > STALL_S:
                    if received < STALL_BYTES:
                        raise BundleError(
                            "weights_unreachable", f"{key} comes too slowly: {received / STALL_S:.0f} B/s."
                        )
                    since, received = time.monotonic(), 0

    def _client(self) -> Any:
        """The S3 client, created on first use; boto3 finds credentials and endpoint in its usual places."""
        if self._s3 is None:
            try:
                self._s3 = boto3.session.Session().client("s3", config=CONFIG)
            except (BotoCoreError, ValueError) as error:
                raise self._failure(error) from None
        return self._s3

    def _failure(self, error: Exception, action: str = "s3:GetObject") -> BundleError:
        """An error of boto3 as a BundleError."""
        if not isinstance(error, ClientError):
            return BundleError("weights_unreachable", unreachable(error))
        code = error.response["Error"]["Code"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "NoSuchBucket":
            return BundleError("weights_missing", f"There is no bucket {self._bucket}.")
        if status in (401, 403):
            place = f"arn:aws:s3:::{self._bucket}/{self._prefix}/*"
            return BundleError("weights_unreachable", f"S3 refuses ({code}): allow {action} on {place}.")
        return BundleError("weights_unreachable", f"S3 answers {status} ({code}).")


def unreachable(error: Exception) -> str:
    """Why no answer came from S3, in a sentence."""
    name = type(error).__name__
    if "Credential" in name:
        return f"There are no AWS credentials ({name}): set them, as for the aws command."
    return f"S3 cannot be reached ({name})."
