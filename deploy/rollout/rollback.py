"""Back to what was proven: by the record, never to "revision minus one", and never over somebody's newer deployment."""

import functools
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from botocore.exceptions import ClientError

from bentos.skin.settings import HEALTH_PATH, Phase
from deploy import exit_codes as exits
from deploy.aws import service as ecs
from deploy.aws.errors import aws_error
from deploy.config.plan import PHASES
from deploy.findings.terminal import NOT_CONFIRMED
from deploy.record import progress
from deploy.record.trail import Attempt, Deployed, Outcome, Record
from deploy.rollout import diff as change
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, assert_begun
from deploy.rollout.wait import follow, retry_on_network_error, rolled_back

VERIFY_S = 90.0  # until what was gone back to must be seen to serve


@dataclass(frozen=True, slots=True)
class Target:
    """What to go back to.

    Attributes:
        deployed: it.
        phase: in which it was proven; None where it only ran before, and nobody proved it.
        attempt: by which it was proven.
        when: UTC.
    """

    deployed: Deployed
    phase: Phase | None = None
    attempt: str | None = None
    when: datetime | None = None

    def words(self) -> str:
        """For people."""
        revision = self.deployed.task_definition.rsplit("/", 1)[-1]
        if self.phase is None or self.when is None:
            return f"{revision}, which ran before (it was never proven)"
        return f"{revision}, phase {self.phase}, proven {self.when:%Y-%m-%d %H:%M} UTC"


def targets(record: Record, phase: Phase, unwanted: str | None, before: Deployed | None = None) -> list[Target]:
    """What may be gone back to, the best first.

    Args:
        record: of the service.
        phase: what is proven of it or of an earlier one counts.
        unwanted: task definition that is left.
        before: what ran before: where it was proven, in whatever phase, it comes first, else last.
    """
    allowed = PHASES[: PHASES.index(phase) + 1]
    proven = [
        Target(one.deployed, one.phase, one.id, one.ended or one.started)
        for one in reversed(record.attempts)
        if one.outcome == "proven" and one.deployed is not None
    ]
    ran = [one for one in proven if before and one.deployed.task_definition == before.task_definition]
    found: list[Target] = []
    for one in [*ran[:1], *(one for one in proven if one.phase in allowed), *([Target(before)] if before else [])]:
        seen = {unwanted, *(other.deployed.task_definition for other in found)}
        if one.deployed.task_definition not in seen:
            found.append(one)
    return found


def after_failure(walk: RolloutSession, code: int, outcome: Outcome, said: str, mine: set[str]) -> Result:
    """Go back after a failed attempt and write how that ended.

    Args:
        walk: with the attempt in it.
        code: with which the command ends where going back works.
        outcome: of the attempt, likewise.
        said: why.
        mine: ids of deployments that are ours, or were there before.
    """
    attempt = assert_begun(walk.attempt)
    wanted = attempt.deployed.task_definition if attempt.deployed else None
    choice = targets(walk.record, attempt.phase, wanted, attempt.before)
    try:
        if not choice:
            seen = retry_on_network_error(lambda: ecs.read_snapshot(walk.clients, walk.plan), walk.see)
            leave_alone_what_is_newer(walk, seen, mine, attempt.deployment, attempt.started)
            change.stop_all_tasks(walk.clients, walk.plan)
            sentence = (
                f"{said} Nothing was proven before, so the desired count is 0 now; the diagnosis is in the record."
            )
            return walk.end(code, outcome, sentence)
        went, sentence, target = go_back(walk, choice, mine)
    except ConcurrentDeploymentError as error:
        return walk.end(exits.SOMEBODY_ELSE, "overtaken", f"{said} {error}")
    except ClientError as error:
        refused = aws_error(error)
        if refused.passing:  # asked again by `trail resume`
            raise
        told = f"Going back failed: {refused} {refused.advice}"
        return walk.end(exits.ROLLBACK_FAILED, "rollback_failed", f"{said} {told.strip()}")
    if not went:
        return walk.end(exits.ROLLBACK_FAILED, "rollback_failed", f"{said} {sentence}")
    return walk.end(code, outcome, f"{said} {sentence}", back_to=target.attempt)


def go_back(walk: RolloutSession, choice: list[Target], mine: set[str]) -> tuple[bool, str, Target]:
    """Have the first target run that can; whether it does, a sentence, and which it was.

    Raises:
        Somebody: a newer deployment of somebody else's is there.
        ClientError, BotoCoreError: AWS refuses, or does not answer.
    """
    told, attempt = "", assert_begun(walk.attempt)
    left, since = attempt.deployment, attempt.started
    for target in choice:
        walk.see.say(f"Going back to {target.words()} …")
        seen = retry_on_network_error(lambda: ecs.read_snapshot(walk.clients, walk.plan), walk.see)
        leave_alone_what_is_newer(walk, seen, mine, left, since)
        primary = seen.primary
        if primary is not None and primary.task_definition == target.deployed.task_definition:
            name = primary.id
        else:
            try:
                name = deploy(walk, target, seen.service or {})
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ClientException", "InvalidParameterException"):
                    raise
                told += f"{target.words()} cannot run again ({error.response['Error'].get('Message', '')}). "
                walk.see.say(told)
                continue
        if attempt.command == "rollback":
            walk.keep(deployment=name)
        ended = follow(walk.clients, walk.plan, name, mine, seen.at, walk.times(), walk.see)
        if ended.kind == "overtaken":
            raise ConcurrentDeploymentError(f"{ended.sentence} It was left alone.")
        left, since = name, seen.at
        mine = mine | {name} | ({ended.rollback} if ended.rollback else set())
        fault = ended.sentence if ended.kind != "completed" else unproven(walk, target, name)
        if fault is None:
            moved = tag_moved(target, ended.picture, name)
            return True, f"{told}Gone back to {target.words()}; it serves.{moved}", target
        told += f"{target.words()} was gone back to and does not serve: {fault} "
    return False, f"{told}Going back failed: somebody has to look now (`trail why`).", choice[-1]


def leave_alone_what_is_newer(
    walk: RolloutSession, seen: ecs.ServiceSnapshot, mine: set[str], left: str | None, since: datetime
) -> None:
    """Nothing where the service's deployment is ours, was there before, or is a rollback by ECS.

    Args:
        walk: with clients and plan.
        seen: the service now.
        mine: ids of deployments that are ours, or were there before.
        left: id of our deployment that failed; None where there was none.
        since: when that one began, or earlier; UTC.

    Raises:
        Somebody: it is somebody else's.
    """
    primary = seen.primary
    if primary is None or primary.id in mine:
        return
    if left is not None:
        rollback = functools.partial(rolled_back, walk.clients, walk.plan, seen, left, since)
        if retry_on_network_error(rollback, walk.see) is not None:
            return
    raise ConcurrentDeploymentError(f"{primary.id} is newer and somebody else's; it was left alone.")


def deploy(walk: RolloutSession, target: Target, found: dict[str, Any]) -> str:
    """Update the service; the id of the deployment. A task definition that is no longer active is registered anew."""
    arn = target.deployed.task_definition
    described = change.task_definition(walk.clients, arn)
    if described.get("status") == "INACTIVE":
        walk.see.say(f"{arn.rsplit('/', 1)[-1]} is no longer active; the same is registered anew.")
        arn = change.register(walk.clients, change.registrable(described))
    service = target.deployed.service or change.service_request(walk.plan, walk.contract)
    made = change.update(walk.clients, walk.plan, service, arn, found)
    return change.primary_of(made)


def tag_moved(target: Target, seen: ecs.ServiceSnapshot, deployment: str) -> str:
    """A sentence where what was never proven runs another image now than before, because a tag names it; else nothing.

    Args:
        target: that was gone back to.
        seen: the service, when the deployment had completed.
        deployment: id of the one that went back.
    """
    digests = {one.digest for one in seen.tasks if one.started_by == deployment and one.digest}
    if target.phase is not None or not target.deployed.digest or digests <= {target.deployed.digest}:
        return ""
    return (
        f" Its image is named by a tag, which names another image now: {', '.join(sorted(digests))} runs, and "
        f"{target.deployed.digest} ran before."
    )


def unproven(walk: RolloutSession, target: Target, deployment: str) -> str | None:
    """What is wrong with what was gone back to; None once it serves, which is waited for a while.

    Args:
        walk: of the attempt.
        target: that was gone back to.
        deployment: id of the one that went back.
    """
    deadline = time.monotonic() + VERIFY_S
    while True:
        fault = looked(walk, target, deployment)
        if fault is None or time.monotonic() > deadline:
            return fault
        time.sleep(walk.every_s)


def looked(walk: RolloutSession, target: Target, deployment: str) -> str | None:
    """The same, at one moment: healthy targets run the wanted image, and the load balancer answers for the phase.

    What was never proven is known by its task definition: a tag may name its image, of which no digest is promised.
    """
    seen = retry_on_network_error(lambda: ecs.read_snapshot(walk.clients, walk.plan), walk.see)
    tasks = {one.address: one for one in seen.tasks}
    healthy = [one.address for one in seen.targets if one.state == "healthy"]
    if not healthy:
        return "no target is healthy."
    serving = [tasks.get(address) for address in healthy]
    if target.phase is None:
        ours = seen.deployment(deployment)
        wanted = ours.task_definition if ours else target.deployed.task_definition  # it may be registered anew
        others = {one.task_definition if one else "no task of the service" for one in serving} - {wanted}
        return f"healthy targets run {', '.join(sorted(others))}." if others else None
    digests = {(one.digest if one else None) or "an image that is not known" for one in serving}
    if others := digests - {target.deployed.digest}:
        return f"healthy targets run {', '.join(sorted(others))}."
    url = walk.url + HEALTH_PATH
    try:
        answer = httpx.get(url, timeout=10)
        phase = answer.json().get("phase") if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return f"{url} does not answer ({type(error).__name__})."
    return None if phase == target.phase else f"{url} answers {answer.status_code}, phase {phase}."


def rollback(walk: RolloutSession, to: Phase | None) -> Result:
    """`trail rollback`: leave what runs for the newest that was proven before it.

    Args:
        walk: no attempt is begun in it yet.
        to: of that phase only.
    """
    walk.record = walk.store.read()
    seen = ecs.read_snapshot(walk.clients, walk.plan)
    if seen.service is None or seen.primary is None:
        return Result(exits.FOUND, f"There is no service {walk.plan.service}, so there is nothing to go back from.")
    runs = seen.primary.task_definition
    walk.refuse_unreachable(seen)
    current = running_attempt(walk.record, runs)
    recorded = progress.current(walk.record).attempt
    if recorded is not None and recorded.deployed is not None and recorded.deployed.task_definition != runs:
        # Changed past this tool: what the record knows to run comes first, then all that is proven.
        current, before = None, recorded.deployed
    else:
        before = None
    ceiling = to or (current.phase if current else PHASES[-1])
    choice = targets(walk.record, ceiling, runs, before)
    # Of what was proven, only what came before: else two calls would go to and fro between the same two.
    if current is not None and to is None:
        choice = [one for one in choice if one.when is not None and one.when < current.started] or choice
    choice = [one for one in choice if to is None or one.phase == to]
    if not choice:
        where = f"of phase {to} " if to else ""
        return Result(exits.FOUND, f"Nothing else {where}is proven in the record, so there is nothing to go back to.")
    target = choice[0]
    walk.see.say(f"Runs now: {runs.rsplit('/', 1)[-1]}. Would go back to {target.words()}:")
    for line in change.difference(
        change.task_definition(walk.clients, runs),
        change.task_definition(walk.clients, target.deployed.task_definition),
    ):
        walk.see.say(f"  {line}")
    if not walk.clients.writes:
        return Result(exits.FINE, f"Dry run: nothing was changed. It would go back to {target.words()}.")
    if not walk.confirm(f"Go back to {target.words()}?"):
        return Result(exits.FOUND, "Not confirmed; nothing was changed.", code=NOT_CONFIRMED.code)
    walk.begin(target.phase or "simple", "rollback")
    walk.take_lock()
    walk.keep(deployed=target.deployed)
    known = {one.id for one in seen.deployments}
    try:
        went, sentence, target = go_back(walk, choice, known)
    except ConcurrentDeploymentError as error:
        return walk.end(exits.SOMEBODY_ELSE, "overtaken", str(error))
    if not went:
        return walk.end(exits.ROLLBACK_FAILED, "rollback_failed", sentence)
    return walk.end(exits.FINE, "restored", sentence, back_to=target.attempt, deployed=target.deployed)


def running_attempt(record: Record, task_definition: str) -> Attempt | None:
    """The newest proven attempt of a task definition."""
    return next(
        (
            one
            for one in reversed(record.attempts)
            if one.outcome == "proven" and one.deployed and one.deployed.task_definition == task_definition
        ),
        None,
    )
