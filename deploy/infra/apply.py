"""Makes what a rollout needs: deploy/infra/infra.yaml, applied by change set.

`network`, `roles` and `load_balancer` may be missing from the plan: the stack's outputs fill them in.
"""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.aws.clients import Clients
from deploy.aws.cloudformation import Change, StackError, execute, pending
from deploy.config import files as reading
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.infra.parameters import TEMPLATE, parameters, section, stack_name

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
        PlanError, StackError, or one of `deploy.aws.errors.ERRORS`, of which `told` makes a sentence.
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
