"""Which container of a task a fact is about: the one that serves, or a sidecar.

ECS stops all containers of a task when an essential one ends, so that most exit codes are only the end of the others.
"""

import re

from deploy.aws.task import OUT_OF_MEMORY, Container, Task
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, safe
from deploy.taskdef.model import SIDECAR_NAME

ASKED_TO_END = 143  # SIGTERM
KILLED = 137  # SIGKILL
STOPPED_CODES = frozenset({0, ASKED_TO_END, KILLED})  # of containers that ECS stops because another one ended
NEVER_ESSENTIAL = re.compile(r"aws-guardduty-agent.*")  # AWS adds it to a task; its end stops nothing


def serving_name(evidence: Evidence) -> str:
    """The name of the container that serves; empty where it is not known."""
    return evidence.definition.container if evidence.definition else ""


def serving(evidence: Evidence, task: Task) -> Container | None:
    """The container of a task that serves; None where it cannot be told."""
    if len(task.containers) == 1:
        return task.containers[0]
    for name in (serving_name(evidence), evidence.name):
        if named := [container for container in task.containers if name and container.name == name]:
            return named[0]
    others = [container for container in task.containers if not SIDECAR_NAME.fullmatch(container.name.lower())]
    return others[0] if len(others) == 1 else None


def is_sidecar(evidence: Evidence, task: Task, container: Container) -> bool:
    """Whether a container of a task is not the one that serves."""
    own = serving(evidence, task)
    return container is not own if own is not None else SIDECAR_NAME.fullmatch(container.name.lower()) is not None


def first_ended(evidence: Evidence, task: Task) -> Container | None:
    """The container that ended by itself, as far as the exit codes show; None where none ended.

    An exit code that no stop by ECS gives comes before the codes of a stop; among those the serving container's comes
    first, unless it only ended because it was asked to.
    """
    all_ended = [container for container in task.containers if container.exit_code is not None]
    ended = [container for container in all_ended if not NEVER_ESSENTIAL.fullmatch(container.name)] or all_ended
    own = serving(evidence, task)
    ended.sort(key=lambda container: container is not own)
    for group in (
        [container for container in ended if OUT_OF_MEMORY in container.reason],
        [container for container in ended if container.exit_code not in STOPPED_CODES],
        [container for container in ended if container.exit_code != ASKED_TO_END],
    ):
        if group:
            return group[0]
    return next(iter(ended), None)


def failing_check(evidence: Evidence, task: Task) -> Container | None:
    """The container whose health check fails; the serving one where ECS names none; None where that is not known."""
    own = serving(evidence, task)
    unhealthy = [container for container in task.containers if container.health == "UNHEALTHY"]
    return own if own in unhealthy else next(iter(unhealthy), own)


def checks_sidecar(evidence: Evidence, task: Task) -> bool:
    """Whether the health check of a sidecar fails, and not the serving container's."""
    container = failing_check(evidence, task)
    return container is not None and is_sidecar(evidence, task, container)


def container_of(evidence: Evidence, quote: Quote) -> str:
    """The name of the container that a quote is about; empty where it cannot be told."""
    if quote.container:
        return quote.container
    tasks = [*evidence.stopped, *evidence.running]
    tasks = [task for task in tasks if task.id == quote.task] or tasks
    repository = re.split(r"@|:[^/]*$", evidence.definition.image)[0] if evidence.definition else ""
    if any(len(task.containers) > 1 for task in tasks) and not (repository and repository in quote.text):
        return ""
    return serving_name(evidence)


def the_container(name: str) -> str:
    """A container in the middle of a sentence."""
    return f"the container {safe(name, 80)}" if name else "a container of the task"


def capital(sentence: str) -> str:
    """A sentence with its first letter as a capital."""
    return sentence[:1].upper() + sentence[1:]
