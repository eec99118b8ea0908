"""The live system that gates ask: where it is, what should run there, and with which key it answers."""

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

KEY_VARIABLE = "TRAIL_API_KEY"  # a plain key, where the secret holds hashed ones or may not be read
KEYS_SETTING = "SHINE_API_KEYS"
CONNECT_S = 5.0
ANSWER_S = 5.0  # for everything but photos, which the service answers within its own deadline


class KeyUnknown(Exception):
    """No API key could be had; the message is a sentence that says how to give one."""


def client() -> httpx.Client:
    """For the service: certificates are those that this system trusts, or those of SSL_CERT_FILE."""
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return httpx.Client(verify=ssl.create_default_context(), timeout=timeout, follow_redirects=False)


@dataclass
class LiveTarget:
    """What is asked.

    Attributes:
        plan: of the team.
        contract: of the image, as it prints it.
        phase: that is to be proven.
        digest: of the image that should run, sha256:….
        task_definition: its ARN.
        clients: of AWS.
        deployment: ECS's id of the deployment, ecs-svc/…; None where it is not known.
        base_url: of the service, through the load balancer; the plan's domain where none is given.
        api_key: a key that the service knows, plain; `own_key` finds one.
        since: UTC, when the rollout began.
        http: asks the service.
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
        """Ask nothing more of the service."""
        self.http.close()

    @property
    def revision(self) -> str | None:
        """Commit that the image is of; None where it does not say."""
        found = self.contract.get("revision")
        return found if isinstance(found, str) else None

    @property
    def limits(self) -> Gates:
        """Of the plan, for this phase."""
        step = self.plan.phases.get(self.phase)
        return Gates() if step is None else step.gates

    @property
    def headers(self) -> dict[str, str]:
        """With which a request is let in."""
        return {} if self.api_key is None else {"x-api-key": self.api_key}

    @property
    def photo_s(self) -> float:
        """Seconds after which no answer to a photo will come: the service's own deadline, and the way there."""
        return float(self.contract["seconds"]["slowest_request"]) + ANSWER_S


def own_key(plan: Plan, clients: Clients, environ: Mapping[str, str] = os.environ) -> str | None:
    """A plain API key as `seek_key` finds it; None where it finds none."""
    try:
        return seek_key(plan, clients, environ)
    except KeyUnknown:
        return None


def seek_key(plan: Plan, clients: Clients, environ: Mapping[str, str]) -> str:
    """A plain API key: out of TRAIL_API_KEY, else the first that stands in the plan's secret unhashed.

    Raises:
        KeyUnknown: there is none, or the secret may not be read.
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
    plain = [one.strip() for one in (value or "").split(",")]
    found = next((one for one in plain if one and not one.lower().startswith(SCHEME)), None)
    if found is None:
        what = "cannot be found there" if value is None else "stands there hashed only"
        raise KeyUnknown(f"An API key {what} ({arn}); give a plain one in {KEY_VARIABLE}.")
    return found


def _secret(arn: str, clients: Clients) -> str | None:
    """The value that ECS would put into the setting; None where the JSON key is not there."""
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
        found = json.loads(value)[key]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def credentials_lost(error: ClientError) -> bool:
    """Whether an error is about the credentials themselves, so that every further question would fail alike."""
    return error.response["Error"].get("Code") in EXPIRED
