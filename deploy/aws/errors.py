"""What AWS refuses, as kinds and as sentences that say what to do; a missing permission names action and resource.

`meaning` makes one of the kinds below out of any error of boto3's; `told` makes the sentences that end a command.
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

ERRORS = (ClientError, BotoCoreError, ResponseParserError)  # all that a call of boto3's raises, for `except`
LATER = "What was begun at AWS goes on there."
MOST_SHOWN = 400  # characters of AWS's own words

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

# IAM's names where they are not those of boto3's client and operation.
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
        passing: what was begun may well go on, since it is the asking that failed.
    """

    code = "AWS_REFUSED"
    advice = ""
    passing = False


class Denied(AwsError):
    """A permission is missing.

    Args:
        action: by IAM's name.
        resource: as AWS names it; None where it names none.
    """

    code = "PERMISSION_MISSING"

    def __init__(self, action: str, resource: str | None = None) -> None:
        where = f" on {resource}" if resource else ""
        super().__init__(f"{action}{where} is not allowed to the credentials in use.")
        self.action, self.resource = action, resource
        self.advice = f"Their policy needs {statement(action, resource or '*')}"


class Unreachable(AwsError):
    """An endpoint does not answer."""

    code = "AWS_UNREACHABLE"
    advice = "Look at the network, the proxy, the region, and AWS_ENDPOINT_URL if it is set."
    passing = True


class NoCredentials(AwsError):
    """There are none, or they are no longer good."""

    code = "CREDENTIALS"
    advice = "Log in (`aws sso login`, a profile, or AWS_ACCESS_KEY_ID with its secret), then try again."
    passing = True


class Throttled(AwsError):
    """AWS asked to come again later, again and again."""

    code = "AWS_THROTTLED"
    advice = "Try again in a minute."
    passing = True


class Absent(AwsError):
    """What was asked for is not there."""


class Refused(AwsError):
    """AWS did not like the question, or failed itself."""


def meaning(error: Exception, service: str | None = None, where: str | None = None) -> AwsError:
    """What an error of boto3's means.

    Args:
        error: one of ERRORS.
        service: boto3's name of the client, where it is known.
        where: its endpoint, where it is known.
    """
    if isinstance(error, ClientError):
        return _answered(error, service)
    if isinstance(error, NO_CREDENTIALS):
        return NoCredentials(f"there are no AWS credentials here ({_short(str(error))}).")
    if isinstance(error, LOGGED_OUT):
        return NoCredentials(f"the AWS credentials could not be had ({_short(str(error))}).")
    if isinstance(error, ConnectionError | HTTPClientError):
        where = where or getattr(error, "kwargs", {}).get("endpoint_url") or "AWS"
        return Unreachable(f"{where} does not answer ({type(error).__name__}).")
    return Refused(f"{f'{service}: ' if service else ''}{_short(str(error))}.")


def _answered(error: ClientError, service: str | None) -> AwsError:
    """What an answer of AWS's means that is an error."""
    code, message = str(error.response["Error"].get("Code", "")), error.response["Error"].get("Message") or ""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    asked = f"{service} {error.operation_name}" if service else error.operation_name
    if code in EXPIRED:
        return NoCredentials(f"the credentials in use are wrong or have expired ({code}).")
    if found := denial(message):
        return found
    if (code in DENIED or status == 403) and service is not None:
        name = f"{PREFIXES.get(service, service)}:{error.operation_name}"
        return Denied(ACTIONS.get(name, name))
    if code in THROTTLED or code.startswith("Throttl"):
        return Throttled(f"AWS throttled {asked} ({code}) until patience ended.")
    made = Absent if ABSENT.search(code) else Refused
    return made(f"AWS refuses {asked} ({code}): {_short(message) or 'no reason given'}.")


def denial(message: str) -> Denied | None:
    """The missing permission that a message of AWS's names; None where it names none."""
    found = ACTION.search(message)
    if found is None:
        return None
    resource = found["resource"]
    return Denied(found["action"], resource.rstrip(".,") if resource else None)


def permission(message: str) -> str | None:
    """Which action is missing and the line of policy that would allow it; None where the message names none."""
    found = denial(message)
    return None if found is None else f"{found} {found.advice}"


def statement(action: str, resource: str | Sequence[str]) -> str:
    """A line of policy."""
    return json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})


def kind(error: Exception, service: str | None = None) -> AwsError:
    """The same for an error that may have its meaning already; arguments as of `meaning`."""
    return error if isinstance(error, AwsError) else meaning(error, service)


def told(error: Exception, service: str | None = None) -> str:
    """Sentences for people, where a command ends with an error; arguments as of `meaning`."""
    found = kind(error, service)
    asking = "AWS cannot be asked: " if isinstance(found, NoCredentials | Unreachable) else ""
    parts = (f"{asking}{found}", found.advice, LATER if found.passing else "")
    return " ".join(part for part in parts if part)


def _short(message: str) -> str:
    return " ".join(ENCODED.sub("", message).split())[:MOST_SHOWN].rstrip(".")
