"""Runs every check of the AWS account; an error in one check hides no finding of another."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3

from bentos.skin.settings import Phase
from deploy.aws import iam
from deploy.aws.errors import AwsError, Denied, NoCredentials, Throttled, Unreachable, statement
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.findings.finding import Finding, fail, warn
from deploy.verify.account import load_balancer, network, roles, security_groups, service, stores
from deploy.verify.account.context import Account

AccountCheck = Callable[[Account], Iterator[Finding]]
ACCOUNT_CHECKS: dict[str, AccountCheck] = {
    "the account": service.identity,
    "the cluster": service.cluster,
    "the service": service.service,
    "deployments in progress": service.deployment,
    "the roles": roles.separation,
    "the execution role": roles.execution,
    "the task role": roles.task,
    "the image in ECR": stores.image,
    "the log group": stores.log_group,
    "the secrets": stores.secrets,
    "the weights": stores.weights,
    "the quota": service.quota,
    "the target group": load_balancer.target_group,
    "the deregistration delay": load_balancer.draining,
    "the load balancer": load_balancer.load_balancer,
    "the listeners": load_balancer.listeners,
    "the subnets": network.subnets,
    "egress of the subnets": network.egress,
    "the security groups": security_groups.security_groups,
    "ingress from the load balancer": security_groups.ingress,
    "egress of the load balancer": security_groups.balancer_egress,
    "egress of the tasks": security_groups.task_egress,
    "ingress of VPC endpoints": security_groups.endpoint_ingress,
}
"""What is checked, in words for an error → the check."""


def run_account_checks(
    plan: Plan, task_definition: dict[str, Any], contract: Contract, session: boto3.Session, phase: Phase
) -> list[Finding]:
    """All findings, in the order of `ACCOUNT_CHECKS`; AWS is only read.

    Args:
        plan: the team's.
        task_definition: as it would be registered.
        contract: of the image.
        session: boto3's, with endpoints and credentials.
        phase: to roll out.
    """
    account = Account(plan, task_definition, contract, session, phase)
    findings: list[Finding] = []
    for subject, check in ACCOUNT_CHECKS.items():
        for finding in _run_check(account, subject, check):
            if finding not in findings:  # an unreachable endpoint is reported once
                findings.append(finding)
    return findings


def _run_check(account: Account, subject: str, check: AccountCheck) -> Iterator[Finding]:
    incomplete = f"The check of {subject} is incomplete: "
    try:
        yield from check(account)
    except Denied as error:
        line = statement(error.action, error.resource or iam.resource(account.plan, error.action))
        yield warn(
            error.code,
            f"{incomplete}{error}",
            ("IAM: action", error.action),
            repair=f"Add this to a policy of the credentials that run preflight: {line}",
        )
    except (NoCredentials, Unreachable) as error:
        yield fail(error.code, f"Preflight cannot read the account: {error}", repair=error.advice)
    except Throttled as error:
        yield warn(error.code, f"{incomplete}{error}", repair=error.advice)
    except AwsError as error:
        yield warn(error.code, f"{incomplete}{error}", repair="Act on the message of AWS above.")
    except (KeyError, IndexError, TypeError, ValueError) as error:  # an unexpected answer hides no other finding
        yield warn(
            "AWS_UNFORESEEN",
            f"{incomplete}an answer, the plan or the task definition has an unexpected form "
            f"({type(error).__name__}: {error}).",
            repair="Check it by hand, and report this message.",
        )
