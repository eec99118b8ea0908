"""The commands `trail up`, `trail rollback` and `trail resume`.

Exit codes: 0 done; 2 preflight found something, nothing was changed; 3 a gate failed, and what was proven runs again;
4 the deployment failed, and ECS went back; 5 going back failed: look now; 6 somebody else's deployment or lock; 130
interrupted: what was begun goes on in AWS, and `trail resume` picks it up.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from deploy import exit_codes as exits
from deploy.aws.clients import Clients, WriteRefused
from deploy.aws.errors import aws_error, describe
from deploy.cli.explain import meanings
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.config.plan import PHASES, Plan, PlanError
from deploy.findings import terminal as report
from deploy.findings.finding import Finding, fail
from deploy.image import engine
from deploy.next_command import OptionsInUse
from deploy.record.lock import Locked, LockLost, break_lock
from deploy.record.store import RecordError, open_store
from deploy.rollout import deploy as upward
from deploy.rollout import rollback as back
from deploy.rollout.output import LogReporter, view
from deploy.rollout.resume import resume
from deploy.rollout.session import ConcurrentDeploymentError, Result, RolloutSession
from deploy.taskdef import render as renderer
from deploy.text import printable
from deploy.verify import run as preflight
from deploy.verify.run import INPUT

DEFAULT_PLAN = Path("trail.yaml")
LONGEST_PAUSE_S = 3600.0
# Of the finding that a failure makes, where its cause has no code of its own.
CODES = {
    exits.FOUND: report.ROLLOUT.code,
    exits.GATE_FAILED: report.GATE.code,
    exits.PLATFORM: "DEPLOYMENT_FAILED",
    exits.ROLLBACK_FAILED: report.BACK.code,
    exits.SOMEBODY_ELSE: report.OTHERS.code,
    exits.INTERRUPTED: report.INTERRUPTED.code,
}


def add_commands(commands: Any) -> None:
    """Add the three; each sets `command`, which takes the arguments and returns the exit code."""
    made = add(commands, "up", "bring a phase to the service, prove it, or go back", run_up)
    made.add_argument("phase", nargs="?", choices=PHASES, help="of the four; without it, --to")
    made.add_argument("--to", choices=PHASES, help="climb phase by phase up to this one")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--digest", metavar="sha256:…", help="of an image in ECR (default: the proven one's)")
    which.add_argument("--image", help="one of this machine: it is run, pushed where ECR lacks it, and rolled out")
    made.add_argument("--dry-run", action="store_true", help="look and show what would change; change nothing")
    made = add(commands, "rollback", "go back to what was proven before", run_rollback)
    made.add_argument("--to", choices=PHASES, help="of this phase")
    made.add_argument("--dry-run", action="store_true", help="show what would change; change nothing")
    add(commands, "resume", "pick up what was begun and never ended", run_resume)


def add(commands: Any, name: str, summary: str, run: Callable[[RolloutSession, argparse.Namespace], Result]) -> Any:
    """A command with what all three have."""
    made = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=str(__doc__).partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--plan", type=Path, default=DEFAULT_PLAN, help="default: trail.yaml")
    made.add_argument("--contract", type=Path, metavar="FILE", help="what `docker run IMAGE contract` printed")
    made.add_argument(
        "--base-url", type=url, metavar="URL", help="where gates ask the service (default: the plan's domain)"
    )
    made.add_argument("--yes", action="store_true", help="do not ask before changing anything")
    made.add_argument("--break-lock", action="store_true", help="take the lock from whoever holds it")
    made.add_argument("--plain", action="store_true", help="lines instead of a live view")
    made.add_argument(
        "--every", type=seconds, default=3.0, metavar="SECONDS", help="between two looks at AWS (default: 3)"
    )
    made.add_argument("--json", action="store_true", help="print the result as JSON; what happens goes to stderr")
    made.set_defaults(command=lambda wanted: guarded(wanted, run))
    return made


def seconds(text: str) -> float:
    """Of an argument: a number above 0, and no longer than an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST_PAUSE_S:  # not a number, too
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to {LONGEST_PAUSE_S:.0f}")
    return value


def url(text: str) -> str:
    """Of an argument: where a service answers, without a slash at its end."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        good = False
    if not good or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL like https://api.example.com")
    return text.rstrip("/")


def run_up(walk: RolloutSession, wanted: argparse.Namespace) -> Result:
    """`trail up`."""
    try:
        docker = engine.environment()
    except engine.EngineError:
        docker = dict(os.environ)  # docker itself says that it is not there
    image = upward.ImageChoice(wanted.digest, wanted.image, docker)
    if wanted.to is not None and wanted.phase is not None:
        raise PlanError(f"Either one phase (`trail up {wanted.phase}`), or a climb (`trail up --to {wanted.to}`).")
    if wanted.to is not None:
        return upward.deploy_phases(walk, wanted.to, image)
    if wanted.phase is None:
        raise PlanError("Which phase? `trail up simple`, or `trail up --to full` to climb.")
    return upward.up(walk, wanted.phase, image)


def run_rollback(walk: RolloutSession, wanted: argparse.Namespace) -> Result:
    """`trail rollback`."""
    return back.rollback(walk, wanted.to)


def run_resume(walk: RolloutSession, _: argparse.Namespace) -> Result:
    """`trail resume`."""
    return resume(walk)


def guarded(wanted: argparse.Namespace, run: Callable[[RolloutSession, argparse.Namespace], Result]) -> int:
    """Run a command; whatever ends it is a sentence, an exit code and, if wanted, JSON."""
    plan = plans.read(wanted.plan)
    if wanted.digest if hasattr(wanted, "digest") else None:
        renderer.image_reference(plan, wanted.digest)
    contract = contracts.read(wanted.contract) if wanted.contract else contracts.builtin()
    signal.signal(signal.SIGTERM, interrupt)
    options = OptionsInUse.of(wanted)
    with view(wanted.plain or wanted.json, options) as see:
        walk, result = None, None
        try:
            walk = prepared(wanted, plan, contract, see)
            result = run(walk, wanted)
        except (Locked, LockLost, ConcurrentDeploymentError) as error:
            attempt = walk.attempt if walk else None
            result = Result(exits.SOMEBODY_ELSE, str(error), attempt, code=report.OTHERS.code)
        except (PlanError, contracts.ContractError) as error:
            result = unfinished(walk, str(error), exits.FOUND, INPUT.code)
        except RecordError as error:
            result = unfinished(walk, str(error), exits.FOUND, report.RECORD.code)
        except WriteRefused as error:
            result = unfinished(walk, str(error), exits.FOUND, report.ROLLOUT.code)
        except (ClientError, BotoCoreError) as error:
            result = unfinished(walk, describe(error), exits.FOUND, aws_error(error).code)
        except KeyboardInterrupt:
            result = unfinished(walk, "Interrupted.", exits.INTERRUPTED, report.INTERRUPTED.code)
    tell(wanted, replace(result, sentence=options.text(result.sentence)))
    return result.exit


def prepared(wanted: argparse.Namespace, plan: Plan, contract: dict[str, Any], see: LogReporter) -> RolloutSession:
    """A walk with all that it needs; raises as `guarded` catches."""
    clients = Clients(plan.region, writes=not getattr(wanted, "dry_run", False))
    caller = clients["sts"].get_caller_identity()
    if caller.get("Account") != plan.account:  # before anything is written: the record would be founded in its name
        raise PlanError(f"These credentials are for account {caller.get('Account')}, the plan is for {plan.account}.")
    who = str(caller["Arn"])
    store = open_store(plan, clients)
    if wanted.break_lock and clients.writes:
        broken = break_lock(store)
        see.say(f"The lock was broken; it was held by {broken.told()}." if broken else "There was no lock to break.")
    return RolloutSession(
        plan=plan,
        contract=contract,
        clients=clients,
        store=store,
        who=who,
        see=see,
        base_url=wanted.base_url,
        every_s=wanted.every,
        confirm=lambda question: confirmed(question, wanted.yes, see),
    )


def confirmed(question: str, yes: bool, see: LogReporter) -> bool:
    """Whether a person says so."""
    if yes:
        return True
    if not sys.stdin.isatty():
        see.say("Nobody can be asked here; --yes changes it without asking.")
        return False
    with see.paused():
        print(f"{printable(question, 400)} Type yes: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() == "yes"


def unfinished(walk: RolloutSession | None, sentence: str, exit_code: int, code: str) -> Result:
    """What is to be said where a command ended early: whether anything goes on in AWS."""
    attempt = walk.attempt if walk else None
    if walk is None or attempt is None or attempt.deployed is None or attempt.ended is not None:
        if walk is not None:
            walk.release()
        nothing = "" if attempt is not None and attempt.ended is not None else " Nothing was changed."
        return Result(exit_code, f"{sentence.rstrip('.')}.{nothing}", attempt, code=code)
    what = f"{attempt.deployment} goes on" if attempt.deployment else "what was begun goes on"
    told = f"{sentence.rstrip('.')}. In AWS {what}; `trail resume` picks it up from there."
    return Result(exits.INTERRUPTED, told, attempt, code=code)


def interrupt(*_: object) -> None:
    """SIGTERM is what CI sends; it means what Ctrl-C means."""
    raise KeyboardInterrupt


def tell(wanted: argparse.Namespace, result: Result) -> None:
    """The end, once the view is closed."""
    if wanted.json:
        report.print_json(as_json(result))
        return
    good = result.exit == exits.FINE
    colours = report.colours_wanted(sys.stdout)
    mark = ("✔" if good else "✘") if sys.stdout.encoding.lower().startswith("utf") else ("ok" if good else "no")
    shown = f"\033[{'32' if good else '31'}m{mark}\033[0m" if colours else mark
    print(f"{shown} {printable(result.sentence, report.LONGEST)}")


def as_json(result: Result) -> dict[str, Any]:
    """For programs: preflight's report, with the reason first where it failed; and how the attempt ended."""
    if result.exit == exits.FINE:
        told = preflight.report(result.findings, strict=False)
    elif any(finding.level == "FAIL" for finding in result.findings):
        told = report.failure(result.findings, result.exit)
    else:
        told = report.failure([reason(result), *result.findings], result.exit)
    attempt = None if result.attempt is None else result.attempt.model_dump(mode="json")
    return {**told, "exit": result.exit, "sentence": result.sentence, "attempt": attempt}


def reason(result: Result) -> Finding:
    """Why a rollout failed, as a finding: the cause where it has a code of its own, beside the gate that failed."""
    cause = result.attempt.cause if result.attempt else None
    own = cause in meanings() and result.exit in (exits.FOUND, exits.PLATFORM)
    code = result.code or (cause if own else None) or CODES[result.exit]
    places = [("gate", cause)] if result.exit == exits.GATE_FAILED and cause else []
    return fail(code, result.sentence, *places, repair=None)
