"""What the rollout stands on: deploy/infra/infra.yaml, applied by change set.

    trail infra diff                # what applying would change, in words; changes nothing
    trail infra apply               # shows the same, asks, does it; prints what trail.yaml must say then
    trail infra apply --yes --json  # for programs
    trail infra template            # prints the template

Exit codes: 0 nothing to change, or applied; 2 there are changes, they were not applied, or they could not be looked at.

`network`, `roles` and `load_balancer` may be missing from a plan that these commands read: they come of the stack.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from deploy.aws.clients import Clients
from deploy.aws.cloudformation import LONGEST, Change, StackError, execute, pending
from deploy.config import files as reading
from deploy.config import image_contract as contracts
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.exit_codes import FINE, FOUND, INTERRUPTED
from deploy.findings import terminal as report
from deploy.infra.parameters import TEMPLATE, draft, parameters, section, stack_name, template
from deploy.next_command import OptionsInUse
from deploy.text import printable

JSON_KEY = "SHINE_API_KEYS"  # within the secret that the template makes

Confirm = Callable[[list[Change]], bool]
Say = Callable[[str], None]


def diff(session: Any, plan: Plan, contract: Contract) -> list[Change]:
    """What applying would change; leaves nothing behind.

    Args:
        session: of boto3.
        plan: with `infra`.
        contract: of the image.

    Raises:
        PlanError, StackError, or one of `deploy.aws.errors.ERRORS`, of which `describe` makes a sentence.
    """
    clients = Clients(plan.region, session=session)
    with pending(clients["cloudformation"], stack_name(plan), _request(clients, plan, contract)) as waiting:
        return waiting.changes


def apply(session: Any, plan: Plan, contract: Contract, confirm: Confirm, say: Say) -> dict[str, str] | None:
    """Show what would change, and do it where that is confirmed.

    Args:
        session, plan, contract: as in `diff`.
        confirm: is shown the changes; not called where there are none.
        say: is told what CloudFormation does.

    Returns:
        The stack's outputs; None where it was not confirmed.

    Raises:
        As `diff`; StackError with the reasons when it failed and was rolled back.
    """
    clients = Clients(plan.region, session=session)
    cloud = clients["cloudformation"]
    with pending(cloud, stack_name(plan), _request(clients, plan, contract)) as waiting:
        if waiting.changes and not confirm(waiting.changes):
            return None
        return execute(cloud, waiting, say)


def _request(clients: Clients, plan: Plan, contract: Contract) -> dict[str, Any]:
    """Of a change set; looks first whether these are credentials for the plan's account."""
    filled = parameters(plan, contract)
    account = clients["sts"].get_caller_identity()["Account"]
    if account != plan.account:
        raise StackError(f"These credentials are for account {account}, the plan is for {plan.account}.")
    return {
        "TemplateBody": TEMPLATE.read_text(),
        "Parameters": filled,
        "Capabilities": ["CAPABILITY_IAM"],  # it makes roles, whose names CloudFormation chooses
        "Tags": [{"Key": "shine:service", "Value": plan.service}],
    }


def snippet(plan: Plan, outputs: Mapping[str, str]) -> str:
    """What trail.yaml must say now, as YAML."""
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
        report.print_json({"stack": stack_name(plan), "changes": [one.as_json() for one in changes]}, 1)
    else:
        _show(plan, changes, sys.stdout)
    return FOUND if changes else FINE


def _apply(arguments: argparse.Namespace, plan: Plan, contract: Contract) -> int:
    seen: list[Change] = []

    def confirm(changes: list[Change]) -> bool:
        seen.extend(changes)
        _show(plan, changes, sys.stderr if arguments.json else sys.stdout)
        if arguments.yes:
            return True
        if not sys.stdin.isatty():
            print("Nobody can be asked here; --yes applies without asking.", file=sys.stderr)
            return False
        print(f"Apply to account {plan.account}, {plan.region}? Type yes: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() == "yes"

    outputs = apply(
        boto3.Session(), plan, contract, confirm, lambda line: print(printable(line, LONGEST), file=sys.stderr)
    )
    if arguments.json:
        told = {"stack": stack_name(plan), "applied": outputs is not None, "outputs": outputs or {}}
        refused = report.reason("Nothing was applied: it was not confirmed.", report.NOT_CONFIRMED.code)
        ended = report.failure([refused], FOUND) if outputs is None else {}
        report.print_json({**told, "changes": [one.as_json() for one in seen], **ended}, 1)
    elif outputs is not None:
        print(f"{'Applied' if seen else 'Nothing to change'}. trail.yaml must say:\n\n{snippet(plan, outputs)}", end="")
    if outputs is None:
        print("Nothing was applied.", file=sys.stderr)
    return FOUND if outputs is None else FINE


def _show(plan: Plan, changes: list[Change], to: Any) -> None:
    print(
        f"Stack {printable(stack_name(plan))}, account {plan.account}, {plan.region}: {len(changes) or 'no'} changes",
        file=to,
    )
    for change in changes:
        print(change.words(), file=to)
    lost = [printable(one.name) for one in changes if one.breaks]
    if lost:
        print(f"CAUTION: replaced or removed: {', '.join(lost)}. What depends on them is interrupted.", file=to)


def _with_plan(command: Callable[[argparse.Namespace, Plan, Contract], int], arguments: argparse.Namespace) -> int:
    """Run a command; what goes wrong is raised, and said by whoever runs commands."""
    try:
        plan = draft(arguments.plan)
        return command(arguments, plan, contracts.parse(contracts.of(arguments.contract)))
    except KeyboardInterrupt:
        sentence = "Interrupted. What was begun goes on at AWS; `trail infra diff` tells how it stands."
        return report.ended(
            OptionsInUse.of(arguments).text(sentence), report.INTERRUPTED.code, arguments.json, INTERRUPTED
        )
