"""Follows one deployment by its id until it has ended, one way or another.

Never by `services_stable`: that waiter is content after a rollback too (aws-actions/amazon-ecs-deploy-task-definition
#191). What ends a deployment is told apart here; what to do about it is decided in walk.py.
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
from deploy.diagnose.diagnosis import Diagnosis
from deploy.lenient import seconds

PATIENCE_S = 120.0  # for which AWS may not answer; the deployment goes on meanwhile
TWICE = 2  # looks that must find the same cause before it is believed
UNKNOWN_OPERATION = ("UnknownOperationException", "InvalidAction", "NotImplemented", "UnsupportedOperation")
ENDED_MEANWHILE = ("ConflictException", "ServiceDeploymentNotFoundException")

# completed: ECS says so · failed: ECS gave it up, and goes back where it can · overtaken: somebody's newer deployment
# took its place · gone: the service is gone · cause: something was found that no waiting cures · late: too long
Kind = Literal["completed", "failed", "overtaken", "gone", "cause", "late"]


@dataclass(frozen=True, slots=True)
class DeploymentOutcome:
    """How a deployment ended.

    Attributes:
        kind: one of `Kind`.
        sentence: for people.
        picture: the last one.
        cause: where one was found.
        rollback: id of the deployment that ECS runs instead, where it went back.
    """

    kind: Kind
    sentence: str
    picture: ServiceSnapshot
    cause: Diagnosis | None = None
    rollback: str | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: between looks, and that it may take."""

    every: float
    most: float


class Reporter(Protocol):
    """What is shown each picture."""

    def picture(self, seen: ServiceSnapshot, deployment: str) -> None:
        """Show it."""

    def say(self, line: str) -> None:
        """Tell something."""


T = TypeVar("T")
Why = Callable[[], Diagnosis | None]


def follow(
    clients: Clients,
    plan: Plan,
    deployment: str,
    known: set[str],
    since: datetime,
    times: Times,
    see: Reporter,
    why: Why | None = None,
) -> DeploymentOutcome:
    """Look again and again until the deployment has ended.

    Args:
        clients: of AWS.
        plan: whose service it is.
        deployment: its id.
        known: ids of deployments that were there before it; ECS may go back to one of them.
        since: when it began, or earlier; UTC.
        times: see `Times`.
        see: is shown what is seen.
        why: the most likely cause of what fails at the moment; not asked while nothing fails.

    Raises:
        ClientError, BotoCoreError: AWS refuses, or did not answer for `PATIENCE_S`.
    """
    began = time.monotonic()
    believed: list[str] = []
    while True:
        seen = retry_on_network_error(lambda: read_snapshot(clients, plan), see)
        see.picture(seen, deployment)
        if ours := seen.deployment(deployment):
            since = ours.created or since
        if ended := retry_on_network_error(functools.partial(end, clients, plan, seen, deployment, known, since), see):
            return ended
        if why is not None and in_trouble(seen, deployment):
            cause = retry_on_network_error(why, see)
            believed = [*believed, cause.code] if cause is not None and cause.deterministic else []
            if cause is not None and len(believed) >= TWICE and believed[-1] == believed[-2]:
                return DeploymentOutcome("cause", cause.sentence, seen, cause)
        if time.monotonic() - began > times.most:
            sentence = f"{deployment} has not ended within {times.most / 60:.0f} minutes."
            return DeploymentOutcome("late", sentence, seen, why() if why else None)
        time.sleep(times.every)


def end(
    clients: Clients, plan: Plan, seen: ServiceSnapshot, name: str, known: set[str], since: datetime
) -> DeploymentOutcome | None:
    """How a deployment has ended, as far as a picture shows; None while it goes on. Arguments as of `follow`.

    Raises:
        ClientError, BotoCoreError: as `rolled_back`.
    """
    ours, primary = seen.deployment(name), seen.primary
    if seen.service is None:
        return DeploymentOutcome("gone", "The service is gone: somebody deleted it.", seen)
    if primary is not None and primary.id != name:
        why = failure(seen, name) or ""
        if ours is not None and ours.rollout == "FAILED":
            why = why or ours.reason or NO_REASON
        if primary.id in known:
            why = why or (primary.reason if going_back(primary) else "")
        elif (reason := rolled_back(clients, plan, seen, name, since)) is not None:
            why = why or reason
        elif not why:
            return DeploymentOutcome("overtaken", f"{primary.id} is newer than {name}: somebody else deploys.", seen)
        else:  # ours had failed when somebody else deployed
            return DeploymentOutcome("failed", f"{name} failed: {why.rstrip('.')}.", seen)
        runs = primary.task_definition.rpartition("/")[2]
        failed = f"{name} failed{f': {why}' if why else ''}".rstrip(".")
        return DeploymentOutcome(
            "failed", f"{failed}. ECS went back to {runs} ({primary.id}).", seen, rollback=primary.id
        )
    if ours is not None and ours.rollout == "FAILED":
        return DeploymentOutcome("failed", ours.reason or f"ECS says that {name} FAILED.", seen)
    if ours is None:
        return DeploymentOutcome("gone", f"{name} is no longer among the service's deployments.", seen)
    if ours.rollout == "COMPLETED" and ours.running >= ours.desired:
        return DeploymentOutcome("completed", f"{name} is COMPLETED: {ours.running} of {ours.desired} tasks run.", seen)
    return None


def failure(seen: ServiceSnapshot, name: str) -> str | None:
    """What an event says of why a deployment failed; None where none says that it did."""
    for event in seen.events:
        if (match := DEPLOYMENT_FAILED.search(event.text)) is not None and match["id"] == name:
            return event.text[match.end() :].strip(" :.") or NO_REASON
    return None


def going_back(deployment: Deployment) -> bool:
    """Whether a deployment is a rollback that goes on; once it has ended, its reason says so no more."""
    return ROLLING_BACK.search(deployment.reason) is not None


def rolled_back(clients: Clients, plan: Plan, seen: ServiceSnapshot, name: str, since: datetime) -> str | None:
    """Why ECS went back from a deployment to the one that the service runs now, whose id is new.

    ECS's rollback may be a new deployment of the earlier task definition. Events tell it from somebody else's, since
    they name both deployments; then the service deployment does; then the reason of the new deployment.

    Args:
        clients: of AWS.
        plan: whose service it is.
        seen: shows another primary deployment.
        name: id of the deployment that ECS may have given up.
        since: when that one began, UTC.

    Returns:
        ECS's words; None where nothing says that it is ECS's rollback: then it is somebody else's deployment.

    Raises:
        ClientError, BotoCoreError: there are no credentials, or no network.
    """
    primary = seen.primary
    if primary is None or primary.id == name:
        return None
    failures = [(event, match["id"]) for event in seen.events if (match := DEPLOYMENT_FAILED.search(event.text))]
    if failures and seconds(failures[-1][0].at) >= seconds(since - SLACK) and failures[-1][1] != name:
        return None  # a later deployment of somebody else failed, and ECS went back from that one
    why = failure(seen, name)
    named = any(primary.id == match["id"] for event in seen.events if (match := ROLLING_BACK.search(event.text)))
    if why is not None and named:
        return why
    try:
        begun = service_deployments(clients, plan, since)
        if len(begun) > 1:
            return None  # somebody else has updated the service
        reason = rollback_reason(clients, seen.service or {}, begun[0]) if begun else None
    except ERRORS as error:
        if isinstance(aws_error(error, "ecs"), NoCredentials | Unreachable):
            raise
        reason = None
    if reason is None and not named and not going_back(primary):
        return None
    return why or reason or primary.reason


def in_trouble(seen: ServiceSnapshot, name: str) -> bool:
    """Whether anything looks as if it failed, so that a diagnosis is worth its calls."""
    ours = seen.deployment(name)
    own = [one for one in seen.tasks if one.started_by == name]
    addresses = {one.address for one in own}
    return bool(
        (ours is not None and ours.failed)
        or any(one.health == "UNHEALTHY" for one in own)
        or any(one.state == "unhealthy" and one.address in addresses for one in seen.targets)
        or any("unable to" in one.text or "failed" in one.text for one in seen.events[-3:])
    )


def retry_on_network_error(ask: Callable[[], T], see: Reporter) -> T:
    """An answer of AWS; where the network is away, asked again for a while."""
    first: float | None = None
    while True:
        try:
            return ask()
        except (ConnectionError, HTTPClientError) as error:
            now = time.monotonic()
            first = first or now
            if now - first > PATIENCE_S:
                raise
            see.say(f"AWS does not answer ({type(error).__name__}); the deployment goes on there. Asking again …")
            time.sleep(5)


def stop(clients: Clients, plan: Plan, deployment: Deployment) -> bool:
    """Have ECS end a deployment and go back at once.

    Returns:
        False where this endpoint does not know the call, or the deployment has ended meanwhile.

    Raises:
        AskError: AWS refuses, or failed again and again.
        ClientError, BotoCoreError: there are no credentials, or no network.
    """
    arn = ""
    try:
        begun = service_deployments(clients, plan, deployment.created or datetime.now(UTC))
        if not begun or begun[0].get("status") not in ("PENDING", "IN_PROGRESS"):
            return False
        arn = str(begun[0]["serviceDeploymentArn"])
        clients.few_tries("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    except ResponseParserError:
        return False
    except ERRORS as error:
        if isinstance(error, ClientError) and is_unknown(error):
            return False
        refused = aws_error(error, "ecs")
        if isinstance(refused, NoCredentials | Unreachable):
            raise
        if isinstance(refused, Denied) and arn:
            refused = Denied(refused.action, f"{arn.rpartition('/')[0]}/*")  # a policy names those to come, too
        raise refused from None
    return True


def is_unknown(error: ClientError) -> bool:
    """Whether the endpoint does not know an operation, or ECS no longer knows what was to be stopped."""
    code = error.response["Error"].get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code in UNKNOWN_OPERATION + ENDED_MEANWHILE or status in (404, 501)
