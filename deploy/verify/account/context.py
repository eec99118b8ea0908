"""What every check of the account reads: the plan, the task definition, the image's contract, and AWS's answers."""

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
    """The AWS account with what it is checked against.

    Attributes:
        plan: the team's.
        task_definition: as it would be registered.
        contract: of the image.
        session: boto3's.
        phase: to roll out.
    """

    plan: Plan
    task_definition: dict[str, Any]
    contract: Contract
    session: boto3.Session
    phase: Phase

    @cached_property
    def reader(self) -> AwsReader:
        """Reads through clients that refuse to change anything."""
        return AwsReader(Clients(self.plan.region, writes=False, session=self.session))

    @cached_property
    def container(self) -> dict[str, Any]:
        """The serving container, to which a rollout gives the service's name; empty where it cannot be determined."""
        return serving_container(self.task_definition, (self.plan.service,), self.contract.port) or {}

    @property
    def secrets(self) -> dict[str, str]:
        """Setting → ARN of its secret, from the plan and the task definition."""
        own = {secret["name"]: secret["valueFrom"] for secret in self.container.get("secrets", [])}
        return {**self.plan.secrets, **own}

    def ask(self, service: str, operation: str, **parameters: Any) -> Any:
        """As `AwsReader.read`."""
        return self.reader.read(service, operation, **parameters)
