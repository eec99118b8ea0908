"""All findings about a rollout before anything moves: of the task definition, of the image, of the account.

Each part has a source. Those for the image and the account live in modules of their own, which are asked where someone
named an image and a plan; a SKIP says why not.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bentos.skin.settings import Phase
from deploy.config import image_contract as contracts
from deploy.config.plan import Plan
from deploy.findings.catalog import declare
from deploy.findings.finding import Finding, Level, skip
from deploy.taskdef import schema as shape
from deploy.verify.context import CheckContext
from deploy.verify.task_definition import judge

WORST_FIRST: tuple[Level, ...] = ("FAIL", "WARN", "SKIP", "OK")

INPUT = declare(
    "INPUT_UNUSABLE",
    "Plan, contract and task definition can be read",
    "A file is missing, empty, too large, of an unknown encoding, not JSON or YAML, or not what it should be. Nothing "
    "was looked at.",
)
IMAGE = declare(
    "IMAGE_ON_TRIAL",
    "The image was run and answered as its contract says",
    "A task definition can be right and the image wrong: only running it shows where it listens, what its health path "
    "answers, and whether a dependency is missing.",
    10,
)
ACCOUNT = declare(
    "ACCOUNT_ASKED",
    "The account was asked for what the rollout rests on",
    "Cluster, service, roles, log group, target group, security groups and subnets must exist and agree before "
    "anything else is worth a look.",
    1,
)
DIGEST = declare(
    "DIGEST_NAMED",
    "The image of this rollout is named by its digest",
    "Without a digest the task definition was judged with one of zeros, and cannot be registered.",
    9,
)


@dataclass(frozen=True)
class Subject:
    """What preflight looks at.

    Attributes:
        task: the task definition, rendered or read.
        contract: the image's, as plain data.
        plan: of the team, if there is one.
        phase: the phase that is meant, if anyone said so.
        image: the image to run, if one was named.
        offline: neither run nor ask anything.
        told: findings from before, such as what was stripped from a file.
    """

    task: dict[str, Any]
    contract: dict[str, Any]
    plan: Plan | None = None
    phase: Phase | None = None
    image: str | None = None
    offline: bool = False
    told: list[Finding] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the container that serves: a rollout has the load balancer send to the plan's service."""
        return () if self.plan is None else (self.plan.service,)


def look(subjects: list[Subject]) -> list[Finding]:
    """Findings of several phases, each told once; image and account are looked at with the last, the most demanding."""
    first, last = subjects[0], subjects[-1]
    told: dict[str, tuple[Finding, list[str]]] = {}
    for subject in subjects:
        for one in of_task_definition(subject):
            told.setdefault(one.model_dump_json(), (one, []))[1].append(str(subject.phase))
    broken = {one.code for one, _ in told.values() if one.level in ("FAIL", "WARN")}
    kept = []
    for one, phases in told.values():
        if one.level in ("FAIL", "WARN") and len(phases) < len(subjects):
            kept.append(one.model_copy(update={"sentence": f"In phase {', '.join(phases)}: {one.sentence}"}))
        elif one.level in ("FAIL", "WARN") or one.code not in broken:
            kept.append(one)
    return [*first.told, *kept, *of_image(last), *of_account(last)]


def of_task_definition(subject: Subject) -> list[Finding]:
    """What the checks say of the task definition."""
    task, faults = shape.fit(subject.task)
    own = subject.contract.get("settings") == contracts.builtin()["settings"]
    return judge(CheckContext(task, faults, contracts.parse(subject.contract), subject.phase, own, subject.names))


def of_image(subject: Subject) -> list[Finding]:
    """What a trial run of the image says."""
    if subject.offline:
        return [skipped(IMAGE.code, "--offline was given, so the image was not run")]
    if subject.image is None:
        return [skipped(IMAGE.code, "no image to run was named with --image")]
    from deploy.image import engine
    from deploy.verify import container as trial  # needs half a second, which --offline need not wait

    try:
        env = engine.environment()
    except engine.EngineError:
        env = dict(os.environ)  # the trial says that no engine answers
    return trial.try_image(subject.image, subject.task, contracts.parse(subject.contract), env, subject.names)


def of_account(subject: Subject) -> list[Finding]:
    """What the account says."""
    if subject.offline:
        return [skipped(ACCOUNT.code, "--offline was given, so AWS was not asked")]
    if subject.plan is None:
        return [skipped(ACCOUNT.code, "there is no plan that says which account and names to ask for")]
    import boto3  # as above

    from deploy.verify import account as cloud

    session = boto3.Session(region_name=subject.plan.region)
    return cloud.look(subject.plan, subject.task, contracts.parse(subject.contract), session, subject.phase or "full")


def skipped(code: str, reason: str) -> Finding:
    """A part that was not looked at."""
    return skip(code, f"{reason[0].upper()}{reason[1:]}.")


def no_digest(place: str) -> Finding:
    """A plan that was judged without knowing the image."""
    return skip(
        DIGEST.code,
        "No --digest was given, so the task definition was judged with one of zeros and cannot be registered.",
        (place, None),
        repair="Give --digest sha256:… as the registry prints it.",
    )


def counts(findings: Sequence[Finding]) -> dict[Level, int]:
    """How many of each level."""
    found = Counter(one.level for one in findings)
    return {level: found[level] for level in WORST_FIRST}


def report(findings: Sequence[Finding], strict: bool) -> dict[str, Any]:
    """What --json prints; the worst first, so that a program finds the reason of a failure at its head."""
    told = sorted(findings, key=lambda one: WORST_FIRST.index(one.level))
    return {
        "findings": [one.model_dump(mode="json") for one in told],
        "counts": counts(findings),
        "ok": is_fine(findings, strict),
    }


def is_fine(findings: Sequence[Finding], strict: bool) -> bool:
    """Whether nothing was found that stops a rollout; strict: nothing doubtful either."""
    found = counts(findings)
    return not found["FAIL"] and not (strict and found["WARN"])
