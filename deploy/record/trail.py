"""The trail record as data: each attempt at a phase, what it deployed, the results of its gates, and how it ended.

The tool writes it; people add only notes. Progress, markers and proven phases are computed from it each time, and not
stored.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bentos.skin.settings import Phase

RECORD_VERSION: Literal[1] = 1

# running: it has not ended, as far as the record knows · proven: all gates passed for the whole window · refused:
# preflight found a failure, and nothing was changed · gate_failed, cause_found, platform_failed: rolled back because a
# gate failed, because a cause was found that waiting cannot fix, or by ECS · rollback_failed: the rollback failed too ·
# restored: a `trail rollback` that succeeded · overtaken: somebody else's newer deployment came, and was not touched ·
# abandoned: it never reached AWS, or nobody knows how it ended.
Outcome = Literal[
    "running",
    "proven",
    "refused",
    "gate_failed",
    "cause_found",
    "platform_failed",
    "rollback_failed",
    "restored",
    "overtaken",
    "abandoned",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GateResult(_Part):
    """The result of one gate.

    Attributes:
        name: stable, lower case with underscores, e.g. targets_healthy.
        title: for people, a few words.
        holds: whether the gate passed.
        value: what was measured, as plain data.
        limit: what is required, as plain data.
        sentence: the result for an operator; if the gate failed, what to do.
        at: UTC.
        permanent: waiting cannot make it pass; `hopeless` in JSON.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    name: str
    title: str
    holds: bool
    value: Any = None
    limit: Any = None
    sentence: str
    at: datetime
    permanent: bool = Field(default=False, alias="hopeless")


class Deployed(_Part):
    """What an attempt deploys.

    Attributes:
        digest: of the image, sha256:…; empty if a tag names the image, and no task reported its digest.
        task_definition: ARN.
        settings: environment of the container.
        secrets: setting → ARN of its value; never the value.
        weights_uri, weights_sha256: None before phase foundation.
        service: the rest of the request to UpdateService: network, load balancer, deployment configuration.
    """

    digest: str
    task_definition: str
    settings: dict[str, str] = {}
    secrets: dict[str, str] = {}
    weights_uri: str | None = None
    weights_sha256: str | None = None
    service: dict[str, Any] = {}


class Attempt(_Part):
    """One `trail up` of one phase, or one `trail rollback`.

    Attributes:
        id: hexadecimal.
        command: `trail up` or `trail rollback`.
        phase: to deploy, or to roll back to.
        who: ARN of the caller, from STS.
        host: machine and process, machine:pid.
        base_url: at which gates reached the service; None: the plan's domain.
        started, ended: UTC; ended is None while it runs.
        deployed: what it deploys; None if it ended before that was known.
        before: what ran when it began, proven or not; None if there was no service, or it had no tasks.
        deployment: ECS's id of the deployment, ecs-svc/…; None before there is one.
        outcome: how it ended.
        cause: the most likely cause of a failure: a code of docs/causes.md, a gate's name or a finding's code.
        sentence: how it ended, for people.
        evidence: lines that show the cause.
        gates: the last result of each gate.
        back_to: id of the attempt that was rolled back to; None if there was none, or the desired count was set to 0.
        trimmed: evidence and gates were removed because the record had become too large.
    """

    id: str
    command: Literal["up", "rollback"] = "up"
    phase: Phase
    who: str
    host: str
    base_url: str | None = None
    started: datetime
    ended: datetime | None = None
    deployed: Deployed | None = None
    before: Deployed | None = None
    deployment: str | None = None
    outcome: Outcome = "running"
    cause: str | None = None
    sentence: str | None = None
    evidence: list[str] = []
    gates: list[GateResult] = []
    back_to: str | None = None
    trimmed: bool = False


class Note(_Part):
    """A decision of the team; the only part of the record that people write."""

    who: str
    at: datetime
    text: str


class Record(_Part):
    """The record of one service.

    Attributes:
        version: of this format.
        account, region, cluster, service: whose record it is.
        attempts: oldest first.
        notes: oldest first.
    """

    version: Literal[1] = RECORD_VERSION
    account: str
    region: str
    cluster: str
    service: str
    attempts: list[Attempt] = []
    notes: list[Note] = []
