"""Reads how traffic comes to the service: target group, listener, and the host that clients call."""

from typing import Any

from deploy.begin.seen import Seen
from deploy.cloud.asking import Questions
from deploy.cloud.balancer import forwarded, targets

DELAY = "deregistration_delay.timeout_seconds"


def of_load_balancer(seen: Seen, questions: Questions, live: dict[str, Any]) -> None:
    """Target group, listener, deregistration delay, domain."""
    groups = [one["targetGroupArn"] for one in live.get("loadBalancers", []) if one.get("targetGroupArn")]
    seen.put("load_balancer.target_group", next(iter(groups), None), "The service is behind no target group.")
    places = ("load_balancer.listener", "domain")
    if not groups:
        seen.missing |= dict.fromkeys(places, "The service is behind no target group.")
        return
    if len(groups) > 1:
        seen.notes.append(f"The service has {len(groups)} target groups, a plan one: the first.")
    with seen.looking_for(*places):
        _listener(seen, questions, groups[0])
    with seen.looking_for("deregistration_delay"):
        told = questions.ask("elbv2", "describe_target_group_attributes", TargetGroupArn=groups[0])["Attributes"]
        delay = {one["Key"]: one["Value"] for one in told}.get(DELAY)
        seen.put("deregistration_delay", delay and int(delay), "The target group tells none.")


def _listener(seen: Seen, questions: Questions, group: str) -> None:
    """The listener that forwards to the target group, over HTTPS if one does, and the host that it serves."""
    found = questions.ask("elbv2", "describe_target_groups", TargetGroupArns=[group])["TargetGroups"][0]
    listeners = [
        one
        for balancer in found.get("LoadBalancerArns", [])
        for one in questions.ask("elbv2", "describe_listeners", LoadBalancerArn=balancer)["Listeners"]
        if group in targets(questions, one)
    ]
    listeners.sort(key=lambda one: one.get("Protocol") != "HTTPS")
    if not listeners:
        seen.missing["load_balancer.listener"] = "No listener forwards to the service's target group."
        seen.missing["domain"] = "No listener forwards to the service's target group; say the host that clients call."
        return
    seen.values["load_balancer.listener"] = listeners[0]["ListenerArn"]
    if listeners[0].get("Protocol") != "HTTPS":
        seen.notes.append("No HTTPS listener forwards to the service; phase full demands one.")
    hosts = _ruled(questions, listeners[0], group) or _certified(questions, listeners[0])
    told = "Neither a rule of the listener nor its certificate names one host; say the host that clients call."
    seen.put("domain", f"https://{hosts[0]}" if hosts else None, told)
    if len(hosts) > 1:
        seen.notes.append(f"The service answers for {', '.join(hosts)}; the plan names the first.")


def _ruled(questions: Questions, listener: dict[str, Any], group: str) -> list[str]:
    """Hosts of the rules that forward to the target group, by priority."""
    rules = questions.ask("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])["Rules"]
    conditions = [
        condition
        for rule in sorted(rules, key=lambda one: (len(one["Priority"]), one["Priority"]))
        if any(group in forwarded(action) for action in rule.get("Actions", []))
        for condition in rule.get("Conditions", [])
        if condition.get("Field") == "host-header"
    ]
    values = [
        host for one in conditions for host in one.get("HostHeaderConfig", {}).get("Values") or one.get("Values", [])
    ]
    return _whole(values)


def _certified(questions: Questions, listener: dict[str, Any]) -> list[str]:
    """Hosts of the listener's certificate."""
    arns = [one["CertificateArn"] for one in listener.get("Certificates", []) if ":acm:" in one["CertificateArn"]]
    if not arns:
        return []
    found = questions.ask("acm", "describe_certificate", CertificateArn=arns[0])["Certificate"]
    return _whole([found.get("DomainName", ""), *found.get("SubjectAlternativeNames", [])])


def _whole(hosts: list[str]) -> list[str]:
    """Those without a wildcard, each once."""
    return list(dict.fromkeys(host.lower() for host in hosts if host and not set("*?/") & set(host)))
