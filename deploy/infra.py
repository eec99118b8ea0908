"""The infrastructure that a rollout needs: applies deploy/infra.yaml by change set.

    trail infra diff                # shows what apply would change; changes nothing
    trail infra apply               # shows the same, asks, applies it; prints the lines for trail.yaml
    trail infra apply --yes --json  # for programs
    trail infra template            # prints the template

Exit codes: 0 nothing to change, or applied; 2 there are changes, they were not applied, or an error.

The plan for these commands may lack `network`, `roles` and `load_balancer`: the stack makes them.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from deploy import contract as contracts
from deploy import reading
from deploy.aws import Clients
from deploy.contract import Contract
from deploy.exits import FINE, FOUND, INTERRUPTED
from deploy.parameters import TEMPLATE, draft, parameters, section, stack_name, template
from deploy.plan import Plan
from deploy.stack import Change, StackError, execute, pending

JSON_KEY = "SHINE_API_KEYS"  # in the secret that the template makes

Confirm = Callable[[list[Change]], bool]
Say = Callable[[str], None]


def diff(session: Any, plan: Plan, contract: Contract) -> list[Change]:
    """Ask CloudFormation what applying would change; changes nothing.

    Args:
        session: boto3's.
        plan: has `infra`.
        contract: of the image.

    Raises:
        PlanError: the plan does not fit the template.
        StackError: the stack cannot be changed; also one of `deploy.refusal.ERRORS`.
    """
    clients = Clients(plan.region, session=session)
    with pending(clients["cloudformation"], stack_name(plan), _request(clients, plan, contract)) as change_set:
        return change_set.changes


def apply(session: Any, plan: Plan, contract: Contract, confirm: Confirm, say: Say) -> dict[str, str] | None:
    """Change the stack, if that is confirmed.

    Args:
        session, plan, contract: as in `diff`.
        confirm: takes the changes; not called if there are none.
        say: takes a line for each event of CloudFormation.

    Returns:
        The stack's outputs; None if it was not confirmed.

    Raises:
        PlanError, StackError: as in `diff`; StackError also if the change failed and was rolled back.
    """
    clients = Clients(plan.region, session=session)
    cloudformation = clients["cloudformation"]
    with pending(cloudformation, stack_name(plan), _request(clients, plan, contract)) as change_set:
        if change_set.changes and not confirm(change_set.changes):
            return None
        return execute(cloudformation, change_set, say)


def _request(clients: Clients, plan: Plan, contract: Contract) -> dict[str, Any]:
    """Arguments of create_change_set; checks first that the credentials are for the plan's account."""
    values = parameters(plan, contract)
    account = clients["sts"].get_caller_identity()["Account"]
    if account != plan.account:
        raise StackError(f"These credentials are for account {account}, the plan is for {plan.account}.")
    return {
        "TemplateBody": TEMPLATE.read_text(),
        "Parameters": values,
        "Capabilities": ["CAPABILITY_IAM"],  # the template has roles; CloudFormation chooses their names
        "Tags": [{"Key": "shine:service", "Value": plan.service}],
    }


def snippet(plan: Plan, outputs: Mapping[str, str]) -> str:
    """Lines for trail.yaml that name what the stack made."""
    public = plan.network.assign_public_ip if section(plan).vpc == "existing" else section(plan).vpc == "public"
    parts: dict[str, Any] = {
        "network": {
            "subnets": outputs["Subnets"].split(","),
            "security_groups": [outputs["SecurityGroup"]],
            "assign_public_ip": public,
        },
        "roles": {"task": outputs["TaskRole"], "execution": outputs["ExecutionRole"]},
        "load_balancer": {"target_group": outputs["TargetGroup"], "listener": outputs["Listener"]},
        "log_group": outputs["LogGroup"],
    }
    if outputs.get("RolloutAlarms"):
        parts["alarms"] = outputs["RolloutAlarms"].split(",")
    if section(plan).adopt.secret is None and "Secret" in outputs:
        parts["secrets"] = {JSON_KEY: f"{outputs['Secret']}:{JSON_KEY}::"}
    return reading.dump_yaml(parts)


def add_commands(subparsers: Any) -> None:
    """Add `infra` with its three commands; each sets `command`, which takes the arguments and returns the exit code."""
    infra = subparsers.add_parser("infra", help="what the rollout stands on: network, roles, registry, alarms, …")
    commands = infra.add_subparsers(required=True, metavar="diff|apply|template")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--plan", type=Path, default=Path("trail.yaml"), help="default: trail.yaml")
    common.add_argument("--contract", type=Path, help="what `docker run IMAGE contract` printed; default: this code's")
    common.add_argument("--json", action="store_true", help="print JSON, for programs")
    shown = commands.add_parser("diff", parents=[common], help="what applying would change; changes nothing")
    shown.set_defaults(command=lambda arguments: _with_plan(_diff, arguments))
    applied = commands.add_parser("apply", parents=[common], help="shows the same, asks, does it")
    applied.add_argument("--yes", action="store_true", help="do not ask")
    applied.set_defaults(command=lambda arguments: _with_plan(_apply, arguments))
    printed = commands.add_parser("template", help="print the template")
    printed.add_argument("--json", action="store_true", help="as JSON, which CloudFormation takes too")
    printed.set_defaults(command=_template)


def _template(arguments: argparse.Namespace) -> int:
    print(json.dumps(template(), indent=1) + "\n" if arguments.json else TEMPLATE.read_text(), end="")
    return FINE


def _diff(arguments: argparse.Namespace, plan: Plan, contract: Contract) -> int:
    changes = diff(boto3.Session(), plan, contract)
    if arguments.json:
        print(json.dumps({"stack": stack_name(plan), "changes": [change.as_json() for change in changes]}, indent=1))
    else:
        _show(plan, changes, sys.stdout)
    return FOUND if changes else FINE


def _apply(arguments: argparse.Namespace, plan: Plan, contract: Contract) -> int:
    shown: list[Change] = []

    def confirm(changes: list[Change]) -> bool:
        shown.extend(changes)
        _show(plan, changes, sys.stderr if arguments.json else sys.stdout)
        if arguments.yes:
            return True
        if not sys.stdin.isatty():
            print("Nobody can be asked here; --yes applies without asking.", file=sys.stderr)
            return False
        print(f"Apply to account {plan.account}, {plan.region}? Type yes: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() == "yes"

    outputs = apply(boto3.Session(), plan, contract, confirm, lambda line: print(line, file=sys.stderr))
    if arguments.json:
        result = {"stack": stack_name(plan), "applied": outputs is not None, "outputs": outputs or {}}
        print(json.dumps(result | {"changes": [change.as_json() for change in shown]}, indent=1))
    elif outputs is not None:
        print(
            f"{'Applied' if shown else 'Nothing to change'}. trail.yaml must say:\n\n{snippet(plan, outputs)}", end=""
        )
    if outputs is None:
        print("Nothing was applied.", file=sys.stderr)
    return FOUND if outputs is None else FINE


def _show(plan: Plan, changes: list[Change], to: Any) -> None:
    print(f"Stack {stack_name(plan)}, account {plan.account}, {plan.region}: {len(changes) or 'no'} changes", file=to)
    for change in changes:
        print(change.describe(), file=to)
    lost = [change.name for change in changes if change.is_destructive]
    if lost:
        print(f"CAUTION: replaced or removed: {', '.join(lost)}. Whatever uses them is interrupted.", file=to)


def _with_plan(command: Callable[[argparse.Namespace, Plan, Contract], int], arguments: argparse.Namespace) -> int:
    """Run a command on a plan and a contract; the caller reports errors."""
    try:
        plan = draft(arguments.plan)
        return command(arguments, plan, contracts.parse(contracts.of(arguments.contract)))
    except KeyboardInterrupt:
        print("Interrupted. What was begun goes on at AWS; `trail infra diff` tells how it stands.", file=sys.stderr)
        return INTERRUPTED
