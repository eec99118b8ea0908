"""Puts the causes that are seen in order: what is certain before what is likely, what is new before what is over."""

from deploy.aws.task import Task
from deploy.diagnose import causes  # noqa: F401  fills the table
from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import EPOCH
from deploy.diagnose.recorded import with_record
from deploy.diagnose.registry import CAUSES, STALE, Cause, CauseMatch


def diagnose(seen: Evidence) -> list[Diagnosis]:
    """All causes that are seen or recorded, the most likely first; where nothing is wrong, one that says so.

    Args:
        seen: whatever could be gathered; what is missing is not seen, and never an error.
    """
    found = [(one, sign) for one in CAUSES.values() if (sign := one.look(seen)) is not None]
    told = _without_symptoms([(one, sign) for one, sign in found if not one.harmless], seen)
    told = told or [(one, sign) for one, sign in found if one.harmless]
    made = [one.diagnosis(sign, _weight(one, sign, seen)) for one, sign in told]
    made.sort(key=lambda one: (one.weight, one.at or EPOCH), reverse=True)
    return with_record(seen, made)


def _without_symptoms(found: list[tuple[Cause, CauseMatch]], seen: Evidence) -> list[tuple[Cause, CauseMatch]]:
    """What happened to tasks for which it is known why need not be told; nor twice, in weaker words."""
    why = [sign for one, sign in found if not one.symptom and not one.aside]
    explained, known = _alike({task for sign in why for task in sign.tasks}, seen), bool(why)
    kept = [(one, sign) for one, sign in found if not one.symptom]
    for one, sign in sorted((pair for pair in found if pair[0].symptom), key=lambda pair: -pair[0].weight):
        if set(sign.tasks) <= explained if sign.tasks else known:
            continue
        kept.append((one, sign))
        explained |= set(sign.tasks)
        known = True
    return kept


def _alike(tasks: set[str], seen: Evidence) -> set[str]:
    """Those tasks, and the failed ones that stopped in the same way and say nothing of their own: logs arrive late."""
    ways = {_way(one) for one in seen.failed if one.id in tasks}
    return tasks | {one.id for one in seen.failed if _way(one) in ways and not seen.logs.get(one.id)}


def _way(task: Task) -> tuple[str, int | None, tuple[str, ...]]:
    """How a task stopped."""
    return task.stop_code, task.exit_code, tuple(task.reasons)


def _weight(one: Cause, sign: CauseMatch, seen: Evidence) -> float:
    """Less where the newest failure is another one, unless a running task shows the cause."""
    weight = one.weight if sign.weight is None else sign.weight
    tasks = set(sign.tasks)
    over = bool(tasks and seen.failed) and seen.failed[0].id not in _alike(tasks, seen)
    return weight * STALE if over and not tasks & {task.id for task in seen.running} else weight
