"""`trail infra`: network, load balancer, registry, roles and alarms, as one CloudFormation stack.

Exit codes: 0 nothing to change, or applied; 2 there are changes, they were not applied, or could not be read.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import boto3
import click

from deploy.aws.cloudformation import LONGEST, Change
from deploy.cli import options
from deploy.config import image_contract as contracts
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.exit_codes import FINE, FOUND, INTERRUPTED
from deploy.findings import catalog
from deploy.findings import terminal as report
from deploy.infra import apply as stack
from deploy.infra.parameters import TEMPLATE, draft, stack_name
from deploy.infra.parameters import template as parsed_template
from deploy.next_command import OptionsInUse
from deploy.text import printable


@click.group()
def infra() -> None:
    """Network, load balancer, registry, roles, alarms: what a rollout needs.

    \b
    trail infra diff                # what applying would change; changes nothing
    trail infra apply               # shows the same, asks, applies it; prints what trail.yaml must say then
    trail infra apply --yes --json  # for programs
    """


@infra.command(cls=options.Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON, which CloudFormation accepts too.")
def template(as_json: bool) -> int:
    """Print the CloudFormation template."""
    print(json.dumps(parsed_template(), indent=1) + "\n" if as_json else TEMPLATE.read_text(), end="")
    return FINE


@infra.command(cls=options.Command)
@options.plan
@options.contract
@options.json_output
def diff(plan: Path, contract: Path | None, as_json: bool) -> int:
    """Show what applying would change; changes nothing."""

    def show(team_plan: Plan, image_contract: Contract) -> int:
        changes = stack.diff(boto3.Session(), team_plan, image_contract)
        if as_json:
            content = {"stack": stack_name(team_plan), "changes": [change.as_json() for change in changes]}
            report.print_json(content, 1)
        else:
            print_changes(team_plan, changes, sys.stdout)
        return FOUND if changes else FINE

    return _with_plan(show, plan, contract, as_json)


@infra.command(cls=options.Command)
@options.plan
@options.contract
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.json_output
def apply(plan: Path, contract: Path | None, yes: bool, as_json: bool) -> int:
    """Show what would change, ask, and apply it."""
    return _with_plan(lambda team_plan, contract: _apply(team_plan, contract, yes, as_json), plan, contract, as_json)


def _apply(plan: Plan, contract: Contract, yes: bool, as_json: bool) -> int:
    shown: list[Change] = []

    def say(line: str) -> None:
        print(printable(line, LONGEST), file=sys.stderr)

    def confirm(changes: list[Change]) -> bool:
        shown.extend(changes)
        print_changes(plan, changes, sys.stderr if as_json else sys.stdout)
        return options.confirmed(f"Apply to account {plan.account}, {plan.region}?", yes, say)

    outputs = stack.apply(boto3.Session(), plan, contract, confirm, say)
    if as_json:
        content = {"stack": stack_name(plan), "applied": outputs is not None, "outputs": outputs or {}}
        refused = report.reason("Nothing was applied: it was not confirmed.", catalog.NOT_CONFIRMED.code)
        failure = report.failure([refused], FOUND) if outputs is None else {}
        report.print_json({**content, "changes": [change.as_json() for change in shown], **failure}, 1)
    elif outputs is not None:
        done = "Applied" if shown else "Nothing to change"
        print(f"{done}. trail.yaml must say:\n\n{stack.snippet(plan, outputs)}", end="")
    if outputs is None:
        print("Nothing was applied.", file=sys.stderr)
    return FOUND if outputs is None else FINE


def print_changes(plan: Plan, changes: list[Change], stream: TextIO) -> None:
    """Print the changes of the stack, and which resources would be replaced or removed."""
    name = printable(stack_name(plan))
    print(f"Stack {name}, account {plan.account}, {plan.region}: {len(changes) or 'no'} changes", file=stream)
    for change in changes:
        print(change.describe(), file=stream)
    lost = [printable(change.name) for change in changes if change.is_destructive]
    if lost:
        print(f"CAUTION: replaced or removed: {', '.join(lost)}. What depends on them is interrupted.", file=stream)


def _with_plan(command: Callable[[Plan, Contract], int], plan: Path, contract: Path | None, as_json: bool) -> int:
    try:
        return command(draft(plan), contracts.parse(contracts.of(contract)))
    except KeyboardInterrupt:
        sentence = "Interrupted. What was started goes on at AWS; `trail infra diff` shows its state."
        used = OptionsInUse.of({"plan": plan, "contract": contract})
        return report.ended(used.text(sentence), catalog.INTERRUPTED.code, as_json, INTERRUPTED)
