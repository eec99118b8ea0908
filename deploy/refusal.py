"""An error of AWS as a sentence that says what to do; a missing permission names the action and the policy line."""

import json
import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
LATER = "What was begun at AWS goes on there."
# "User: … is not authorized to perform: iam:CreateRole on resource: arn:… because …", in errors and in stack events.
ACTION = re.compile(
    r"not authorized to perform: (?P<action>[a-z0-9-]+:\w+)(?: on resource: (?P<resource>arn:[^\s\"']+))?"
)
ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")


def told(error: ClientError | BotoCoreError) -> str:
    """A sentence or two."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "There are no AWS credentials here; `aws configure sso` or AWS_PROFILE brings some."
    if isinstance(error, CredentialRetrievalError | TokenRetrievalError):
        return f"The AWS credentials could not be had ({_short(str(error))}); log in again. {LATER}"
    if isinstance(error, EndpointConnectionError):
        return f"AWS cannot be reached ({_short(str(error))}). {LATER}"
    if not isinstance(error, ClientError):
        return f"AWS could not be asked: {_short(str(error))} {LATER}"
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in EXPIRED:
        return f"The AWS credentials are no longer valid ({code}); log in again. {LATER}"
    lacking = permission(message)
    if lacking:
        return f"A permission is missing. {lacking}"
    if code in DENIED:
        return f"AWS refuses {error.operation_name}, a permission is missing: {_short(message)}"
    if code.startswith("Throttl") or code == "TooManyRequestsException":
        return f"AWS asks to wait ({code}), after several attempts. Try again in a minute. {LATER}"
    return f"AWS refuses {error.operation_name} ({code}): {_short(message)}"


def permission(message: str) -> str | None:
    """Which action is missing and the line of policy that would allow it; None where the message names none."""
    found = ACTION.search(message)
    if found is None:
        return None
    resource = (found["resource"] or "*").rstrip(".,")
    line = json.dumps({"Effect": "Allow", "Action": found["action"], "Resource": resource})
    return f"{found['action']} on {resource} is not allowed to these credentials; the policy needs {line}"


def _short(message: str) -> str:
    return " ".join(ENCODED.sub("", message).split())[:400]
