"""Asks AWS, and only asks: every call reads, each is made once, and what goes wrong is told apart.

Endpoints are boto3's own affair (`AWS_ENDPOINT_URL`, profile, region), so that any emulator can stand in.
"""

from typing import Any

from deploy.aws import errors as refusal
from deploy.aws.clients import Clients
from deploy.aws.errors import AwsError, Unreachable

UNREACHABLE_MOST = 2  # so many endpoints that do not answer are a network that is down; the others are not waited for


class AwsReader:
    """Each with its answer, remembered.

    Args:
        clients: of boto3's.
    """

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self._answers: dict[tuple[str, str, str], Any] = {}
        self._unreachable: dict[str, Unreachable] = {}

    def ask(self, service: str, operation: str, **parameters: Any) -> Any:
        """The answer to a reading call, with all its pages.

        Args:
            service: boto3's name.
            operation: boto3's name of the method.
            parameters: of the call.

        Raises:
            AskError: there was no answer; one of the kinds of deploy/aws/errors.py.
        """
        key = (service, operation, repr(sorted(parameters.items())))
        if key not in self._answers:
            try:
                self._answers[key] = self._asked(service, operation, parameters)
            except AwsError as error:
                self._answers[key] = error
        if isinstance(answer := self._answers[key], AwsError):
            raise answer
        return answer

    def _asked(self, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        where = None
        try:
            client = self.clients[service]
            where = str(client.meta.endpoint_url)
            self._refuse_unreachable(where)
            if client.can_paginate(operation):
                return client.get_paginator(operation).paginate(**parameters).build_full_result()
            answer = getattr(client, operation)(**parameters)
            if "Body" in answer:  # read here, so that a cut is caught here
                answer["Body"] = answer["Body"].read()
        except refusal.ERRORS as error:
            found = refusal.meaning(error, service, where)
            if where is not None and isinstance(found, Unreachable):
                self._unreachable[where] = found
            raise found from None
        return answer

    def _refuse_unreachable(self, where: str) -> None:
        if where in self._unreachable:
            raise self._unreachable[where]
        if len(self._unreachable) >= UNREACHABLE_MOST:
            raise next(iter(self._unreachable.values()))
