"""`trail init`, `schema`, `policy` and `render`: the plan, and what follows from it."""

from pathlib import Path

import click

from bentos.skin.settings import Phase
from deploy.cli import options
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.exit_codes import FINE, FOUND
from deploy.findings import terminal
from deploy.findings.terminal import print_json
from deploy.next_command import DEFAULT_PLAN, OptionsInUse
from deploy.text import printable

EXAMPLE = Path(plans.__file__).with_name("trail.yaml")


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE, default=Path(DEFAULT_PLAN))
@click.option("--from-service", metavar="CLUSTER/SERVICE", help="Read a running service; AWS is only read.")
@click.option("--region", help="Of that service (default: that of your AWS profile or AWS_DEFAULT_REGION).")
@options.json_output
def init(file: Path, from_service: str | None, region: str | None, as_json: bool) -> int:
    """Write a plan with comments to FILE (default: trail.yaml), to fill in.

    \b
    trail init
    trail init --from-service shine-ml-cluster/shine-api-gateway
    """
    if region and not from_service:
        raise plans.PlanError("--region goes with --from-service; a plan that is written from nothing has its own.")
    if file.exists():
        raise plans.PlanError(f"{file} is there already, and stays as it is.")
    text, imported = EXAMPLE.read_text(encoding="utf-8"), None
    if from_service:
        from deploy import importer  # takes half a second

        imported = importer.read(from_service, region)
        text = importer.written(text, imported)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise plans.PlanError(f"{file} cannot be written: {error.strerror}.") from None
    if imported is not None:
        summary = importer.summarize(imported, text, file)
        print_json(summary.as_json) if as_json else print(summary.text, end="")
        return FOUND if summary.open else FINE
    if as_json:
        print_json({"written": str(file)})
    else:
        command = OptionsInUse.of_plan(file).command("trail preflight --offline")
        print(printable(f"Wrote {file}. Fill in your names, then: {command}", terminal.LONGEST))
    return FINE


@click.command(cls=options.Command)
@options.json_output
def schema(as_json: bool) -> int:  # noqa: ARG001  JSON either way
    """Print the JSON schema of the plan, for editors."""
    print_json(plans.Plan.model_json_schema())
    return FINE


@click.command(cls=options.Command)
@options.plan
@options.json_output
def policy(plan: Path, as_json: bool) -> int:
    """Print the IAM policy that people or CI need to roll out; --json prints it on one line."""
    from deploy.aws import iam

    print_json(iam.policy(plans.read(plan)), None if as_json else 2)
    return FINE


@click.command(cls=options.Command)
@options.plan
@options.contract
@click.option("--phase", type=options.PHASE, required=True, help="One of the four.")
@click.option("--digest", required=True, metavar="sha256:…", help="Of the image, as the registry prints it.")
@options.json_output
def render(plan: Path, contract: Path | None, phase: Phase, digest: str, as_json: bool) -> int:
    """Print the task definition of a phase, as RegisterTaskDefinition takes it; --json prints it on one line."""
    from deploy.taskdef import render as renderer

    team_plan = plans.read(plan)
    image = renderer.image_reference(team_plan, digest)
    task_definition = renderer.render(team_plan, contracts.of(contract), image, phase)
    print_json(task_definition, None if as_json else 2)
    return FINE
