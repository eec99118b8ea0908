"""`trail preflight` compares image, plan and account; `trail explain` says what a code means."""

import sys
from pathlib import Path
from typing import Any

import click

from bentos.skin.settings import Phase
from deploy.cli import options
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.exit_codes import FINE, FOUND
from deploy.findings import terminal
from deploy.findings.terminal import print_json
from deploy.taskdef import load
from deploy.taskdef import render as renderer
from deploy.verify import run as verify

NO_DIGEST = "sha256:" + "0" * 64  # stands for an image that was not named; cannot be registered


@click.command(cls=options.Command)
@options.plan
@options.contract
@click.option("--phase", type=options.PHASE, help="One of the four (default: all, or the task definition's).")
@click.option("--digest", metavar="sha256:…", help="Of the image that would be rolled out.")
@click.option("--image", help="An image to run on this machine, by docker's name for it.")
@click.option("--task-definition", type=options.FILE, metavar="FILE", help="Check this one; needs no plan.")
@click.option("--offline", is_flag=True, help="Run no image and call nothing of AWS.")
@click.option("--strict", is_flag=True, help="Count a WARN as a failure.")
@click.option("--all", "list_all", is_flag=True, help="List what is OK or skipped too.")
@options.json_output
def preflight(
    plan: Path,
    contract: Path | None,
    phase: Phase | None,
    digest: str | None,
    image: str | None,
    task_definition: Path | None,
    offline: bool,
    strict: bool,
    list_all: bool,
    as_json: bool,
) -> int:
    """Compare image, plan and account, and report every mismatch; nothing is changed.

    \b
    trail preflight --image shine:1.0.0
    trail preflight --task-definition taskdef.json --offline
    """
    common: dict[str, Any] = {
        "contract": contracts.of(contract),
        "image": image,
        "offline": offline,
        "of_image": contract is not None,
    }
    if task_definition is not None:
        loaded = load.load(task_definition)
        team_plan = plans.read(plan) if plan.exists() else None
        subjects = [verify.Subject(task=loaded.task, plan=team_plan, phase=phase, findings=loaded.stripped, **common)]
    else:
        subjects = _subjects_of_plan(plans.read(plan), phase, digest, common)
    findings = verify.run_preflight(subjects)
    if as_json:
        print_json(terminal.report(findings, strict))
    else:
        print(terminal.text(findings, all_of_them=list_all, colours=terminal.colours_wanted(sys.stdout)), end="")
    return FINE if terminal.is_fine(findings, strict) else FOUND


def _subjects_of_plan(
    plan: plans.Plan, phase: Phase | None, digest: str | None, common: dict[str, Any]
) -> list[verify.Subject]:
    """The task definition of each phase, rendered."""
    image = renderer.image_reference(plan, digest or NO_DIGEST)
    findings = [] if digest else [verify.digest_missing("command line: --digest")]
    return [
        verify.Subject(
            task=renderer.render(plan, common["contract"], image, name),
            plan=plan,
            phase=name,
            findings=findings,
            **common,
        )
        for name in ([phase] if phase else plans.PHASES)
    ]


@click.command(cls=options.Command)
@click.argument("code", required=False)
@options.json_output
def explain(code: str | None, as_json: bool) -> int:
    """Say what a CODE of a finding or of a cause means, e.g. PORT_MISMATCH; without one, list all."""
    from deploy.cli.explain import meaning, meanings

    if code is not None:
        meant = meaning(code, "code")
        print_json(meant.as_json()) if as_json else print(meant.text(), end="")
        return FINE
    known = meanings()
    if as_json:
        print_json([entry.as_json() for entry in known.values()])
    else:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {entry.title}" for name, entry in known.items()))
    return FINE
