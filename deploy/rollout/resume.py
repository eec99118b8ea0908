"""`trail resume`: finishes an attempt that was interrupted: by Ctrl-C, a lost network, expired credentials, a kill.

It continues with the deployment that runs in AWS, and never starts a second one.
"""

import os
from datetime import timedelta

from deploy import exit_codes as exits
from deploy.aws.service import Deployment, ServiceSnapshot
from deploy.aws.task import describe_tasks
from deploy.lenient import seconds
from deploy.record import lock
from deploy.record.trail import Attempt
from deploy.rollout import rollback as rollbacks
from deploy.rollout.prove import prove
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, this_process

CLOCK_SKEW = timedelta(minutes=2)  # between this machine's clock and AWS's


def resume(session: RolloutSession) -> Result:
    """Finish the newest attempt that the record says is running.

    Raises:
        Locked: the process that began it is alive.
        RecordError, ClientError, BotoCoreError: as in `deploy_phase`.
    """
    session.record = session.store.read()
    attempt = next((item for item in reversed(session.record.attempts) if item.outcome == "running"), None)
    if attempt is None:
        return Result(exits.FINE, "Nothing to resume: every attempt in the record has ended.")
    holding = lock.peek(session.store)
    if (
        holding is not None
        and holding.owner is not None
        and holding.owner.attempt == attempt.id
        and is_alive(holding.owner.host)
    ):
        raise lock.Locked(holding, session.store.objects.uri(lock.NAME))
    session.attempt = attempt
    session.take_lock(resume_of=attempt.id)
    try:
        return finish(session, attempt)
    except ConcurrentDeploymentError as error:
        session.release_lock()
        return Result(exits.SOMEBODY_ELSE, str(error), attempt)


def is_alive(host: str) -> bool:
    """Whether a process, machine:pid, runs on this machine and is not this one."""
    machine, _, pid = host.rpartition(":")
    if host == this_process() or machine != this_process().rpartition(":")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's process
        return True
    return True


def finish(session: RolloutSession, attempt: Attempt) -> Result:
    """Continue an attempt from where it was interrupted."""
    session.reporter.say(
        f"Resuming phase {attempt.phase}, begun {attempt.started:%Y-%m-%d %H:%M:%S} UTC by {attempt.who}."
    )
    snapshot = session.snapshot()
    deployed = attempt.deployed
    deployment = None if deployed is None else find_deployment(snapshot, attempt)
    start = (deployment.created if deployment is not None else None) or attempt.started
    known = {item.id for item in snapshot.deployments if seconds(item.created) < seconds(start)}
    name = attempt.deployment or (deployment.id if deployment is not None else find_ended_deployment(session, attempt))
    if name is not None:
        attempt = session.update_attempt(deployment=name)
    if attempt.command == "rollback" and deployed is not None:
        release = next(
            (item for item in rollbacks.releases(session.record, attempt.phase, None) if item.deployed == deployed),
            rollbacks.Release(deployed),
        )
        known |= {name} if name is not None else set()
        restored, sentence, release = rollbacks.roll_back(session, [release], known)
        if restored:
            return session.end_attempt(exits.FINE, "restored", sentence, back_to=release.attempt)
        return session.end_attempt(exits.ROLLBACK_FAILED, "rollback_failed", sentence)
    if deployed is None or name is None:
        image = "" if deployed is None else f" --digest {deployed.digest}"
        sentence = f"Nothing was started in AWS; `trail up {attempt.phase}{image}` starts again."
        return session.end_attempt(exits.FINE, "abandoned", sentence)
    if attempt.cause is not None:  # it had failed, and its rollback was interrupted
        failed = any(not result.holds for result in attempt.gates)
        # The deployment of the rollback may have started without being in the record. Whoever started it, it stays.
        choice = rollbacks.releases(session.record, attempt.phase, deployed.task_definition, attempt.before)[:1]
        goals = {release.deployed.task_definition for release in choice}
        known |= {name} | {item.id for item in snapshot.deployments if item.task_definition in goals}
        failure = f"It failed because of {attempt.cause}."
        if failed:
            return rollbacks.roll_back_failure(session, exits.GATE_FAILED, "gate_failed", failure, known)
        return rollbacks.roll_back_failure(session, exits.PLATFORM, "cause_found", failure, known)
    session.reporter.begin_phase(attempt.phase, f"{session.plan.service}, resumed", session.expected_s(attempt.phase))
    return prove(session, attempt, known - {name})


def find_deployment(snapshot: ServiceSnapshot, attempt: Attempt) -> Deployment | None:
    """The attempt's deployment, by its id; without an id, the newest of its task definition."""
    if attempt.deployment is not None:
        return snapshot.deployment(attempt.deployment)
    arn = attempt.deployed.task_definition if attempt.deployed else None
    earliest = seconds(attempt.started - CLOCK_SKEW)
    return next(
        (item for item in snapshot.deployments if item.task_definition == arn and seconds(item.created) > earliest),
        None,
    )


def find_ended_deployment(session: RolloutSession, attempt: Attempt) -> str | None:
    """Id of the attempt's deployment if ECS no longer lists it, by its stopped tasks, which ECS keeps for an hour."""
    if attempt.deployed is None:
        return None
    others = {None, "", *(item.deployment for item in session.record.attempts)}
    for task in describe_tasks(session.clients, session.plan, "STOPPED"):
        ours = task.get("taskDefinitionArn") == attempt.deployed.task_definition
        if ours and task.get("startedBy") not in others and task["createdAt"] > attempt.started - CLOCK_SKEW:
            return str(task["startedBy"])
    return None
