"""Publishes a weights bundle to S3, returns to an earlier version, and lists the versions.

    python -m training.publish s3://bucket/face-skin                 # upload the embedded bundle and make it live
    python -m training.publish s3://bucket/face-skin --bundle DIR --dry-run      # check another bundle, write nothing
    python -m training.publish s3://bucket/face-skin --list          # the versions, and which one is live
    python -m training.publish s3://bucket/face-skin --rollback      # make the previous version live again
    python -m training.publish s3://bucket/face-skin --rollback 1.0.0-0123456789ab   # make this version live

Each version has a folder, named by the version and the checksum of its manifest. The manifest is written last, so a
killed upload leaves no complete version. `current.json` beside the folders names the live version; it is written only
if no other publisher has written it since it was read. Services without a pinned version follow it. Credentials and
endpoint are taken from the environment, as boto3 does.
"""

import argparse
import base64
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from tqdm import tqdm

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL, BundleError, read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine
from bentos.skin.model.pointer import CURRENT, Pointer, pointer, version_folder

PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class PublishError(Exception):
    """The live version was not changed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Location:
    """A prefix in S3 that holds the versions.

    Attributes:
        s3: boto3 client.
        bucket: name of the bucket.
        prefix: without slashes at its ends; may be empty.
    """

    s3: Any
    bucket: str
    prefix: str

    def key(self, *names: str) -> str:
        """Join names to a key below the prefix."""
        return "/".join(filter(None, (self.prefix, *names)))


def parse_location(uri: str) -> Location:
    """Parse s3://bucket/prefix.

    Raises:
        PublishError: the URI has another form.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise PublishError(f"{uri!r} is not a location in S3; write s3://bucket/prefix.")
    return Location(boto3.session.Session().client("s3"), bucket, prefix.strip("/"))


def read_current(location: Location) -> tuple[Pointer | None, str | None]:
    """Read `current.json`.

    Returns:
        (content, ETag); (None, None) where the file does not exist.

    Raises:
        BundleError: the file is broken.
        ClientError, BotoCoreError: S3 refuses or cannot be reached.
    """
    try:
        response = location.s3.get_object(Bucket=location.bucket, Key=location.key(CURRENT))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None, None
        raise
    return pointer(response["Body"].read(), location.prefix), response["ETag"]


def versions(location: Location) -> list[dict[str, Any]]:
    """List the complete versions by the time of their upload.

    Returns:
        For each version: folder; bytes, total size; published, ISO 8601 time; live.

    Raises:
        BundleError: `current.json` is broken.
        ClientError, BotoCoreError: S3 refuses or cannot be reached.
    """
    folders: dict[str, dict[str, Any]] = {}
    current, _ = read_current(location)
    start = location.key("") + "/" if location.prefix else ""
    for page in location.s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=start):
        for entry in page.get("Contents", []):
            folder, _, name = entry["Key"].removeprefix(start).partition("/")
            row = folders.setdefault(folder, {"folder": folder, "bytes": 0, "published": None})
            row["bytes"] += entry["Size"]
            if name == MANIFEST:
                row["published"] = entry["LastModified"].isoformat(timespec="seconds")
    complete = [row for row in folders.values() if row["published"] is not None]
    for row in complete:
        row["live"] = current is not None and current.folder == row["folder"]
    return sorted(complete, key=lambda row: str(row["published"]))


def publish(location: Location, folder: Path, dry_run: bool) -> str:
    """Upload a bundle into its version folder and make it live.

    Args:
        location: where the versions are.
        folder: of the bundle.
        dry_run: check the bundle and the version, but write nothing.

    Returns:
        A sentence for the user.

    Raises:
        BundleError: the bundle is broken or fails its self-test; nothing was written.
        PublishError: the version belongs to another bundle, or another publisher was faster.
        ClientError, BotoCoreError: S3 refuses or cannot be reached.
    """
    weights = read(folder)
    OnnxEngine(weights, threads=2)
    version = weights.manifest.version
    name = version_folder(version, weights.sha256)
    current, tag = read_current(location)
    for row in versions(location):
        if row["folder"] != name and row["folder"].startswith(f"{version}-"):
            raise PublishError(f"Version {version} is already published as {row['folder']}; raise the version.")
    if dry_run:
        return (
            f"{name} would be published to s3://{location.bucket}/{location.key()} and made live; nothing was written."
        )
    for file in (MODEL, METRICS, MANIFEST):
        _put_once(location, location.key(name, file), folder / file)
    if current is not None and current.folder == name:
        return f"{name} is live already."
    _write_current(location, name, version, weights.sha256, current, tag)
    return f"{name} is live."


def rollback(location: Location, folder: str | None, dry_run: bool) -> str:
    """Make an earlier version live.

    Args:
        location: where the versions are.
        folder: of the version; None: the version that was live before.
        dry_run: write nothing.

    Returns:
        A sentence for the user.

    Raises:
        BundleError: `current.json` is broken.
        PublishError: there is no such version, or another publisher was faster.
        ClientError, BotoCoreError: S3 refuses or cannot be reached.
    """
    current, tag = read_current(location)
    target = folder or (current.previous if current is not None else None)
    if target is None:
        raise PublishError("No version was live before; name one that --list shows.")
    try:
        response = location.s3.get_object(Bucket=location.bucket, Key=location.key(target, MANIFEST))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise PublishError(f"There is no version {target}; --list shows all versions.") from None
    manifest: bytes = response["Body"].read()
    if dry_run:
        return f"{target} would be made live; nothing was written."
    sha256 = hashlib.sha256(manifest).hexdigest()
    _write_current(location, target, json.loads(manifest)["version"], sha256, current, tag)
    return f"{target} is live."


def _put_once(location: Location, key: str, path: Path) -> None:
    """Upload a file to a key that does not exist yet; the same bytes under the key are no error."""
    data = path.read_bytes()
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with path.open("rb") as file, tqdm.wrapattr(file, "read", total=len(data), desc=key, mininterval=1) as body:
        try:
            location.s3.put_object(
                Bucket=location.bucket,
                Key=key,
                Body=body,
                ContentLength=len(data),
                ChecksumSHA256=digest,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in PRECONDITION_FAILED:
                raise
        else:
            return
    existing = location.s3.get_object(Bucket=location.bucket, Key=key)["Body"].read()
    if existing != data:
        raise PublishError(f"{key} already exists with other bytes; remove it, or raise the version.")


def _write_current(
    location: Location, folder: str, version: str, sha256: str, current: Pointer | None, tag: str | None
) -> None:
    """Write `current.json`, unless it was written since `current` and its ETag were read."""
    previous = None
    if current is not None:
        previous = current.previous if current.folder == folder else current.folder
    content = Pointer(format_version=1, folder=folder, version=version, sha256=sha256, previous=previous)
    condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
    try:
        location.s3.put_object(
            Bucket=location.bucket, Key=location.key(CURRENT), Body=content.model_dump_json().encode(), **condition
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in PRECONDITION_FAILED:
            raise
        raise PublishError("Another publisher was faster; check with --list, then run the command again.") from None


def _describe(error: Exception, uri: str) -> str:
    """Explain in a sentence why S3 failed, and on 403 which permission is missing."""
    if not isinstance(error, ClientError):
        return f"S3 cannot be reached ({type(error).__name__}): {error}"
    code, action = error.response["Error"]["Code"], f"s3:{error.operation_name}"
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        return f"S3 refuses ({code}): allow {action} on {uri.replace('s3://', 'arn:aws:s3:::')}/*."
    return f"S3 answers {code} to {action} on {uri}."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="s3://bucket/prefix, the value of SHINE_WEIGHTS_URI")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder of the bundle (%(default)s)")
    parser.add_argument(
        "--dry-run", action="store_true", help="check the bundle and run its self-test, but write nothing"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="list the versions instead of publishing")
    action.add_argument(
        "--rollback",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="make an earlier version live instead of publishing; without FOLDER, the previous one",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    options = parser.parse_args(arguments)
    try:
        location = parse_location(options.uri)
        if options.list:
            rows = versions(location)
            if options.json:
                print(json.dumps(rows, indent=1))
                return
            for row in rows:
                print(f"{'live' if row['live'] else '':5}{row['folder']:32}{row['bytes']:>12,}  {row['published']}")
        elif options.rollback is not None:
            print(rollback(location, options.rollback or None, options.dry_run))
        else:
            print(publish(location, options.bundle, options.dry_run))
    except (PublishError, BundleError) as error:
        sys.exit(str(error))
    except (ClientError, BotoCoreError) as error:
        sys.exit(_describe(error, options.uri))


if __name__ == "__main__":
    main()
