"""ECS cannot place tasks: no capacity, no quota, or a size that Fargate does not offer."""

import re

from deploy.diagnose.cause import Cause, CauseMatch, Weight, match_words, matched
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    Quote,
    deployment_events,
    failed_reasons,
    matching,
    placement_events,
    reasons_and_events,
    safe,
)

CAPACITY = re.compile(
    r"(?i)Capacity is unavailable at this time|RESOURCE:FARGATE|(?P<provider>UnfulfillableCapacity|"
    r"InsufficientInstanceCapacity|insufficient capacity)"
)
QUOTA = re.compile(
    r"(?i)limit on the number of (?P<what>vCPUs|tasks)|"
    r"(?P<size>CPU|MEMORY) configuration is above your limit|(?P<cpus>VcpuLimitExceeded)|"
    r"(?P<instances>\w*InstanceCountExceeded|InstanceLimitExceeded)|tasks (?P<provisioning>provisioning) capacity limit"
)
NO_INSTANCE = re.compile(
    r"(?i)no container instance met all|No Container Instances were found|RESOURCE:(?!FARGATE)\w+|"
    r"placement constraint|TaskFailedToStart: (?:AGENT|ATTRIBUTE|LOCATION|MemberOf|NO ACTIVE|EMPTY)|"
    r"EMPTY CAPACITY PROVIDER|NO ACTIVE INSTANCES|waiting for Amazon ECS Agent"
)
# What EC2 instances lack, in ECS's words.
LACKING = (
    (re.compile(r"(?i)memory"), "none has enough memory left"),
    (re.compile(r"(?i)\bcpu\b"), "none has enough CPU units left"),
    (re.compile(r"(?i)\bports?\b"), "the port that the task maps is taken on each"),
    (re.compile(r"(?i)\bgpus?\b"), "none has a free GPU"),
    (re.compile(r"(?i)\beni\b|network interface"), "none can attach another network interface"),
    (re.compile(r"(?i)attribute"), "none has an attribute that the task definition needs"),
    (re.compile(r"(?i)\bagent\b"), "the ECS agent of the nearest is not connected"),
    (re.compile(r"(?i)placement constraint|MemberOf"), "none meets the placement constraints"),
    (re.compile(r"(?i)location|availability zone"), "none is in a zone of the service's subnets"),
    (re.compile(r"(?i)no (?:container|active) instances|empty capacity"), "there is none"),
)
SIZE = re.compile(
    r"(?i)No Fargate configuration exists for given values|Invalid (?:'(?:cpu|memory)' setting|CPU or memory)|"
    r"platform version[^\n]*(?:not|un)\s*(?:supported|known|found|exist)|PlatformUnknown|"
    r"PlatformTaskDefinitionIncompat|"
    r"task definition does not support launch_type FARGATE"
)
THROTTLED = re.compile(r"(?i)operations are being throttled")
STUCK = re.compile(r"unable to stop or start tasks during a deployment because of the service deployment configuration")
INACTIVE = re.compile(r"(?i)TaskDefinition is inactive|task definition[^\n]*(?:inactive|does not exist)")
REFUSED = re.compile(
    r"unable to place (?:a )?tasks?|failed to launch a task with \(error|RunTask error|could not launch \d+ tasks?|"
    r"unable to reach steady state"
)


def placement_errors(evidence: Evidence) -> list[Quote]:
    """Why failed tasks stopped, and the events as long as placement has not succeeded."""
    return [*failed_reasons(evidence), *placement_events(evidence)]


def _capacity(evidence: Evidence, _: Quote, match: re.Match[str]) -> str:
    region = f" in {safe(evidence.region, 30)}" if evidence.region else ""
    if match["provider"]:
        return (
            f"EC2 has no instance of the kind that the capacity provider asks for{region}, in the zones of its subnets."
        )
    return f"Fargate has no capacity for a task of this size{region}, in the zones of the subnets."


def _quota(_: Evidence, __: Quote, match: re.Match[str]) -> str:
    if match["provisioning"]:
        return "The cluster has as many tasks in state PROVISIONING as ECS allows at a time."
    kind = "vCPUs" if match["cpus"] else "EC2 instances" if match["instances"] else match["what"] or match["size"]
    return f"The account may not run more {kind} at a time in this region."


def _no_instance(_: Evidence, quote: Quote, __: re.Match[str]) -> str:
    words = quote.text.partition("met all of its requirements")[2] or quote.text.rpartition("Reason:")[2]
    lacking = next((why for pattern, why in LACKING if pattern.search(words)), "")
    return f"No EC2 instance of the cluster can run the task{f': {lacking}' if lacking else ''}."


def _size(evidence: Evidence, _: Quote, __: re.Match[str]) -> str:
    definition = evidence.definition
    size = f" ({definition.cpu} CPU units, {definition.memory} MiB)" if definition and definition.cpu else ""
    return f"Fargate offers no such size or platform{size}."


def inactive(evidence: Evidence) -> CauseMatch | None:
    """The task definition is not ACTIVE while tasks are missing, or ECS says so."""
    definition, service = evidence.definition, evidence.service
    quotes = [quote for quote, _ in matching(reasons_and_events(evidence), INACTIVE)]
    missing_tasks = service is not None and service.running < service.desired
    if definition is not None and definition.status in ("INACTIVE", "DELETE_IN_PROGRESS") and missing_tasks:
        quotes.append(Quote(f"task definition {definition.name}", f"status is {definition.status}"))
    if not quotes:
        return None
    name = f" {safe(definition.name, 100)}" if definition is not None and definition.name else ""
    return matched(f"The task definition{name} is not ACTIVE: ECS cannot start new tasks from it.", quotes)


CAUSES = (
    Cause(
        "CAPACITY",
        "Fargate has no capacity",
        looks="event: `was unable to place a task. Reason: Capacity is unavailable at this time`.",
        repair="Wait, or name subnets of more zones in network.subnets; another size may be available sooner.",
        weight=Weight.STATED,
        match=match_words(placement_errors, CAPACITY, _capacity),
    ),
    Cause(
        "QUOTA",
        "The account's quota is used up",
        looks="event: `You've reached the limit on the number of vCPUs you can run concurrently`.",
        repair="Request a higher quota in Service Quotas (Fargate On-Demand vCPU resource count), or stop tasks that "
        "are not needed; during a deployment twice the tasks run.",
        weight=Weight.STATED,
        match=match_words(placement_errors, QUOTA, _quota),
    ),
    Cause(
        "NO_INSTANCE",
        "No EC2 instance of the cluster can run the task",
        looks="event: `no container instance met all of its requirements`, `No Container Instances were found`; "
        "`TaskFailedToStart: RESOURCE:MEMORY`, `ATTRIBUTE`, `AGENT`.",
        repair="A rendered service runs on Fargate, which needs no instances: `trail up` with launch type FARGATE. On "
        "EC2 add instances that have what the message names, or let the capacity provider add them.",
        weight=Weight.STATED,
        match=match_words(placement_errors, NO_INSTANCE, _no_instance),
    ),
    Cause(
        "SIZE_INVALID",
        "Fargate has no such size or platform",
        looks="`No Fargate configuration exists for given values`, `Invalid 'cpu' setting`, `PlatformUnknown`.",
        repair="Choose a pair of size.cpu and size.memory that Fargate offers; `trail preflight` checks it.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(reasons_and_events, SIZE, _size),
    ),
    Cause(
        "DEPLOYMENT_CONFIGURATION",
        "minimumHealthyPercent and maximumPercent forbid ECS both to stop an old task and to start a new one",
        looks="event: `was unable to stop or start tasks during a deployment because of … configuration`.",
        repair="Set minimumHealthyPercent 100 and maximumPercent 200, with at least two tasks.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(deployment_events, STUCK),
    ),
    Cause(
        "ECS_THROTTLED",
        "ECS is throttled and starts tasks later",
        looks="event: `operations are being throttled. Will try again later.`",
        repair="Wait. Many tasks that start and fail at once use up the rate: find out why they fail.",
        weight=Weight.SYMPTOM - 0.1,
        aside=True,
        match=match_words(placement_errors, THROTTLED),
    ),
    Cause(
        "TASK_DEFINITION_INACTIVE",
        "The task definition is deregistered",
        looks="`TaskDefinition is inactive`; its status is INACTIVE or DELETE_IN_PROGRESS, and tasks are missing.",
        repair="Roll out an ACTIVE revision (`trail up` registers one); keep revisions that a rollback may need.",
        weight=Weight.STATED,
        deterministic=True,
        match=inactive,
    ),
    Cause(
        "PLACING_REFUSED",
        "ECS cannot start a task",
        looks="event: `was unable to place a task`, `failed to launch a task`, with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(placement_events, REFUSED),
    ),
)
