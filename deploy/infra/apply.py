"""The infrastructure that a rollout needs: applies deploy/infra/infra.yaml by change set.

The plan for these functions may lack `network`, `roles` and `load_balancer`: the stack makes them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.aws.clients import Clients
from deploy.aws.cloudformation import Change, StackError, execute, pending
from deploy.config import files
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.infra.parameters import TEMPLATE, parameters, section, stack_name

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
        StackError: the stack cannot be changed; also one of `deploy.aws.errors.ERRORS`.
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
    return files.dump_yaml(parts)
