"""A deployment that was begun: followed to its end, judged by the gates, and taken back where it fails."""

import functools
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy import exit_codes as exits
from deploy.aws.errors import AwsError, Denied, describe
from deploy.aws.service import Deployment, ServiceSnapshot, read_snapshot
from deploy.aws.task import named_digest
from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.gather import gather
from deploy.diagnose.ranking import diagnose
from deploy.gates.result import GateResult
from deploy.gates.run import Verdict, watch
from deploy.gates.target import LiveTarget, own_key
from deploy.record.trail import Attempt, Deployed
from deploy.rollout import diff as change
from deploy.rollout import rollback as back
from deploy.rollout.session import Result, RolloutSession
from deploy.rollout.wait import DeploymentOutcome, end, follow, retry_on_network_error, stop

SERVING = {"tasks_running", "targets_healthy", "errors"}  # gates whose failure means that callers are hurt now
MORE_S = 2.0  # between two rounds of gates, on top of what is between two looks at AWS


def judge(walk: RolloutSession, attempt: Attempt, known: set[str], moved: bool = True) -> Result:
    """Follow the attempt's deployment, ask the gates, write how it ended.

    Args:
        walk: with the attempt in it.
        attempt: with its deployment.
        known: ids of deployments that were there before.
        moved: False where nothing had to be deployed, so that there is nothing to take back.
    """
    name = str(attempt.deployment)
    if moved:
        began, times = attempt.started, walk.times()
        ended = follow(walk.clients, walk.plan, name, known, began, times, walk.see, lambda: cause(walk, name))
        if ended.kind != "completed":
            return not_completed(walk, ended, known)
        walk.see.say(ended.sentence)
    scale(walk)
    verdict = ask_gates(walk, attempt, known)
    if isinstance(verdict, DeploymentOutcome):
        return not_completed(walk, verdict, known)
    if verdict.held:
        sentence = f"Phase {attempt.phase} is proven: all {len(verdict.results)} gates held for their whole window."
        return walk.end(exits.FINE, "proven", sentence, gates=list(verdict.results))
    first = verdict.failed[0]
    why: dict[str, Any] = {"cause": first.name, "evidence": [one.sentence for one in verdict.failed]}
    said = f"Gate {first.name} does not hold: {first.sentence}"
    if found := cause(walk, name):
        said += f" Most likely {found.code}: {found.sentence}"
        why["evidence"] += found.evidence[:10]
    walk.see.say(said)
    walk.keep(gates=list(verdict.results), **why)
    if not moved:
        sentence = (
            f"{said} Nothing had been changed, so nothing is taken back; `trail rollback` goes to what was before."
        )
        return walk.end(exits.GATE_FAILED, "gate_failed", sentence)
    return back.after_failure(walk, exits.GATE_FAILED, "gate_failed", said, known | {name})


def ask_gates(walk: RolloutSession, attempt: Attempt, known: set[str]) -> Verdict | DeploymentOutcome:
    """Ask them until they have held for their window or failed; or until the deployment is no longer ours."""
    deployed, name = attempt.deployed, str(attempt.deployment)
    if deployed is None:
        raise RuntimeError("an attempt without what it deploys")
    limits = walk.gates(attempt.phase)
    live = LiveTarget(
        plan=walk.plan,
        contract=walk.contract,
        phase=attempt.phase,
        digest=deployed.digest,
        base_url=walk.url,
        clients=walk.clients,
        deployment=name,
        task_definition=deployed.task_definition,
        since=attempt.started,
        api_key=own_key(walk.plan, walk.clients) if "SHINE_API_KEYS" in deployed.secrets else None,
    )
    held_since: float | None = None
    known_cause = ""
    rounds = watch(live, limits, interval_s=walk.every_s + MORE_S)
    while True:
        try:
            results: list[GateResult] = next(rounds)
        except StopIteration as ended:
            verdict: Verdict = ended.value
            return verdict
        if SERVING & {one.name for one in results if not one.holds} and (found := cause(walk, name)):
            told, known_cause = known_cause, found.code
            if told == found.code:  # no settling cures what hurts callers for a reason that stays the same
                rounds.close()
                return Verdict(False, results, [one for one in results if not one.holds], found.sentence)
        now = time.monotonic()
        held_since = (held_since or now) if all(one.holds for one in results) else None
        walk.see.gates(results, now - held_since if held_since else 0.0, limits.window_s)
        seen = retry_on_network_error(lambda: read_snapshot(walk.clients, walk.plan), walk.see)
        walk.see.picture(seen, name)
        look = functools.partial(end, walk.clients, walk.plan, seen, name, known, attempt.started)
        lost = retry_on_network_error(look, walk.see)
        if lost and lost.kind != "completed":
            rounds.close()
            return lost


def not_completed(walk: RolloutSession, ended: DeploymentOutcome, known: set[str]) -> Result:
    """ECS gave it up, somebody overtook it, a cause was found, or it took too long."""
    attempt = walk.attempt
    name = str(attempt.deployment) if attempt else ""
    walk.see.say(ended.sentence)
    if ended.kind in ("overtaken", "gone"):
        said = f"{ended.sentence} Nothing of theirs was touched."
        return walk.end(exits.SOMEBODY_ELSE, "overtaken", said, cause="OVERTAKEN")
    found = ended.cause or cause(walk, name)
    said = f"{found.title}: {found.sentence}" if found else ended.sentence
    if found:
        walk.see.say(f"Most likely: {said}")
        evidence = found.evidence[:20] + ([ended.sentence] if ended.kind == "failed" else [])
        walk.keep(cause=found.code, evidence=evidence)
    mine = known | {name} | ({ended.rollback} if ended.rollback else set())
    if ended.kind in ("cause", "late"):
        ours = ended.picture.deployment(name)
        first = not any(one.id in known for one in ended.picture.deployments)
        if ours is not None and not first:
            said += stop_at_once(walk, ours)
        return back.after_failure(walk, exits.PLATFORM, "cause_found", said, mine)
    return back.after_failure(walk, exits.PLATFORM, "platform_failed", said, mine)


def stop_at_once(walk: RolloutSession, deployment: Deployment) -> str:
    """Have ECS stop a deployment and go back; a sentence that says why it could not be asked to, else nothing."""
    try:
        if retry_on_network_error(lambda: stop(walk.clients, walk.plan, deployment), walk.see):
            walk.see.say("The deployment was stopped: waiting cures nothing. ECS goes back.")
        return ""
    except AwsError as refused:
        advice = f" {refused.advice}" if isinstance(refused, Denied) else ""
        sentence = f"ECS could not be told to stop it: {refused}{advice} UpdateService goes back instead."
        walk.see.say(sentence)
        return f" {sentence}"


def cause(walk: RolloutSession, deployment: str) -> Diagnosis | None:
    """The most likely one at the moment; None where nothing is wrong."""
    attempt = walk.attempt
    found = diagnose(gather(walk.clients, walk.plan, deployment, attempt.started if attempt else None))
    return next((one for one in found if not one.harmless), None)


def scale(walk: RolloutSession) -> None:
    """Autoscaling, once there is a service that runs; phase full has a gate for it, so that it is only said here."""
    try:
        change.scale(walk.clients, walk.plan, walk.contract)
    except (ClientError, BotoCoreError) as error:
        walk.see.say(f"Autoscaling is not in place: {describe(error)}")


def deployed_of(walk: RolloutSession, task: dict[str, Any], arn: str, digest: str, service: dict[str, Any]) -> Deployed:
    """What an attempt runs, for the record.

    Args:
        walk: of the attempt.
        task: the task definition.
        arn: its ARN.
        digest: of the image.
        service: what UpdateService is given beside them.
    """
    settings, secrets = change.settings_of(change.serving(task, walk.plan, walk.contract, service), walk.contract)
    return Deployed(
        digest=digest,
        task_definition=arn,
        settings=settings,
        secrets=secrets,
        weights_uri=settings.get("SHINE_WEIGHTS_URI"),
        weights_sha256=settings.get("SHINE_WEIGHTS_SHA256"),
        service=service,
    )


def running_before(walk: RolloutSession, task: dict[str, Any], seen: ServiceSnapshot) -> Deployed:
    """What runs when an attempt begins, proven or not, for the record: it can be gone back to.

    Args:
        walk: of the attempt.
        task: the task definition that runs, as ECS describes it.
        seen: the service and its tasks. Where a tag names the image, the tasks tell which one runs.
    """
    arn, service = str(task["taskDefinitionArn"]), change.wired_now(seen.service or {})
    named = named_digest(change.serving(task, walk.plan, walk.contract, service).get("image"))
    digests = {one.digest for one in seen.tasks if one.task_definition == arn and one.digest}
    digest = named or (digests.pop() if len(digests) == 1 else "")
    return deployed_of(walk, task, arn, digest, service)
