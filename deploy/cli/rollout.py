"""`trail up`, `trail rollback` and `trail resume`."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from bentos.skin.settings import Phase
from deploy import exit_codes as exits
from deploy.aws.clients import Clients, WriteRefused
from deploy.aws.errors import aws_error, describe
from deploy.cli import options
from deploy.cli.explain import meanings
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.config.plan import Plan, PlanError
from deploy.findings import catalog
from deploy.findings import terminal as report
from deploy.findings.finding import Finding, fail
from deploy.image import engine
from deploy.next_command import OptionsInUse
from deploy.record.lock import Locked, LockLost, break_lock
from deploy.record.store import RecordError, open_store
from deploy.rollout import deploy
from deploy.rollout import resume as resuming
from deploy.rollout import rollback as back
from deploy.rollout.output import LogReporter, make_reporter
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession
from deploy.taskdef import render as renderer
from deploy.text import printable

EXIT_CODES = """Exit codes: 0 done; 2 preflight found something, nothing was changed; 3 a gate failed, what was proven
runs again; 4 the deployment failed, what ran before runs again; 5 the rollback failed: look now; 6 another deployment
or another's lock; 130 interrupted: the deployment goes on in AWS, and `trail resume` continues it."""
# Of the finding that a failure makes, where its cause has no code of its own.
CODES = {
    exits.FOUND: catalog.ROLLOUT.code,
    exits.GATE_FAILED: catalog.GATE.code,
    exits.PLATFORM: "DEPLOYMENT_FAILED",
    exits.ROLLBACK_FAILED: catalog.BACK.code,
    exits.SOMEBODY_ELSE: catalog.OTHERS.code,
    exits.INTERRUPTED: catalog.INTERRUPTED.code,
}


@dataclass(frozen=True)
class Options:
    """What the three commands have in common."""

    plan: Path
    contract: Path | None
    base_url: str | None
    yes: bool
    break_lock: bool
    plain: bool
    every: float
    as_json: bool
    dry_run: bool = False


def common(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that the three commands have in common."""
    for option in (
        options.json_output,
        click.option(
            "--every",
            callback=options.checked(options.seconds),
            default="3",
            metavar="SECONDS",
            help="Between two reads of AWS (default: 3).",
        ),
        click.option("--plain", is_flag=True, help="Lines instead of a live view."),
        click.option("--break-lock", is_flag=True, help="Take the lock from its owner."),
        click.option("--yes", is_flag=True, help="Do not ask before changing anything."),
        click.option(
            "--base-url",
            callback=options.checked(options.url),
            metavar="URL",
            help="Where gates call the service (default: the plan's domain).",
        ),
        options.contract,
        options.plan,
    ):
        command = option(command)
    return command


dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")


@click.command(cls=options.Command, epilog=EXIT_CODES)
@click.argument("phase", type=options.PHASE, required=False)
@click.option("--to", "goal", type=options.PHASE, help="Deploy phase after phase up to this one.")
@click.option("--digest", metavar="sha256:…", help="Of an image in ECR (default: that of the proven image).")
@click.option("--image", help="An image of this machine: it is run, pushed if ECR lacks it, and deployed.")
@dry_run_option
@common
def up(
    phase: Phase | None,
    goal: Phase | None,
    digest: str | None,
    image: str | None,
    dry_run: bool,
    **shared: Any,
) -> int:
    """Deploy a PHASE and prove it, or roll back.

    \b
    trail up simple --image shine:1.0.0
    trail up --to full
    """
    if digest is not None and image is not None:
        raise click.UsageError("--digest and --image exclude each other: name one image.")
    return guarded(
        Options(dry_run=dry_run, **shared), lambda session: run_up(session, phase, goal, digest, image), digest, image
    )


@click.command(cls=options.Command, epilog=EXIT_CODES)
@click.option("--to", "goal", type=options.PHASE, help="Go back to this phase.")
@dry_run_option
@common
def rollback(goal: Phase | None, dry_run: bool, **shared: Any) -> int:
    """Go back to what was proven before."""
    return guarded(Options(dry_run=dry_run, **shared), lambda session: run_rollback(session, goal))


@click.command("resume", cls=options.Command, epilog=EXIT_CODES)
@common
def resume(**shared: Any) -> int:
    """Continue a rollout that was cut off."""
    return guarded(Options(**shared), lambda session: run_resume(session))


def run_up(
    session: RolloutSession, phase: Phase | None, goal: Phase | None, digest: str | None, image: str | None
) -> Result:
    """Deploy one phase, or all up to a goal."""
    try:
        docker = engine.environment()
    except engine.EngineError:
        docker = dict(os.environ)  # docker's own error says that there is no engine
    choice = deploy.ImageChoice(digest, image, docker)
    if goal is not None and phase is not None:
        raise PlanError(f"Name one phase (`trail up {phase}`), or a goal (`trail up --to {goal}`), not both.")
    if goal is not None:
        return deploy.deploy_phases(session, goal, choice)
    if phase is None:
        raise PlanError("Which phase? `trail up simple`, or `trail up --to full` for all of them.")
    return deploy.deploy_phase(session, phase, choice)


def run_rollback(session: RolloutSession, goal: Phase | None) -> Result:
    """Go back to what was proven before."""
    return back.rollback(session, goal)


def run_resume(session: RolloutSession) -> Result:
    """Continue what was cut off."""
    return resuming.resume(session)


def guarded(
    given: Options, run: Callable[[RolloutSession], Result], digest: str | None = None, image: str | None = None
) -> int:
    """Run a command; whatever ends it is a sentence, an exit code and, with --json, JSON."""
    plan = plans.read(given.plan)
    if digest is not None:
        renderer.image_reference(plan, digest)
    contract = contracts.read(given.contract) if given.contract else contracts.builtin()
    signal.signal(signal.SIGTERM, interrupt)
    used = OptionsInUse.of({**vars(given), "digest": digest, "image": image})
    with make_reporter(given.plain or given.as_json, used) as reporter:
        session, result = None, None
        try:
            session = prepared(given, plan, contract, reporter)
            result = run(session)
        except (Locked, LockLost, ConcurrentDeploymentError) as error:
            attempt = session.attempt if session else None
            result = Result(exits.SOMEBODY_ELSE, str(error), attempt, code=catalog.OTHERS.code)
        except (PlanError, contracts.ContractError) as error:
            result = unfinished(session, str(error), exits.FOUND, catalog.INPUT.code)
        except RecordError as error:
            result = unfinished(session, str(error), exits.FOUND, catalog.RECORD.code)
        except WriteRefused as error:
            result = unfinished(session, str(error), exits.FOUND, catalog.ROLLOUT.code)
        except (ClientError, BotoCoreError) as error:
            result = unfinished(session, describe(error), exits.FOUND, aws_error(error).code)
        except KeyboardInterrupt:
            result = unfinished(session, "Interrupted.", exits.INTERRUPTED, catalog.INTERRUPTED.code)
    print_result(replace(result, sentence=used.text(result.sentence)), given.as_json)
    return result.exit


def prepared(given: Options, plan: Plan, contract: dict[str, Any], reporter: LogReporter) -> RolloutSession:
    """A session with all that it needs; raises as `guarded` catches."""
    clients = Clients(plan.region, writes=not given.dry_run)
    caller = clients["sts"].get_caller_identity()
    if caller.get("Account") != plan.account:  # before anything is written: the record would be made in its name
        raise PlanError(f"These credentials are for account {caller.get('Account')}, the plan is for {plan.account}.")
    store = open_store(plan, clients)
    if given.break_lock and clients.writes:
        broken = break_lock(store)
        reporter.say(f"The lock was broken; it was held by {broken}." if broken else "There was no lock to break.")

    def confirm(question: str) -> bool:
        with reporter.paused():
            return options.confirmed(question, given.yes, reporter.say)

    return RolloutSession(
        plan=plan,
        contract=contract,
        clients=clients,
        store=store,
        who=str(caller["Arn"]),
        reporter=reporter,
        base_url=given.base_url,
        every_s=given.every,
        confirm=confirm,
    )


def unfinished(session: RolloutSession | None, sentence: str, exit_code: int, code: str) -> Result:
    """The result of a command that ended early: it says whether anything goes on in AWS."""
    attempt = session.attempt if session else None
    if session is None or attempt is None or attempt.deployed is None or attempt.ended is not None:
        if session is not None:
            session.release_lock()
        nothing = "" if attempt is not None and attempt.ended is not None else " Nothing was changed."
        return Result(exit_code, f"{sentence.rstrip('.')}.{nothing}", attempt, code=code)
    what = f"{attempt.deployment} goes on" if attempt.deployment else "what was begun goes on"
    ending = f"{sentence.rstrip('.')}. In AWS {what}; `trail resume` picks it up from there."
    return Result(exits.INTERRUPTED, ending, attempt, code=code)


def interrupt(*_: object) -> None:
    """SIGTERM is what CI sends; it means what Ctrl-C means."""
    raise KeyboardInterrupt


def print_result(result: Result, as_json: bool) -> None:
    """Print how the command ended, once the live view is closed."""
    if as_json:
        report.print_json(json_report(result))
        return
    good = result.exit == exits.FINE
    colours = report.colours_wanted(sys.stdout)
    mark = ("✔" if good else "✘") if sys.stdout.encoding.lower().startswith("utf") else ("ok" if good else "no")
    shown = report.coloured(mark, "green" if good else "red", colours)
    print(f"{shown} {printable(result.sentence, report.LONGEST)}")


def json_report(result: Result) -> dict[str, Any]:
    """For programs: preflight's report, with the reason first where it failed; and how the attempt ended."""
    if result.exit == exits.FINE:
        content = report.report(result.findings, strict=False)
    elif any(finding.level == "FAIL" for finding in result.findings):
        content = report.failure(result.findings, result.exit)
    else:
        content = report.failure([reason(result), *result.findings], result.exit)
    attempt = None if result.attempt is None else result.attempt.model_dump(mode="json")
    return {**content, "exit": result.exit, "sentence": result.sentence, "attempt": attempt}


def reason(result: Result) -> Finding:
    """Why a rollout failed, as a finding: the cause where it has a code of its own, beside the gate that failed."""
    cause = result.attempt.cause if result.attempt else None
    own = cause in meanings() and result.exit in (exits.FOUND, exits.PLATFORM)
    code = result.code or (cause if own else None) or CODES[result.exit]
    places = [("gate", cause)] if result.exit == exits.GATE_FAILED and cause else []
    return fail(code, result.sentence, *places, repair=None)
