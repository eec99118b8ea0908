"""The trail record as data: every attempt at a phase, what it ran, what its gates saw, how it ended.

The tool writes it out of what it saw; nobody types it. What is derived of it (progress, markers, what is proven) is
computed from here each time and stored nowhere.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bentos.skin.settings import Phase
from deploy.gates.result import GateResult

RECORD_VERSION: Literal[1] = 1

# running: begun and not ended, as far as the record knows · proven: all gates held for their whole window · refused:
# nothing was changed, preflight found something · gate_failed, cause_found, platform_failed: taken back, because a gate
# failed, because a cause was found that no waiting cures, or by ECS itself · rollback_failed: and that went wrong ·
# restored: a `trail rollback` that reached what was proven ·
# overtaken: somebody else's newer deployment came, and was left alone · abandoned: never reached AWS.
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


class Deployed(_Part):
    """What runs, or would run.

    Attributes:
        digest: of the image, sha256:…; empty where its name is a tag, and no task said which image it runs.
        task_definition: its ARN.
        settings: environment of the container.
        secrets: setting → where its value lies; never the value.
        weights_uri, weights_sha256: None before phase foundation.
        service: what UpdateService was given beside the task definition: network, load balancer, deployment rules.
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
        id: of the attempt, hexadecimal.
        command: what was run.
        phase: that was to be reached, or gone back to.
        who: ARN of the caller, as STS tells it.
        host: machine and process, machine:pid.
        base_url: where its gates asked the service; None: at the plan's domain.
        started, ended: UTC; ended is None while it runs.
        deployed: what was to run; None where nothing came that far.
        before: what ran when it began, proven or not; None where there was no service, or it had no tasks.
        deployment: ECS's id of the deployment, ecs-svc/…; None before there is one.
        outcome: how it ended.
        cause: code of the most likely cause of a failure, of docs/causes.md or a gate's name or a finding's code.
        sentence: how it ended, for people.
        evidence: lines that show the cause.
        gates: the last result of each gate.
        back_to: id of the attempt that was gone back to; None where nothing was, or desired count 0 was set.
        trimmed: evidence and gates were left out, when the record had grown too large.
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
    """A decision that people took; the only thing in the record that is typed, and shown as such."""

    who: str
    at: datetime
    text: str


class Record(_Part):
    """Of one service.

    Attributes:
        version: of this form.
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
