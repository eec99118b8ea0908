"""Tasks that others stopped: AWS for its own reasons, or people."""

import re

from deploy.aws.task import Task
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, reasons, short
from deploy.diagnose.registry import LIKELY, SYMPTOM, CauseMatch, cause, sign

MAINTENANCE = re.compile(
    r"performing maintenance|^Host EC2|host retirement|underlying (?:host|infrastructure)", re.IGNORECASE
)
SPOT = re.compile(r"Spot Task was interrupted|Spot interruption", re.IGNORECASE)


def taken(seen: Evidence, code: str, pattern: re.Pattern[str], sentence: str) -> CauseMatch | None:
    """Tasks that were stopped by others."""
    tasks: list[Task] = [
        one
        for one in seen.stopped
        if one.stopped_by_others and ((code and one.stop_code == code) or pattern.search(one.stopped_reason))
    ]
    if not tasks:
        return None
    quotes = reasons(tasks) or [
        Quote(f"stopped task {short(one.id)}", one.stop_code, one.stopped, one.id) for one in tasks
    ]
    return sign(sentence, quotes)


@cause(
    "HOST_MAINTENANCE",
    "AWS took the task's host away",
    looks="`ECS is performing maintenance on the underlying infrastructure hosting the task`, stop code "
    "InfrastructureHealth.",
    repair="Nothing: ECS starts another. With two tasks in two zones nobody notices.",
    weight=LIKELY,
    aside=True,
)
def maintenance(seen: Evidence) -> CauseMatch | None:
    return taken(seen, "InfrastructureHealth", MAINTENANCE, "AWS took the host of a task away; ECS starts another.")


@cause(
    "SPOT_INTERRUPTION",
    "Fargate Spot took the task's capacity back",
    looks="Stop code SpotInterruption, `Your Spot Task was interrupted`.",
    repair="Run the least number of tasks on FARGATE and only more on FARGATE_SPOT.",
    weight=LIKELY,
    aside=True,
)
def spot(seen: Evidence) -> CauseMatch | None:
    found = taken(seen, "SpotInterruption", SPOT, "Fargate Spot took a task's capacity back, with two minutes' notice.")
    return found or taken(seen, "TerminationNotice", SPOT, "Fargate Spot took a task's capacity back.")


@cause(
    "STOPPED_BY_USER",
    "Somebody stopped a task",
    looks="Stop code UserInitiated.",
    repair="Nothing: ECS starts another. CloudTrail (StopTask) says who it was.",
    weight=SYMPTOM - 0.05,
    aside=True,
)
def by_user(seen: Evidence) -> CauseMatch | None:
    pattern = re.compile(r"^Task stopped by user")
    return taken(seen, "UserInitiated", pattern, "A task was stopped by a person or a tool, not by ECS.")
