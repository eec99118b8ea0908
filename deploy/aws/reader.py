"""Reads AWS: each call only reads and is made once; an error is one of the kinds of deploy/aws/errors.py.

Endpoints are boto3's own affair (`AWS_ENDPOINT_URL`, profile, region), so that any emulator can stand in.
"""

from typing import Any

from deploy.aws import errors
from deploy.aws.clients import Clients
from deploy.aws.errors import Absent, AwsError, NoCredentials, Refused, Unreachable
from deploy.lenient import LenientDict
from deploy.text import printable

UNREACHABLE_MOST = 2  # so many endpoints that do not answer mean that the network is down; no other is tried
# Endpoint and operation, where the endpoint turned out not to know the operation. Some answer with an error that boto3
# retries: a rollout, which reads every few seconds, waits for that once.
UNKNOWN: set[tuple[str, str]] = set()


class AwsReader:
    """Reads AWS and remembers each answer.

    Args:
        clients: of boto3.

    Attributes:
        unseen: what `read_or_note` could not read, and why, a sentence each.
        absent: part that AWS says does not exist → AWS's words.
    """

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.unseen: list[str] = []
        self.absent: dict[str, str] = {}
        self._answers: dict[tuple[str, str, str], Any] = {}
        self._unreachable: dict[str, Unreachable] = {}

    def read(self, service: str, operation: str, /, **parameters: Any) -> Any:
        """The answer to a call, with all its pages.

        Args:
            service: boto3's name.
            operation: boto3's name of the method.
            parameters: of the call; PaginationConfig limits the pages.

        Raises:
            AwsError: there is no answer.
        """
        return self._remembered(service, operation, parameters, few_tries=False)

    def read_or_note(
        self, part: str, service: str, operation: str, /, *, optional: bool = False, **parameters: Any
    ) -> LenientDict | None:
        """The same, for a caller that goes on without an answer: None, and the reason is noted.

        Args:
            part: what is read, in words.
            service, operation: boto3's names.
            optional: some endpoints do not know the operation; then nothing is noted, and it is not called again.
            parameters: of the call.

        Raises:
            NoCredentials: every other call would fail in the same way.
        """
        known = (str(self.clients[service].meta.endpoint_url), operation)
        if optional and known in UNKNOWN:
            return None
        try:
            return LenientDict(self._remembered(service, operation, parameters, few_tries=optional))
        except NoCredentials:
            raise
        except Absent as error:
            self.absent[part] = str(error)
        except AwsError as error:
            if optional and isinstance(error, Refused):
                UNKNOWN.add(known)
            else:
                self.note(part, str(error))
        return None

    def note(self, part: str, reason: str) -> None:
        """Note a part that could not be read, and why."""
        self.unseen.append(printable(f"{part[:1].upper()}{part[1:]}: {reason.rstrip('.')}.", 400))

    def _remembered(self, service: str, operation: str, parameters: dict[str, Any], *, few_tries: bool) -> Any:
        key = (service, operation, repr(sorted(parameters.items())))
        if key not in self._answers:
            try:
                self._answers[key] = self._call(service, operation, parameters, few_tries)
            except AwsError as error:
                self._answers[key] = error
        if isinstance(answer := self._answers[key], AwsError):
            raise answer
        return answer

    def _call(self, service: str, operation: str, parameters: dict[str, Any], few_tries: bool) -> Any:
        endpoint = None
        try:
            client = self.clients.few_tries(service) if few_tries else self.clients[service]
            endpoint = str(client.meta.endpoint_url)
            self._refuse_unreachable(endpoint)
            if client.can_paginate(operation):
                return client.get_paginator(operation).paginate(**parameters).build_full_result()
            answer = getattr(client, operation)(**parameters)
            if "Body" in answer:  # read here, so that a connection that breaks is an error of this call
                answer["Body"] = answer["Body"].read()
        except errors.ERRORS as error:
            cause = errors.aws_error(error, service, endpoint)
            if endpoint is not None and isinstance(cause, Unreachable):
                self._unreachable[endpoint] = cause
            raise cause from None
        return answer

    def _refuse_unreachable(self, endpoint: str) -> None:
        if endpoint in self._unreachable:
            raise self._unreachable[endpoint]
        if len(self._unreachable) >= UNREACHABLE_MOST:
            raise next(iter(self._unreachable.values()))
