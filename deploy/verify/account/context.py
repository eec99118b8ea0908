"""What the subjects of the look share: the plan, the task definition, the image's contract, and AWS's answers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3

from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.aws.reader import AwsReader
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.taskdef.model import serving_container


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

    @cached_property
    def questions(self) -> AwsReader:
        """Through clients that refuse to change anything."""
        return AwsReader(Clients(self.plan.region, writes=False, session=self.session))

    @cached_property
    def container(self) -> dict[str, Any]:
        """The container that serves, which the rollout names as the service; empty where none can be chosen."""
        return serving_container(self.task_definition, (self.plan.service,), self.contract.port) or {}

    @property
    def secrets(self) -> dict[str, str]:
        """Setting → where its secret value lies, of the task definition and of the plan."""
        told = {one["name"]: one["valueFrom"] for one in self.container.get("secrets", [])}
        return {**self.plan.secrets, **told}

    def ask(self, service: str, operation: str, **parameters: Any) -> Any:
        """As `AwsReader.read`."""
        return self.questions.read(service, operation, **parameters)
