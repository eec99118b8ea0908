"""Asks AWS, and only asks: every call reads, each is made once, and what goes wrong is told apart.

Endpoints are boto3's own affair (`AWS_ENDPOINT_URL`, profile, region), so that any emulator can stand in.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3

from bentos.skin.contract import Contract
from bentos.skin.settings import Phase
from deploy import refusal
from deploy.aws import Clients
from deploy.finding import Finding, Level, Place
from deploy.plan import Plan
from deploy.refusal import AskError, Unreachable

UNREACHABLE_MOST = 2  # so many endpoints that do not answer are a network that is down; the others are not waited for


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
    _answers: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    _unreachable: dict[str, Unreachable] = field(default_factory=dict)

    @cached_property
    def clients(self) -> Clients:
        """boto3's, which refuse to change anything."""
        return Clients(self.plan.region, writes=False, session=self.session)

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
            AskError: there was no answer; one of the kinds of deploy/refusal.py.
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
