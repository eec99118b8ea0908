"""The service as a whole: whether it exists, who stopped tasks or the deployment, alarms, and when nothing is wrong."""

import re
from dataclasses import replace

from deploy.diagnose.cause import Cause, CauseMatch, Matcher, Weight, match_words, matched
from deploy.diagnose.causes.network import NOT_REGISTERED
from deploy.diagnose.containers import first_ended
from deploy.diagnose.evidence import MISSING, Evidence
from deploy.diagnose.quotes import (
    VOLUME,
    Quote,
    deployment_events,
    format_time,
    log_lines,
    matching,
    missing_permission,
    reasons_and_events,
    rolled_back,
    safe,
    short_id,
    stop_reasons,
    stopped_task,
    unhealthy_targets,
)

MAINTENANCE = re.compile(r"(?i)performing maintenance|^Host EC2|host retirement|underlying (?:host|infrastructure)")
SPOT = re.compile(r"(?i)Spot Task was interrupted|Spot interruption")
USER = re.compile(r"^Task stopped by user")
SCALED = re.compile(r"^Scaling activity initiated by")
BREAKER = re.compile(r"(?i)circuit breaker|deployment failed: tasks failed to start")
ALARMED = re.compile(r"(?i)deployment failed: alarm detected|alarm(?:s)? (?:was |were )?(?:detected|triggered)")
NO_START = re.compile(r"unable to consistently start tasks successfully")
KNOWN = {"ACTIVE", "DRAINING", "INACTIVE", MISSING}
PROTECTED = re.compile(
    r"(?i)tasks? under protection|protected tasks?|task (?:scale-in )?protection|protected from scale-in|"
    r"unable to scale in"
)
ECS_ROLE = re.compile(
    r"(?i)IAM permissions policies have been misconfigured|service[- ]linked role|infrastructure role|"
    r"UnauthorizedOperation|not authorized to perform:? "
    r"(?:ec2|elasticloadbalancing|iam|servicediscovery|autoscaling|application-autoscaling):"
)
OTHER_FAILURE = re.compile(f"{NOT_REGISTERED.pattern}|{VOLUME.pattern}", re.DOTALL | re.IGNORECASE)
STOPPED_BY_REQUEST = {"STOPPED", "STOP_REQUESTED", "ROLLBACK_REQUESTED"}


def stopped_by(codes: set[str], pattern: re.Pattern[str], sentence: str = "") -> Matcher:
    """Build the `match` of a cause for which a task was stopped through no fault of its own.

    Args:
        codes: stop codes of ECS.
        pattern: of the stopped reason, where the code does not say it.
        sentence: what happened; empty where the cause's title says it all.
    """

    def match(evidence: Evidence) -> CauseMatch | None:
        tasks = [
            task
            for task in evidence.stopped
            if task.stopped_by_others and (task.stop_code in codes or pattern.search(task.stopped_reason))
        ]
        if not tasks:
            return None
        quotes = stop_reasons(tasks) or [stopped_task(task, task.stop_code) for task in tasks]
        return matched(sentence, quotes)

    return match


def cluster_missing(evidence: Evidence) -> CauseMatch | None:
    """ECS does not know the cluster, or it is not ACTIVE."""
    if evidence.cluster_status in (None, "ACTIVE", "PROVISIONING", ""):
        return None
    name, region = safe(evidence.cluster, 80), safe(evidence.region, 30)
    state = "does not exist" if evidence.cluster_status == MISSING else f"is {safe(evidence.cluster_status or '', 30)}"
    quote = Quote(f"cluster {name}", f"{evidence.cluster_status} in {evidence.region}")
    return matched(f"The cluster {name} {state} in {region}; nothing can run there.", [quote])


def service_missing(evidence: Evidence) -> CauseMatch | None:
    """ECS does not know the service, or it is not ACTIVE."""
    service = evidence.service
    if service is None or service.status not in (MISSING, "INACTIVE", "DRAINING"):
        return None
    if evidence.cluster_status in (MISSING, "INACTIVE"):
        return None
    name = safe(evidence.name, 80)
    state = {"DRAINING": "is being deleted", "INACTIVE": "was deleted"}.get(service.status, "does not exist")
    quote = Quote(f"service {name}", f"{service.status} in cluster {evidence.cluster}")
    sentence = f"The service {name} {state} in cluster {safe(evidence.cluster, 80)}; everything else follows from that."
    return matched(sentence, [quote])


def desired_zero(evidence: Evidence) -> CauseMatch | None:
    """The desired count is 0."""
    service = evidence.service
    if service is None or service.status != "ACTIVE" or service.desired > 0:
        return None
    quote = Quote(f"service {evidence.name}", f"desired {service.desired}, running {service.running}")
    weight = Weight.SYMPTOM - 0.1 if evidence.failed else None
    return matched("The service's desired count is 0, so nothing runs.", [quote], weight=weight)


def circuit_breaker(evidence: Evidence) -> CauseMatch | None:
    """An event, the deployment or the service deployment names the circuit breaker."""
    deployment, newest = evidence.subject, next(iter(evidence.service_deployments), None)
    events = [quote for quote, _ in matching(deployment_events(evidence), BREAKER)]
    quotes = [quote for quote in events if _is_about(evidence, quote)]
    if deployment is not None and BREAKER.search(deployment.reason):
        quotes.insert(0, Quote(f"deployment {deployment.id}", deployment.reason))
    if newest is not None and newest.breaker == "TRIGGERED":
        count = f" ({newest.failures} of {newest.threshold} failures)" if newest.failures is not None else ""
        quotes.append(Quote("service deployment", f"circuit breaker TRIGGERED{count}. {newest.reason}", newest.created))
    if not quotes:
        return None
    back = " The service went back to the deployment before." if rolled_back(evidence) else ""
    name = safe(evidence.deployment, 60)
    return matched(f"Too many tasks failed, so ECS stopped the deployment {name}.{back}", quotes)


def _is_about(evidence: Evidence, quote: Quote) -> bool:
    """Whether an event names the deployment that is diagnosed, or none."""
    return not evidence.deployment or "(deployment" not in quote.text or evidence.deployment in quote.text


def deployment_alarm(evidence: Evidence) -> CauseMatch | None:
    """An event, the deployment or the service deployment names an alarm."""
    deployment, newest = evidence.subject, next(iter(evidence.service_deployments), None)
    events = [quote for quote, _ in matching(deployment_events(evidence), ALARMED)]
    quotes = [quote for quote in events if _is_about(evidence, quote)]
    if deployment is not None and ALARMED.search(deployment.reason):
        quotes.insert(0, Quote(f"deployment {deployment.id}", deployment.reason))
    names = newest.alarms if newest is not None else ()
    if newest is not None and (names or ALARMED.search(newest.reason)):
        reason = newest.reason or f"alarms triggered: {', '.join(names)}"
        quotes.append(Quote("service deployment", reason, newest.created))
    if not quotes:
        return None
    names = names or tuple(alarm.name for alarm in evidence.alarms if alarm.state == "ALARM")
    alarms = f"{', '.join(safe(name, 80) for name in names[:4])} was" if names else "An alarm was"
    return matched(f"{alarms} in ALARM, so ECS stopped the deployment.", [*quotes, *firing(evidence)])


def alarm_firing(evidence: Evidence) -> CauseMatch | None:
    """An alarm of the plan is in ALARM."""
    quotes = firing(evidence)
    if not quotes:
        return None
    names = ", ".join(safe(alarm.name, 80) for alarm in evidence.alarms if alarm.state == "ALARM")
    return matched(f"In ALARM: {names}.", quotes)


def firing(evidence: Evidence) -> list[Quote]:
    """The plan's alarms that are in ALARM."""
    return [
        Quote(f"alarm {alarm.name}", alarm.reason or alarm.state, alarm.updated)
        for alarm in evidence.alarms
        if alarm.state == "ALARM"
    ]


def deployment_stopped(evidence: Evidence) -> CauseMatch | None:
    """The service deployment was stopped, or its rollback requested."""
    newest = next(iter(evidence.service_deployments), None)
    if newest is None or newest.status not in STOPPED_BY_REQUEST:
        return None
    quote = Quote("service deployment", f"{newest.status}. {newest.reason} {newest.rollback}".strip(), newest.created)
    return matched("", [quote])


def task_stopped(evidence: Evidence) -> CauseMatch | None:
    """A task failed, whatever the reason."""
    task = next(iter(evidence.failed), None)
    if task is None:
        return None
    container = first_ended(evidence, task)
    code = f", {safe(container.name, 80)} with exit code {container.exit_code}" if container is not None else ""
    reason = safe(task.reasons[0], 300) if task.reasons else "no reason is known"
    quotes = [*stop_reasons([task]), *log_lines(evidence, [task])[:4]]
    quotes = quotes or [stopped_task(task, task.stop_code or "no reason given")]
    cause = matched(f"Task {short_id(task.id)} stopped{code}: {reason.rstrip('.')}.", quotes)
    return replace(cause, tasks=[other.id for other in evidence.failed if other.reasons == task.reasons])


def tasks_missing(evidence: Evidence) -> CauseMatch | None:
    """No task runs, or fewer than desired without a deployment in progress, or ECS says that it cannot start them."""
    service = evidence.service
    if service is None or service.status != "ACTIVE" or service.running >= service.desired:
        return None
    quotes = [quote for quote, _ in matching(deployment_events(evidence), NO_START)]
    started = _in_progress(evidence) or service.pending > 0
    if not quotes and started and service.running > 0:
        return None
    counts = f"desired {service.desired}, running {service.running}, pending {service.pending}"
    quotes.append(Quote(f"service {evidence.name}", counts))
    progress = _since(evidence) if _in_progress(evidence) else ""
    why = f"the deployment is in progress{progress}, and ECS gives no reason yet" if started else "ECS gives no reason"
    return matched(f"{service.running} of {service.desired} tasks run; {why}.", quotes)


def not_seen(evidence: Evidence) -> CauseMatch | None:
    """The state of the service is not known."""
    if evidence.service is not None and evidence.service.status in KNOWN:
        return None
    quotes = [Quote("not read", part) for part in evidence.unseen]
    return matched("The service itself could not be read, so nothing can be said about it.", quotes)


def scaled_in(evidence: Evidence) -> CauseMatch | None:
    """Tasks were stopped because fewer are desired, and the service is well."""
    if not _is_well(evidence) or _in_progress(evidence):
        return None
    return stopped_by(set(), SCALED, "Nothing is wrong: tasks were stopped because fewer are desired.")(evidence)


def in_progress(evidence: Evidence) -> CauseMatch | None:
    """A deployment is in progress, and some tasks run."""
    service = evidence.service
    if service is None or service.status != "ACTIVE" or service.running == 0:
        return None
    if not _in_progress(evidence) and not (service.pending and service.running < service.desired):
        return None
    count = f"{service.running} of {service.desired} tasks run"
    quote = Quote(f"deployment {safe(evidence.deployment, 60)}", "IN_PROGRESS")
    return matched(f"Nothing is wrong so far: the deployment is in progress{_since(evidence)}, {count}.", [quote])


def _since(evidence: Evidence) -> str:
    """When the deployment that is diagnosed was created; empty where that is not known."""
    deployment = evidence.subject
    return f" since {format_time(deployment.created)}" if deployment is not None and deployment.created else ""


def _ecs_role(_: Evidence, quote: Quote, __: re.Match[str]) -> str:
    permission = missing_permission(quote.text)
    lacks = f"lacks {permission}" if permission else "lacks a permission, or does not exist"
    return f"A role that ECS itself uses {lacks}."


def nothing_wrong(evidence: Evidence) -> CauseMatch | None:
    """All desired tasks run, and no target is unhealthy."""
    service = evidence.service
    if service is None or not _is_well(evidence):
        return None
    healthy = sum(target.state == "healthy" for target in evidence.targets)
    targets = f", {healthy} of {len(evidence.targets)} targets are healthy" if evidence.targets else ""
    return matched(f"Nothing is wrong: {service.running} of {service.desired} tasks run{targets}.", [])


def _in_progress(evidence: Evidence) -> bool:
    """Whether the diagnosed or the newest deployment is in progress."""
    deployments = (evidence.subject, next(iter(evidence.deployments), None))
    return any(deployment is not None and deployment.rollout == "IN_PROGRESS" for deployment in deployments)


def _is_well(evidence: Evidence) -> bool:
    service = evidence.service
    return (
        service is not None
        and service.status == "ACTIVE"
        and 0 < service.desired <= service.running
        and not unhealthy_targets(evidence)
    )


CAUSES = (
    Cause(
        "HOST_MAINTENANCE",
        "AWS stopped a task for maintenance of its host",
        looks="`ECS is performing maintenance on the underlying infrastructure`, stop code InfrastructureHealth.",
        repair="Nothing: ECS starts another task. With two tasks in two zones users do not notice it.",
        weight=Weight.LIKELY,
        aside=True,
        match=stopped_by({"InfrastructureHealth"}, MAINTENANCE),
    ),
    Cause(
        "SPOT_INTERRUPTION",
        "Fargate Spot interrupted a task, with two minutes' notice",
        looks="Stop code SpotInterruption, `Your Spot Task was interrupted`.",
        repair="Run the minimum number of tasks on FARGATE and only additional ones on FARGATE_SPOT.",
        weight=Weight.LIKELY,
        aside=True,
        match=stopped_by({"SpotInterruption", "TerminationNotice"}, SPOT),
    ),
    Cause(
        "STOPPED_BY_USER",
        "A person or a tool, not ECS, stopped a task",
        looks="Stop code UserInitiated.",
        repair="Nothing: ECS starts another task. CloudTrail (StopTask) says who stopped it.",
        weight=Weight.SYMPTOM - 0.05,
        aside=True,
        match=stopped_by({"UserInitiated"}, USER),
    ),
    Cause(
        "TASKS_PROTECTED",
        "Old tasks are protected from scale-in, so the deployment cannot end",
        looks="event: `was unable to reach steady state because … was unable to scale in due to (reason 2 tasks under "
        "protection)`.",
        repair="Wait until the protection expires (by default 2 h), or end it: `aws ecs update-task-protection "
        "--no-protection-enabled`. Shine sets none; find out what does.",
        weight=Weight.TWO_FACTS,
        aside=True,
        match=match_words(deployment_events, PROTECTED),
    ),
    Cause(
        "ECS_ROLE_DENIED",
        "A role that ECS itself uses lacks a permission, or is missing",
        looks="event: `IAM permissions policies have been misconfigured or changed`; `Unable to assume the service "
        "linked role`; `… is not authorized to perform: ec2:CreateNetworkInterface`.",
        repair="Create the service-linked role (`aws iam create-service-linked-role --aws-service-name "
        "ecs.amazonaws.com`), or allow the role that the message names what it lacks.",
        weight=Weight.STATED,
        match=match_words(reasons_and_events, ECS_ROLE, _ecs_role, excluding=OTHER_FAILURE),
    ),
    Cause(
        "CLUSTER_MISSING",
        "The cluster does not exist",
        looks="ClusterNotFoundException, or the cluster is INACTIVE.",
        repair="Create the cluster, or correct cluster, region or account in the plan.",
        weight=Weight.STATED + 0.03,
        deterministic=True,
        match=cluster_missing,
    ),
    Cause(
        "SERVICE_MISSING",
        "The service does not exist",
        looks="DescribeServices answers MISSING, or the service is INACTIVE or DRAINING.",
        repair="`trail up` creates it; if it should exist already, correct service or cluster in the plan.",
        weight=Weight.STATED + 0.02,
        deterministic=True,
        match=service_missing,
    ),
    Cause(
        "DESIRED_ZERO",
        "The desired count is 0",
        looks="desiredCount is 0.",
        repair="`trail up` starts tasks again. A failed first rollout leaves 0, because it could not roll back.",
        weight=Weight.TWO_FACTS,
        aside=True,
        match=desired_zero,
    ),
    Cause(
        "CIRCUIT_BREAKER",
        "The circuit breaker of ECS stopped the deployment",
        looks="`ECS deployment circuit breaker: tasks failed to start`, or such an event.",
        repair="Find out why the tasks failed: read the other causes, or run `trail why` within an hour of the "
        "failure, while ECS still knows the tasks.",
        weight=Weight.AFTERMATH,
        aside=True,
        match=circuit_breaker,
    ),
    Cause(
        "DEPLOYMENT_STOPPED",
        "The deployment was stopped by a request, not by ECS",
        looks="The service deployment is STOPPED, or its rollback was requested.",
        repair="Find out who stopped it: the trail record has this tool's stops, CloudTrail (StopServiceDeployment) "
        "all.",
        weight=Weight.AFTERMATH + 0.05,
        aside=True,
        match=deployment_stopped,
    ),
    Cause(
        "TASK_STOPPED",
        "A task stopped, and no known cause fits",
        looks="A stopped reason that fits no other cause.",
        repair="Read ECS's reason and the last log lines in the evidence.",
        weight=Weight.SYMPTOM - 0.1,
        symptom=True,
        match=task_stopped,
    ),
    Cause(
        "TASKS_MISSING",
        "Fewer tasks run than desired",
        looks="No task runs; or runningCount is below desiredCount without a deployment in progress; `unable to "
        "consistently start tasks`.",
        repair="Wait a minute and run `trail why` again: ECS knows stopped tasks for an hour.",
        weight=Weight.AFTERMATH - 0.05,
        symptom=True,
        match=tasks_missing,
    ),
    Cause(
        "NOT_SEEN",
        "The service could not be read",
        looks="ECS was not called, or did not answer.",
        repair="Repair what the list of what could not be read says; a missing permission is named.",
        weight=Weight.SYMPTOM - 0.2,
        symptom=True,
        match=not_seen,
    ),
    Cause(
        "SCALED_IN",
        "Tasks were stopped because fewer are desired",
        looks="`Scaling activity initiated by (deployment …)`; autoscaling, or the end of a deployment.",
        repair="Nothing is wrong.",
        weight=Weight.NO_FAILURE + 0.03,
        harmless=True,
        match=scaled_in,
    ),
    Cause(
        "IN_PROGRESS",
        "The deployment is in progress, and nothing is wrong so far",
        looks="rolloutState IN_PROGRESS, some tasks run, none failed, no unhealthy targets.",
        repair="Wait.",
        weight=Weight.NO_FAILURE + 0.02,
        harmless=True,
        match=in_progress,
    ),
    Cause(
        "NOTHING_WRONG",
        "Nothing is wrong",
        looks="All desired tasks run, none failed, all targets are healthy, no alarm is in ALARM.",
        repair="Nothing.",
        weight=Weight.NO_FAILURE,
        harmless=True,
        match=nothing_wrong,
    ),
    Cause(
        "DEPLOYMENT_ALARM",
        "An alarm stopped the deployment",
        looks="`deployment failed: alarm detected`; the service deployment names the alarm.",
        repair="Check what the alarm measures, at that time (deploy/watch/RUNBOOK.md); suspect the new version first.",
        weight=Weight.TWO_FACTS - 0.1,
        aside=True,
        match=deployment_alarm,
    ),
    Cause(
        "ALARM_FIRING",
        "An alarm is in ALARM",
        looks="One of the plan's alarms is in state ALARM.",
        repair="deploy/watch/RUNBOOK.md says what each alarm means and what to do.",
        weight=Weight.SYMPTOM - 0.1,
        aside=True,
        match=alarm_firing,
    ),
)
