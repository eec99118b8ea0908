"""The live system that gates check: its address, what should run there, and its API key."""

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from botocore.exceptions import ClientError

from bentos.skin.keys import SCHEME
from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.aws.errors import EXPIRED, describe
from deploy.config.plan import Gates, Plan

KEY_VARIABLE = "TRAIL_API_KEY"  # a plain key, if the secret has only hashed ones or cannot be read
KEYS_SETTING = "SHINE_API_KEYS"
CONNECT_S = 5.0
ANSWER_S = 5.0  # for all requests except photos, for which the service has its own deadline


class KeyUnknown(Exception):
    """No API key was found; the message is a sentence that says how to give one."""


def client() -> httpx.Client:
    """A client for the service; it trusts this system's certificates, or those in SSL_CERT_FILE."""
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return httpx.Client(verify=ssl.create_default_context(), timeout=timeout, follow_redirects=False)


@dataclass
class LiveTarget:
    """The live system.

    Attributes:
        plan: of the team.
        contract: of the image, as it prints it.
        phase: to prove.
        digest: of the image that should run, sha256:….
        task_definition: ARN of the one that should run.
        clients: of AWS.
        deployment: ECS's id of the deployment, ecs-svc/…; None if it is not known.
        base_url: of the service, through the load balancer; by default the plan's domain.
        api_key: a plain key that the service accepts; `plain_key` finds one.
        since: when the rollout began, UTC.
        http: client for the service.
    """

    plan: Plan
    contract: dict[str, Any]
    phase: Phase
    digest: str
    task_definition: str
    clients: Clients
    deployment: str | None = None
    base_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    http: httpx.Client = field(default_factory=client, repr=False)

    def __post_init__(self) -> None:
        self.base_url = (self.base_url or self.plan.domain).rstrip("/")

    def close(self) -> None:
        """Close the connections to the service."""
        self.http.close()

    @property
    def revision(self) -> str | None:
        """Commit of the image; None if its contract does not say."""
        revision = self.contract.get("revision")
        return revision if isinstance(revision, str) else None

    @property
    def limits(self) -> Gates:
        """The plan's limits for this phase."""
        step = self.plan.phases.get(self.phase)
        return Gates() if step is None else step.gates

    @property
    def headers(self) -> dict[str, str]:
        """Headers that authenticate a request."""
        return {} if self.api_key is None else {"x-api-key": self.api_key}

    @property
    def photo_s(self) -> float:
        """Timeout for a photo: the service's own deadline, and time for the network."""
        return float(self.contract["seconds"]["slowest_request"]) + ANSWER_S


def plain_key(plan: Plan, clients: Clients, environ: Mapping[str, str] = os.environ) -> str | None:
    """The API key that `find_key` finds; None if it finds none."""
    try:
        return find_key(plan, clients, environ)
    except KeyUnknown:
        return None


def find_key(plan: Plan, clients: Clients, environ: Mapping[str, str]) -> str:
    """A plain API key: from TRAIL_API_KEY, else the first one in the plan's secret that is not hashed.

    Raises:
        KeyUnknown: there is none, or the secret cannot be read.
        ClientError: the credentials are no longer valid.
    """
    if given := environ.get(KEY_VARIABLE, "").strip():
        return given
    arn = plan.secrets.get(KEYS_SETTING)
    if arn is None:
        raise KeyUnknown(f"The plan names no secret for {KEYS_SETTING}; give a key in {KEY_VARIABLE}.")
    try:
        value = _secret(arn, clients)
    except ClientError as error:
        if credentials_lost(error):
            raise
        raise KeyUnknown(f"{describe(error)} Or give a key in {KEY_VARIABLE}.") from None
    for key in (value or "").split(","):
        if key.strip() and not key.strip().lower().startswith(SCHEME):
            return key.strip()
    problem = "has no API key" if value is None else "has only hashed API keys"
    raise KeyUnknown(f"The secret {arn} {problem}; give a plain one in {KEY_VARIABLE}.")


def _secret(arn: str, clients: Clients) -> str | None:
    """The value that ECS would put into the setting; None if the secret lacks the JSON key."""
    parts = arn.split(":")
    if parts[2:3] == ["ssm"]:
        parameter = clients["ssm"].get_parameter(Name=arn.partition(":parameter")[2], WithDecryption=True)
        return str(parameter["Parameter"]["Value"])
    key, stage, version = (*parts[7:10], "", "", "")[:3]
    which = {"VersionStage": stage} if stage else {}
    which |= {"VersionId": version} if version else {}
    value = clients["secretsmanager"].get_secret_value(SecretId=":".join(parts[:7]), **which).get("SecretString", "")
    if not key:
        return str(value)
    try:
        content = json.loads(value)[key]
    except (ValueError, KeyError, TypeError):
        return None
    return content if isinstance(content, str) else None


def credentials_lost(error: ClientError) -> bool:
    """Whether the credentials are the problem, so that every other request would fail too."""
    return error.response["Error"].get("Code") in EXPIRED
