"""Puts the causes that are seen in order: what is certain before what is likely, what is new before what is over."""

from deploy.why import causes  # noqa: F401  fills the table
from deploy.why.diagnosis import Diagnosis
from deploy.why.evidence import Evidence
from deploy.why.quotes import EPOCH
from deploy.why.table import CAUSES, STALE, Cause, Sign


def diagnose(seen: Evidence) -> list[Diagnosis]:
    """All causes that are seen, the most likely first; where nothing is wrong, one that says so.

    Args:
        seen: whatever could be gathered; what is missing is not seen, and never an error.
    """
    found = [(one, sign) for one in CAUSES.values() if (sign := one.look(seen)) is not None]
    told = _without_symptoms([(one, sign) for one, sign in found if not one.harmless])
    told = told or [(one, sign) for one, sign in found if one.harmless]
    made = [one.diagnosis(sign, _weight(one, sign, seen)) for one, sign in told]
    made.sort(key=lambda one: (one.weight, one.at or EPOCH), reverse=True)
    return made


def _without_symptoms(found: list[tuple[Cause, Sign]]) -> list[tuple[Cause, Sign]]:
    """What happened to tasks for which it is known why need not be told; nor twice, in weaker words."""
    why = [sign for one, sign in found if not one.symptom and not one.aside]
    explained, known = {task for sign in why for task in sign.tasks}, bool(why)
    kept = [(one, sign) for one, sign in found if not one.symptom]
    for one, sign in sorted((pair for pair in found if pair[0].symptom), key=lambda pair: -pair[0].weight):
        if set(sign.tasks) <= explained if sign.tasks else known:
            continue
        kept.append((one, sign))
        explained |= set(sign.tasks)
        known = True
    return kept


def _weight(one: Cause, sign: Sign, seen: Evidence) -> float:
    weight = one.weight if sign.weight is None else sign.weight
    newest = next(iter(seen.failed), None)
    over = newest is not None and sign.tasks and newest.id not in sign.tasks
    shown_live = {task.id for task in seen.running} & set(sign.tasks)
    return weight * STALE if over and not shown_live else weight
