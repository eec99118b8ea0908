"""Publish a weights bundle to S3, go back to an earlier one, list what is there.

    python -m training.publish s3://bucket/face-skin                 # the embedded bundle: a version folder, then live
    python -m training.publish s3://bucket/face-skin --bundle DIR --dry-run
    python -m training.publish s3://bucket/face-skin --list          # versions, and which is live
    python -m training.publish s3://bucket/face-skin --rollback      # the version that was live before
    python -m training.publish s3://bucket/face-skin --rollback 1.0.0-0123456789ab

A version folder is named by the checksum of its manifest, which is written last: a publisher that is killed leaves
nothing that looks whole. `current.json` beside the folders names the live one; it is written only if nobody else has
written it since it was read. Services without a pin follow it by themselves. Credentials and endpoint are boto3's.
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

TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class PublishError(Exception):
    """Nothing was made live; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix in S3 that holds versions.

    Attributes:
        s3: a boto3 client.
        bucket: its bucket.
        prefix: without slashes at its ends.
    """

    s3: Any
    bucket: str
    prefix: str

    def key(self, *names: str) -> str:
        """The key of something in this place."""
        return "/".join(filter(None, (self.prefix, *names)))


def place(uri: str) -> Place:
    """The place that a URI names.

    Raises:
        PublishError: it is no s3://bucket/prefix.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise PublishError(f"{uri!r} is no place in S3; write s3://bucket/prefix.")
    return Place(boto3.session.Session().client("s3"), bucket, prefix.strip("/"))


def live(where: Place) -> tuple[Pointer | None, str | None]:
    """What `current.json` says, and its ETag; (None, None) where there is none.

    Raises:
        BundleError: it is broken.
    """
    try:
        answer = where.s3.get_object(Bucket=where.bucket, Key=where.key(CURRENT))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None, None
        raise
    return pointer(answer["Body"].read(), where.prefix), answer["ETag"]


def versions(where: Place) -> list[dict[str, Any]]:
    """Version folders that are whole: folder, version, sha256, bytes, published, live; by time."""
    found: dict[str, dict[str, Any]] = {}
    told, _ = live(where)
    start = where.key("") + "/" if where.prefix else ""
    for page in where.s3.get_paginator("list_objects_v2").paginate(Bucket=where.bucket, Prefix=start):
        for one in page.get("Contents", []):
            folder, _, name = one["Key"].removeprefix(start).partition("/")
            row = found.setdefault(folder, {"folder": folder, "bytes": 0, "published": None})
            row["bytes"] += one["Size"]
            if name == MANIFEST:
                row["published"] = one["LastModified"].isoformat(timespec="seconds")
    whole = [row for row in found.values() if row["published"] is not None]
    for row in whole:
        row["live"] = told is not None and told.folder == row["folder"]
    return sorted(whole, key=lambda row: str(row["published"]))


def publish(where: Place, folder: Path, dry: bool) -> str:
    """Put a bundle into its version folder and make it live; what was done, in a sentence.

    Raises:
        BundleError: the bundle is broken or fails its self-test; nothing was written.
        PublishError: another has published meanwhile, or another bundle has this version.
    """
    weights = read(folder)
    OnnxEngine(weights, threads=2)
    version = weights.manifest.version
    name = version_folder(version, weights.sha256)
    told, tag = live(where)
    for row in versions(where):
        if row["folder"] != name and row["folder"].startswith(f"{version}-"):
            raise PublishError(f"Version {version} is published already, as {row['folder']}; raise the version.")
    if dry:
        return f"{name} would be published to s3://{where.bucket}/{where.key()} and made live; nothing was written."
    for file in (MODEL, METRICS, MANIFEST):
        _put_once(where, where.key(name, file), folder / file)
    if told is not None and told.folder == name:
        return f"{name} is live already."
    _point(where, name, version, weights.sha256, told, tag)
    return f"{name} is live."


def rollback(where: Place, folder: str | None, dry: bool) -> str:
    """Make an earlier version live; what was done, in a sentence.

    Args:
        where: that place.
        folder: of the version; None: what was live before.
        dry: write nothing.

    Raises:
        PublishError: there is no such version, or another has published meanwhile.
    """
    told, tag = live(where)
    wanted = folder or (told.previous if told is not None else None)
    if wanted is None:
        raise PublishError("No version was live before; name one of --list.")
    try:
        answer = where.s3.get_object(Bucket=where.bucket, Key=where.key(wanted, MANIFEST))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise PublishError(f"There is no version {wanted}; --list names those that are there.") from None
    manifest: bytes = answer["Body"].read()
    if dry:
        return f"{wanted} would be made live; nothing was written."
    sha256 = hashlib.sha256(manifest).hexdigest()
    _point(where, wanted, json.loads(manifest)["version"], sha256, told, tag)
    return f"{wanted} is live."


def _put_once(where: Place, key: str, path: Path) -> None:
    """Put an object that no other may replace; the same bytes there already are fine."""
    data = path.read_bytes()
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with path.open("rb") as file, tqdm.wrapattr(file, "read", total=len(data), desc=key, mininterval=1) as body:
        try:
            where.s3.put_object(
                Bucket=where.bucket,
                Key=key,
                Body=body,
                ContentLength=len(data),
                ChecksumSHA256=digest,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in TAKEN:
                raise
        else:
            return
    there = where.s3.get_object(Bucket=where.bucket, Key=key)["Body"].read()
    if there != data:
        raise PublishError(f"{key} is there already with other bytes; remove it, or raise the version.")


def _point(where: Place, folder: str, version: str, sha256: str, told: Pointer | None, tag: str | None) -> None:
    """Write `current.json`, unless somebody has since it was read."""
    previous = told.folder if told is not None and told.folder != folder else told.previous if told else None
    content = Pointer(format_version=1, folder=folder, version=version, sha256=sha256, previous=previous)
    condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
    try:
        where.s3.put_object(
            Bucket=where.bucket, Key=where.key(CURRENT), Body=content.model_dump_json().encode(), **condition
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in TAKEN:
            raise
        raise PublishError("Somebody else has published meanwhile; look with --list, then publish again.") from None


def _said(error: Exception, where: str) -> str:
    if not isinstance(error, ClientError):
        return f"S3 cannot be reached ({type(error).__name__}): {error}"
    code, action = error.response["Error"]["Code"], f"s3:{error.operation_name}"
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        return f"S3 refuses ({code}): allow {action} on {where.replace('s3://', 'arn:aws:s3:::')}/*."
    return f"S3 answers {code} to {action} on {where}."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="s3://bucket/prefix, the place that SHINE_WEIGHTS_URI names")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder to publish (the embedded bundle)")
    parser.add_argument("--dry-run", action="store_true", help="check and self-test, write nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show versions instead")
    what.add_argument("--rollback", nargs="?", const="", metavar="FOLDER", help="make an earlier version live instead")
    parser.add_argument("--json", action="store_true", help="with --list: as JSON")
    wanted = parser.parse_args(arguments)
    try:
        where = place(wanted.uri)
        if wanted.list:
            rows = versions(where)
            if wanted.json:
                print(json.dumps(rows, indent=1))
                return
            for row in rows:
                print(f"{'live' if row['live'] else '':5}{row['folder']:32}{row['bytes']:>12,}  {row['published']}")
        elif wanted.rollback is not None:
            print(rollback(where, wanted.rollback or None, wanted.dry_run))
        else:
            print(publish(where, wanted.bundle, wanted.dry_run))
    except (PublishError, BundleError) as error:
        sys.exit(str(error))
    except (ClientError, BotoCoreError) as error:
        sys.exit(_said(error, wanted.uri))


if __name__ == "__main__":
    main()
