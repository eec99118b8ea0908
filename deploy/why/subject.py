"""Which deployment is looked at, and which tasks are its own."""

import re

from deploy.why.facts.fact import Event
from deploy.why.facts.service import Deployment
from deploy.why.facts.task import Task

FAILED = re.compile(r"\(deployment (?P<id>[^)\s]+)\) deployment failed")
BACK = re.compile(r"rolling back to (?:deployment(?:Id)? )?(?P<id>ecs-svc/\d+)")  # of events, and of rolloutStateReason


def subject(deployments: list[Deployment], events: list[Event]) -> str:
    """The last that failed, as long as nothing newer has begun; else the newest."""
    primary = next((one for one in deployments if one.status == "PRIMARY"), None)
    if primary is None:
        return ""
    begun = primary.created
    for event in events:  # ECS takes a deployment that it has rolled back out of the list: events remember it
        if (failed := FAILED.search(event.text)) is None or failed["id"] == primary.id:
            continue
        went_back = BACK.search(primary.reason) is not None or any(
            (back := BACK.search(one.text)) is not None and back["id"] == primary.id
            for one in events
            if event.at is None or one.at is None or one.at >= event.at
        )
        if went_back or begun is None or event.at is None or begun <= event.at:
            return failed["id"]
        break
    failing = [one for one in deployments if one.rollout == "FAILED"]
    newer = [one for one in failing if one.created and begun and one.created > begun]
    return newer[0].id if newer else primary.id


def is_of(task: Task, deployment: str, known: Deployment | None) -> bool:
    """Whether a task was started by a deployment; where neither says, by what it runs."""
    if not deployment:
        return True
    if task.started_by:
        return task.started_by == deployment
    return known is None or not known.task_definition or task.task_definition == known.task_definition
