"""What a rollout needs of an image's contract; `docker run IMAGE contract` prints it (bentos/skin/contract.py).

A contract only grows within its version, so keys that are not known here are ignored.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.config import files as reading

MAX_BYTES = 1 << 20

STAND_IN = "stand-in-for-a-secret-value"  # value of a secret setting whose real value is not read

Architecture = Literal["X86_64", "ARM64"]
NAMES: dict[str, Architecture] = {"amd64": "X86_64", "arm64": "ARM64"}  # name in images → name in ECS
Port = Annotated[int, Field(ge=1, le=65535)]
Absolute = Annotated[str, Field(pattern="^/")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class ContractError(Exception):
    """The contract cannot be used; the message is one sentence."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Health(_Part):
    """The health check of the container."""

    path: Absolute
    command: Annotated[list[str], Field(min_length=2)]
    timeout_s: Seconds


class Minimum(_Part):
    """Minimum memory in MiB, and CPUs."""

    memory_mib: Annotated[int, Field(gt=0, le=1 << 20)]
    cpus: Annotated[float, Field(gt=0, le=1024)]


class Times(_Part):
    """Seconds that the platform must allow for each."""

    start: Seconds
    stop: Seconds
    slowest_request: Seconds
    keep_alive: Seconds


class Schema(_Part):
    """JSON schema of a variable's value."""

    type: str | None = None
    enum: list[str | float] | None = None
    pattern: re.Pattern[str] | None = None
    minimum: float | None = None
    exclusive_minimum: Annotated[float | None, Field(alias="exclusiveMinimum")] = None
    maximum: float | None = None
    exclusive_maximum: Annotated[float | None, Field(alias="exclusiveMaximum")] = None
    any_of: Annotated[list["Schema"], Field(alias="anyOf")] = []


class Setting(_Part):
    """An environment variable."""

    name: str
    type: Schema
    default: Any = None
    secret: bool = False


class User(_Part):
    """User and group of the process."""

    uid: int
    gid: int


class Endpoint(_Part):
    """An endpoint; `open`: it answers without an API key."""

    method: str
    path: str
    open: bool


class Egress(_Part):
    """A destination to which the service must be able to connect."""

    purpose: str


class Weights(_Part):
    """The weights inside the image."""

    name: str


class Contract(_Part):
    """The keys of bentos.skin.contract.Contract that a rollout needs."""

    contract_version: Literal[1]
    service: str
    version: str
    architecture: Literal["amd64", "arm64"]
    port: Port
    health: Health
    ready_path: Absolute
    user: User
    writable_paths: list[Absolute]
    minimum: Minimum
    seconds: Times
    settings: list[Setting]
    endpoints: list[Endpoint]
    egress: dict[str, list[Egress]] = {}  # by phase
    weights: Weights | None = None

    @property
    def ecs_architecture(self) -> Architecture:
        """Architecture by ECS's name, for `runtimePlatform`."""
        return NAMES[self.architecture]


def builtin() -> dict[str, Any]:
    """The contract of the image that this checkout builds, as plain data."""
    from bentos.skin.contract import contract  # takes half a second, for which `trail explain` need not wait

    port = os.environ.pop("PORT", None)  # of this shell, not of the image
    try:
        return contract().model_dump(mode="json")
    finally:
        if port is not None:
            os.environ["PORT"] = port


def own() -> Contract:
    """The contract of the image that this checkout builds."""
    return parse(builtin())


def of(path: Path | None) -> dict[str, Any]:
    """The contract in a file, else that of this checkout, as plain data; raises as `read`."""
    return builtin() if path is None else read(path)


def read(path: Path) -> dict[str, Any]:
    """The contract in a file, as plain data.

    Raises:
        ContractError: the file is missing, too large, not JSON, or not a contract.
    """
    try:
        content = reading.content(path, MAX_BYTES, "what `docker run IMAGE contract` prints")
    except reading.Unreadable as error:
        raise ContractError(str(error)) from None
    try:
        contract = json.loads(content)
        parse(contract)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise ContractError(
            f"{path} is not what `docker run IMAGE contract` prints: {place}: {first['msg']}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path} is not JSON: {' '.join(str(error).split())[:200]}.") from None
    return dict(contract)


def parse(content: Any) -> Contract:
    """A contract from plain data.

    Raises:
        ValidationError: it is not a contract.
    """
    return Contract.model_validate(content)
