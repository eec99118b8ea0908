"""Checks of what a task reads and writes: image in ECR, log group, secrets, weights in S3."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from bentos.skin.model.bundle import MANIFEST, MAX_MANIFEST_BYTES, BundleError, parse
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer
from deploy.aws.errors import Absent, Denied
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.taskdef.model import not_determined
from deploy.verify.account.context import Account

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)"
    r"(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
DENIED_KEYS = "whether it holds the JSON key {key} was not checked"


def image(account: Account) -> Iterator[Finding]:
    """The image is in ECR, under the digest that the task definition names."""
    if not account.container:
        reason = not_determined(account.task_definition, (account.plan.service,), account.contract.port)
        yield skip("IMAGE", f"The image was not checked, since {reason}.")
        return
    name = str(account.container.get("image"))
    place = ("task definition: image", name)
    parts = ECR.fullmatch(name)
    if parts is None:
        yield skip("IMAGE", f"The image {name} is not in ECR, so it was not checked.", place)
        return
    repository = parts["repository"]
    if repository != account.plan.repository_name or parts["account"] != account.plan.account:
        yield warn(
            "IMAGE_REPOSITORY",
            f"The image comes from {repository} of account {parts['account']}, "
            f"but the plan says {account.plan.repository_name} of {account.plan.account}.",
            place,
            ("plan: repository", account.plan.repository_name),
            repair="Name the plan's repository in the task definition, or correct the plan.",
        )
    registry = parts["account"]
    try:
        answer = account.ask("ecr", "describe_repositories", registryId=registry, repositoryNames=[repository])
        mutability = answer["repositories"][0].get("imageTagMutability", "")
    except Absent:
        yield fail(
            "REPOSITORY_MISSING",
            f"The repository {repository} does not exist in ECR of account {registry}, {account.plan.region}.",
            place,
            repair=f"Create the repository {repository} with immutable tags, and push the image.",
        )
        return
    if not mutability.startswith("IMMUTABLE"):
        yield warn(
            "REPOSITORY_MUTABLE",
            f"Tags of the repository {repository} can be moved: a tag may not name what it named at the last rollout.",
            ("ECR: imageTagMutability", mutability),
            repair=f"Set the repository {repository} to immutable tags.",
        )
    image_id = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"] or "latest"}
    request = {"registryId": registry, "repositoryName": repository, "imageIds": [image_id]}
    try:
        digest = account.ask("ecr", "describe_images", **request)["imageDetails"][0]["imageDigest"]
    except Absent:
        yield fail(
            "IMAGE_MISSING",
            f"The repository {repository} holds no image {next(iter(image_id.values()))}.",
            place,
            repair="Push the image, or name the digest that was pushed.",
        )
        return
    if not parts["digest"]:
        yield fail(
            "IMAGE_TAG",
            f"The task definition names the image by the tag {image_id['imageTag']}, which is {digest} now and can be "
            "moved.",
            place,
            ("ECR: imageDigest", digest),
            repair=f"Name it {name.partition(':')[0]}@{digest}.",
        )
    else:
        yield ok("IMAGE", f"{repository} holds {parts['digest']}.", place)


def log_group(account: Account) -> Iterator[Finding]:
    """The task definition's log group exists and has a retention."""
    options: dict[str, str] = account.container.get("logConfiguration", {}).get("options", {})
    name = options.get("awslogs-group", account.plan.log_group)
    if name != account.plan.log_group:
        yield warn(
            "LOG_GROUP_OTHER",
            f"The task definition logs to {name}, but the plan says {account.plan.log_group}.",
            ("task definition: awslogs-group", name),
            ("plan: log_group", account.plan.log_group),
            repair="Name the same log group in both.",
        )
    groups = account.ask("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
    group = next((group for group in groups if group["logGroupName"] == name), None)
    place = ("task definition: awslogs-group", name)
    if group is None:
        yield fail(
            "LOG_GROUP_MISSING",
            f"The log group {name} does not exist in {account.plan.region}: tasks stop before they start.",
            place,
            repair=f"Create the log group {name} with a retention.",
        )
    elif not group.get("retentionInDays"):
        yield warn(
            "LOG_RETENTION",
            f"The log group {name} keeps its logs forever.",
            ("CloudWatch Logs: retentionInDays", None),
            repair=f"Set a retention on {name}, for example 30 days.",
        )
    else:
        yield ok("LOG_GROUP", f"The log group {name} keeps its logs for {group['retentionInDays']} days.", place)


def secrets(account: Account) -> Iterator[Finding]:
    """Each secret exists and holds the JSON key that its ARN names; no value leaves this function."""
    for name, arn in account.secrets.items():
        parts = arn.split(":")
        try:
            if parts[2:3] == ["ssm"]:
                # Without decryption: only its existence is checked.
                account.ask("ssm", "get_parameter", Name=arn.partition(":parameter")[2], WithDecryption=False)
                yield ok("SECRET", f"The parameter of {name} exists.", ("task definition: secrets", arn))
            else:
                yield _secret(account, name, arn, parts)
        except Absent:
            yield fail(
                "SECRET_MISSING",
                f"The secret of {name} does not exist: {arn}.",
                ("task definition: secrets", arn),
                repair="Create the secret, or correct its ARN in the plan (it ends with six random characters).",
            )


def _secret(account: Account, name: str, arn: str, parts: list[str]) -> Finding:
    place, secret, key = ("task definition: secrets", arn), ":".join(parts[:7]), (parts[7:8] or [""])[0]
    if account.ask("secretsmanager", "describe_secret", SecretId=secret).get("DeletedDate"):
        return fail(
            "SECRET_DELETED",
            f"The secret of {name} is scheduled for deletion.",
            place,
            repair="Restore the secret (`aws secretsmanager restore-secret`).",
        )
    if not key:
        return ok("SECRET", f"The secret of {name} exists; its whole value is used.", place)
    stage, version = (*parts[8:10], "", "")[:2]
    selection = {"VersionStage": stage} if stage else {}
    selection |= {"VersionId": version} if version else {}
    try:
        keys = keys_of(account.ask("secretsmanager", "get_secret_value", SecretId=secret, **selection))
    except Denied as error:
        return skip("SECRET", f"The secret of {name} exists; " + DENIED_KEYS.format(key=key) + f": {error}", place)
    if keys is None or key not in keys:
        content = "no JSON object" if keys is None else f"the keys {', '.join(sorted(keys)) or '(none)'}"
        return fail(
            "SECRET_KEY_MISSING",
            f"The ARN of {name} names the JSON key {key}, but the secret holds {content}: tasks stop before they "
            "start.",
            place,
            ("Secrets Manager: keys", None if keys is None else sorted(keys)),
            repair=f"Add the key {key} to the secret, or name one that it holds.",
        )
    return ok("SECRET", f"The secret of {name} exists and holds the key {key}.", place)


def keys_of(answer: dict[str, Any]) -> set[str] | None:
    """Names of the keys in a secret; None where it is not a JSON object. Its values are dropped here."""
    try:
        content = json.loads(answer.get("SecretString") or "")
    except ValueError:
        return None
    return set(content) if isinstance(content, dict) else None


def weights(account: Account) -> Iterator[Finding]:
    """The pinned manifest and its files are in S3; searched for as bentos/skin/model/s3.py does."""
    if not account.contract.egress.get(account.phase):
        yield skip("WEIGHTS", f"Phase {account.phase} loads no weights from S3.")
        return
    if (planned := account.plan.weights) is None:
        yield skip("WEIGHTS", "The plan names no weights, so none were searched for in S3.")  # PHASE_WEIGHTS fails
        return
    bucket, _, prefix = planned.uri.removeprefix("s3://").partition("/")
    place = ("plan: weights.uri", planned.uri)
    try:
        account.ask("s3", "head_bucket", Bucket=bucket)
    except Absent:
        yield fail(
            "WEIGHTS_BUCKET",
            f"The bucket {bucket} does not exist.",
            place,
            repair="Create the bucket and publish the weights, or correct weights.uri in the plan.",
        )
        return
    try:
        folder = _pinned_folder(account, bucket, prefix.strip("/"), planned.sha256)
        manifest = (
            None if folder is None else _small_object(account, bucket, f"{folder}/{MANIFEST}", MAX_MANIFEST_BYTES)
        )
        if folder is None or manifest is None:
            yield fail(
                "WEIGHTS_MISSING",
                f"The {MANIFEST} of the pinned version {planned.sha256[:PIN_SHOWN]}… is not in {planned.uri}.",
                place,
                ("plan: weights.sha256", planned.sha256),
                repair="Publish that version there, or pin a version that is there.",
            )
            return
        yield from _version(account, bucket, folder, manifest)
    except BundleError as error:
        yield fail(
            "WEIGHTS_CORRUPT",
            f"The weights in {planned.uri} cannot be read: {error.message}",
            place,
            repair="Publish the weights again.",
        )


def _version(account: Account, bucket: str, folder: str, manifest: bytes) -> Iterator[Finding]:
    planned = account.plan.weights
    assert planned is not None  # noqa: S101  for mypy
    sha256, where = hashlib.sha256(manifest).hexdigest(), f"s3://{bucket}/" + f"{folder}/{MANIFEST}".lstrip("/")
    places = [("plan: weights.sha256", planned.sha256), (f"sha256 of {where}", sha256)]
    if sha256 != planned.sha256:
        yield fail(
            "WEIGHTS_PIN",
            f"The manifest in {planned.uri} has sha256 {sha256[:PIN_SHOWN]}…, but the plan pins "
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
                f"but the manifest says {entry.size:,} bytes.",
                (f"{where}: files.{name}.size", entry.size),
                (f"S3: {key}", size),
                repair="Publish the weights again.",
            )
            return
    yield ok("WEIGHTS", f"The pinned weights are in s3://{bucket}/{folder}.", *places)


def _pinned_folder(account: Account, bucket: str, prefix: str, pin: str) -> str | None:
    """The prefix of the pinned version; None where it does not exist."""
    current = _small_object(account, bucket, f"{prefix}/{CURRENT}", MAX_POINTER_BYTES)
    if current is None:
        return prefix
    live = pointer(current, f"s3://{bucket}/{prefix}")
    if live.sha256 == pin:
        return f"{prefix}/{live.folder}"
    pages = account.ask("s3", "list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/".lstrip("/"), Delimiter="/")
    for folder in pages.get("CommonPrefixes", []):
        if folder["Prefix"].endswith(f"-{pin[:PIN_SHOWN]}/"):
            return str(folder["Prefix"]).rstrip("/")
    return None


def _small_object(account: Account, bucket: str, key: str, limit: int) -> bytes | None:
    try:
        head = account.ask("s3", "head_object", Bucket=bucket, Key=key.lstrip("/"))
        if head["ContentLength"] > limit:
            raise BundleError(
                "weights_corrupt", f"{key} has {head['ContentLength']:,} bytes; at most {limit:,} are allowed."
            )
        body: bytes = account.ask("s3", "get_object", Bucket=bucket, Key=key.lstrip("/"))["Body"]
    except Absent:
        return None
    return body
