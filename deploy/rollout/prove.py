"""Proves a deployment: waits for it, checks the gates, and rolls back if it fails."""

import functools
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy import exit_codes as exits
from deploy.aws.errors import AwsError, Denied, describe
from deploy.aws.service import Deployment, ServiceSnapshot
from deploy.aws.task import named_digest
from deploy.diagnose.cause import Diagnosis
from deploy.diagnose.gather import gather
from deploy.diagnose.ranking import diagnose
from deploy.gates.run import Verdict, run_gates
from deploy.gates.target import LiveTarget, plain_key
from deploy.record.trail import Attempt, Deployed, GateResult
from deploy.rollout import autoscaling
from deploy.rollout import rollback as rollbacks
from deploy.rollout.service_calls import current_request, serving, settings_of
from deploy.rollout.session import Result, RolloutSession
from deploy.rollout.wait import (
    DeploymentOutcome,
    deployment_outcome,
    follow_deployment,
    retry_on_network_error,
    stop_deployment,
)

SERVING = {"tasks_running", "targets_healthy", "errors"}  # if these gates fail, callers are affected now
PAUSE_S = 2.0  # between two rounds of gates, in addition to the pause between two polls of AWS


def prove(session: RolloutSession, attempt: Attempt, known: set[str], deployed: bool = True) -> Result:
    """Follow the attempt's deployment, check the gates, and write how it ended.

    Args:
        session: with the attempt.
        attempt: with its deployment.
        known: ids of earlier deployments.
        deployed: False if everything ran already; then a failure is not rolled back.
    """
    name = str(attempt.deployment)
    if deployed:
        outcome = follow_deployment(
            session.clients,
            session.plan,
            name,
            known,
            attempt.started,
            session.timing,
            session.reporter,
            lambda: likely_cause(session, name),
        )
        if outcome.kind != "completed":
            return handle_failed_deployment(session, outcome, known)
        session.reporter.say(outcome.sentence)
    enable_autoscaling(session)
    verdict = check_gates(session, attempt, known)
    if isinstance(verdict, DeploymentOutcome):
        return handle_failed_deployment(session, verdict, known)
    if verdict.passed:
        sentence = (
            f"Phase {attempt.phase} is proven: all {len(verdict.results)} gates passed for the whole observation time."
        )
        return session.end_attempt(exits.FINE, "proven", sentence, gates=list(verdict.results))
    first = verdict.failed[0]
    changes: dict[str, Any] = {"cause": first.name, "evidence": [result.sentence for result in verdict.failed]}
    sentence = f"Gate {first.name} failed: {first.sentence}"
    if cause := likely_cause(session, name):
        sentence += f" Most likely {cause.code}: {cause.sentence}"
        changes["evidence"] += cause.evidence[:10]
    session.reporter.say(sentence)
    session.update_attempt(gates=list(verdict.results), **changes)
    if not deployed:
        sentence += " Nothing was deployed, so nothing is rolled back; `trail rollback` returns to the release before."
        return session.end_attempt(exits.GATE_FAILED, "gate_failed", sentence)
    return rollbacks.roll_back_failure(session, exits.GATE_FAILED, "gate_failed", sentence, known | {name})


def check_gates(session: RolloutSession, attempt: Attempt, known: set[str]) -> Verdict | DeploymentOutcome:
    """Check the gates until they pass for the whole window or fail, or until the deployment is no longer ours."""
    deployed, name = attempt.deployed, str(attempt.deployment)
    if deployed is None:
        raise RuntimeError("an attempt without what it deploys")
    limits = session.gates(attempt.phase)
    live = LiveTarget(
        plan=session.plan,
        contract=session.contract,
        phase=attempt.phase,
        digest=deployed.digest,
        base_url=session.url,
        clients=session.clients,
        deployment=name,
        task_definition=deployed.task_definition,
        since=attempt.started,
        api_key=plain_key(session.plan, session.clients) if "SHINE_API_KEYS" in deployed.secrets else None,
    )
    passed_since: float | None = None
    last_cause = ""
    rounds = run_gates(live, limits, interval_s=session.every_s + PAUSE_S)
    while True:
        try:
            results: list[GateResult] = next(rounds)
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict
        failed = [result for result in results if not result.holds]
        if SERVING & {result.name for result in failed} and (cause := likely_cause(session, name)):
            if last_cause == cause.code:  # callers are affected, and the cause does not go away
                rounds.close()
                return Verdict(False, results, failed, cause.sentence)
            last_cause = cause.code
        now = time.monotonic()
        passed_since = None if failed else passed_since or now
        session.reporter.show_gates(results, now - passed_since if passed_since else 0.0, limits.window_s)
        snapshot = retry_on_network_error(session.snapshot, session.reporter)
        session.reporter.show_snapshot(snapshot, name)
        outcome = retry_on_network_error(
            functools.partial(
                deployment_outcome, session.clients, session.plan, snapshot, name, known, attempt.started
            ),
            session.reporter,
        )
        if outcome and outcome.kind != "completed":
            rounds.close()
            return outcome


def handle_failed_deployment(session: RolloutSession, outcome: DeploymentOutcome, known: set[str]) -> Result:
    """End an attempt whose deployment did not complete; roll back unless somebody else has deployed."""
    attempt = session.attempt
    name = str(attempt.deployment) if attempt else ""
    session.reporter.say(outcome.sentence)
    if outcome.kind in ("overtaken", "gone"):
        sentence = f"{outcome.sentence} Nothing of theirs was touched."
        return session.end_attempt(exits.SOMEBODY_ELSE, "overtaken", sentence, cause="OVERTAKEN")
    cause = outcome.cause or likely_cause(session, name)
    sentence = f"{cause.title}: {cause.sentence}" if cause else outcome.sentence
    if cause:
        session.reporter.say(f"Most likely: {sentence}")
        evidence = cause.evidence[:20] + ([outcome.sentence] if outcome.kind == "failed" else [])
        session.update_attempt(cause=cause.code, evidence=evidence)
    known = known | {name} | ({outcome.rollback} if outcome.rollback else set())
    if outcome.kind == "failed":
        return rollbacks.roll_back_failure(session, exits.PLATFORM, "platform_failed", sentence, known)
    deployment = outcome.snapshot.deployment(name)
    earlier = any(item.id in known - {name} for item in outcome.snapshot.deployments)
    if deployment is not None and earlier:
        sentence += stop_early(session, deployment)
    return rollbacks.roll_back_failure(session, exits.PLATFORM, "cause_found", sentence, known)


def stop_early(session: RolloutSession, deployment: Deployment) -> str:
    """Have ECS stop a deployment and roll back; a sentence with the reason if ECS refuses, else an empty string."""
    try:
        stopped = retry_on_network_error(
            lambda: stop_deployment(session.clients, session.plan, deployment), session.reporter
        )
    except AwsError as refused:
        advice = f" {refused.advice}" if isinstance(refused, Denied) else ""
        sentence = f"ECS could not stop the deployment: {refused}{advice} It is rolled back by UpdateService instead."
        session.reporter.say(sentence)
        return f" {sentence}"
    if stopped:
        session.reporter.say("The deployment was stopped, because waiting cannot fix it. ECS rolls back.")
    return ""


def likely_cause(session: RolloutSession, deployment: str) -> Diagnosis | None:
    """The most likely cause of what fails now; None if nothing is wrong."""
    attempt = session.attempt
    causes = diagnose(gather(session.clients, session.plan, deployment, attempt.started if attempt else None))
    return next((cause for cause in causes if not cause.harmless), None)


def enable_autoscaling(session: RolloutSession) -> None:
    """Enable autoscaling, now that the service runs; a failure is only reported, since phase full has a gate for it."""
    try:
        autoscaling.enable(session.clients, session.plan, session.contract)
    except (ClientError, BotoCoreError) as error:
        session.reporter.say(f"Autoscaling is not enabled: {describe(error)}")


def deployed_of(
    session: RolloutSession, task_definition: dict[str, Any], arn: str, digest: str, service: dict[str, Any]
) -> Deployed:
    """What an attempt runs, for the record.

    Args:
        session: of the attempt.
        task_definition: whole.
        arn: of the task definition.
        digest: of the image.
        service: the rest of the request to UpdateService.
    """
    container = serving(task_definition, session.plan, session.contract, service)
    settings, secrets = settings_of(container, session.contract)
    return Deployed(
        digest=digest,
        task_definition=arn,
        settings=settings,
        secrets=secrets,
        weights_uri=settings.get("SHINE_WEIGHTS_URI"),
        weights_sha256=settings.get("SHINE_WEIGHTS_SHA256"),
        service=service,
    )


def deployed_before(session: RolloutSession, task_definition: dict[str, Any], snapshot: ServiceSnapshot) -> Deployed:
    """What runs when an attempt begins, proven or not, for the record: a rollback may return to it.

    Args:
        session: of the attempt.
        task_definition: that runs, as ECS describes it.
        snapshot: of the service. If the image is named by a tag, its tasks say which digest they run.
    """
    arn, service = str(task_definition["taskDefinitionArn"]), current_request(snapshot.service or {})
    named = named_digest(serving(task_definition, session.plan, session.contract, service).get("image"))
    digests = {task.digest for task in snapshot.tasks if task.task_definition == arn and task.digest}
    digest = named or (digests.pop() if len(digests) == 1 else "")
    return deployed_of(session, task_definition, arn, digest, service)
