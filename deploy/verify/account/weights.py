"""The weights in S3: where the service will look for them, with the checksum that the plan pins."""

import hashlib
from collections.abc import Iterator

from bentos.skin.model.bundle import MANIFEST, MAX_MANIFEST_BYTES, BundleError, parse
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer
from deploy.aws.errors import Absent
from deploy.findings.finding import Finding, fail, ok, skip
from deploy.verify.account.context import Account


def weights(account: Account) -> Iterator[Finding]:
    """Manifest and files are there, and are the pinned ones; looked for as bentos/skin/model/s3.py does."""
    if not account.contract.egress.get(account.phase):
        yield skip("WEIGHTS", f"Phase {account.phase} takes no weights from outside.")
        return
    if (planned := account.plan.weights) is None:
        yield skip("WEIGHTS", "The plan names no weights: there are none to look for in S3.")  # PHASE_WEIGHTS fails
        return
    bucket, _, prefix = planned.uri.removeprefix("s3://").partition("/")
    place = ("plan: weights.uri", planned.uri)
    try:
        account.ask("s3", "head_bucket", Bucket=bucket)
    except Absent:
        yield fail(
            "WEIGHTS_BUCKET",
            f"There is no bucket {bucket}.",
            place,
            repair="Create the bucket and publish the weights, or correct weights.uri in the plan.",
        )
        return
    try:
        folder = _folder(account, bucket, prefix.strip("/"), planned.sha256)
        manifest = None if folder is None else _small(account, bucket, f"{folder}/{MANIFEST}", MAX_MANIFEST_BYTES)
        if folder is None or manifest is None:
            yield fail(
                "WEIGHTS_MISSING",
                f"There is no {MANIFEST} of the pinned version {planned.sha256[:PIN_SHOWN]}… in {planned.uri}.",
                place,
                ("plan: weights.sha256", planned.sha256),
                repair="Publish that version there, or pin one that is there.",
            )
            return
        yield from _version(account, bucket, folder, manifest)
    except BundleError as error:
        yield fail(
            "WEIGHTS_CORRUPT",
            f"The weights in {planned.uri} cannot be read: {error.message}",
            place,
            repair="Publish the weights anew.",
        )


def _version(account: Account, bucket: str, folder: str, manifest: bytes) -> Iterator[Finding]:
    planned = account.plan.weights
    assert planned is not None  # noqa: S101  for mypy
    found, where = hashlib.sha256(manifest).hexdigest(), f"s3://{bucket}/" + f"{folder}/{MANIFEST}".lstrip("/")
    places = [("plan: weights.sha256", planned.sha256), (f"sha256 of {where}", found)]
    if found != planned.sha256:
        yield fail(
            "WEIGHTS_PIN",
            f"The manifest in {planned.uri} has sha256 {found[:PIN_SHOWN]}…, the plan pins "
            f"{planned.sha256[:PIN_SHOWN]}…: the service would refuse it.",
            *places,
            repair="Pin the version that is there, or publish the pinned one.",
        )
        return
    for name, entry in parse(manifest).files.items():
        key = f"{folder}/{name}".lstrip("/")
        try:
            size = account.ask("s3", "head_object", Bucket=bucket, Key=key)["ContentLength"]
        except Absent:
            size = None
        if size != entry.size:
            yield fail(
                "WEIGHTS_SIZE",
                f"{key} in {bucket} {'is missing' if size is None else f'has {size:,} bytes'}, "
                f"the manifest says {entry.size:,} bytes.",
                (f"{where}: files.{name}.size", entry.size),
                (f"S3: {key}", size),
                repair="Publish the weights anew.",
            )
            return
    yield ok("WEIGHTS", f"The pinned weights are in s3://{bucket}/{folder}.", *places)


def _folder(account: Account, bucket: str, prefix: str, pin: str) -> str | None:
    """The prefix of the pinned version; None where it is not there."""
    told = _small(account, bucket, f"{prefix}/{CURRENT}", MAX_POINTER_BYTES)
    if told is None:
        return prefix
    live = pointer(told, f"s3://{bucket}/{prefix}")
    if live.sha256 == pin:
        return f"{prefix}/{live.folder}"
    pages = account.ask("s3", "list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/".lstrip("/"), Delimiter="/")
    for one in pages.get("CommonPrefixes", []):
        if one["Prefix"].endswith(f"-{pin[:PIN_SHOWN]}/"):
            return str(one["Prefix"]).rstrip("/")
    return None


def _small(account: Account, bucket: str, key: str, limit: int) -> bytes | None:
    try:
        head = account.ask("s3", "head_object", Bucket=bucket, Key=key.lstrip("/"))
        if head["ContentLength"] > limit:
            raise BundleError("weights_corrupt", f"{key} has {head['ContentLength']:,} bytes; {limit:,} are the most.")
        body: bytes = account.ask("s3", "get_object", Bucket=bucket, Key=key.lstrip("/"))["Body"]
    except Absent:
        return None
    return body
