"""Waits for one deployment, by its id, and says how it ended.

boto3's waiter `services_stable` is not used: it also succeeds after a rollback
(aws-actions/amazon-ecs-deploy-task-definition#191). prove.py decides what to do about the outcome.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeVar

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from deploy.aws.clients import Clients
from deploy.aws.errors import ERRORS, Denied, NoCredentials, Unreachable, aws_error
from deploy.aws.service import (
    DEPLOYMENT_FAILED,
    NO_REASON,
    ROLLING_BACK,
    SLACK,
    Deployment,
    ServiceSnapshot,
    read_snapshot,
    rollback_reason,
    service_deployments,
)
from deploy.config.plan import Plan
from deploy.diagnose.cause import Diagnosis
from deploy.lenient import seconds

RETRY_S = 120.0  # how long AWS may be unreachable; the deployment goes on meanwhile
RETRY_PAUSE_S = 5
CONFIRMATIONS = 2  # polls in a row that must find the same cause before the deployment is stopped for it
UNKNOWN_OPERATION = ("UnknownOperationException", "InvalidAction", "NotImplemented", "UnsupportedOperation")
ALREADY_ENDED = ("ConflictException", "ServiceDeploymentNotFoundException")

# completed: ECS reports COMPLETED · failed: ECS gave it up, and rolls back if it can · overtaken: somebody else's newer
# deployment replaced it · gone: the service was deleted · cause: a cause was found that waiting cannot fix · late: it
# took too long
Kind = Literal["completed", "failed", "overtaken", "gone", "cause", "late"]


@dataclass(frozen=True, slots=True)
class DeploymentOutcome:
    """How a deployment ended.

    Attributes:
        kind: one of `Kind`.
        sentence: for people.
        snapshot: the last one.
        cause: if one was found.
        rollback: id of the deployment that ECS rolled back to, if it did.
    """

    kind: Kind
    sentence: str
    snapshot: ServiceSnapshot
    cause: Diagnosis | None = None
    rollback: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between polls of AWS, and seconds after which a deployment is late."""

    poll_s: float
    timeout_s: float


class Reporter(Protocol):
    """Shows a person what happens."""

    def show_snapshot(self, snapshot: ServiceSnapshot, deployment: str) -> None:
        """Show the service as it is now."""

    def say(self, line: str) -> None:
        """Print one line."""


T = TypeVar("T")
FindCause = Callable[[], Diagnosis | None]


def follow_deployment(
    clients: Clients,
    plan: Plan,
    deployment: str,
    known: set[str],
    since: datetime,
    timing: Timing,
    reporter: Reporter,
    find_cause: FindCause | None = None,
) -> DeploymentOutcome:
    """Poll until the deployment has ended.

    Args:
        clients: of AWS.
        plan: names the service.
        deployment: its id.
        known: ids of earlier deployments; ECS may roll back to one of them.
        since: when the deployment began, or earlier; UTC.
        timing: of the polls.
        reporter: shows each snapshot.
        find_cause: the most likely cause of a failure; called only while something fails.

    Raises:
        ClientError, BotoCoreError: AWS refuses, or was unreachable for `RETRY_S`.
    """
    began = time.monotonic()
    causes: list[str] = []
    started: set[str] = set()  # ids of the deployment's tasks
    while True:
        snapshot = retry_on_network_error(lambda: read_snapshot(clients, plan), reporter)
        reporter.show_snapshot(snapshot, deployment)
        if current := snapshot.deployment(deployment):
            since = current.created or since
        outcome = retry_on_network_error(
            functools.partial(deployment_outcome, clients, plan, snapshot, deployment, known, since), reporter
        )
        if outcome is not None:
            return outcome
        running = {task.id for task in snapshot.tasks if task.started_by == deployment}
        started |= running
        # ECS does not count a task that ends after one was healthy, so it would start others without an end.
        ended = running < started
        if find_cause is not None and (ended or shows_trouble(snapshot, deployment)):
            cause = retry_on_network_error(find_cause, reporter)
            causes = [*causes, cause.code] if cause is not None and cause.deterministic else []
            if cause is not None and len(causes) >= CONFIRMATIONS and causes[-1] == causes[-2]:
                return DeploymentOutcome("cause", cause.sentence, snapshot, cause)
        if time.monotonic() - began > timing.timeout_s:
            sentence = f"{deployment} has not ended within {timing.timeout_s / 60:.0f} minutes."
            return DeploymentOutcome("late", sentence, snapshot, find_cause() if find_cause else None)
        time.sleep(timing.poll_s)


def deployment_outcome(
    clients: Clients, plan: Plan, snapshot: ServiceSnapshot, name: str, known: set[str], since: datetime
) -> DeploymentOutcome | None:
    """How a deployment has ended, by a snapshot; None while it goes on. Arguments as in `follow_deployment`.

    Raises:
        ClientError, BotoCoreError: as in `ecs_rollback_reason`.
    """
    deployment, primary = snapshot.deployment(name), snapshot.primary
    if snapshot.service is None:
        return DeploymentOutcome("gone", "Somebody deleted the service.", snapshot)
    if primary is not None and primary.id != name:
        reason = failure_reason(snapshot, name) or ""
        if deployment is not None and deployment.rollout == "FAILED":
            reason = reason or deployment.reason or NO_REASON
        if primary.id in known:
            reason = reason or (primary.reason if is_rollback(primary) else "")
        elif (rollback_by_ecs := ecs_rollback_reason(clients, plan, snapshot, name, since)) is not None:
            reason = reason or rollback_by_ecs
        elif not reason:
            sentence = f"{primary.id} is newer than {name}: somebody else has deployed."
            return DeploymentOutcome("overtaken", sentence, snapshot)
        else:  # our deployment had failed before somebody else deployed
            return DeploymentOutcome("failed", f"{name} failed: {reason.rstrip('.')}.", snapshot)
        revision = primary.task_definition.rpartition("/")[2]
        failed = f"{name} failed{f': {reason}' if reason else ''}".rstrip(".")
        sentence = f"{failed}. ECS rolled back to {revision} ({primary.id})."
        return DeploymentOutcome("failed", sentence, snapshot, rollback=primary.id)
    if deployment is not None and deployment.rollout == "FAILED":
        return DeploymentOutcome("failed", deployment.reason or f"ECS reports that {name} FAILED.", snapshot)
    if deployment is None:
        return DeploymentOutcome("gone", f"The service no longer lists the deployment {name}.", snapshot)
    if deployment.rollout == "COMPLETED" and deployment.running >= deployment.desired:
        sentence = f"{name} is COMPLETED: {deployment.running} of {deployment.desired} tasks run."
        return DeploymentOutcome("completed", sentence, snapshot)
    return None


def failure_reason(snapshot: ServiceSnapshot, name: str) -> str | None:
    """Why a deployment failed, by the service's events; None if no event says that it failed."""
    for event in snapshot.events:
        if (match := DEPLOYMENT_FAILED.search(event.text)) is not None and match["id"] == name:
            return event.text[match.end() :].strip(" :.") or NO_REASON
    return None


def is_rollback(deployment: Deployment) -> bool:
    """Whether a deployment is a rollback in progress; ECS replaces its reason once it has ended."""
    return ROLLING_BACK.search(deployment.reason) is not None


def ecs_rollback_reason(
    clients: Clients, plan: Plan, snapshot: ServiceSnapshot, name: str, since: datetime
) -> str | None:
    """Why ECS rolled a deployment back, if the service's primary deployment is that rollback.

    The rollback may have a new deployment id. Three things distinguish it from somebody else's deployment, in this
    order: events that name both deployments; the service deployment; the reason of the new deployment.

    Args:
        clients: of AWS.
        plan: names the service.
        snapshot: with a primary deployment other than `name`.
        name: id of the deployment that ECS may have rolled back.
        since: when that one began, UTC.

    Returns:
        ECS's reason; None if nothing shows a rollback by ECS: the primary deployment is then somebody else's.

    Raises:
        ClientError, BotoCoreError: there are no credentials, or no network.
    """
    primary = snapshot.primary
    if primary is None or primary.id == name:
        return None
    failures = [
        (event.at, match["id"])
        for event in snapshot.events
        if (match := DEPLOYMENT_FAILED.search(event.text)) is not None
    ]
    if failures and seconds(failures[-1][0]) >= seconds(since - SLACK) and failures[-1][1] != name:
        return None  # somebody else's later deployment failed, and ECS rolled that one back
    reason = failure_reason(snapshot, name)
    named = any(
        primary.id == match["id"] for event in snapshot.events if (match := ROLLING_BACK.search(event.text)) is not None
    )
    if reason is not None and named:
        return reason
    try:
        deployments = service_deployments(clients, plan, since)
        if len(deployments) > 1:
            return None  # somebody else has updated the service
        described = rollback_reason(clients, snapshot.service or {}, deployments[0]) if deployments else None
    except ERRORS as error:
        if isinstance(aws_error(error, "ecs"), NoCredentials | Unreachable):
            raise
        described = None
    if described is None and not named and not is_rollback(primary):
        return None
    return reason or described or primary.reason


def shows_trouble(snapshot: ServiceSnapshot, name: str) -> bool:
    """Whether anything of a deployment seems to fail, so that a diagnosis is worth its API calls."""
    deployment = snapshot.deployment(name)
    tasks = [task for task in snapshot.tasks if task.started_by == name]
    addresses = {task.address for task in tasks}
    return bool(
        (deployment is not None and deployment.failed)
        or any(task.health == "UNHEALTHY" for task in tasks)
        or any(target.state == "unhealthy" and target.address in addresses for target in snapshot.targets)
        or any("unable to" in event.text or "failed" in event.text for event in snapshot.events[-3:])
    )


def retry_on_network_error(call: Callable[[], T], reporter: Reporter) -> T:
    """The result of a call to AWS, which is repeated for `RETRY_S` while the network is down."""
    first: float | None = None
    while True:
        try:
            return call()
        except (ConnectionError, HTTPClientError) as error:
            now = time.monotonic()
            first = first or now
            if now - first > RETRY_S:
                raise
            reporter.say(f"AWS cannot be reached ({type(error).__name__}); the deployment goes on there. Retrying …")
            time.sleep(RETRY_PAUSE_S)


def stop_deployment(clients: Clients, plan: Plan, deployment: Deployment) -> bool:
    """Have ECS stop a deployment and roll back at once.

    Returns:
        False if the endpoint does not know the call, or the deployment has already ended.

    Raises:
        AwsError: AWS refuses, or failed repeatedly.
        ClientError, BotoCoreError: there are no credentials, or no network.
    """
    arn = ""
    try:
        deployments = service_deployments(clients, plan, deployment.created or datetime.now(UTC))
        if not deployments or deployments[0].get("status") not in ("PENDING", "IN_PROGRESS"):
            return False
        arn = str(deployments[0]["serviceDeploymentArn"])
        clients.few_tries("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    except ResponseParserError:
        return False
    except ERRORS as error:
        if isinstance(error, ClientError) and _cannot_be_stopped(error):
            return False
        refused = aws_error(error, "ecs")
        if isinstance(refused, NoCredentials | Unreachable):
            raise
        if isinstance(refused, Denied) and arn:
            refused = Denied(refused.action, f"{arn.rpartition('/')[0]}/*")  # the policy must cover later ones too
        raise refused from None
    return True


def _cannot_be_stopped(error: ClientError) -> bool:
    """Whether the endpoint does not know the operation, or ECS no longer knows the deployment."""
    code = error.response["Error"].get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code in UNKNOWN_OPERATION + ALREADY_ENDED or status in (404, 501)
