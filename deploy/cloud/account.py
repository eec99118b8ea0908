"""Asks AWS, and only asks: every call reads, each is made once, and what goes wrong is told apart.

Endpoints are boto3's own affair (`AWS_ENDPOINT_URL`, profile, region), so that any emulator can stand in.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from bentos.skin.contract import Contract
from bentos.skin.settings import Phase
from deploy.finding import Finding, Level, Place
from deploy.plan import Plan

CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "adaptive", "total_max_attempts": 6},  # throttling is waited out: about 15 s at the most
)
UNREACHABLE_MOST = 2  # so many endpoints that do not answer are a network that is down; the others are not waited for

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthorizationError",
        "AuthorizationErrorException",
    }
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

# IAM's names where they are not those of boto3's client and operation.
PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}


class AskError(Exception):
    """A question that AWS did not answer; the message is a sentence."""


class Denied(AskError):
    """A permission is missing.

    Args:
        action: by IAM's name.
    """

    def __init__(self, action: str) -> None:
        super().__init__(f"{action} is not allowed to the credentials in use.")
        self.action = action


class Unreachable(AskError):
    """An endpoint does not answer."""


class NoCredentials(AskError):
    """There are none, or they are no longer good."""


class Throttled(AskError):
    """AWS asked to come again later, again and again."""


class Absent(AskError):
    """What was asked for is not there."""


class Refused(AskError):
    """AWS did not like the question, or failed itself."""


@dataclass
class Account:
    """What the subjects look at, and through what.

    Attributes:
        plan: what the team wants.
        task_definition: as it would be registered.
        contract: of the image.
        session: boto3's.
        phase: that is to be rolled out.
    """

    plan: Plan
    task_definition: dict[str, Any]
    contract: Contract
    session: boto3.Session
    phase: Phase
    _clients: dict[str, Any] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    _unreachable: dict[str, str] = field(default_factory=dict)

    @cached_property
    def container(self) -> dict[str, Any]:
        """The container of the task definition that holds the contract's port; else the first."""
        containers: list[dict[str, Any]] = self.task_definition.get("containerDefinitions") or [{}]
        for one in containers:
            if self.contract.port in [port.get("containerPort") for port in one.get("portMappings", [])]:
                return one
        return containers[0]

    @property
    def secrets(self) -> dict[str, str]:
        """Setting → where its secret value lies, of the task definition and of the plan."""
        told = {one["name"]: one["valueFrom"] for one in self.container.get("secrets", [])}
        return {**self.plan.secrets, **told}

    def ask(self, service: str, operation: str, **parameters: Any) -> Any:
        """The answer to a reading call, with all its pages; each question is asked once.

        Args:
            service: boto3's name.
            operation: boto3's name of the method.
            parameters: of the call.

        Raises:
            AskError: there was no answer; one of the classes above.
        """
        key = (service, operation, repr(sorted(parameters.items())))
        if key not in self._answers:
            try:
                self._answers[key] = self._asked(service, operation, parameters)
            except AskError as error:
                self._answers[key] = error
        if isinstance(answer := self._answers[key], AskError):
            raise answer
        return answer

    def _asked(self, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        try:
            client = self._client(service)
            where = client.meta.endpoint_url
            self._refuse_unreachable(where)
            if client.can_paginate(operation):
                return client.get_paginator(operation).paginate(**parameters).build_full_result()
            answer = getattr(client, operation)(**parameters)
            if "Body" in answer:  # read here, so that a cut is caught here
                answer["Body"] = answer["Body"].read()
        except ClientError as error:
            raise told(error, service) from None
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise NoCredentials(f"{str(error).rstrip('.')}.") from None
        except (ConnectionError, HTTPClientError) as error:
            self._unreachable[where] = f"{where} does not answer ({type(error).__name__})."
            raise Unreachable(self._unreachable[where]) from None
        except (BotoCoreError, ResponseParserError) as error:
            raise Refused(f"{service} {operation}: {' '.join(str(error).split())[:300]}") from None
        return answer

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service, region_name=self.plan.region, config=CONFIG)
        return self._clients[service]

    def _refuse_unreachable(self, where: str) -> None:
        if where in self._unreachable:
            raise Unreachable(self._unreachable[where])
        if len(self._unreachable) >= UNREACHABLE_MOST:
            raise Unreachable(next(iter(self._unreachable.values())))


def told(error: ClientError, service: str) -> AskError:
    """What an error of AWS's means."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in DENIED or code == "403" or (status == 403 and code not in EXPIRED):
        name = f"{PREFIXES.get(service, service)}:{error.operation_name}"
        return Denied(ACTIONS.get(name, name))
    if code in EXPIRED:
        return NoCredentials("the credentials in use are wrong or have expired.")
    if code in THROTTLED:
        return Throttled(f"{service} {error.operation_name} was throttled ({code}) until patience ended.")
    text = f"{service} {error.operation_name}: {code}: {message}"
    return Absent(text) if ABSENT.search(code) else Refused(text)


def finding(code: str, level: Level, sentence: str, *places: tuple[str, Any], repair: str | None = None) -> Finding:
    """A finding; each place is (where, value)."""
    shown = tuple(Place(where=where, value=value) for where, value in places)
    return Finding(code=code, level=level, sentence=sentence, places=shown, repair=repair)


def ok(code: str, sentence: str, *places: tuple[str, Any]) -> Finding:
    """All is well."""
    return finding(code, "OK", sentence, *places)


def skip(code: str, sentence: str, *places: tuple[str, Any]) -> Finding:
    """It could not be judged, or need not be."""
    return finding(code, "SKIP", sentence, *places)


def fail(code: str, sentence: str, *places: tuple[str, Any], repair: str) -> Finding:
    """A rollout must not start."""
    return finding(code, "FAIL", sentence, *places, repair=repair)


def warn(code: str, sentence: str, *places: tuple[str, Any], repair: str) -> Finding:
    """A rollout may start, but somebody should look."""
    return finding(code, "WARN", sentence, *places, repair=repair)
