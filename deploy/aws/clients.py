"""Clients of AWS; boto3 chooses endpoints and credentials itself (`AWS_ENDPOINT_URL`, profile, region).

With `writes=False` every call that could change something is refused below boto3's methods, whichever command makes it.
"""

import re
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "adaptive", "total_max_attempts": 8},  # so that throttling is waited out
)
# For calls whose caller can go on without an answer.
FEW_TRIES = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}))
READING = re.compile("(Describe|List|Get|Head|BatchGet|BatchCheck|Filter|Lookup|Search|Simulate)")


class WriteRefused(Exception):
    """A call would change something in a dry run."""


class Clients:
    """Clients of boto3, each made once.

    Args:
        region: of the plan.
        writes: False refuses every call that does not only read.
        session: of boto3; a new one where none is given.
    """

    def __init__(self, region: str, *, writes: bool = True, session: boto3.Session | None = None) -> None:
        self.region, self.writes = region, writes
        self.session = session or boto3.Session(region_name=region)
        self._made: dict[str, Any] = {}
        self._few_tries: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        """The client of a service.

        Args:
            service: boto3's name.
        """
        return self._client(service, self._made, CONFIG)

    def few_tries(self, service: str) -> Any:
        """The same, with three attempts for each call."""
        return self._client(service, self._few_tries, FEW_TRIES)

    def _client(self, service: str, made: dict[str, Any], config: Config) -> Any:
        if service not in made:
            client = made[service] = self.session.client(service, region_name=self.region, config=config)
            if not self.writes:
                client.meta.events.register_first("before-call", refuse_writes)
        return made[service]


def refuse_writes(model: Any, **_: Any) -> None:
    """Refuse a call that could change something; handles botocore's event before-call.

    Raises:
        WriteRefused: the operation does not only read.
    """
    if not READING.match(model.name):
        raise WriteRefused(f"{model.service_model.service_name} {model.name} changes something; this is a dry run.")
