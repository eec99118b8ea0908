"""Publishes weights bundles to a folder or to S3, returns to earlier versions, and lists the versions.

Each version has a folder, named by the version and the checksum of its manifest. The manifest is written last, so a
killed upload leaves no complete version. `current.json` beside the folders names the live version; it is written only
if no other publisher has written it since it was read. One that is missing or broken hinders nothing: it is written
anew. Services without a pinned version follow it. Credentials and endpoint of S3 are taken from the environment, as
boto3 does. docs/weights.md explains the bundle, its checks and the settings of the service.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL, BundleError, parse, read
from bentos.skin.model.engine import OnnxEngine
from bentos.skin.model.location import AlreadyThere, Conflict, Location, PublishError
from bentos.skin.model.pointer import CURRENT, Pointer, pointer, version_folder
from bentos.skin.model.s3 import unreachable


def read_current(location: Location) -> tuple[Pointer | None, str | None]:
    """Read `current.json`.

    Returns:
        (content, tag); (None, tag) where the file is broken; (None, None) where it does not exist.

    Raises:
        ClientError, BotoCoreError, OSError: the location refuses or cannot be reached.
    """
    there = location.get(CURRENT)
    if there is None:
        return None, None
    data, tag = there
    try:
        return pointer(data, location.name), tag
    except BundleError as error:
        print(f"{error.message} It names no live version.", file=sys.stderr)
        return None, tag


def versions(location: Location) -> list[dict[str, Any]]:
    """List the complete versions by the time of their upload.

    Returns:
        For each version: folder; bytes, total size; published, ISO 8601 time; live.

    Raises:
        ClientError, BotoCoreError, OSError: the location refuses or cannot be reached.
    """
    return _versions(location, read_current(location)[0])


def _versions(location: Location, current: Pointer | None) -> list[dict[str, Any]]:
    folders: dict[str, dict[str, Any]] = {}
    for file in location.files():
        row = folders.setdefault(file.folder, {"folder": file.folder, "bytes": 0, "published": None})
        row["bytes"] += file.size
        if file.name == MANIFEST:
            row["published"] = file.modified.isoformat(timespec="seconds")
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
        ClientError, BotoCoreError, OSError: the location refuses or cannot be reached.
    """
    weights = read(folder)
    OnnxEngine(weights, threads=2)
    version = weights.manifest.version
    name = version_folder(version, weights.sha256)
    current, tag = read_current(location)
    for row in _versions(location, current):
        if row["folder"] != name and row["folder"].startswith(f"{version}-"):
            raise AlreadyThere(f"Version {version} is already published as {row['folder']}; raise the version.")
    if dry_run:
        return f"{name} would be published to {location.name} and made live; nothing was written."
    for file in (MODEL, METRICS, MANIFEST):
        _put_once(location, f"{name}/{file}", folder / file)
    if current is not None and current.folder == name:
        return f"{name} is live already."
    _write_current(location, name, version, weights.sha256, current, tag)
    return f"{name} is live."


def rollback(location: Location, folder: str | None, dry_run: bool) -> str:
    """Make an earlier version live.

    Args:
        location: where the versions are.
        folder: of the version; None: the version that was live before, or the newest where `current.json` is missing or
            broken, so that nobody knows which was live.
        dry_run: write nothing.

    Returns:
        A sentence for the user.

    Raises:
        BundleError: the manifest of the version is broken.
        PublishError: there is no such version, or another publisher was faster.
        ClientError, BotoCoreError, OSError: the location refuses or cannot be reached.
    """
    current, tag = read_current(location)
    chosen, target = "", folder or (current.previous if current is not None else None)
    if target is None and current is None:
        complete = _versions(location, None)
        if not complete:
            raise PublishError(f"There is no version in {location.name}; publish one.")
        target = str(complete[-1]["folder"])
        chosen = f" It is the newest of {len(complete)}: without a readable {CURRENT} nobody knows which was live."
    if target is None:
        raise PublishError("No version was live before; name one that the list shows.")
    there = location.get(f"{target}/{MANIFEST}")
    if there is None or "/" in target.strip("/"):
        raise PublishError(f"There is no version {target}; the list shows all versions.")
    manifest = there[0]
    version = parse(manifest).version
    former = f" instead of {current.folder}" if current is not None and current.folder != target else ""
    if dry_run:
        return f"{target} would be made live{former}; nothing was written.{chosen}"
    _write_current(location, target, version, hashlib.sha256(manifest).hexdigest(), current, tag)
    return f"{target} is live{former}.{chosen}"


def _put_once(location: Location, name: str, path: Path) -> None:
    """Write a file that does not exist yet; the same bytes under its name are no error."""
    try:
        location.put(name, path)
    except Conflict:
        there = location.get(name)
        if there is None or there[0] != path.read_bytes():
            raise AlreadyThere(f"{name} already exists with other bytes; remove it, or raise the version.") from None


def _write_current(
    location: Location, folder: str, version: str, sha256: str, current: Pointer | None, tag: str | None
) -> None:
    """Write `current.json`, unless it was written since `current` and its tag were read."""
    previous = None
    if current is not None:
        previous = current.previous if current.folder == folder else current.folder
    content = Pointer(format_version=1, folder=folder, version=version, sha256=sha256, previous=previous)
    try:
        location.put_current(content.model_dump_json().encode(), tag)
    except Conflict:
        raise AlreadyThere("Another publisher was faster; list the versions, then run the command again.") from None


def describe(error: Exception, uri: str) -> str:
    """Why a location failed, in a sentence, and on 403 which permission is missing."""
    if isinstance(error, OSError):
        return f"{error.filename or uri} cannot be read or written: {error.strerror or error}."
    if not isinstance(error, ClientError):
        return unreachable(error)
    code, action = error.response["Error"]["Code"], f"s3:{error.operation_name}"
    if code == "NoSuchBucket":
        return f"There is no bucket {uri.removeprefix('s3://').partition('/')[0]}: correct the name, or make it."
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        return f"S3 refuses ({code}): allow {action} on {uri.replace('s3://', 'arn:aws:s3:::')}/*."
    return f"S3 answers {code} to {action} on {uri}."
