"""`trail resume`: what was begun and never ended, after Ctrl-C, a lost network, expired credentials or a kill.

It picks up the deployment that runs in AWS and never begins a second one.
"""

import os
from datetime import timedelta

from deploy import exit_codes as exits
from deploy.aws import task as tasks
from deploy.aws.service import Deployment, ServiceSnapshot, read_snapshot
from deploy.lenient import seconds
from deploy.record import lock
from deploy.record.trail import Attempt
from deploy.rollout import rollback as back
from deploy.rollout.prove import judge
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, here

SKEW = timedelta(minutes=2)  # between this machine's clock and AWS's


def resume(walk: RolloutSession) -> Result:
    """Finish the newest attempt that the record says is running.

    Raises:
        Somebody: it runs elsewhere and is alive.
        RecordError, ClientError, BotoCoreError: as in `up`.
    """
    walk.record = walk.store.read()
    left = next((one for one in reversed(walk.record.attempts) if one.outcome == "running"), None)
    if left is None:
        return Result(exits.FINE, "Nothing was left half-way: every attempt in the record has ended.")
    holding = lock.peek(walk.store)
    if (
        holding is not None
        and holding.owner is not None
        and holding.owner.attempt == left.id
        and lives(holding.owner.host)
    ):
        raise lock.Locked(holding, walk.store.objects.uri(lock.NAME))
    walk.attempt = left
    walk.take_lock(resume_of=left.id)
    try:
        return finish(walk, left)
    except ConcurrentDeploymentError as error:
        walk.release()
        return Result(exits.SOMEBODY_ELSE, str(error), left)


def lives(host: str) -> bool:
    """Whether a process, machine:pid, is on this machine and another one than ours."""
    machine, _, pid = host.rpartition(":")
    if host == here() or machine != here().rpartition(":")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def finish(walk: RolloutSession, left: Attempt) -> Result:
    """What is to be done about it follows from how far it had come."""
    walk.see.say(f"Resuming phase {left.phase}, begun {left.started:%Y-%m-%d %H:%M:%S} UTC by {left.who}.")
    seen = read_snapshot(walk.clients, walk.plan)
    deployed = left.deployed
    began = None if deployed is None else begun(seen, left)
    start = began.created if began is not None and began.created is not None else left.started
    known = {one.id for one in seen.deployments if seconds(one.created) < seconds(start)}
    name = left.deployment or (began.id if began is not None else ended_already(walk, left))
    if name is not None:
        left = walk.keep(deployment=name)
    if left.command == "rollback" and deployed is not None:
        target = next(
            (one for one in back.targets(walk.record, left.phase, None) if one.deployed == deployed),
            back.Target(deployed),
        )
        went, sentence, target = back.go_back(walk, [target], known | ({name} if name is not None else set()))
        if went:
            return walk.end(exits.FINE, "restored", sentence, back_to=target.attempt)
        return walk.end(exits.ROLLBACK_FAILED, "rollback_failed", sentence)
    if deployed is None or name is None:
        image = "" if deployed is None else f" --digest {deployed.digest}"
        anew = f"Nothing had been begun in AWS; `trail up {left.phase}{image}` begins anew."
        return walk.end(exits.FINE, "abandoned", anew)
    if left.cause is not None:  # it had failed, and was on its way back
        code, outcome = (
            (exits.GATE_FAILED, "gate_failed")
            if any(not one.holds for one in left.gates)
            else (exits.PLATFORM, "cause_found")
        )
        # Going back may have begun, and its deployment is not in the record; whoever began it, it stays as it is.
        choice = back.targets(walk.record, left.phase, deployed.task_definition, left.before)[:1]
        aims = {one.deployed.task_definition for one in choice}
        mine = known | {name} | {one.id for one in seen.deployments if one.task_definition in aims}
        return back.after_failure(walk, code, outcome, f"{left.cause} had failed it.", mine)  # type: ignore[arg-type]
    walk.see.begin(left.phase, f"{walk.plan.service}, resumed", walk.expected_s(left.phase))
    return judge(walk, left, known - {name})


def begun(seen: ServiceSnapshot, left: Attempt) -> Deployment | None:
    """The attempt's deployment: by its id, or, where the process died before that was written, by what it deploys."""
    if left.deployment is not None:
        return seen.deployment(left.deployment)
    wanted = left.deployed.task_definition if left.deployed else None
    since = seconds(left.started - SKEW)
    fitting = (one for one in seen.deployments if one.task_definition == wanted and seconds(one.created) > since)
    return next(fitting, None)


def ended_already(walk: RolloutSession, left: Attempt) -> str | None:
    """Id of the attempt's deployment where ECS no longer lists it, by its stopped tasks; ECS knows them for an hour."""
    if left.deployed is None:
        return None
    others = {None, "", *(one.deployment for one in walk.record.attempts)}
    for task in tasks.describe_tasks(walk.clients, walk.plan, "STOPPED"):
        ours = task.get("taskDefinitionArn") == left.deployed.task_definition
        if ours and task.get("startedBy") not in others and task["createdAt"] > left.started - SKEW:
            return str(task["startedBy"])
    return None
