"""`trail.yaml`, the plan of a team's rollout; a misspelt key is an error that names the nearest valid one."""

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
    """The plan cannot be used; the message is one sentence that says where, and what would be valid."""


class Strict(BaseModel):
    """A model that accepts only its own keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Strict):
    """Network of the tasks."""

    subnets: Annotated[list[str], Field(min_length=1)]
    security_groups: Annotated[list[str], Field(min_length=1)]
    assign_public_ip: bool = False


class Size(Strict):
    """CPU units (1024 are one CPU), memory in MiB and architecture of a task; number of tasks."""

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
    """Task role of the service, and execution role of ECS; they must differ."""

    task: Arn
    execution: Arn


class LoadBalancer(Strict):
    """Target group and listener of the service."""

    target_group: Arn
    listener: Arn | None = None


class Weights(Strict):
    """Source of the weights, from phase foundation on; sha256 is that of the manifest."""

    uri: S3Uri
    sha256: Sha256


class Health(Strict):
    """The container's health check, and the grace period of the service, in seconds."""

    interval: Seconds = 10
    timeout: Seconds = 5
    retries: int = 3
    start_period: Seconds = 60
    grace: Seconds = 120


class Gates(Strict):
    """Limits of the gates, which must all pass before a phase is proven.

    Attributes:
        window_s: seconds for which all gates must pass without a break.
        settle_s: seconds within which all gates must first pass; meanwhile the model loads and logs arrive.
        canary_per_second: photos that the probe load sends each second while the gates are checked.
        load_s: seconds of the load test of phase full, at four times that rate.
        p95_ms: longest 95th percentile of an analysis under the probe load, in milliseconds.
        degraded_ratio: largest share of answers that come from the heuristics.
        error_ratio: largest share of answers with a status of 5xx.
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
    """Autoscaling between size.tasks and size.most_tasks; a task is added above either limit.

    Attributes:
        cpu_percent: mean CPU utilization of the tasks.
        requests_per_target: each minute; None: follows from the load measured on the image.
    """

    cpu_percent: Annotated[int, Field(ge=10, le=90)] = 60
    requests_per_target: Annotated[int, Field(gt=0)] | None = None


class PhasePlan(Strict):
    """Settings of the service (SHINE_…) and gates of one phase; they override those of all phases."""

    settings: dict[str, str] = {}
    gates: Gates = Gates()


class Adopted(Strict):
    """Resources that the team has already: used, and never changed. The template makes what is not named here."""

    cluster: Arn | None = None  # needs Container Insights, else the alarm on running tasks has no data
    load_balancer: Arn | None = None  # in an existing VPC
    load_balancer_group: str | None = None  # its security group, the only one that may connect to tasks
    listener: Arn | None = None  # its HTTPS listener, which gets a rule for the domain; null: listeners are made
    certificate: Arn | None = None  # for the domain, in the same region
    repository: Arn | None = None  # has the name that the plan gives it; so has the log group
    log_group: Arn | None = None
    weights_bucket: Arn | None = None  # holds the plan's weights already
    secret: Arn | None = None  # in Secrets Manager, without JSON key: the execution role may read it
    key: Arn | None = None  # in KMS, where your own key encrypts an adopted secret or bucket
    topic: Arn | None = None  # in SNS, with subscribers


class Infra(Strict):
    """What `trail infra` needs beside the rest of the plan; deploy/infra/infra.yaml has patterns and ranges."""

    vpc: Literal["existing", "public", "private-endpoints", "private-nat"]  # how tasks reach AWS; costs differ
    stack: str | None = None  # in CloudFormation; default: the service's name with -infra
    vpc_id: str | None = None  # of an existing VPC; its subnets for tasks are network.subnets
    load_balancer_subnets: list[str] = []  # public subnets of an existing VPC, in at least two zones
    vpc_net: str = "10.60"  # first two numbers of a new VPC's addresses; must not overlap with peered VPCs
    client_cidr: str = "0.0.0.0/0"  # addresses that may connect to the load balancer
    hosted_zone: str | None = None  # in Route 53: validates the certificate, gets the record; null: you manage DNS
    listener_priority: int = 100  # of the rule on an adopted listener; each rule needs its own
    log_retention_days: int = 30  # log lines hold no photos; a longer time costs more
    weights_prefix: str | None = None  # of all versions, so that a rollback can read; first part of weights.uri
    alarm_email: str | None = None  # receives alarms, where no topic is adopted
    adopt: Adopted = Adopted()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        adopt = self.adopt
        if self.vpc == "existing" and not (self.vpc_id and self.load_balancer_subnets):
            raise ValueError("vpc existing needs vpc_id and load_balancer_subnets")
        if self.vpc != "existing" and (self.vpc_id or self.load_balancer_subnets):
            raise ValueError(f"vpc {self.vpc} makes a new VPC; vpc_id and load_balancer_subnets belong to vpc existing")
        if adopt.load_balancer and not adopt.load_balancer_group:
            raise ValueError("adopt.load_balancer needs adopt.load_balancer_group, from which it connects to tasks")
        if adopt.load_balancer and self.vpc != "existing":
            raise ValueError("adopt.load_balancer is in a VPC that exists already; vpc must be existing")
        if adopt.listener and not adopt.load_balancer:
            raise ValueError("adopt.listener needs adopt.load_balancer, whose metrics the alarms read")
        if not (adopt.listener or adopt.certificate or self.hosted_zone):
            raise ValueError("HTTPS needs adopt.certificate, or a hosted_zone with which a certificate is made")
        if not (adopt.topic or self.alarm_email):
            raise ValueError("alarms need a recipient: alarm_email, or a topic under adopt.topic")
        return self


class Plan(Strict):
    """The whole file."""

    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    cluster: str = "shine-ml-cluster"
    service: str = "shine-api-gateway"
    family: str | None = None  # of the task definition; default: the service's name
    repository: str | None = None  # in ECR; default: the service's name
    network: Network
    size: Size = Size()
    roles: Roles
    load_balancer: LoadBalancer
    log_group: str = "/ecs/shine-api-gateway"
    domain: Origin  # of the service, as clients call it
    front_end: Origin  # origin of the page that calls the service
    secrets: dict[str, Arn] = {}  # setting → ARN in Secrets Manager or Parameter Store, with the JSON key
    weights: Weights | None = None
    settings: dict[str, str] = {}  # of the service (SHINE_…) in every phase
    health: Health = Health()
    stop_timeout: Seconds = 60
    deregistration_delay: Seconds = 30
    autoscaling: Autoscaling = Autoscaling()
    alarms: list[str] = []  # names of alarms that stop a rollout; `trail infra apply` prints them
    record: S3Uri | None = None  # place of the trail record; default: beside the weights
    phases: dict[Phase, PhasePlan] = {phase: PhasePlan() for phase in PHASES}
    infra: Infra | None = None  # of `trail infra`; null where all resources are made elsewhere

    @property
    def family_name(self) -> str:
        """Family of the task definition."""
        return self.family or self.service

    @property
    def repository_name(self) -> str:
        """Name of the repository in ECR."""
        return self.repository or self.service

    def record_location(self) -> str:
        """URI of the folder with the trail record: the one given, else one in the bucket of the weights.

        Raises:
            PlanError: neither is given.
        """
        if self.record is not None:
            return self.record.rstrip("/") + "/"
        if self.weights is None:
            raise PlanError(
                "The plan does not say where the trail record is; write `record: s3://YOUR-BUCKET/trail/` in "
                "trail.yaml."
            )
        bucket = self.weights.uri.removeprefix("s3://").partition("/")[0]
        return f"s3://{bucket}/trail/{self.cluster}/{self.service}/"


def read(path: Path) -> Plan:
    """Read a plan.

    Raises:
        PlanError: the file is missing, too large, not YAML, or not a plan.
    """
    return parse(load(path), str(path))


def load(path: Path) -> dict[str, Any]:
    """The file's plain data, not validated yet; raises as `read`."""
    if not path.exists():
        raise PlanError(f"{path} does not exist: no such file. `trail init` writes a plan; --plan names another.")
    try:
        text = reading.content(path, MAX_BYTES, "a plan, such as `trail init` writes").decode("utf-8-sig")
    except reading.Unreadable as error:
        raise PlanError(str(error)) from None
    except UnicodeDecodeError:
        raise PlanError(f"{path} is not UTF-8.") from None
    try:
        content = reading.plain_yaml(text)
    except reading.Unreadable as error:
        raise PlanError(f"{path} is not plain YAML: {error}.") from None
    if not isinstance(content, Mapping):
        raise PlanError(f"{path} has no keys; `trail init` writes a plan with all of them.")
    return dict(content)


def parse(content: dict[str, Any], where: str) -> Plan:
    """A plan from plain data; raises as `read`."""
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        # A misspelt key comes first: a missing key is then nearly always the same one.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = keys_at(first["loc"][:-1])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            raise PlanError(f"{where}: {place} is not a key of a plan; {hint}") from None
        raise PlanError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}.") from None


def keys_at(location: tuple[int | str, ...]) -> set[str]:
    """Keys that the plan may have at a place."""
    model: Any = Plan
    for part in location:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = PhasePlan if part in PHASES else model if field is None else field.annotation
        model = next((kind for kind in getattr(model, "__args__", ()) if hasattr(kind, "model_fields")), model)
    return set(getattr(model, "model_fields", {}))
