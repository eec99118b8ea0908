"""Orders the causes that evidence shows: what is certain before what is likely, what is new before what is over."""

from deploy.aws.task import Task
from deploy.diagnose.cause import Cause, CauseMatch, Diagnosis, Weight
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import EPOCH
from deploy.diagnose.recorded import add_recorded

Pair = tuple[Cause, CauseMatch]


def diagnose(evidence: Evidence) -> list[Diagnosis]:
    """All causes that AWS shows or the record names, the most likely first; where nothing is wrong, one that says so.

    Args:
        evidence: whatever could be gathered; missing parts are never an error.
    """
    pairs = [(cause, match) for cause in CAUSES.values() if (match := cause.match(evidence)) is not None]
    failures = _without_symptoms([(cause, match) for cause, match in pairs if not cause.harmless], evidence)
    chosen = failures or [(cause, match) for cause, match in pairs if cause.harmless]
    causes = [cause.diagnosis(match, _weight(cause, match, evidence)) for cause, match in chosen]
    causes.sort(key=lambda cause: (cause.weight, cause.at or EPOCH), reverse=True)
    return add_recorded(evidence, causes)


def _without_symptoms(pairs: list[Pair], evidence: Evidence) -> list[Pair]:
    """Leave out symptoms of tasks whose cause is known, and a weaker symptom of the same tasks."""
    reasons = [match for cause, match in pairs if not cause.symptom and not cause.aside]
    explained = _stopped_alike({task for match in reasons for task in match.tasks}, evidence)
    known = bool(reasons)
    kept = [(cause, match) for cause, match in pairs if not cause.symptom]
    for cause, match in sorted((pair for pair in pairs if pair[0].symptom), key=lambda pair: -pair[0].weight):
        if set(match.tasks) <= explained if match.tasks else known:
            continue
        kept.append((cause, match))
        explained |= set(match.tasks)
        known = True
    return kept


def _stopped_alike(tasks: set[str], evidence: Evidence) -> set[str]:
    """Those tasks, and failed ones without a log that stopped in the same way: logs arrive late."""
    ways = {_way(task) for task in evidence.failed if task.id in tasks}
    return tasks | {task.id for task in evidence.failed if _way(task) in ways and not evidence.logs.get(task.id)}


def _way(task: Task) -> tuple[str, int | None, tuple[str, ...]]:
    """How a task stopped."""
    return task.stop_code, task.exit_code, tuple(task.reasons)


def _weight(cause: Cause, match: CauseMatch, evidence: Evidence) -> float:
    """Less where the newest failure does not show the cause, unless a running task shows it."""
    weight = cause.weight if match.weight is None else match.weight
    tasks = set(match.tasks)
    over = bool(tasks and evidence.failed) and evidence.failed[0].id not in _stopped_alike(tasks, evidence)
    return weight * Weight.STALE if over and not tasks & {task.id for task in evidence.running} else weight
