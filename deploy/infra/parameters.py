"""Parameters of deploy/infra/infra.yaml, computed from the plan (trail.yaml) and the image's contract."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode

from deploy.config import plan as plans
from deploy.config.image_contract import Contract
from deploy.config.plan import Infra, PhasePlan, Plan, PlanError

TEMPLATE = Path(__file__).with_name("infra.yaml")
BELOW_KEEP_ALIVE_S = 15  # the load balancer must close a connection before the server does
NOT_MADE = "not-made-yet"


class TemplateConstructor(SafeConstructor):
    """Reads CloudFormation's short functions: !Ref X is {Ref: X}, !Sub X is {Fn::Sub: X}."""


def _function(constructor: TemplateConstructor, suffix: str, node: Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, ScalarNode):
        text = constructor.construct_scalar(node)
        return {name: text.split(".", 1) if suffix == "GetAtt" else text}
    if isinstance(node, SequenceNode):
        return {name: constructor.construct_sequence(node, deep=True)}
    return {name: constructor.construct_mapping(node, deep=True)}


TemplateConstructor.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """The template as plain data, functions in their long form."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # as CloudFormation reads it
    yaml.Constructor = TemplateConstructor
    return dict(yaml.load(TEMPLATE.read_text(encoding="utf-8")))


def draft(path: Path) -> Plan:
    """Read a plan that may lack the parts that the stack makes; placeholders stand for them.

    Raises:
        PlanError: as `plan.read`, or the plan has no `infra`.
    """
    content = plans.load(path)
    if not isinstance(content.get("infra"), Mapping):
        raise PlanError(f"{path} has no `infra`. It says what to make and what to adopt, e.g. infra: {{vpc: public}}.")
    account, region = content.get("account"), content.get("region")
    role, balancer = f"arn:aws:iam::{account}:role", f"arn:aws:elasticloadbalancing:{region}:{account}"
    parts: dict[str, dict[str, Any]] = {
        "network": {"subnets": [NOT_MADE], "security_groups": [NOT_MADE]},
        "roles": {"task": f"{role}/{NOT_MADE}", "execution": f"{role}/{NOT_MADE}-either"},
        "load_balancer": {"target_group": f"{balancer}:targetgroup/{NOT_MADE}"},
    }
    for part, placeholders in parts.items():
        given = content.get(part)
        if given is None or isinstance(given, Mapping):
            content[part] = placeholders | dict(given or {})
    return plans.parse(content, str(path))


def section(plan: Plan) -> Infra:
    """The plan's `infra`; raises PlanError if there is none."""
    if plan.infra is None:
        raise PlanError("The plan has no `infra`. It says what to make and what to adopt.")
    return plan.infra


def stack_name(plan: Plan) -> str:
    """Name of the CloudFormation stack."""
    return section(plan).stack or f"{plan.service}-infra"


def parameters(plan: Plan, contract: Contract) -> list[dict[str, str]]:
    """Parameters of the template.

    Raises:
        PlanError: the template does not take a value, or two places of the plan disagree.
    """
    values = {name: str(value) for name, value in _values(plan, contract).items()}
    for name, declared in template()["Parameters"].items():
        _check(name, values[name], declared)
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]


def _values(plan: Plan, contract: Contract) -> dict[str, object]:
    infra, adopt, seconds = section(plan), section(plan).adopt, contract.seconds
    existing = infra.vpc == "existing"
    if existing and NOT_MADE in plan.network.subnets:
        raise PlanError("infra.vpc is existing: network.subnets must name the subnets for tasks.")
    if plan.deregistration_delay <= seconds.slowest_request:
        raise PlanError(
            f"deregistration_delay is {plan.deregistration_delay} s, the image's slowest request "
            f"{seconds.slowest_request:g} s: a task that stops would cut it off."
        )
    idle = int(seconds.keep_alive) - BELOW_KEEP_ALIVE_S
    if idle <= seconds.slowest_request:
        raise PlanError(
            f"The image keeps connections for {seconds.keep_alive:g} s, its slowest request takes "
            f"{seconds.slowest_request:g} s: no idle timeout of a load balancer fits between them."
        )
    bucket, prefix = _weights(plan, contract)
    for place, arn, name in (
        ("cluster", adopt.cluster, plan.cluster),
        ("repository", adopt.repository, plan.repository_name),
        ("log_group", adopt.log_group, plan.log_group),
    ):
        if arn and not re.search(rf"[:/]{re.escape(name)}$", arn):
            raise PlanError(f"{place} is {name}, infra.adopt.{place} is {arn}: they must be the same.")
    gates = {phase: plan.phases.get(phase, PhasePlan()).gates for phase in plans.PHASES}
    return {
        "ServiceName": plan.service,
        "DomainName": urlsplit(plan.domain).hostname or "",
        "Vpc": infra.vpc,
        "VpcId": infra.vpc_id or "",
        "LoadBalancerSubnets": ",".join(infra.load_balancer_subnets),
        "TaskSubnets": ",".join(plan.network.subnets) if existing else "",
        "VpcNet": infra.vpc_net,
        "ContainerPort": contract.port,
        "HealthPath": contract.health.path,
        "IdleTimeout": idle,
        "DeregistrationDelay": plan.deregistration_delay,
        "ClientCidr": infra.client_cidr,
        "AdoptedLoadBalancerArn": adopt.load_balancer or "",
        "AdoptedLoadBalancerGroup": adopt.load_balancer_group or "",
        "AdoptedListenerArn": adopt.listener or "",
        "ListenerPriority": infra.listener_priority,
        "AdoptedCertificateArn": adopt.certificate or "",
        "HostedZoneId": infra.hosted_zone or "",
        "RepositoryName": plan.repository_name,
        "AdoptedRepositoryArn": adopt.repository or "",
        "ClusterName": plan.cluster,
        "AdoptedClusterArn": adopt.cluster or "",
        "LogGroupName": plan.log_group,
        "AdoptedLogGroupArn": adopt.log_group or "",
        "LogRetentionDays": infra.log_retention_days,
        "AdoptedSecretArn": adopt.secret or "",
        "WeightsBucketName": bucket,
        "WeightsPrefix": prefix,
        "AdoptedWeightsBucketArn": adopt.weights_bucket or "",
        "AdoptedKeyArn": adopt.key or "",
        "AlarmEmail": infra.alarm_email or "",
        "AdoptedTopicArn": adopt.topic or "",
        # The alarms stay for good, so they take the limits of the last phase; degradation has one for each phase.
        "ErrorPercent": f"{100 * gates['full'].error_ratio:g}",
        "LatencySeconds": f"{gates['full'].p95_ms / 1000:g}",
        "DegradedRatioHybrid": f"{gates['hybrid'].degraded_ratio:g}",
        "DegradedRatioFoundation": f"{gates['foundation'].degraded_ratio:g}",
        "DegradedRatioFull": f"{gates['full'].degraded_ratio:g}",
    }


def _weights(plan: Plan, contract: Contract) -> tuple[str, str]:
    """Bucket, and the prefix that holds all versions."""
    infra = section(plan)
    if infra.adopt.weights_bucket:
        bucket = infra.adopt.weights_bucket.rpartition(":")[2]
    else:
        stem = re.sub(r"[^a-z0-9-]", "-", plan.service.lower())
        bucket = f"{stem[: 63 - len(f'-weights-{plan.account}-{plan.region}')]}-weights-{plan.account}-{plan.region}"
    prefix = infra.weights_prefix or (contract.weights.name if contract.weights else "weights")
    if plan.weights:
        named, _, path = plan.weights.uri.removeprefix("s3://").partition("/")
        prefix = infra.weights_prefix or path.split("/")[0] or prefix
        if named != bucket:
            raise PlanError(
                f"weights.uri names the bucket {named}, the template makes {bucket}: put the weights there, or name "
                "your bucket under infra.adopt.weights_bucket."
            )
        if path.strip("/") != prefix and not path.startswith(f"{prefix}/"):
            raise PlanError(f"weights.uri is {plan.weights.uri}, which is not under infra.weights_prefix ({prefix}).")
    return bucket, prefix


def _check(name: str, value: str, declared: Mapping[str, Any]) -> None:
    """Check a value against the template's declaration, to give a sentence instead of AWS's error."""
    pattern, allowed = declared.get("AllowedPattern"), declared.get("AllowedValues")
    subject = f"{name} ({declared['Description']})"
    if pattern is not None and not re.fullmatch(pattern, value):
        raise PlanError(f"{subject}: {value!r} does not match {pattern}.")
    if allowed is not None and value not in [str(choice) for choice in allowed]:
        raise PlanError(f"{subject}: {value!r} is not one of {', '.join(str(choice) for choice in allowed)}.")
    if declared["Type"] == "Number" and not (
        declared.get("MinValue", float("-inf")) <= float(value) <= declared.get("MaxValue", float("inf"))
    ):
        least, most = declared.get("MinValue", "any"), declared.get("MaxValue", "any")
        raise PlanError(f"{subject}: {value} is outside {least} to {most}.")
