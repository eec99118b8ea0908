"""The service as a whole: whether it is there, what became of its deployment, and where nothing is wrong."""

import re

from deploy.diagnose.causes.stopped_by_others import taken
from deploy.diagnose.evidence import MISSING, Evidence
from deploy.diagnose.quotes import Quote, events, lines, reasons, short, shown, told, verdicts, went_back
from deploy.diagnose.registry import AFTERMATH, NOTHING, SAID, SEEN, SYMPTOM, CauseMatch, cause, sign

BREAKER = re.compile(r"circuit breaker|deployment failed: tasks failed to start", re.IGNORECASE)
SCALED = re.compile(r"^Scaling activity initiated by")
NO_START = re.compile(r"unable to consistently start tasks successfully")
KNOWN = {"ACTIVE", "DRAINING", "INACTIVE", MISSING}
OVER = {"STOPPED", "STOP_REQUESTED", "ROLLBACK_REQUESTED"}


@cause(
    "CLUSTER_MISSING",
    "There is no such cluster",
    looks="ClusterNotFoundException, or the cluster is INACTIVE.",
    repair="Create the cluster, or correct cluster, region or account in the plan.",
    weight=SAID + 0.03,
    deterministic=True,
)
def no_cluster(seen: Evidence) -> CauseMatch | None:
    if seen.cluster_status in (None, "ACTIVE", "PROVISIONING", ""):
        return None
    name = shown(seen.cluster, 80)
    state = "is not there" if seen.cluster_status == MISSING else f"is {shown(seen.cluster_status or '', 30)}"
    told_by = Quote(f"cluster {name}", f"{seen.cluster_status} in {seen.region}")
    return sign(f"The cluster {name} {state} in {shown(seen.region, 30)}; nothing can run there.", [told_by])


@cause(
    "SERVICE_MISSING",
    "There is no such service",
    looks="DescribeServices answers MISSING, or the service is INACTIVE or DRAINING.",
    repair="`trail up` creates it; where it should be there already, correct service or cluster in the plan.",
    weight=SAID + 0.02,
    deterministic=True,
)
def no_service(seen: Evidence) -> CauseMatch | None:
    service = seen.service
    if service is None or service.status not in (MISSING, "INACTIVE", "DRAINING"):
        return None
    if seen.cluster_status in (MISSING, "INACTIVE"):
        return None
    name = shown(seen.name, 80)
    state = {"DRAINING": "is being deleted", "INACTIVE": "was deleted"}.get(service.status, "does not exist")
    told_by = Quote(f"service {name}", f"{service.status} in cluster {seen.cluster}")
    sentence = f"The service {name} {state} in cluster {shown(seen.cluster, 80)}; all else follows from that."
    return sign(sentence, [told_by])


@cause(
    "DESIRED_ZERO",
    "No task is wanted",
    looks="desiredCount is 0.",
    repair="`trail up` starts tasks again. A first rollout that failed leaves 0 behind, since there was nothing to go "
    "back to.",
    weight=SEEN,
    aside=True,
)
def desired_zero(seen: Evidence) -> CauseMatch | None:
    service = seen.service
    if service is None or service.status != "ACTIVE" or service.desired > 0:
        return None
    fact = Quote(f"service {seen.name}", f"desired {service.desired}, running {service.running}")
    return sign(
        "The service's desired count is 0, so nothing runs.", [fact], weight=SYMPTOM - 0.1 if seen.failed else None
    )


@cause(
    "CIRCUIT_BREAKER",
    "ECS gave the deployment up",
    looks="`ECS deployment circuit breaker: tasks failed to start`; event: `deployment failed: tasks failed to start`.",
    repair="Find out why the tasks failed: the causes above, or `trail why` within an hour of the failure, while ECS "
    "still knows.",
    weight=AFTERMATH,
    aside=True,
)
def breaker(seen: Evidence) -> CauseMatch | None:
    subject, newest = seen.subject, next(iter(seen.service_deployments), None)
    said = [
        one for one in events(seen) if BREAKER.search(one.text) and (not seen.deployment or seen.deployment in one.text)
    ]
    if subject is not None and BREAKER.search(subject.reason):
        said.insert(0, Quote(f"deployment {subject.id}", subject.reason))
    if newest is not None and newest.breaker == "TRIGGERED":
        count = f" ({newest.failures} of {newest.threshold} failures)" if newest.failures is not None else ""
        said.append(Quote("service deployment", f"circuit breaker TRIGGERED{count}. {newest.reason}", newest.created))
    if not said:
        return None
    back = " The service went back to the deployment before." if went_back(seen) else ""
    return sign(f"Its tasks failed too often, so ECS stopped the deployment {shown(seen.deployment, 60)}.{back}", said)


@cause(
    "DEPLOYMENT_STOPPED",
    "Somebody stopped the deployment",
    looks="The service deployment is STOPPED, or its rollback was requested.",
    repair="Ask who stopped it: the trail record knows of this tool's own, CloudTrail (StopServiceDeployment) of all "
    "others.",
    weight=AFTERMATH + 0.05,
    aside=True,
)
def stopped(seen: Evidence) -> CauseMatch | None:
    newest = next(iter(seen.service_deployments), None)
    if newest is None or newest.status not in OVER:
        return None
    quote = Quote("service deployment", f"{newest.status}. {newest.reason} {newest.rollback}".strip(), newest.created)
    return sign("The deployment was stopped by a request, not by ECS.", [quote])


@cause(
    "TASK_STOPPED",
    "A task stopped, and no known cause fits",
    looks="A stopped reason that none of the other causes knows.",
    repair="Read ECS's own words and the last log lines below.",
    weight=SYMPTOM - 0.1,
    symptom=True,
)
def task_stopped(seen: Evidence) -> CauseMatch | None:
    task = next(iter(seen.failed), None)
    if task is None:
        return None
    code = f", exit code {task.exit_code}" if task.exit_code is not None else ""
    why = shown(task.reasons[0], 300) if task.reasons else "without a reason"
    quotes = [*reasons([task]), *lines(seen, [task])[:4]]
    quotes = quotes or [Quote(f"stopped task {short(task.id)}", f"{task.stop_code or 'no reason told'}", task.stopped)]
    made = sign(f"Task {short(task.id)} stopped{code}: {why.rstrip('.')}.", quotes)
    others = [one.id for one in seen.failed if one.reasons == task.reasons]
    return CauseMatch(made.sentence, made.lines, others, made.at)


@cause(
    "TASKS_MISSING",
    "Fewer tasks run than are wanted",
    looks="runningCount below desiredCount in a deployment that should be done, or `unable to consistently start "
    "tasks successfully`.",
    repair="Wait a minute and ask again: what stopped is known to ECS for an hour.",
    weight=SYMPTOM - 0.15,
    symptom=True,
)
def tasks_missing(seen: Evidence) -> CauseMatch | None:
    service = seen.service
    if service is None or service.status != "ACTIVE" or service.running >= service.desired:
        return None
    said = [one for one in events(seen) if NO_START.search(one.text)]
    if not said and (_moving(seen) or service.pending):
        return None
    fact = Quote(
        f"service {seen.name}", f"desired {service.desired}, running {service.running}, pending {service.pending}"
    )
    return sign(f"{service.running} of {service.desired} tasks run, and ECS has told no reason.", [*said, fact])


@cause(
    "NOT_SEEN",
    "The service could not be looked at",
    looks="ECS was not asked, or did not answer.",
    repair="See below what could not be asked, and why; a missing permission is named.",
    weight=SYMPTOM - 0.2,
    symptom=True,
)
def not_seen(seen: Evidence) -> CauseMatch | None:
    if seen.service is not None and seen.service.status in KNOWN:
        return None
    return sign(
        "Of the service itself nothing was seen, so nothing can be said of it.",
        [Quote("unseen", one) for one in seen.unseen],
    )


@cause(
    "SCALED_IN",
    "Tasks were stopped because fewer are wanted",
    looks="`Scaling activity initiated by (deployment …)`; autoscaling, or the end of a deployment.",
    repair="Nothing is wrong.",
    weight=NOTHING + 0.03,
    harmless=True,
)
def scaled_in(seen: Evidence) -> CauseMatch | None:
    if not _is_well(seen) or _moving(seen):
        return None
    return taken(seen, "", SCALED, "Nothing is wrong: tasks were stopped because fewer are wanted.")


@cause(
    "IN_PROGRESS",
    "The deployment is under way, and nothing is wrong so far",
    looks="rolloutState IN_PROGRESS, no failed tasks, no unhealthy targets.",
    repair="Wait.",
    weight=NOTHING + 0.02,
    harmless=True,
)
def in_progress(seen: Evidence) -> CauseMatch | None:
    service, subject = seen.service, seen.subject
    if service is None or service.status != "ACTIVE" or service.desired == 0:
        return None
    if not _moving(seen) and not (service.pending and service.running < service.desired):
        return None
    since = f" since {told(subject.created)}" if subject is not None and subject.created else ""
    count = f"{service.running} of {service.desired} tasks run"
    sentence = f"Nothing is wrong so far: the deployment is under way{since}, {count}."
    return sign(sentence, [Quote(f"deployment {shown(seen.deployment, 60)}", "IN_PROGRESS")])


@cause(
    "NOTHING_WRONG",
    "Nothing is wrong",
    looks="All tasks that are wanted run, none failed, all targets are healthy, no alarm is on.",
    repair="Nothing.",
    weight=NOTHING,
    harmless=True,
)
def nothing(seen: Evidence) -> CauseMatch | None:
    service = seen.service
    if service is None or not _is_well(seen):
        return None
    healthy = sum(one.state == "healthy" for one in seen.targets)
    targets = f", {healthy} of {len(seen.targets)} targets are healthy" if seen.targets else ""
    return sign(f"Nothing is wrong: {service.running} of {service.desired} tasks run{targets}.", [])


def _moving(seen: Evidence) -> bool:
    """Whether a deployment is under way."""
    newest = next(iter(seen.deployments), None)
    return (seen.subject or newest) is not None and "IN_PROGRESS" in {
        one.rollout for one in (seen.subject, newest) if one is not None
    }


def _is_well(seen: Evidence) -> bool:
    service = seen.service
    return (
        service is not None
        and service.status == "ACTIVE"
        and 0 < service.desired <= service.running
        and not verdicts(seen)
    )
