"""ECS cannot place tasks: no room, no right to more, or a size that does not exist."""

import re

from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Match, Quote, events, reasons, shown
from deploy.diagnose.registry import SAID, SYMPTOM, CauseMatch, by_words, cause

CAPACITY = re.compile(r"Capacity is unavailable at this time|RESOURCE:FARGATE", re.IGNORECASE)
QUOTA = re.compile(
    r"reached the limit on the number of (?P<what>vCPUs|tasks)|(?P<size>CPU|MEMORY) configuration is above your limit",
    re.IGNORECASE,
)
SIZE = re.compile(
    r"No Fargate configuration exists for given values|Invalid (?:'cpu' setting|CPU or memory)|"
    r"platform version[^\n]*(?:not|un)\s*(?:supported|known|found|exist)|PlatformUnknown|"
    r"PlatformTaskDefinitionIncompat|"
    r"task definition does not support launch_type FARGATE",
    re.IGNORECASE,
)
THROTTLED = re.compile(r"operations are being throttled|Rate exceeded", re.IGNORECASE)
STUCK = re.compile(r"unable to stop or start tasks during a deployment because of the service deployment configuration")
INACTIVE = re.compile(r"TaskDefinition is inactive|task definition[^\n]*(?:inactive|does not exist)", re.IGNORECASE)
REFUSED = re.compile(r"was unable to place a task|failed to launch a task with \(error|RunTask error")


def of_placing(seen: Evidence) -> list[Quote]:
    """What ECS said of placing; over, where all that is desired runs."""
    service = seen.service
    done = service is not None and 0 < service.desired <= service.running
    return [*reasons(seen.failed), *([] if done else events(seen))]


@cause(
    "CAPACITY",
    "Fargate has no room",
    looks="event: `was unable to place a task. Reason: Capacity is unavailable at this time`.",
    repair="Wait, or name subnets of further zones in network.subnets; another size may find room sooner.",
    weight=SAID,
)
def capacity(seen: Evidence) -> CauseMatch | None:
    zones = f" in {shown(seen.region, 30)}" if seen.region else ""
    return by_words(
        of_placing(seen), CAPACITY, f"Fargate has no room for a task of this size{zones} in the zones of the subnets."
    )


@cause(
    "QUOTA",
    "The account's quota is used up",
    looks="event: `You've reached the limit on the number of vCPUs you can run concurrently`.",
    repair="Ask for more in Service Quotas (Fargate On-Demand vCPU resource count), or stop what is not needed; a "
    "deployment runs twice the tasks for a while.",
    weight=SAID,
)
def quota(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        return f"The account may run no more {match['what'] or match['size']} at a time in this region."

    return by_words(of_placing(seen), QUOTA, sentence)


@cause(
    "SIZE_INVALID",
    "Fargate has no such size or platform",
    looks="`No Fargate configuration exists for given values`, `Invalid 'cpu' setting for task`, an unknown platform "
    "version.",
    repair="Choose a pair of size.cpu and size.memory that Fargate offers; `trail preflight` knows them.",
    weight=SAID,
    deterministic=True,
)
def size(seen: Evidence) -> CauseMatch | None:
    definition = seen.definition
    what = f" ({definition.cpu} CPU units, {definition.memory} MiB)" if definition and definition.cpu else ""
    return by_words([*reasons(seen.failed), *events(seen)], SIZE, f"Fargate offers no such size or platform{what}.")


@cause(
    "DEPLOYMENT_CONFIGURATION",
    "Minimum and maximum leave ECS no room to move",
    looks="event: `was unable to stop or start tasks during a deployment because of the service deployment "
    "configuration`.",
    repair="Set minimumHealthyPercent 100 and maximumPercent 200, with two tasks at least.",
    weight=SAID,
    deterministic=True,
)
def configuration(seen: Evidence) -> CauseMatch | None:
    sentence = (
        "ECS may neither stop an old task nor start a new one: minimumHealthyPercent and maximumPercent forbid both."
    )
    return by_words(events(seen), STUCK, sentence)


@cause(
    "ECS_THROTTLED",
    "ECS itself is throttled",
    looks="event: `operations are being throttled. Will try again later.`",
    repair="Wait. Many tasks that start and fail at once use the rate up: find out why they fail.",
    weight=SYMPTOM - 0.1,
    aside=True,
)
def throttled(seen: Evidence) -> CauseMatch | None:
    return by_words(of_placing(seen), THROTTLED, "ECS is throttled and starts tasks later.")


@cause(
    "TASK_DEFINITION_INACTIVE",
    "The task definition is deregistered",
    looks="`TaskDefinition is inactive`; its status is INACTIVE or DELETE_IN_PROGRESS, and tasks are missing.",
    repair="Roll out a revision that is ACTIVE (`trail up` registers one), and deregister none that a rollback may "
    "need.",
    weight=SAID,
    deterministic=True,
)
def inactive(seen: Evidence) -> CauseMatch | None:
    definition, service = seen.definition, seen.service
    quotes = [one for one in [*reasons(seen.failed), *events(seen)] if INACTIVE.search(one.text)]
    gone = definition is not None and definition.status in ("INACTIVE", "DELETE_IN_PROGRESS")
    if gone and definition is not None and service is not None and service.running < service.desired:
        quotes.append(Quote(f"task definition {definition.name}", f"status is {definition.status}"))
    if not quotes:
        return None
    name = f" {shown(definition.name, 100)}" if definition is not None and definition.name else ""
    pattern = re.compile("")
    return by_words(quotes, pattern, f"The task definition{name} is not ACTIVE: no new task can be started from it.")


@cause(
    "PLACING_REFUSED",
    "ECS cannot start tasks",
    looks="event: `was unable to place a task` or `failed to launch a task with (error …)`, with a reason that no "
    "other cause knows.",
    repair="Read ECS's own words below.",
    weight=SYMPTOM,
    symptom=True,
)
def refused(seen: Evidence) -> CauseMatch | None:
    return by_words([one for one in of_placing(seen) if not one.task], REFUSED, "ECS says that it cannot start a task.")
