"""Preflight: all findings about a rollout before anything is changed, from task definition, image and account.

Image and account are checked where an image and a plan are named; elsewhere a SKIP says why not.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from bentos.skin.settings import Phase
from deploy.config import image_contract as contracts
from deploy.config.plan import Plan
from deploy.findings.catalog import ACCOUNT, DIGEST, IMAGE
from deploy.findings.finding import Finding, skip
from deploy.taskdef import schema
from deploy.verify.context import REPOSITORIES, CheckContext
from deploy.verify.task_definition import run_checks


@dataclass(frozen=True)
class Subject:
    """What preflight checks.

    Attributes:
        task: the task definition, rendered or read.
        contract: the image's, as plain data.
        plan: the team's, if there is one.
        phase: the phase to roll out, if one was named.
        image: the image to run, if one was named.
        offline: neither run the image nor call AWS.
        of_image: whether the contract was given as that of the task's image; an image that was named says so too, and
            else the names of the task's images.
        findings: made before, such as what was removed from a file.
    """

    task: dict[str, Any]
    contract: dict[str, Any]
    plan: Plan | None = None
    phase: Phase | None = None
    image: str | None = None
    offline: bool = False
    of_image: bool = False
    findings: list[Finding] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the serving container: a rollout gives it the name of the plan's service."""
        return () if self.plan is None else (self.plan.service,)


def run_preflight(subjects: list[Subject]) -> list[Finding]:
    """All findings of one rollout.

    Equal findings of several phases are reported once. Image and account are checked for the last phase, which demands
    most.

    Args:
        subjects: one for each phase, in their order.
    """
    first, last = subjects[0], subjects[-1]
    phases_of: dict[str, tuple[Finding, list[str]]] = {}
    for subject in subjects:
        for finding in check_task_definition(subject):
            phases_of.setdefault(finding.model_dump_json(), (finding, []))[1].append(str(subject.phase))
    broken = {finding.code for finding, _ in phases_of.values() if finding.level in ("FAIL", "WARN")}
    kept = []
    for finding, phases in phases_of.values():
        if finding.level in ("FAIL", "WARN") and len(phases) < len(subjects):
            sentence = f"In phase {', '.join(phases)}: {finding.sentence}"
            kept.append(finding.model_copy(update={"sentence": sentence}))
        elif finding.level in ("FAIL", "WARN") or finding.code not in broken:
            kept.append(finding)
    return [*first.findings, *kept, *check_image(last), *check_account(last)]


def check_task_definition(subject: Subject) -> list[Finding]:
    """Findings of the task definition."""
    task, violations = schema.fit(subject.task)
    own = subject.contract.get("settings") == contracts.builtin()["settings"]
    contract = contracts.parse(subject.contract)
    context = CheckContext(
        task,
        violations,
        contract,
        subject.phase,
        own,
        subject.names,
        of_image=subject.of_image or subject.image is not None,
        repositories=(*REPOSITORIES, *([subject.plan.repository_name.rpartition("/")[2]] if subject.plan else [])),
        account=subject.plan.account if subject.plan else "",
    )
    return run_checks(context)


def check_image(subject: Subject) -> list[Finding]:
    """Findings of a run of the image."""
    if subject.offline:
        return [_skipped(IMAGE.code, "--offline was given, so the image was not run")]
    if subject.image is None:
        return [_skipped(IMAGE.code, "No image to run was named with --image")]
    from deploy.image import engine  # the imports take half a second, for which --offline need not wait
    from deploy.verify.container.run import try_image

    try:
        env = engine.environment()
    except engine.EngineError:
        env = dict(os.environ)  # try_image then reports that no engine answers
    return try_image(
        subject.image, schema.readable(subject.task), contracts.parse(subject.contract), env, subject.names
    )


def check_account(subject: Subject) -> list[Finding]:
    """Findings of the AWS account."""
    if subject.offline:
        return [_skipped(ACCOUNT.code, "--offline was given, so the AWS account was not checked")]
    if subject.plan is None:
        return [_skipped(ACCOUNT.code, "There is no plan that names the account and its resources")]
    import boto3  # as above

    from deploy.verify.account.run import run_account_checks

    session = boto3.Session(region_name=subject.plan.region)
    contract = contracts.parse(subject.contract)
    return run_account_checks(subject.plan, schema.readable(subject.task), contract, session, subject.phase or "full")


def _skipped(code: str, reason: str) -> Finding:
    return skip(code, f"{reason}.")


def digest_missing(place: str) -> Finding:
    """A SKIP for a plan that is checked without the image's digest; `place` says where a digest could be given."""
    return skip(
        DIGEST.code,
        "No --digest was given, so the task definition was checked with a digest of zeros and cannot be registered.",
        (place, None),
        repair="Pass --digest sha256:… as the registry prints it.",
    )
