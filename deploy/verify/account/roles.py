"""Checks of the two roles: they exist, differ, can be assumed by tasks, and may do what each needs."""

import json
from collections.abc import Iterator

from deploy.aws.errors import Absent, AwsError
from deploy.aws.iam import TASKS, Statements, allowed, statements, trusts_tasks
from deploy.findings.finding import Finding, fail, ok, skip
from deploy.verify.account.context import Account

Need = tuple[str, str]  # action, resource
KEYS = {"execution": "executionRoleArn", "task": "taskRoleArn"}


def arns(account: Account) -> dict[str, str]:
    """ARNs of both roles, from the task definition, else from the plan."""
    planned = {"execution": account.plan.roles.execution, "task": account.plan.roles.task}
    return {kind: account.task_definition.get(KEYS[kind]) or planned[kind] for kind in planned}


def separation(account: Account) -> Iterator[Finding]:
    """ECS, which starts the task, has another role than the service."""
    roles = arns(account)
    places = [(f"task definition: {KEYS[kind]}", arn) for kind, arn in roles.items()]
    if roles["execution"] == roles["task"]:
        yield fail(
            "ROLES_SHARED",
            f"Task role and execution role are the same, {roles['task']}: the service may read every secret that ECS "
            "reads for it, pull images and write logs.",
            *places,
            repair="Create a separate role for the service, which may read the weights and nothing else.",
        )
    else:
        yield ok("ROLES", "Task role and execution role differ.", *places)


def execution(account: Account) -> Iterator[Finding]:
    """ECS may pull the image, write the log, and read the secrets."""
    yield from _role(account, "execution", execution_needs(account))


def task(account: Account) -> Iterator[Finding]:
    """The service may read the weights, where the phase loads them."""
    yield from _role(account, "task", task_needs(account))


def execution_needs(account: Account) -> list[Need]:
    """The actions of ECS before the task runs."""
    plan = account.plan
    repository = f"arn:aws:ecr:{plan.region}:{plan.account}:repository/{plan.repository_name}"
    streams = f"arn:aws:logs:{plan.region}:{plan.account}:log-group:{plan.log_group}:log-stream:shine"
    needs = [("ecr:GetAuthorizationToken", "*")]
    needs += [(f"ecr:{action}", repository) for action in ("BatchGetImage", "GetDownloadUrlForLayer")]
    needs += [(f"logs:{action}", streams) for action in ("CreateLogStream", "PutLogEvents")]
    for arn in account.secrets.values():
        parts = arn.split(":")
        if parts[2:3] == ["ssm"]:
            needs.append(("ssm:GetParameters", arn))
        elif len(parts) >= 7:
            needs.append(("secretsmanager:GetSecretValue", ":".join(parts[:7])))
    return list(dict.fromkeys(needs))


def task_needs(account: Account) -> list[Need]:
    """The actions of the service itself."""
    weights = account.plan.weights
    if weights is None or not account.contract.egress.get(account.phase):
        return []
    bucket, _, prefix = weights.uri.removeprefix("s3://").partition("/")
    key = "/".join(part for part in (bucket, prefix.strip("/"), "manifest.json") if part)
    return [("s3:GetObject", f"arn:aws:s3:::{key}"), ("s3:ListBucket", f"arn:aws:s3:::{bucket}")]


def _role(account: Account, kind: str, needs: list[Need]) -> Iterator[Finding]:
    code, arn = kind.upper(), arns(account)[kind]
    name = arn.rpartition("/")[2]
    place = (f"task definition: {KEYS[kind]}", arn)
    try:
        role = account.ask("iam", "get_role", RoleName=name)["Role"]
    except Absent:
        yield fail(
            f"{code}_ROLE_MISSING",
            f"The {kind} role {name} does not exist.",
            place,
            repair=f"Create the role {name} with a trust policy for {TASKS}, or correct roles.{kind} in the plan.",
        )
        return
    if not trusts_tasks(statements(role["AssumeRolePolicyDocument"])):
        yield fail(
            f"{code}_ROLE_TRUST",
            f"The {kind} role {name} does not trust {TASKS}: tasks cannot assume it.",
            place,
            (f"IAM: trust policy of {name}", statements(role["AssumeRolePolicyDocument"])),
            repair=f"Allow sts:AssumeRole for the service {TASKS} in the trust policy of {name}.",
        )
    else:
        yield ok(f"{code}_ROLE", f"The {kind} role {name} exists and trusts {TASKS}.", place)
    if needs:
        yield _permitted(account, kind, arn, needs)


def _permitted(account: Account, kind: str, arn: str, needs: list[Need]) -> Finding:
    code, name = f"{kind.upper()}_ROLE_MAY", arn.rpartition("/")[2]
    try:
        verdicts = _simulated(account, arn, needs)
    except AwsError:
        try:
            verdicts = _evaluated(account, name, needs)
        except AwsError as error:
            return skip(code, f"The permissions of the {kind} role {name} were not checked: {error}")
    denied = [need for need, verdict in verdicts.items() if verdict is False]
    conditional = [action for (action, _), verdict in verdicts.items() if verdict is None]
    if denied:
        lines = [json.dumps({"Effect": "Allow", "Action": action, "Resource": what}) for action, what in denied]
        return fail(
            f"{code}_NOT",
            f"The {kind} role {name} may not {', '.join(f'{action} on {what}' for action, what in denied)}.",
            (f"IAM: policies of {name}", [action for action, _ in denied]),
            repair=f"Add to a policy of {name}: {', '.join(lines)}",
        )
    if conditional:
        return skip(
            code, f"Whether the {kind} role {name} may {', '.join(conditional)} depends on a condition in a policy."
        )
    return ok(code, f"The {kind} role {name} may {', '.join(action for action, _ in needs)}.")


def _simulated(account: Account, arn: str, needs: list[Need]) -> dict[Need, bool | None]:
    verdicts: dict[Need, bool | None] = {}
    for action, resource in needs:
        results = account.ask(
            "iam", "simulate_principal_policy", PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource]
        )["EvaluationResults"]
        verdicts[action, resource] = all(result["EvalDecision"] == "allowed" for result in results)
    return verdicts


def _evaluated(account: Account, name: str, needs: list[Need]) -> dict[Need, bool | None]:
    policies: Statements = []
    for policy in account.ask("iam", "list_attached_role_policies", RoleName=name)["AttachedPolicies"]:
        arn = policy["PolicyArn"]
        version = account.ask("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        attached = account.ask("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        policies += statements(attached["PolicyVersion"]["Document"])
    for policy_name in account.ask("iam", "list_role_policies", RoleName=name)["PolicyNames"]:
        inline = account.ask("iam", "get_role_policy", RoleName=name, PolicyName=policy_name)
        policies += statements(inline["PolicyDocument"])
    return {(action, resource): allowed(policies, action, resource) for action, resource in needs}
