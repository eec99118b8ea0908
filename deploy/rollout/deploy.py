"""`trail up`: preflight, the differences, and the request that starts a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from bentos.skin.settings import Phase
from deploy import exit_codes as exits
from deploy.aws.errors import aws_error
from deploy.aws.service import ServiceSnapshot, describe_service
from deploy.aws.task import named_digest
from deploy.config.image_contract import parse
from deploy.config.plan import PHASES, PlanError
from deploy.findings import terminal
from deploy.findings.catalog import NOT_CONFIRMED
from deploy.record.progress import proven_attempt
from deploy.record.store import with_attempt
from deploy.record.trail import Deployed, Record
from deploy.rollout import push
from deploy.rollout.diff import differences, service_differences
from deploy.rollout.prove import deployed_before, deployed_of, prove
from deploy.rollout.service_calls import (
    create_service,
    describe_task_definition,
    primary_deployment,
    register_task_definition,
    service_request,
    serving,
    update_service,
)
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, proven_phases
from deploy.taskdef import render as renderer
from deploy.verify import run as preflight

NOT_PUSHED = "sha256:" + "0" * 64  # stands for an image that is not pushed yet; nothing is registered with it


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which image to roll out; without digest and image, the one that is proven.

    Attributes:
        digest: of an image in ECR.
        image: name of an image on this machine.
        docker: environment for the docker command.
    """

    digest: str | None = None
    image: str | None = None
    docker: Mapping[str, str] | None = None


def deploy_phases(session: RolloutSession, goal: Phase, choice: ImageChoice) -> Result:
    """Deploy phase after phase up to a goal, from the one after the phase that runs; stop at the first that fails."""
    record, (task_definition, running) = session.store.read(), running_image(session)
    digest = choice.digest or (running if choice.image is None else None)
    first = 0
    if task_definition and digest == running:
        proof = proven_attempt(record, task_definition)
        first = PHASES.index(proof.phase) + 1 if proof else 0
    phases = PHASES[first : PHASES.index(goal) + 1]
    result = Result(exits.FINE, f"Phase {goal} is proven and runs already; there is nothing to deploy.")
    for phase in phases:
        if phase != phases[0] and not session.clients.writes:
            result = preview(session, phase, resolve_digest(session, record, phases[0], choice))
        else:
            result = deploy_phase(session, phase, choice)
        if result.exit != exits.FINE:
            return result
        if not session.clients.writes:
            continue
        deployed = result.attempt.deployed if result.attempt else None
        choice = ImageChoice(digest=deployed.digest if deployed else choice.digest)
    return result


def deploy_phase(session: RolloutSession, phase: Phase, choice: ImageChoice) -> Result:
    """Deploy one phase and prove it.

    Raises:
        PlanError, ContractError, RecordError: nothing was changed.
        ClientError, BotoCoreError: from AWS; a deployment that was started goes on there.
    """
    writes = session.clients.writes
    session.record = record = session.store.read()
    digest = resolve_digest(session, record, phase, choice)
    proven = proven_phases(record, digest) if digest else ()
    session.reporter.show_proven(proven)
    earlier = PHASES[: PHASES.index(phase)]
    if earlier and earlier[-1] not in proven:
        raise PlanError(
            f"Phase {earlier[-1]} is not proven with this image; `trail up --to {phase}` deploys the phases before too."
        )
    session.begin_attempt(phase)
    if writes:
        session.take_lock()
    try:
        snapshot = session.snapshot()
        refuse_concurrent_deployment(session, snapshot)
        session.refuse_unreachable(snapshot)
        if writes:
            abandon_orphaned_attempts(session)
        digest, failure = run_preflight(session, phase, choice, digest)
        if failure is not None:
            return failure
        return start_deployment(session, phase, digest, snapshot)
    except ConcurrentDeploymentError as error:
        session.release_lock()
        return Result(exits.SOMEBODY_ELSE, str(error))
    except Exception:
        if session.attempt is None or session.attempt.deployed is None:
            session.release_lock()  # nothing was started
        raise


def preview(session: RolloutSession, phase: Phase, digest: str | None) -> Result:
    """In a dry run, show a phase that follows once the one before it is proven; raises as `deploy_phase`."""
    before = PHASES[PHASES.index(phase) - 1]
    session.reporter.say(f"Then phase {phase}, once {before} is proven:")
    digest, failure = run_preflight(session, phase, ImageChoice(), digest)
    if failure is not None:
        return failure
    lines = differences(render(session, before, digest), render(session, phase, digest), secret_settings(session))
    show_lines(session, "task definition", lines)
    return Result(exits.FINE, "Dry run: nothing was changed.")


def run_preflight(
    session: RolloutSession, phase: Phase, choice: ImageChoice, digest: str | None
) -> tuple[str, Result | None]:
    """Check the image, push it, then check the task definition and the account.

    Returns:
        The digest, and the result of the command if a check failed.
    """
    image = choice.image
    subject = preflight.Subject(
        render(session, phase, digest or NOT_PUSHED), session.contract, session.plan, phase, image, offline=False
    )
    findings = preflight.check_image(subject) if image else []
    if terminal.is_fine(findings, strict=False) and digest is None:
        if not session.clients.writes:
            session.reporter.say(f"Would push {image} to {session.plan.repository_name}.")
        else:
            docker = choice.docker or {}
            digest = push.push(session.clients, session.plan, str(image), docker, session.reporter.say)
            task_definition = render(session, phase, digest)
            subject = preflight.Subject(task_definition, session.contract, session.plan, phase, image, offline=False)
    findings += preflight.check_task_definition(subject) + preflight.check_account(subject)
    if digest is None:  # in a dry run; ECR cannot hold what is not pushed yet
        findings = [finding for finding in findings if not finding.code.startswith("IMAGE")]
    levels = ", ".join(f"{number} {level}" for level, number in terminal.counts(findings).items())
    session.reporter.say(f"Preflight: {levels}.")
    for finding in findings:
        if finding.level in ("WARN", "FAIL"):
            for line in terminal.block(finding, colours=False).rstrip().splitlines():
                session.reporter.say(line)
    if terminal.is_fine(findings, strict=False):
        return digest or NOT_PUSHED, None
    failures = [finding for finding in findings if finding.level == "FAIL"]
    sentence = f"Preflight: {failures[0].sentence} Nothing was changed."
    if not session.clients.writes:
        return "", Result(exits.FOUND, sentence, findings=tuple(findings))
    evidence = [f"{finding.code}: {finding.sentence}" for finding in failures]
    ended = session.end_attempt(exits.FOUND, "refused", sentence, cause=failures[0].code, evidence=evidence)
    return "", Result(ended.exit, ended.sentence, ended.attempt, tuple(findings))


def start_deployment(session: RolloutSession, phase: Phase, digest: str, snapshot: ServiceSnapshot) -> Result:
    """Show the differences, ask, start the deployment and prove it."""
    plan, clients = session.plan, session.clients
    task_definition, request = render(session, phase, digest), service_request(plan, session.contract)
    running = describe_task_definition(clients, snapshot.primary.task_definition) if snapshot.primary else None
    lines = differences(running, task_definition, secret_settings(session))
    service_lines = service_differences(snapshot.service, request)
    tasks = int((snapshot.service or {}).get("desiredCount", 0))
    unchanged = not lines and not service_lines and tasks > 0
    if not unchanged:
        if snapshot.service is None:
            session.reporter.say(f"The service {plan.service} would be created, with {plan.size.tasks} tasks.")
        show_lines(session, "task definition", lines, new=snapshot.primary is None)
        show_lines(session, "service", service_lines, new=snapshot.service is None)
    if not clients.writes:
        return Result(exits.FINE, "Dry run: nothing was changed.")
    question = f"Deploy phase {phase} to {plan.service} in account {plan.account}, {plan.region}?"
    if not unchanged and not session.confirm(question):
        session.release_lock()
        return Result(exits.FOUND, "Not confirmed; nothing was changed.", code=NOT_CONFIRMED.code)
    before = deployed_before(session, running, snapshot) if running and tasks else None
    known = {deployment.id for deployment in snapshot.deployments}
    session.reporter.begin_phase(phase, f"{plan.service}, {digest[:19]}…", session.expected_s(phase))
    if unchanged and running and snapshot.primary:
        session.reporter.say("Everything runs already; only the gates are checked.")
        deployed = deployed_of(session, task_definition, running["taskDefinitionArn"], digest, request)
        attempt = session.update_attempt(deployed=deployed, before=before, deployment=snapshot.primary.id)
        return prove(session, attempt, known - {snapshot.primary.id}, deployed=False)
    if running and not lines:
        arn = str(running["taskDefinitionArn"])
    else:
        arn = reusable_task_definition(session, task_definition, digest, phase) or register_task_definition(
            clients, task_definition
        )
    deployed = deployed_of(session, task_definition, arn, digest, request)
    session.update_attempt(deployed=deployed, before=before)
    try:
        name = submit(session, deployed, snapshot)
    except ClientError as error:
        refused = aws_error(error, "ecs")
        if refused.passing:  # the request may have arrived all the same; `trail resume` finds out
            raise
        sentence = f"{refused} Nothing was changed."
        cause = error.response["Error"].get("Code", "REFUSED")
        return session.end_attempt(exits.FOUND, "abandoned", sentence, cause=cause)
    return prove(session, session.update_attempt(deployment=name), known)


def submit(session: RolloutSession, deployed: Deployed, snapshot: ServiceSnapshot) -> str:
    """Create or update the service; returns the id of the deployment that this starts."""
    clients, plan = session.clients, session.plan
    if snapshot.service is None:
        token = session.attempt.id if session.attempt else ""
        response = create_service(clients, plan, deployed.service, deployed.task_definition, token)
    else:
        response = update_service(clients, plan, deployed.service, deployed.task_definition, snapshot.service)
    name = primary_deployment(response)
    session.reporter.say(f"{name} has started, with {deployed.task_definition.rsplit('/', 1)[-1]}.")
    return name


def resolve_digest(session: RolloutSession, record: Record, phase: Phase, choice: ImageChoice) -> str | None:
    """The digest of the chosen image; None if it is still to be pushed.

    Raises:
        PlanError: no image was chosen, and none is proven in this phase or an earlier one.
    """
    if choice.image is not None:
        return None
    if choice.digest is not None:
        renderer.image_reference(session.plan, choice.digest)  # refuses what is not a digest
        return choice.digest
    phases = PHASES[: PHASES.index(phase) + 1]
    for attempt in reversed(record.attempts):
        if attempt.outcome == "proven" and attempt.deployed is not None and attempt.phase in phases:
            return attempt.deployed.digest
    raise PlanError(
        "No image was named, and none is proven yet: give --digest sha256:… of an image in ECR, or --image of one on "
        "this machine."
    )


def abandon_orphaned_attempts(session: RolloutSession) -> None:
    """Mark attempts that never ended as abandoned: their lock was broken, so nobody will resume them."""
    sentence = "It was interrupted, and its lock was broken; how it ended is not known."
    for attempt in session.record.attempts:
        if attempt.outcome == "running":
            ended = {"outcome": "abandoned", "ended": datetime.now(UTC), "sentence": sentence}
            orphan = attempt.model_copy(update=ended)
            session.store.change(lambda record, orphan=orphan: with_attempt(record, orphan))  # type: ignore[misc]


def refuse_concurrent_deployment(session: RolloutSession, snapshot: ServiceSnapshot) -> None:
    """Refuse to deploy while a deployment is in progress.

    Raises:
        ConcurrentDeploymentError: one is, of an earlier attempt or of somebody else.
    """
    moving = snapshot.moving
    if moving is None:
        return
    for attempt in session.record.attempts:
        if attempt.deployment == moving.id and attempt.outcome == "running":
            raise ConcurrentDeploymentError(
                f"{moving.id}, started by {attempt.who}, is still in progress; `trail resume` continues it."
            )
    raise ConcurrentDeploymentError(
        f"{moving.id} is in progress and was not started by this tool; wait until it has ended."
    )


def render(session: RolloutSession, phase: Phase, digest: str) -> dict[str, Any]:
    """The task definition of a phase."""
    return renderer.render(session.plan, session.contract, renderer.image_reference(session.plan, digest), phase)


def reusable_task_definition(
    session: RolloutSession, task_definition: dict[str, Any], digest: str, phase: Phase
) -> str | None:
    """ARN of an equal task definition that an earlier attempt registered and that is still active."""
    for attempt in reversed(session.record.attempts):
        if attempt.phase == phase and attempt.deployed is not None and attempt.deployed.digest == digest:
            described = describe_task_definition(session.clients, attempt.deployed.task_definition)
            equal = described.get("status") == "ACTIVE" and not differences(described, task_definition)
            return str(described["taskDefinitionArn"]) if equal else None
    return None


def running_image(session: RolloutSession) -> tuple[str | None, str | None]:
    """ARN of the task definition that the service runs, and the digest that names its image; None if there is none."""
    described = describe_service(session.clients, session.plan)
    if described is None or not described.get("desiredCount"):
        return None, None
    task_definition = describe_task_definition(session.clients, str(described["taskDefinition"]))
    image = serving(task_definition, session.plan, session.contract, described).get("image")
    return str(task_definition["taskDefinitionArn"]), named_digest(image)


def secret_settings(session: RolloutSession) -> list[str]:
    """Names of the settings whose values are masked."""
    return [setting.name for setting in parse(session.contract).settings if setting.secret]


def show_lines(session: RolloutSession, title: str, lines: list[str], *, new: bool = False) -> None:
    """Show the lines under a title."""
    if lines:
        number = "new" if new else f"{len(lines)} difference{'s' if len(lines) > 1 else ''}"
        session.reporter.say(f"{title}, {number}:")
        for line in lines:
            session.reporter.say(f"  {line}")
