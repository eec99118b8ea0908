"""Reads how requests reach the service: target group, listener, and the host that clients call."""

from typing import Any

from deploy.aws.reader import AwsReader
from deploy.importer.values import ImportedValues
from deploy.verify.account.load_balancer import forwarded, targets

DELAY = "deregistration_delay.timeout_seconds"
NO_TARGET_GROUP = "The service has no target group."
NO_LISTENER = "No listener forwards to the service's target group."


def read_load_balancer(imported: ImportedValues, aws: AwsReader, service: dict[str, Any]) -> None:
    """Read target group, listener, deregistration delay and domain.

    Args:
        imported: takes the values.
        aws: reads the load balancer.
        service: as ECS describes it.
    """
    groups = [wiring["targetGroupArn"] for wiring in service.get("loadBalancers", []) if wiring.get("targetGroupArn")]
    imported.set_value("load_balancer.target_group", next(iter(groups), None), NO_TARGET_GROUP)
    places = ("load_balancer.listener", "domain")
    if not groups:
        imported.missing |= dict.fromkeys(places, NO_TARGET_GROUP)
        return
    if len(groups) > 1:
        imported.notes.append(f"The service has {len(groups)} target groups; a plan has one, here the first.")
    with imported.missing_on_error(*places):
        _read_listener(imported, aws, groups[0])
    with imported.missing_on_error("deregistration_delay"):
        answer = aws.read("elbv2", "describe_target_group_attributes", TargetGroupArn=groups[0])
        delay = {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}.get(DELAY)
        imported.set_value("deregistration_delay", delay and int(delay), "The target group has none.")


def _read_listener(imported: ImportedValues, aws: AwsReader, group: str) -> None:
    """The listener that forwards to the target group, HTTPS first, and the host that it serves."""
    described = aws.read("elbv2", "describe_target_groups", TargetGroupArns=[group])["TargetGroups"][0]
    listeners = [
        listener
        for balancer in described.get("LoadBalancerArns", [])
        for listener in aws.read("elbv2", "describe_listeners", LoadBalancerArn=balancer)["Listeners"]
        if group in targets(aws, listener)
    ]
    listeners.sort(key=lambda listener: listener.get("Protocol") != "HTTPS")
    if not listeners:
        imported.missing["load_balancer.listener"] = NO_LISTENER
        imported.missing["domain"] = f"{NO_LISTENER} Fill in the host that clients call."
        return
    imported.values["load_balancer.listener"] = listeners[0]["ListenerArn"]
    if listeners[0].get("Protocol") != "HTTPS":
        imported.notes.append("No HTTPS listener forwards to the service; phase full needs one.")
    hosts = _rule_hosts(aws, listeners[0], group) or _certificate_hosts(aws, listeners[0])
    reason = "Neither a rule of the listener nor its certificate names one host. Fill in the host that clients call."
    imported.set_value("domain", f"https://{hosts[0]}" if hosts else None, reason)
    if len(hosts) > 1:
        imported.notes.append(f"The service answers for {', '.join(hosts)}; the plan names the first.")


def _rule_hosts(aws: AwsReader, listener: dict[str, Any], group: str) -> list[str]:
    """Hosts of the rules that forward to the target group, by priority."""
    rules = aws.read("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])["Rules"]
    conditions = [
        condition
        for rule in sorted(rules, key=lambda rule: (len(rule["Priority"]), rule["Priority"]))
        if any(group in forwarded(action) for action in rule.get("Actions", []))
        for condition in rule.get("Conditions", [])
        if condition.get("Field") == "host-header"
    ]
    return _exact_hosts(
        [
            host
            for condition in conditions
            for host in condition.get("HostHeaderConfig", {}).get("Values") or condition.get("Values", [])
        ]
    )


def _certificate_hosts(aws: AwsReader, listener: dict[str, Any]) -> list[str]:
    certificates = [certificate["CertificateArn"] for certificate in listener.get("Certificates", [])]
    in_acm = [arn for arn in certificates if ":acm:" in arn]
    if not in_acm:
        return []
    certificate = aws.read("acm", "describe_certificate", CertificateArn=in_acm[0])["Certificate"]
    return _exact_hosts([certificate.get("DomainName", ""), *certificate.get("SubjectAlternativeNames", [])])


def _exact_hosts(hosts: list[str]) -> list[str]:
    """Hosts without a wildcard, each once."""
    return list(dict.fromkeys(host.lower() for host in hosts if host and not set("*?/") & set(host)))
