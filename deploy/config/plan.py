"""`trail.yaml`: what a team writes of its rollout. Strict: a misspelt key is an error with the nearest right one."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bentos.skin.settings import Phase
from deploy.config import files as reading

PHASES: tuple[Phase, ...] = ("simple", "hybrid", "foundation", "full")
MAX_BYTES = 1 << 18  # of a file that a person writes

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{0,12}:.+$")]
S3Uri = Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$")]
Origin = Annotated[str, Field(pattern=r"^https://[^/\s]+$")]
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

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.tasks > self.most_tasks:
            raise ValueError(f"tasks is {self.tasks}, most_tasks only {self.most_tasks}")
        return self


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

    uri: S3Uri
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
        window_s: seconds for which all must hold without a break.
        settle_s: seconds within which all must first hold; the model loads and logs arrive meanwhile.
        canary_per_second: photos sent while the gates are asked.
        load_s: seconds of the load test of phase full, at four times that rate.
        p95_ms: of an analysis under the canary load, milliseconds.
        degraded_ratio: most answers of the heuristics, as a share.
        error_ratio: most answers 5xx, as a share.
        golden: file with the expected findings on the probe photo, for your own weights; `trail golden` writes it.
    """

    window_s: Seconds = 120
    settle_s: Seconds = 180
    canary_per_second: Annotated[float, Field(gt=0, le=20)] = 1.0
    load_s: Seconds = 30
    golden: str | None = None
    p95_ms: Annotated[int, Field(gt=0)] = 1000
    degraded_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    error_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01


class Autoscaling(Strict):
    """Between size.tasks and size.most_tasks; a task is added above either.

    Attributes:
        cpu_percent: of the tasks, on average.
        requests_per_target: a minute; None: follows from the load measured on the image.
    """

    cpu_percent: Annotated[int, Field(ge=10, le=90)] = 60
    requests_per_target: Annotated[int, Field(gt=0)] | None = None


class PhasePlan(Strict):
    """Settings of the service (SHINE_…) beside those of all phases, and gates."""

    settings: dict[str, str] = {}
    gates: Gates = Gates()


class Adopted(Strict):
    """What the team has already: used, and never changed. What is not named here, the template makes."""

    cluster: Arn | None = None  # needs Container Insights, else the alarm on running tasks has no data
    load_balancer: Arn | None = None  # stands in an existing VPC
    load_balancer_group: str | None = None  # its security group, the only one that reaches tasks
    listener: Arn | None = None  # its HTTPS listener, which gets a rule for the domain; none: listeners are made
    certificate: Arn | None = None  # for the domain, in the same region
    repository: Arn | None = None  # by the plan's name for it, as the next
    log_group: Arn | None = None
    weights_bucket: Arn | None = None  # where the plan's weights lie already
    secret: Arn | None = None  # in Secrets Manager, without JSON key: the execution role may read it
    key: Arn | None = None  # of KMS, where an adopted secret or bucket is encrypted with one of your own
    topic: Arn | None = None  # that somebody listens to already


class Infra(Strict):
    """What `trail infra` needs beside the rest of the plan; patterns and ranges stand in deploy/infra/infra.yaml."""

    vpc: Literal["existing", "public", "private-endpoints", "private-nat"]  # how tasks reach AWS; costs differ
    stack: str | None = None  # of CloudFormation; the service's name with -infra where it is not set
    vpc_id: str | None = None  # of an existing one, whose subnets for tasks stand under network.subnets
    load_balancer_subnets: list[str] = []  # public ones of an existing one, in two zones at least
    vpc_net: str = "10.60"  # first two numbers of a new one's addresses; must not overlap with what it is peered with
    client_cidr: str = "0.0.0.0/0"  # who may reach the load balancer
    hosted_zone: str | None = None  # in Route 53: proves the certificate, gets the record; none: DNS is yours
    listener_priority: int = 100  # of the rule on an adopted listener; two rules cannot share one
    log_retention_days: int = 30  # lines hold no photos; longer costs more
    weights_prefix: str | None = None  # above all versions, so that a rollback can read; the first part of weights.uri
    alarm_email: str | None = None  # who is woken, where no topic is adopted
    adopt: Adopted = Adopted()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        adopt = self.adopt
        if self.vpc == "existing" and not (self.vpc_id and self.load_balancer_subnets):
            raise ValueError("vpc existing needs vpc_id and load_balancer_subnets")
        if self.vpc != "existing" and (self.vpc_id or self.load_balancer_subnets):
            raise ValueError(f"vpc {self.vpc} makes a new one; vpc_id and load_balancer_subnets go with vpc existing")
        if adopt.load_balancer and not adopt.load_balancer_group:
            raise ValueError("adopt.load_balancer needs adopt.load_balancer_group, from which tasks are reached")
        if adopt.load_balancer and self.vpc != "existing":
            raise ValueError("adopt.load_balancer stands in a VPC that is there already; vpc must be existing")
        if adopt.listener and not adopt.load_balancer:
            raise ValueError("adopt.listener needs adopt.load_balancer, whose metrics the alarms look at")
        if not (adopt.listener or adopt.certificate or self.hosted_zone):
            raise ValueError("HTTPS needs adopt.certificate, or a hosted_zone through which one is made")
        if not (adopt.topic or self.alarm_email):
            raise ValueError("alarms need somebody: alarm_email, or a topic under adopt.topic")
        return self


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
    domain: Origin  # of the service, as clients call it
    front_end: Origin  # the origin of the page that calls it
    secrets: dict[str, Arn] = {}  # setting → ARN in Secrets Manager or Parameter Store, with the JSON key
    weights: Weights | None = None
    settings: dict[str, str] = {}  # of the service (SHINE_…) in every phase
    health: Health = Health()
    stop_timeout: Seconds = 60
    deregistration_delay: Seconds = 30
    autoscaling: Autoscaling = Autoscaling()
    alarms: list[str] = []  # names of those that stop a rollout; `trail infra apply` prints them
    record: S3Uri | None = None  # where the trail record lies; beside the weights where it is not set
    phases: dict[Phase, PhasePlan] = {phase: PhasePlan() for phase in PHASES}
    infra: Infra | None = None  # of `trail infra`; none where all of it is made elsewhere

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
    return parse(load(path), str(path))


def load(path: Path) -> dict[str, Any]:
    """The file's plain data, not judged yet; raises as `read`."""
    if not path.exists():
        raise PlanError(f"{path} is not there: no such file. `trail init` writes a plan; --plan names another.")
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
    return dict(content)


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
        raise PlanError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}.") from None


def keys_at(location: tuple[int | str, ...]) -> set[str]:
    """Keys that may stand at a place of the plan."""
    model: Any = Plan
    for part in location:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = PhasePlan if part in PHASES else model if field is None else field.annotation
        model = next((one for one in getattr(model, "__args__", ()) if hasattr(one, "model_fields")), model)
    return set(getattr(model, "model_fields", {}))
