"""Rolls back to a proven release: by the record, not to "revision minus one", and not over a newer deployment."""

import functools
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from botocore.exceptions import ClientError

from bentos.skin.settings import HEALTH_PATH, Phase
from deploy import exit_codes as exits
from deploy.aws.errors import aws_error
from deploy.aws.service import ServiceSnapshot
from deploy.config.plan import PHASES
from deploy.findings.catalog import NOT_CONFIRMED
from deploy.record.progress import current, proven_attempt
from deploy.record.trail import Deployed, Outcome, Record
from deploy.rollout.diff import differences
from deploy.rollout.service_calls import (
    describe_task_definition,
    primary_deployment,
    register_task_definition,
    service_request,
    stop_all_tasks,
    update_service,
)
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, require_attempt
from deploy.rollout.wait import ecs_rollback_reason, follow_deployment, retry_on_network_error

VERIFY_S = 90.0  # within which the release that was rolled back to must serve


@dataclass(frozen=True, slots=True)
class Release:
    """What a rollback can return to.

    Attributes:
        deployed: what ran.
        phase: in which it was proven; None if it ran but was never proven.
        attempt: id of the attempt that proved it.
        proven_at: UTC.
    """

    deployed: Deployed
    phase: Phase | None = None
    attempt: str | None = None
    proven_at: datetime | None = None

    def __str__(self) -> str:
        revision = self.deployed.task_definition.rsplit("/", 1)[-1]
        if self.phase is None or self.proven_at is None:
            return f"{revision}, which ran before (it was never proven)"
        return f"{revision}, phase {self.phase}, proven {self.proven_at:%Y-%m-%d %H:%M} UTC"


def releases(record: Record, phase: Phase, leaving: str | None, before: Deployed | None = None) -> list[Release]:
    """The releases that a rollback may return to, the best first.

    Args:
        record: of the service.
        phase: releases that were proven in this phase or an earlier one count.
        leaving: ARN of the task definition to leave.
        before: what ran before; it comes first if it was proven in any phase, else last.
    """
    allowed = PHASES[: PHASES.index(phase) + 1]
    proven = [
        Release(attempt.deployed, attempt.phase, attempt.id, attempt.ended or attempt.started)
        for attempt in reversed(record.attempts)
        if attempt.outcome == "proven" and attempt.deployed is not None
    ]
    ran = [release for release in proven if before and release.deployed.task_definition == before.task_definition]
    candidates = [*ran[:1], *(release for release in proven if release.phase in allowed)]
    candidates += [Release(before)] if before else []
    first: dict[str, Release] = {}
    for release in candidates:
        first.setdefault(release.deployed.task_definition, release)
    return [release for arn, release in first.items() if arn != leaving]


def roll_back_failure(
    session: RolloutSession, exit_code: int, outcome: Outcome, failure: str, known: set[str]
) -> Result:
    """Roll back after a failed attempt, and write how that ended.

    Args:
        session: with the attempt.
        exit_code: of the command, if the rollback succeeds.
        outcome: of the attempt, likewise.
        failure: a sentence that says why the attempt failed.
        known: ids of our deployments and of earlier ones.
    """
    attempt = require_attempt(session.attempt)
    leaving = attempt.deployed.task_definition if attempt.deployed else None
    choice = releases(session.record, attempt.phase, leaving, attempt.before)
    try:
        if not choice:
            snapshot = retry_on_network_error(session.snapshot, session.reporter)
            refuse_newer_deployment(session, snapshot, known, attempt.deployment, attempt.started)
            stop_all_tasks(session.clients, session.plan)
            sentence = "Nothing was proven before, so the desired count is 0 now; the diagnosis is in the record."
            return session.end_attempt(exit_code, outcome, f"{failure} {sentence}")
        restored, sentence, release = roll_back(session, choice, known)
    except ConcurrentDeploymentError as error:
        return session.end_attempt(exits.SOMEBODY_ELSE, "overtaken", f"{failure} {error}")
    except ClientError as error:
        refused = aws_error(error)
        if refused.passing:  # `trail resume` tries again
            raise
        sentence = f"The rollback failed: {refused} {refused.advice}".strip()
        return session.end_attempt(exits.ROLLBACK_FAILED, "rollback_failed", f"{failure} {sentence}")
    if not restored:
        return session.end_attempt(exits.ROLLBACK_FAILED, "rollback_failed", f"{failure} {sentence}")
    return session.end_attempt(exit_code, outcome, f"{failure} {sentence}", back_to=release.attempt)


def roll_back(session: RolloutSession, choice: list[Release], known: set[str]) -> tuple[bool, str, Release]:
    """Deploy the first release that works.

    Args:
        session: with the attempt.
        choice: releases, the best first.
        known: ids of our deployments and of earlier ones.

    Returns:
        Whether one works, a sentence, and the release.

    Raises:
        ConcurrentDeploymentError: somebody else has deployed.
        ClientError, BotoCoreError: AWS refuses, or cannot be reached.
    """
    failures, attempt = "", require_attempt(session.attempt)
    previous, since = attempt.deployment, attempt.started
    for release in choice:
        session.reporter.say(f"Rolling back to {release} …")
        snapshot = retry_on_network_error(session.snapshot, session.reporter)
        refuse_newer_deployment(session, snapshot, known, previous, since)
        primary = snapshot.primary
        if primary is not None and primary.task_definition == release.deployed.task_definition:
            name = primary.id
        else:
            try:
                name = submit_release(session, release, snapshot.service or {})
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ClientException", "InvalidParameterException"):
                    raise
                failures += f"{release} cannot run again ({error.response['Error'].get('Message', '')}). "
                session.reporter.say(failures)
                continue
        if attempt.command == "rollback":
            session.update_attempt(deployment=name)
        outcome = follow_deployment(
            session.clients, session.plan, name, known, snapshot.at, session.timing, session.reporter
        )
        if outcome.kind == "overtaken":
            raise ConcurrentDeploymentError(f"{outcome.sentence} It was not touched.")
        previous, since = name, snapshot.at
        known = known | {name} | ({outcome.rollback} if outcome.rollback else set())
        fault = outcome.sentence if outcome.kind != "completed" else wait_until_serving(session, release, name)
        if fault is None:
            warning = moved_tag_warning(release, outcome.snapshot, name)
            return True, f"{failures}Rolled back to {release}; it serves.{warning}", release
        failures += f"{release} was deployed again and does not serve: {fault} "
    return False, f"{failures}The rollback failed: the service needs attention now (`trail why`).", choice[-1]


def refuse_newer_deployment(
    session: RolloutSession, snapshot: ServiceSnapshot, known: set[str], previous: str | None, since: datetime
) -> None:
    """Refuse to replace somebody else's deployment.

    Args:
        session: with clients and plan.
        snapshot: the service now.
        known: ids of our deployments and of earlier ones.
        previous: id of our deployment that failed; None if there was none.
        since: when that one began, or earlier; UTC.

    Raises:
        ConcurrentDeploymentError: the primary deployment is not known, and no rollback of ours by ECS.
    """
    primary = snapshot.primary
    if primary is None or primary.id in known:
        return
    if previous is not None:
        reason = functools.partial(ecs_rollback_reason, session.clients, session.plan, snapshot, previous, since)
        if retry_on_network_error(reason, session.reporter) is not None:
            return
    raise ConcurrentDeploymentError(f"{primary.id} is newer and somebody else's; it was not touched.")


def submit_release(session: RolloutSession, release: Release, service: dict[str, Any]) -> str:
    """Update the service; returns the id of the deployment. An inactive task definition is registered again."""
    arn = release.deployed.task_definition
    described = describe_task_definition(session.clients, arn)
    if described.get("status") == "INACTIVE":
        session.reporter.say(f"{arn.rsplit('/', 1)[-1]} is no longer active; the same is registered again.")
        arn = register_task_definition(session.clients, described)
    request = release.deployed.service or service_request(session.plan, session.contract)
    return primary_deployment(update_service(session.clients, session.plan, request, arn, service))


def moved_tag_warning(release: Release, snapshot: ServiceSnapshot, deployment: str) -> str:
    """A warning if a release that was never proven now runs another image, because a tag names it; else empty.

    Args:
        release: that was rolled back to.
        snapshot: the service, when the deployment had completed.
        deployment: id of the one that rolled back.
    """
    digests = {task.digest for task in snapshot.tasks if task.started_by == deployment and task.digest}
    if release.phase is not None or not release.deployed.digest or digests <= {release.deployed.digest}:
        return ""
    return (
        f" Its image is named by a tag, which names another image now: {', '.join(sorted(digests))} runs, and "
        f"{release.deployed.digest} ran before."
    )


def wait_until_serving(session: RolloutSession, release: Release, deployment: str) -> str | None:
    """Wait up to `VERIFY_S` until a release serves; returns None, or what is wrong with it.

    Args:
        session: of the attempt.
        release: that was rolled back to.
        deployment: id of the one that rolled back.
    """
    deadline = time.monotonic() + VERIFY_S
    while True:
        fault = serving_fault(session, release, deployment)
        if fault is None or time.monotonic() > deadline:
            return fault
        time.sleep(session.every_s)


def serving_fault(session: RolloutSession, release: Release, deployment: str) -> str | None:
    """What is wrong with a release now: healthy targets must run it, and the service must answer in its phase.

    A release that was never proven is recognised by its task definition, since a tag may name its image.
    """
    snapshot = retry_on_network_error(session.snapshot, session.reporter)
    tasks = {task.address: task for task in snapshot.tasks}
    healthy = [target.address for target in snapshot.targets if target.state == "healthy"]
    if not healthy:
        return "no target is healthy."
    serving = [tasks.get(address) for address in healthy]
    if release.phase is None:
        current_deployment = snapshot.deployment(deployment)
        # It may have been registered again.
        expected = current_deployment.task_definition if current_deployment else release.deployed.task_definition
        others = {task.task_definition if task else "no task of the service" for task in serving} - {expected}
        return f"healthy targets run {', '.join(sorted(others))}." if others else None
    digests = {(task.digest if task else None) or "an image that is not known" for task in serving}
    if others := digests - {release.deployed.digest}:
        return f"healthy targets run {', '.join(sorted(others))}."
    url = session.url + HEALTH_PATH
    try:
        response = httpx.get(url, timeout=10)
        phase = response.json().get("phase") if response.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return f"{url} does not answer ({type(error).__name__})."
    return None if phase == release.phase else f"{url} answers {response.status_code}, phase {phase}."


def rollback(session: RolloutSession, to: Phase | None) -> Result:
    """`trail rollback`: return to the newest release that was proven before the one that runs.

    Args:
        session: without an attempt.
        to: only releases that were proven in this phase.
    """
    session.record = session.store.read()
    snapshot = session.snapshot()
    if snapshot.service is None or snapshot.primary is None:
        return Result(exits.FOUND, f"There is no service {session.plan.service}, so nothing can be rolled back.")
    arn = snapshot.primary.task_definition
    session.refuse_unreachable(snapshot)
    running, before = proven_attempt(session.record, arn), None
    recorded = current(session.record).attempt
    if recorded is not None and recorded.deployed is not None and recorded.deployed.task_definition != arn:
        # Somebody changed the service without this tool: what should run comes first, then all that is proven.
        running, before = None, recorded.deployed
    newest = to or (running.phase if running else PHASES[-1])
    choice = releases(session.record, newest, arn, before)
    # Only what was proven earlier: otherwise two calls would switch between the same two releases.
    if running is not None and to is None:
        earlier = [release for release in choice if release.proven_at and release.proven_at < running.started]
        choice = earlier or choice
    choice = [release for release in choice if to is None or release.phase == to]
    if not choice:
        where = f" of phase {to}" if to else ""
        return Result(exits.FOUND, f"The record has no other proven release{where}, so nothing can be rolled back.")
    release = choice[0]
    session.reporter.say(f"Runs now: {arn.rsplit('/', 1)[-1]}. Would roll back to {release}:")
    for line in differences(
        describe_task_definition(session.clients, arn),
        describe_task_definition(session.clients, release.deployed.task_definition),
    ):
        session.reporter.say(f"  {line}")
    if not session.clients.writes:
        return Result(exits.FINE, f"Dry run: nothing was changed. It would roll back to {release}.")
    if not session.confirm(f"Roll back to {release}?"):
        return Result(exits.FOUND, "Not confirmed; nothing was changed.", code=NOT_CONFIRMED.code)
    session.begin_attempt(release.phase or "simple", "rollback")
    session.take_lock()
    session.update_attempt(deployed=release.deployed)
    try:
        restored, sentence, release = roll_back(session, choice, {item.id for item in snapshot.deployments})
    except ConcurrentDeploymentError as error:
        return session.end_attempt(exits.SOMEBODY_ELSE, "overtaken", str(error))
    if not restored:
        return session.end_attempt(exits.ROLLBACK_FAILED, "rollback_failed", sentence)
    return session.end_attempt(exits.FINE, "restored", sentence, back_to=release.attempt, deployed=release.deployed)
