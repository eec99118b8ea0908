"""S3 for photos and tables: one client a process, and errors that tell what ends a run from what fails one photo."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError

from bentos.batch.errors import BatchError

SCHEME = "s3://"
CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 6},  # half a minute: S3 asks writers to slow down now and then
    max_pool_connections=16,
)
ERRORS = (BotoCoreError, ClientError, HTTPClientError)
MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
NO_SUCH_RANGE = frozenset({"InvalidRange", "416"})
PRESENT = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
# The credentials themselves: no photo can be had with them.
CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"}
    | {"RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired", "RequestTimeTooSkewed"}
)


@cache
def client() -> Any:
    """The client of this process; boto3 finds credentials, region and endpoint in its usual places.

    Raises:
        BatchError: its configuration cannot be used.
    """
    try:
        return boto3.session.Session().client("s3", config=CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise BatchError(f"S3 cannot be used: {error} Correct the AWS settings of this environment.") from None


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    return bucket, key


def bucket_of(uri: str) -> tuple[str, str]:
    """As `split`, of an input or output.

    Raises:
        BatchError: it names no bucket.
    """
    bucket, key = split(uri)
    if not bucket:
        raise BatchError(f"{uri} names no bucket: write s3://bucket/prefix.")
    return bucket, key


def code_of(error: Exception) -> str:
    """S3's own code of an error; empty where no answer came."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def ends_the_run(error: Exception) -> bool:
    """Whether an error that one photo met would meet all others too."""
    code = code_of(error)
    if isinstance(error, ParamValidationError):
        return False  # its own address is none
    return code in CREDENTIALS or code == "NoSuchBucket" or not isinstance(error, ClientError)


def problem(error: Exception, action: str, uri: str) -> BatchError:
    """What to say of an error.

    Args:
        error: of boto3.
        action: the IAM action that was tried: s3:GetObject.
        uri: what it was tried on.
    """
    bucket, _ = split(uri)
    code = code_of(error)
    if code in CREDENTIALS:
        return BatchError(f"S3 refuses the credentials ({code}) on {uri}: renew them, and run again with --resume.")
    if code in DENIED:
        return BatchError(f"S3 refuses {action} on {uri} ({code}): allow it to these credentials.")
    if code == "NoSuchBucket":
        return BatchError(f"There is no bucket {bucket}: correct the name, or make it.")
    if isinstance(error, ClientError):
        return BatchError(f"S3 answers {code or 'an error'} to {action} on {uri}: run again with --resume.")
    name = type(error).__name__
    if isinstance(error, ParamValidationError):
        return BatchError(f"{uri} is no address in S3: write s3://bucket/prefix.")
    if "Credential" in name:
        return BatchError(f"There are no AWS credentials for {uri} ({name}): set them, as for the aws command.")
    return BatchError(f"S3 cannot be reached for {uri} ({name}): check network, region and endpoint.")
