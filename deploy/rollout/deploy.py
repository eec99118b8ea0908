"""`trail up`: what is looked at before anything moves, and the calls that begin a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from bentos.skin.settings import Phase
from deploy import exit_codes as exits
from deploy.aws import service as ecs
from deploy.aws.errors import aws_error
from deploy.aws.task import named_digest
from deploy.config.image_contract import parse
from deploy.config.plan import PHASES, PlanError
from deploy.findings import terminal as report
from deploy.findings.terminal import NOT_CONFIRMED
from deploy.record.store import with_attempt
from deploy.record.trail import Deployed, Record
from deploy.rollout import diff as change
from deploy.rollout import push
from deploy.rollout import rollback as back
from deploy.rollout.prove import deployed_of, judge, running_before
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession, proven_phases
from deploy.taskdef import render as renderer
from deploy.verify import run as preflight

NOT_YET = "sha256:" + "0" * 64  # stands for an image that would only be pushed; nothing is registered with it


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which image: by its digest in ECR, or by its name on this machine, or that of the phase before."""

    digest: str | None = None
    image: str | None = None
    docker: Mapping[str, str] | None = None


def deploy_phases(walk: RolloutSession, goal: Phase, wanted: ImageChoice) -> Result:
    """Phase after phase, from the one after what is proven and runs, up to a goal; stops at the first that fails."""
    record, (task_definition, runs) = walk.store.read(), runs_now(walk)
    digest = wanted.digest or (runs if wanted.image is None else None)
    first = 0
    if task_definition and digest == runs:
        proof = back.running_attempt(record, task_definition)
        first = PHASES.index(proof.phase) + 1 if proof else 0
    steps = PHASES[first : PHASES.index(goal) + 1]
    result = Result(exits.FINE, f"Phase {goal} is proven already and runs; there is nothing to climb.")
    for phase in steps:
        if phase != steps[0] and not walk.clients.writes:
            result = ahead(walk, phase, named(walk, record, steps[0], wanted))
        else:
            result = up(walk, phase, wanted)
        if result.exit != exits.FINE:
            return result
        if not walk.clients.writes:
            continue
        deployed = result.attempt.deployed if result.attempt else None
        wanted = ImageChoice(digest=deployed.digest if deployed else wanted.digest)
    return result


def up(walk: RolloutSession, phase: Phase, wanted: ImageChoice) -> Result:
    """One phase: look, begin, follow, prove.

    Raises:
        PlanError, ContractError, RecordError: nothing was changed.
        ClientError, BotoCoreError: of AWS; where something was begun, it goes on there.
    """
    writes = walk.clients.writes
    walk.record = record = walk.store.read()
    digest = named(walk, record, phase, wanted)
    proven = proven_phases(record, digest) if digest else ()
    walk.see.proven(proven)
    below = PHASES[: PHASES.index(phase)]
    if below and below[-1] not in proven:
        raise PlanError(f"Phase {below[-1]} is not proven with this image; `trail up --to {phase}` climbs there.")
    walk.begin(phase)
    if writes:
        walk.take_lock()
    try:
        seen = ecs.read_snapshot(walk.clients, walk.plan)
        refuse_moving(walk, seen)
        walk.refuse_unreachable(seen)
        if writes:
            abandon_what_was_left(walk)
        digest, stopped = looked(walk, phase, wanted, digest)
        if stopped is not None:
            return stopped
        return move(walk, phase, digest, seen)
    except ConcurrentDeploymentError as error:
        walk.release()
        return Result(exits.SOMEBODY_ELSE, str(error))
    except Exception:
        if walk.attempt is None or walk.attempt.deployed is None:
            walk.release()  # nothing was begun
        raise


def ahead(walk: RolloutSession, phase: Phase, digest: str | None) -> Result:
    """Of a dry run: what would follow once the phase before is proven; raises as `up`."""
    before = PHASES[PHASES.index(phase) - 1]
    walk.see.say(f"Then phase {phase}, once {before} is proven:")
    digest, stopped = looked(walk, phase, ImageChoice(), digest)
    if stopped is not None:
        return stopped
    lines = change.difference(rendered(walk, before, digest), rendered(walk, phase, digest), secret(walk))
    show_lines(walk, "task definition", lines)
    return Result(exits.FINE, "Dry run: nothing was changed.")


def secret(walk: RolloutSession) -> list[str]:
    """Settings whose values are not shown."""
    return [one.name for one in parse(walk.contract).settings if one.secret]


def looked(walk: RolloutSession, phase: Phase, wanted: ImageChoice, digest: str | None) -> tuple[str, Result | None]:
    """Run the image, push it, look at plan and account; the digest, and the result where something was found."""
    image = wanted.image
    task = rendered(walk, phase, digest or NOT_YET)
    tried = preflight.Subject(task, walk.contract, walk.plan, phase, image, offline=False)
    findings = preflight.of_image(tried) if image else []
    if preflight.is_fine(findings, strict=False) and digest is None:
        if not walk.clients.writes:
            walk.see.say(f"Would push {image} to {walk.plan.repository_name}.")
        else:
            digest = push.push(walk.clients, walk.plan, str(image), wanted.docker or {}, walk.see.say)
            task = rendered(walk, phase, digest)
    subject = preflight.Subject(task, walk.contract, walk.plan, phase, image, offline=False)
    findings += preflight.of_task_definition(subject) + preflight.of_account(subject)
    if digest is None:  # of a dry run: what is not pushed yet cannot be found
        findings = [one for one in findings if not one.code.startswith("IMAGE")]
    walk.see.say(
        f"Preflight: {', '.join(f'{number} {level}' for level, number in preflight.counts(findings).items())}."
    )
    for one in findings:
        if one.level in ("WARN", "FAIL"):
            for line in report.block(one, colours=False).rstrip().splitlines():
                walk.see.say(line)
    if preflight.is_fine(findings, strict=False):
        return digest or NOT_YET, None
    first = next(one for one in findings if one.level == "FAIL")
    sentence = f"Preflight: {first.sentence} Nothing was changed."
    if not walk.clients.writes:
        return "", Result(exits.FOUND, sentence, findings=tuple(findings))
    evidence = [f"{one.code}: {one.sentence}" for one in findings if one.level == "FAIL"]
    ended = walk.end(exits.FOUND, "refused", sentence, cause=first.code, evidence=evidence)
    return "", Result(ended.exit, ended.sentence, ended.attempt, tuple(findings))


def move(walk: RolloutSession, phase: Phase, digest: str, seen: ecs.ServiceSnapshot) -> Result:
    """Show what would change, ask, change it, and judge what comes of it."""
    plan, clients = walk.plan, walk.clients
    task = rendered(walk, phase, digest)
    running = change.task_definition(clients, seen.primary.task_definition) if seen.primary else None
    wired = change.service_request(plan, walk.contract)
    lines = change.difference(running, task, secret(walk))
    service_lines = change.service_difference(seen.service, wired)
    tasks = int((seen.service or {}).get("desiredCount", 0))
    still = not lines and not service_lines and tasks > 0
    show(walk, seen, lines, service_lines, still)
    if not clients.writes:
        return Result(exits.FINE, "Dry run: nothing was changed.")
    question = f"Bring phase {phase} to {plan.service} in account {plan.account}, {plan.region}?"
    if not still and not walk.confirm(question):
        walk.release()
        return Result(exits.FOUND, "Not confirmed; nothing was changed.", code=NOT_CONFIRMED.code)
    before = None
    if running and tasks:
        before = running_before(walk, running, seen)
    known = {one.id for one in seen.deployments}
    walk.see.begin(phase, f"{plan.service}, {digest[:19]}…", walk.expected_s(phase))
    if still and running and seen.primary:
        walk.see.say("All of it runs already; only the gates are asked.")
        deployed = deployed_of(walk, task, running["taskDefinitionArn"], digest, wired)
        attempt = walk.keep(deployed=deployed, before=before, deployment=seen.primary.id)
        return judge(walk, attempt, known - {seen.primary.id}, moved=False)
    if running and not lines:
        arn = str(running["taskDefinitionArn"])
    else:
        arn = registered_before(walk, task, digest, phase) or change.register(clients, task)
    deployed = deployed_of(walk, task, arn, digest, wired)
    walk.keep(deployed=deployed, before=before)
    try:
        name = begin(walk, deployed, seen)
    except ClientError as error:
        refused = aws_error(error, "ecs")
        if refused.passing:  # it may have arrived all the same; `trail resume` sees
            raise
        sentence = f"{refused} Nothing was changed."
        return walk.end(exits.FOUND, "abandoned", sentence, cause=error.response["Error"].get("Code", "REFUSED"))
    return judge(walk, walk.keep(deployment=name), known)


def begin(walk: RolloutSession, deployed: Deployed, seen: ecs.ServiceSnapshot) -> str:
    """Create or update the service; the id of the deployment that this begins."""
    attempt = walk.attempt
    if seen.service is None:
        token = attempt.id if attempt else ""
        made = change.create(walk.clients, walk.plan, deployed.service, deployed.task_definition, token)
    else:
        made = change.update(walk.clients, walk.plan, deployed.service, deployed.task_definition, seen.service)
    name = change.primary_of(made)
    walk.see.say(f"{name} has begun, with {deployed.task_definition.rsplit('/', 1)[-1]}.")
    return name


def named(walk: RolloutSession, record: Record, phase: Phase, wanted: ImageChoice) -> str | None:
    """The digest of the image that is wanted; None for one that is still to be pushed.

    Raises:
        PlanError: none was named, and no phase is proven from which it could be taken.
    """
    if wanted.image is not None:
        return None
    if wanted.digest is not None:
        renderer.image_reference(walk.plan, wanted.digest)  # refuses what is no digest
        return wanted.digest
    earlier = PHASES[: PHASES.index(phase) + 1]
    for one in reversed(record.attempts):
        if one.outcome == "proven" and one.deployed is not None and one.phase in earlier:
            return one.deployed.digest
    raise PlanError(
        "No image was named, and none is proven yet: --digest sha256:… of one in ECR, or --image of one here."
    )


def abandon_what_was_left(walk: RolloutSession) -> None:
    """Attempts that never ended, and whose lock is ours now: somebody broke it, and nobody will resume them."""
    sentence = "It was cut off, and its lock was broken; how it ended was not seen."
    for one in walk.record.attempts:
        if one.outcome == "running":
            left = one.model_copy(update={"outcome": "abandoned", "ended": datetime.now(UTC), "sentence": sentence})
            walk.store.change(lambda record, left=left: with_attempt(record, left))  # type: ignore[misc]


def refuse_moving(walk: RolloutSession, seen: ecs.ServiceSnapshot) -> None:
    """Nothing where no deployment is on its way.

    Raises:
        Somebody: one is, ours of before or another's.
    """
    moving = seen.moving
    if moving is None:
        return
    ours = [one for one in walk.record.attempts if one.deployment == moving.id and one.outcome == "running"]
    if ours:
        raise ConcurrentDeploymentError(
            f"{moving.id} is still on its way, begun by {ours[0].who}: `trail resume` picks it up."
        )
    raise ConcurrentDeploymentError(f"{moving.id} is on its way, and not begun by this tool; wait until it has ended.")


def rendered(walk: RolloutSession, phase: Phase, digest: str) -> dict[str, Any]:
    """The task definition of a phase."""
    return renderer.render(walk.plan, walk.contract, renderer.image_reference(walk.plan, digest), phase)


def registered_before(walk: RolloutSession, task: dict[str, Any], digest: str, phase: Phase) -> str | None:
    """The same task definition, of an earlier attempt, if it is still active: not one more revision for nothing."""
    for one in reversed(walk.record.attempts):
        if one.phase == phase and one.deployed is not None and one.deployed.digest == digest:
            found = change.task_definition(walk.clients, one.deployed.task_definition)
            same = found.get("status") == "ACTIVE" and not change.difference(found, task)
            return str(found["taskDefinitionArn"]) if same else None
    return None


def runs_now(walk: RolloutSession) -> tuple[str | None, str | None]:
    """What the service runs: ARN of the task definition, and the digest that names its image; None where none does."""
    found = ecs.describe_service(walk.clients, walk.plan)
    if found is None or not found.get("desiredCount"):
        return None, None
    task = change.task_definition(walk.clients, str(found["taskDefinition"]))
    image = change.serving(task, walk.plan, walk.contract, found).get("image")
    return str(task["taskDefinitionArn"]), named_digest(image)


def show(
    walk: RolloutSession, seen: ecs.ServiceSnapshot, lines: list[str], service_lines: list[str], still: bool
) -> None:
    """What would change."""
    if still:
        return
    if seen.service is None:
        walk.see.say(f"The service {walk.plan.service} would be created, with {walk.plan.size.tasks} tasks.")
    show_lines(walk, "task definition", lines, new=seen.primary is None)
    show_lines(walk, "service", service_lines, new=seen.service is None)


def show_lines(walk: RolloutSession, title: str, lines: list[str], *, new: bool = False) -> None:
    """What is there for the first time, or how it differs from what runs."""
    if lines:
        much = "new" if new else f"{len(lines)} difference{'s' if len(lines) > 1 else ''}"
        walk.see.say(f"{title}, {much}:")
        for line in lines:
            walk.see.say(f"  {line}")
