"""The command `trail`: rolls the service out on AWS ECS by proven steps, and looks before it moves.

From nothing to phase simple:
  trail init                        write trail.yaml, a plan with comments; --from-service reads one that runs
  trail infra apply                 make what it stands on: network, load balancer, registry, roles, alarms
  trail policy                      what those who roll out must be allowed in AWS, people or CI
  trail preflight --image IMAGE     run the image, ask the account, say every mismatch; changes nothing
  trail up simple --image IMAGE     push, deploy, follow, ask the gates; goes back by itself where one fails

From there, with the image that is proven:
  trail up --to full                climb: hybrid, foundation, full; stops at the first that does not hold
  trail status                      progress, what blocks, the next command
  trail record --html trail.html    the progress tracker as a page; --note "…" adds a decision

When something fails:
  trail why                         the most likely cause, with the words that show it
  trail rollback                    back to what was proven before
  trail resume                      pick up what was cut off: Ctrl-C, a lost network, expired credentials, a kill
  trail explain PORT_MISMATCH       what a code means; without a code, all of them

A task definition that you have, ours or not: trail preflight --task-definition FILE --offline

Port, health check and minimum size come from the image's contract (`docker run IMAGE contract`, or --contract FILE with
what it printed); names and sizes from trail.yaml. Neither is ever typed twice. Each command has --help and --json; of
one that fails, findings[0] of the JSON says why, by its code and in a sentence.

Exit codes: 0 done, or fine; 2 something was found or could not be looked at, and nothing was changed; of rollouts
also 3 a gate failed, what was proven runs again; 4 ECS went back; 5 going back failed: look now; 6 somebody else's
deployment or lock; 130 interrupted, and it goes on in AWS.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from deploy.aws import errors as refusal
from deploy.aws import iam
from deploy.aws.cloudformation import StackError
from deploy.cli import explain as meanings
from deploy.cli import golden as gates
from deploy.cli import record, rollout, why
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.diagnose.evidence import EvidenceError
from deploy.exit_codes import FINE, FOUND, INTERRUPTED
from deploy.findings import terminal as report
from deploy.findings.terminal import print_json
from deploy.infra import apply as infra
from deploy.next_command import OptionsInUse
from deploy.record.objects import RecordError
from deploy.rollout.status import now
from deploy.taskdef import load as taskdef
from deploy.taskdef import render as renderer
from deploy.text import printable
from deploy.verify import run as preflight

EXAMPLE = Path(plans.__file__).with_name("trail.yaml")
DEFAULT_PLAN = Path("trail.yaml")
NO_DIGEST = "sha256:" + "0" * 64  # stands where nobody named one; refused by `render`

# What ends a command with a sentence of its own, and the code of the finding that it makes.
ENDS: dict[type[Exception], str] = {
    plans.PlanError: preflight.INPUT.code,
    contracts.ContractError: preflight.INPUT.code,
    taskdef.TaskDefinitionError: preflight.INPUT.code,
    EvidenceError: preflight.INPUT.code,
    meanings.UnknownCode: preflight.INPUT.code,
    record.Unwritable: preflight.INPUT.code,
    RecordError: report.RECORD.code,
}
Command = Callable[[argparse.Namespace], int]


class UsageError(Exception):
    """The command line is wrong; the message says how."""


class Parser(argparse.ArgumentParser):
    """Raises what is wrong with a command line, after its usage is printed, so that programs can be told too."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse.

        Raises:
            UsageError: always.
        """
        self.print_usage(sys.stderr)
        raise UsageError(f"{self.prog}: error: {printable(message, report.LONGEST)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        wanted = parser().parse_args(words)
    except UsageError as error:
        if any(len(word) > len("--") and "--json".startswith(word) for word in words):  # as argparse abbreviates
            print_json(report.failure([report.reason(str(error), report.USAGE.code)], FOUND))
        print(error, file=sys.stderr)
        raise SystemExit(FOUND) from None
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has not every letter
    command: Command = wanted.command
    complete = OptionsInUse.of(wanted).text
    try:
        return flushed(command(wanted))
    except tuple(ENDS) as error:
        code = next(code for kind, code in ENDS.items() if isinstance(error, kind))
        return report.ended(complete(str(error)), code, wanted.json)
    except StackError as error:
        return report.ended(complete(str(error)), error.code, wanted.json)
    except (*refusal.ERRORS, refusal.AwsError) as error:  # where no part has made a finding of it
        return report.ended(refusal.describe(error), refusal.aws_error(error).code, wanted.json)
    except OSError as error:
        unprinted(error)
        return FOUND
    except KeyboardInterrupt:
        return report.ended("interrupted.", report.INTERRUPTED.code, wanted.json, INTERRUPTED)


def flushed(code: int) -> int:
    """The exit code, once all is printed; it stays what it is where not all could be."""
    try:
        sys.stdout.flush()
    except OSError as error:
        unprinted(error)
        return code or FOUND
    return code


def unprinted(error: OSError) -> None:
    """Say what kept stdout from being written; nobody who closed a pipe (`trail explain | head`) wants to know."""
    if not isinstance(error, BrokenPipeError):
        print(f"trail: not all could be printed: {error.strerror or error}.", file=sys.stderr)
    # Python flushes once more when it ends, and would complain.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """All commands. One that another module brings is added here, by its own function."""
    text = str(__doc__)
    made = Parser("trail", description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    own = (add_init, add_schema, add_policy, add_render, add_preflight, add_explain)
    for add in (*own, infra.add_commands, rollout.add_commands, why.add_commands, gates.add_commands):
        add(commands)
    record.add_commands(commands, live=now)
    return made


def command(commands: Any, name: str, run: Command, told: str) -> argparse.ArgumentParser:
    """A command with what all have."""
    made: argparse.ArgumentParser = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
    made.add_argument("--json", action="store_true", help="print JSON for programs")
    made.set_defaults(command=run)
    return made


def add_init(commands: Any) -> None:
    """`trail init`."""
    made = command(commands, "init", init, "write a plan with comments, to fill in; from a running service if asked")
    made.add_argument("file", nargs="?", type=Path, default=DEFAULT_PLAN, help="where to (default: trail.yaml)")
    made.add_argument("--from-service", metavar="CLUSTER/SERVICE", help="read what runs; AWS is only asked")
    made.add_argument("--region", help="of that service (default: that of your AWS profile or AWS_DEFAULT_REGION)")


def init(wanted: argparse.Namespace) -> int:
    """Write the example, or what runs in its form; a file that is there stays as it is."""
    if wanted.region and not wanted.from_service:
        raise plans.PlanError("--region goes with --from-service; a plan that is written from nothing has its own.")
    if wanted.file.exists():
        raise plans.PlanError(f"{wanted.file} is there already, and stays as it is.")
    seen, text = None, EXAMPLE.read_text(encoding="utf-8")
    if wanted.from_service:
        from deploy import importer as begin  # half a second, which others need not wait

        seen = begin.read(wanted.from_service, wanted.region)
        text = begin.written(text, seen)
    try:
        with wanted.file.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise plans.PlanError(f"{wanted.file} cannot be written: {error.strerror}.") from None
    if seen is not None:
        told = begin.told(seen, text, wanted.file)
        print_json(told.as_json) if wanted.json else print(told.text, end="")
        return FOUND if told.open else FINE
    if wanted.json:
        print_json({"written": str(wanted.file)})
    else:
        then = OptionsInUse.of_plan(wanted.file).command("trail preflight --offline")
        print(printable(f"Wrote {wanted.file}. Fill in your names, then: {then}", report.LONGEST))
    return FINE


def add_schema(commands: Any) -> None:
    """`trail schema`."""
    command(commands, "schema", schema, "print the JSON schema of the plan, for editors")


def schema(_: argparse.Namespace) -> int:
    """JSON either way."""
    print_json(plans.Plan.model_json_schema())
    return FINE


def add_render(commands: Any) -> None:
    """`trail render`."""
    made = command(commands, "render", render, "print the task definition of a phase, for RegisterTaskDefinition")
    add_sources(made)
    made.add_argument("--phase", choices=plans.PHASES, required=True, help="of the four")
    made.add_argument("--digest", required=True, metavar="sha256:…", help="of the image, as the registry prints it")


def render(wanted: argparse.Namespace) -> int:
    """JSON either way; --json has it on one line."""
    plan = plans.read(wanted.plan)
    image = renderer.image_reference(plan, wanted.digest)
    made = renderer.render(plan, contracts.of(wanted.contract), image, wanted.phase)
    print_json(made, None if wanted.json else 2)
    return FINE


def add_policy(commands: Any) -> None:
    """`trail policy`."""
    made = command(commands, "policy", print_policy, "print the IAM policy of those who roll out, people or CI")
    made.add_argument("--plan", type=Path, default=DEFAULT_PLAN, help="default: trail.yaml")


def print_policy(wanted: argparse.Namespace) -> int:
    """JSON either way; --json has it on one line."""
    print_json(iam.policy(plans.read(wanted.plan)), None if wanted.json else 2)
    return FINE


def add_preflight(commands: Any) -> None:
    """`trail preflight`."""
    made = command(commands, "preflight", look, "compare image, plan and account, and say every mismatch")
    add_sources(made)
    made.add_argument("--phase", choices=plans.PHASES, help="of the four (default: all, or the task definition's)")
    made.add_argument("--digest", metavar="sha256:…", help="of the image that would be rolled out")
    made.add_argument("--image", help="an image to run on this machine, by the name that docker knows it by")
    made.add_argument("--task-definition", type=Path, metavar="FILE", help="judge this one; needs no plan")
    made.add_argument("--offline", action="store_true", help="run no image and ask nothing of AWS")
    made.add_argument("--strict", action="store_true", help="count a WARN as found")
    made.add_argument("--all", action="store_true", help="list what is OK too")


def look(wanted: argparse.Namespace) -> int:
    """Collect all findings and print them."""
    findings = preflight.look(subjects_of(wanted))
    if wanted.json:
        print_json(preflight.report(findings, wanted.strict))
    else:
        print(report.text(findings, all_of_them=wanted.all, colours=report.colours_wanted(sys.stdout)), end="")
    return FINE if preflight.is_fine(findings, wanted.strict) else FOUND


def subjects_of(wanted: argparse.Namespace) -> list[preflight.Subject]:
    """What is to be looked at: one task definition, or the plan's of each phase; raises as `ENDS` lists."""
    contract = contracts.of(wanted.contract)
    common: dict[str, Any] = {"contract": contract, "image": wanted.image, "offline": wanted.offline}
    if wanted.task_definition is not None:
        found = taskdef.load(wanted.task_definition)
        plan = plans.read(wanted.plan) if wanted.plan.exists() and not wanted.offline else None
        return [preflight.Subject(task=found.task, plan=plan, phase=wanted.phase, told=found.stripped, **common)]
    plan = plans.read(wanted.plan)
    image = renderer.image_reference(plan, wanted.digest or NO_DIGEST)
    told = [] if wanted.digest else [preflight.no_digest("command line: --digest")]
    phases = [wanted.phase] if wanted.phase else plans.PHASES
    made = {phase: renderer.render(plan, contract, image, phase) for phase in phases}
    return [preflight.Subject(task=task, plan=plan, phase=phase, told=told, **common) for phase, task in made.items()]


def add_explain(commands: Any) -> None:
    """`trail explain`."""
    made = command(commands, "explain", explain, "tell what a code of a finding or of a cause means")
    made.add_argument("code", nargs="?", help="e.g. PORT_MISMATCH; without one, all of them")


def explain(wanted: argparse.Namespace) -> int:
    """One code at length, or all in a list."""
    if wanted.code is not None:
        found = meanings.meaning(wanted.code, "code")
        print_json(found.as_json()) if wanted.json else print(found.text(), end="")
        return FINE
    known = meanings.meanings()
    if wanted.json:
        print_json([one.as_json() for one in known.values()])
    else:
        widest = max(map(len, known))
        print("\n".join(f"{name:{widest}}  {one.title}" for name, one in known.items()))
    return FINE


def add_sources(made: argparse.ArgumentParser) -> None:
    """Where plan and contract come from."""
    made.add_argument("--plan", type=Path, default=DEFAULT_PLAN, help="default: trail.yaml")
    told = "what `docker run IMAGE contract` printed (default: the contract of this checkout)"
    made.add_argument("--contract", type=Path, metavar="FILE", help=told)
