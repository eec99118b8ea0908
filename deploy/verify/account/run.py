"""Everything in AWS that a rollout rests on, looked at one by one: no subject's trouble hides another's findings."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3

from bentos.skin.settings import Phase
from deploy.aws import iam as permits
from deploy.aws.errors import AwsError, Denied, NoCredentials, Throttled, Unreachable, statement
from deploy.config.image_contract import Contract
from deploy.config.plan import Plan
from deploy.findings.finding import Finding, fail, warn
from deploy.verify.account import load_balancer as balancer
from deploy.verify.account import network, roles, service, stores
from deploy.verify.account import security_groups as firewall
from deploy.verify.account.context import Account
from deploy.verify.account.weights import weights

Subject = Callable[[Account], Iterator[Finding]]
SUBJECTS: dict[str, Subject] = {
    "the account": service.identity,
    "the cluster": service.cluster,
    "the service": service.service,
    "deployments in progress": service.deployment,
    "the roles": roles.apart,
    "the execution role": roles.execution,
    "the task role": roles.task,
    "the image in ECR": stores.image,
    "the log group": stores.log_group,
    "the secrets": stores.secrets,
    "the weights": weights,
    "the quota": stores.quota,
    "the target group": balancer.target_group,
    "the deregistration delay": balancer.draining,
    "the load balancer": balancer.load_balancer,
    "the listeners": balancer.listeners,
    "the subnets": network.subnets,
    "egress of the subnets": network.egress,
    "the security groups": firewall.security_groups,
    "ingress from the load balancer": firewall.ingress,
    "egress of the load balancer": firewall.balancer_egress,
    "egress of the tasks": firewall.task_egress,
    "ingress of VPC endpoints": firewall.endpoint_ingress,
}


def look(
    plan: Plan, task_definition: dict[str, Any], contract: Contract, session: boto3.Session, phase: Phase
) -> list[Finding]:
    """All findings, in the order of `SUBJECTS`; AWS is only read.

    Args:
        plan: what the team wants.
        task_definition: as it would be registered.
        contract: of the image.
        session: boto3's; endpoints and credentials are its affair.
        phase: that is to be rolled out.
    """
    account = Account(plan, task_definition, contract, session, phase)
    found: list[Finding] = []
    for name, subject in SUBJECTS.items():
        for one in _looked(account, name, subject):
            if one not in found:  # an endpoint that does not answer is told of once
                found.append(one)
    return found


def _looked(account: Account, name: str, subject: Subject) -> Iterator[Finding]:
    try:
        yield from subject(account)
    except Denied as error:
        line = statement(error.action, error.resource or permits.resource(account.plan, error.action))
        yield warn(
            error.code,
            f"Of {name}, not all was seen: {error}",
            ("IAM: action", error.action),
            repair=f"Add to a policy of those who run preflight: {line}",
        )
    except NoCredentials as error:
        yield fail(error.code, f"AWS cannot be asked: {error}", repair=error.advice)
    except Unreachable as error:
        yield fail(error.code, f"AWS cannot be asked: {error}", repair=error.advice)
    except Throttled as error:
        yield warn(error.code, f"Of {name}, not all was seen: {error}", repair=error.advice)
    except AwsError as error:
        yield warn(error.code, f"Of {name}, not all was seen: {error}", repair="Read AWS's own words above.")
    except (KeyError, IndexError, TypeError, ValueError) as error:  # an answer that nobody foresaw hides no other
        yield warn(
            "AWS_UNFORESEEN",
            f"Of {name}, not all was seen: an answer, the plan or the task definition has an unforeseen form "
            f"({type(error).__name__}: {error}).",
            repair="Look at it by hand, and report it.",
        )
