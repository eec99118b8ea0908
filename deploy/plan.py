"""`trail.yaml`: what a team writes of its rollout. Strict: a misspelt key is an error with the nearest right one."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.skin.settings import Phase
from deploy import reading

PHASES: tuple[Phase, ...] = ("simple", "hybrid", "foundation", "full")
MAX_BYTES = 1 << 18  # of a file that a person writes

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{0,12}:.+$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Seconds = Annotated[int, Field(ge=0)]


class PlanError(Exception):
    """The plan cannot be used; the message is one sentence that says where and what would be right."""


class Strict(BaseModel):
    """Nothing but what is declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Strict):
    """Where tasks stand."""

    subnets: Annotated[list[str], Field(min_length=1)]
    security_groups: Annotated[list[str], Field(min_length=1)]
    assign_public_ip: bool = False


class Size(Strict):
    """Of a task: CPU units (1024 are one CPU), memory in MiB, architecture, number of tasks."""

    cpu: int = 1024
    memory: int = 2048
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    tasks: Annotated[int, Field(ge=1)] = 2
    most_tasks: Annotated[int, Field(ge=1)] = 6


class Roles(Strict):
    """Of the service itself, and of ECS that starts it: never the same."""

    task: Arn
    execution: Arn


class LoadBalancer(Strict):
    """What traffic comes through."""

    target_group: Arn
    listener: Arn | None = None


class Weights(Strict):
    """Where weights come from, from phase foundation on; the pin is the sha256 of the manifest."""

    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$")]
    sha256: Sha256


class Health(Strict):
    """The container's health check, and the time that ECS gives a new task, in seconds."""

    interval: Seconds = 10
    timeout: Seconds = 5
    retries: int = 3
    start_period: Seconds = 60
    grace: Seconds = 120


class Gates(Strict):
    """What must hold live before a phase is proven.

    Attributes:
        window_s: seconds for which all must hold.
        p95_ms: of an analysis under the canary load, milliseconds.
        degraded_ratio: most answers of the heuristics, as a share.
        error_ratio: most answers 5xx, as a share.
    """

    window_s: Seconds = 120
    p95_ms: Annotated[int, Field(gt=0)] = 1000
    degraded_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    error_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01


class PhasePlan(Strict):
    """Settings of the service (SHINE_…) beside those of all phases, and gates."""

    settings: dict[str, str] = {}
    gates: Gates = Gates()


class Plan(Strict):
    """The whole file."""

    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    cluster: str = "shine-ml-cluster"
    service: str = "shine-api-gateway"
    family: str | None = None  # of the task definition; the service's name where it is not set
    repository: str | None = None  # in ECR; the service's name where it is not set
    network: Network
    size: Size = Size()
    roles: Roles
    load_balancer: LoadBalancer
    log_group: str = "/ecs/shine-api-gateway"
    domain: Annotated[str, Field(pattern=r"^https://[^/\s]+$")]  # of the service, as clients call it
    front_end: Annotated[str, Field(pattern=r"^https://[^/\s]+$")]  # the origin of the page that calls it
    secrets: dict[str, Arn] = {}  # setting → ARN in Secrets Manager or Parameter Store, with the JSON key
    weights: Weights | None = None
    settings: dict[str, str] = {}  # of the service (SHINE_…) in every phase
    health: Health = Health()
    stop_timeout: Seconds = 60
    deregistration_delay: Seconds = 30
    phases: dict[Phase, PhasePlan] = {phase: PhasePlan() for phase in PHASES}

    @property
    def family_name(self) -> str:
        """Of the task definition."""
        return self.family or self.service

    @property
    def repository_name(self) -> str:
        """In ECR."""
        return self.repository or self.service


def read(path: Path) -> Plan:
    """Read a plan.

    Raises:
        PlanError: it is missing, too large, no YAML, or not a plan.
    """
    try:
        text = reading.content(path, MAX_BYTES, "a plan, such as `trail init` writes").decode("utf-8-sig")
    except reading.Unreadable as error:
        raise PlanError(str(error)) from None
    except UnicodeDecodeError:
        raise PlanError(f"{path} is not UTF-8.") from None
    try:
        content = reading.plain_yaml(text)
    except reading.Unreadable as error:
        raise PlanError(f"{path} is no plain YAML: {error}.") from None
    if not isinstance(content, Mapping):
        raise PlanError(f"{path} holds no keys; `trail init` writes a plan with all of them.")
    return parse(dict(content), str(path))


def parse(content: dict[str, Any], where: str) -> Plan:
    """A plan of plain data; raises as `read`."""
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        # A misspelt key comes first: what is then missing is nearly always the same key.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = keys_at(first["loc"][:-1])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            raise PlanError(f"{where}: {place} is not a key of a plan; {hint}") from None
        raise PlanError(f"{where}: {place}: {first['msg']}.") from None


def keys_at(location: tuple[int | str, ...]) -> set[str]:
    """Keys that may stand at a place of the plan."""
    model: Any = Plan
    for part in location:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = PhasePlan if part in PHASES else model if field is None else field.annotation
        model = next((one for one in getattr(model, "__args__", ()) if hasattr(one, "model_fields")), model)
    return set(getattr(model, "model_fields", {}))
