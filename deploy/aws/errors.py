"""Errors of AWS as a few classes, and as sentences that say what to do; a missing permission names action and resource.

`aws_error` turns any error of boto3 into one of the classes below; `describe` makes the sentences that end a command.
"""

import json
import re
from collections.abc import Sequence

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

ERRORS = (ClientError, BotoCoreError, ResponseParserError)  # all that a call of boto3 raises, for `except`
LATER = "What was begun in AWS goes on there."
MOST_SHOWN = 400  # characters of AWS's own message

DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
    | {"AuthorizationErrorException", "403"}
)
THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException"}
    | {"RequestThrottled", "SlowDown"}
)
EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException"}
    | {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidToken"}
)
ABSENT = re.compile("NotFound|NoSuch|Malformed|^404$")
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
LOGGED_OUT = (CredentialRetrievalError, TokenRetrievalError, SSOError)

# "User: … is not authorized to perform: iam:CreateRole on resource: arn:… because …", in errors and in stack events.
ACTION = re.compile(
    r"not authorized to perform: (?P<action>[a-z0-9-]+:\w+)(?: on resource: (?P<resource>arn:[^\s\"']+))?"
)
ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")

# IAM's names where they differ from those of boto3's client and operation.
PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}


class AwsError(Exception):
    """AWS gave no answer; the message is a sentence.

    Attributes:
        code: of the finding that it makes.
        advice: what to do, a sentence; empty where nothing general can be said.
        passing: only the call failed; what was begun in AWS may go on.
    """

    code = "AWS_REFUSED"
    advice = ""
    passing = False


class Denied(AwsError):
    """A permission is missing.

    Args:
        action: IAM's name.
        resource: as AWS names it; None where it names none.
    """

    code = "PERMISSION_MISSING"

    def __init__(self, action: str, resource: str | None = None) -> None:
        where = f" on {resource}" if resource else ""
        super().__init__(f"the credentials lack {action}{where}.")
        self.action, self.resource = action, resource
        self.advice = f"Their policy needs {statement(action, resource or '*')}"


class Unreachable(AwsError):
    """An endpoint does not answer."""

    code = "AWS_UNREACHABLE"
    advice = "Check the network, the proxy, the region, and AWS_ENDPOINT_URL if it is set."
    passing = True


class NoCredentials(AwsError):
    """There are no credentials, or they are wrong or have expired."""

    code = "CREDENTIALS"
    advice = "Log in (`aws sso login`, a profile, or AWS_ACCESS_KEY_ID with its secret), then try again."
    passing = True


class Throttled(AwsError):
    """AWS throttled every attempt."""

    code = "AWS_THROTTLED"
    advice = "Try again in a minute."
    passing = True


class Absent(AwsError):
    """What was asked for does not exist."""


class Refused(AwsError):
    """AWS refused the request, or failed itself."""


def aws_error(error: Exception, service: str | None = None, endpoint: str | None = None) -> AwsError:
    """The AwsError for an error of boto3.

    Args:
        error: one of ERRORS; an AwsError is returned as it is.
        service: boto3's name of the client, where it is known.
        endpoint: of the client, where it is known.
    """
    if isinstance(error, AwsError):
        return error
    if isinstance(error, ClientError):
        return _of_response(error, service)
    if isinstance(error, NO_CREDENTIALS):
        return NoCredentials(f"there are no AWS credentials here ({_short(str(error))}).")
    if isinstance(error, LOGGED_OUT):
        return NoCredentials(f"the AWS credentials could not be read ({_short(str(error))}).")
    if isinstance(error, ConnectionError | HTTPClientError):
        endpoint = endpoint or getattr(error, "kwargs", {}).get("endpoint_url") or "AWS"
        return Unreachable(f"{endpoint} does not answer ({type(error).__name__}).")
    return Refused(f"{f'{service}: ' if service else ''}{_short(str(error))}.")


def _of_response(error: ClientError, service: str | None) -> AwsError:
    code, message = str(error.response["Error"].get("Code", "")), error.response["Error"].get("Message") or ""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    operation = f"{service} {error.operation_name}" if service else error.operation_name
    if code in EXPIRED:
        return NoCredentials(f"the credentials in use are wrong or have expired ({code}).")
    if denied := denial(message):
        return denied
    if (code in DENIED or status == 403) and service is not None:
        name = f"{PREFIXES.get(service, service)}:{error.operation_name}"
        return Denied(ACTIONS.get(name, name))
    if code in THROTTLED or code.startswith("Throttl"):
        return Throttled(f"AWS throttled {operation} at every attempt ({code}).")
    kind = Absent if ABSENT.search(code) else Refused
    return kind(f"AWS refuses {operation} ({code}): {_short(message) or 'no reason given'}.")


def denial(message: str) -> Denied | None:
    """The missing permission that a message of AWS names; None where it names none."""
    match = ACTION.search(message)
    if match is None:
        return None
    resource = match["resource"]
    return Denied(match["action"], resource.rstrip(".,") if resource else None)


def permission(message: str) -> str | None:
    """Sentences: the missing permission and the policy statement that allows it; None where the message names none."""
    denied = denial(message)
    return None if denied is None else f"{denied} {denied.advice}"


def statement(action: str, resource: str | Sequence[str]) -> str:
    """A policy statement that allows an action."""
    return json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})


def describe(error: Exception, service: str | None = None) -> str:
    """Sentences for people, where a command ends with an error; arguments as of `aws_error`."""
    cause = aws_error(error, service)
    prefix = "AWS cannot be asked: " if isinstance(cause, NoCredentials | Unreachable) else ""
    parts = (f"{prefix}{cause}", cause.advice, LATER if cause.passing else "")
    return " ".join(part for part in parts if part)


def _short(message: str) -> str:
    return " ".join(ENCODED.sub("", message).split())[:MOST_SHOWN].rstrip(".")
