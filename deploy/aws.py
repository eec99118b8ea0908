"""Clients of AWS as the rollout uses them: endpoints are boto3's own affair (`AWS_ENDPOINT_URL`, profile, region).

With `writes=False` no call that could change anything leaves this machine: it is refused below boto3's methods, where
no command can forget to ask.
"""

import re
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "adaptive", "total_max_attempts": 8},  # throttling is waited out
)
# For calls that can be done without: whoever waits for the answer has another way.
FEW_TRIES = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}))
READING = re.compile("(Describe|List|Get|Head|BatchGet|BatchCheck|Filter|Lookup|Search|Simulate)")


class WriteRefused(Exception):
    """A call that changes something, where nothing may be changed."""


class Clients:
    """boto3's clients, each made once.

    Args:
        region: of the plan.
        writes: False refuses every call that is not a reading one.
        session: boto3's; a new one where none is given.
    """

    def __init__(self, region: str, *, writes: bool = True, session: boto3.Session | None = None) -> None:
        self.region, self.writes = region, writes
        self.session = session or boto3.Session(region_name=region)
        self._made: dict[str, Any] = {}
        self._few_tries: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        """The client of a service, by boto3's name."""
        return self._client(service, self._made, CONFIG)

    def few_tries(self, service: str) -> Any:
        """The same, which repeats a call that fails only twice."""
        return self._client(service, self._few_tries, FEW_TRIES)

    def _client(self, service: str, made: dict[str, Any], config: Config) -> Any:
        if service not in made:
            client = made[service] = self.session.client(service, region_name=self.region, config=config)
            if not self.writes:
                client.meta.events.register_first("before-call", refuse_writes)
        return made[service]


def refuse_writes(model: Any, **_: Any) -> None:
    """Handler of botocore's event before-call.

    Raises:
        WriteRefused: the operation is none that only reads.
    """
    if not READING.match(model.name):
        raise WriteRefused(f"{model.service_model.service_name} {model.name} changes something; this is a dry run.")
