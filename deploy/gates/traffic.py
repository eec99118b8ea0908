"""Gates about many answers: the canary's within the window, and those of a load test."""

import time
from collections import Counter

from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.probe_load import LATE, MOST_IN_FLIGHT, Outcome, ProbeLoad, percentile
from deploy.gates.target import LiveTarget

LOAD_FACTOR = 4  # times the canary's rate
REFUSED_MOST = 0.05  # share of a load test's requests that may be refused for want of room, as the service does
SLACK = 1e-9  # of products that are whole numbers but for rounding
PATIENCE = 3  # periods of the canary after which an answer should have come


def errors(_: LiveTarget, seen: Observation) -> GateOutcome:
    """Of the canary's requests no more end in 5xx or without an answer than the plan allows."""
    sent, lost = seen.outcomes, [one for one in seen.outcomes if one.lost]
    value, limit = round(len(lost) / len(sent), 4) if sent else None, seen.limits.error_ratio
    if (judged := _too_early(seen)) is not None:
        return judged
    if len(lost) > limit * seen.expected(len(sent)) + SLACK:
        return failed(f"{len(lost)} of {len(sent)} requests failed ({_statuses(lost)}).", value, limit)
    said = f"{len(lost)} of {len(sent)} requests failed" if lost else f"None of {len(sent)} requests failed"
    return passed(f"{said}; {limit:.1%} may.", value, limit)


def latency(_: LiveTarget, seen: Observation) -> GateOutcome:
    """The 95th percentile of the canary's answers is within the plan's limit."""
    seconds = [one.seconds for one in seen.outcomes if one.answered]
    limit = seen.limits.p95_ms
    if not seconds:
        return _too_early(seen) or failed("No photo was answered, so there is no latency to judge.", None, limit)
    value = round(1000 * percentile(seconds))
    slow = sum(1000 * one > limit for one in seconds)
    if slow > (1 - LATE) * seen.expected(len(seconds)) + SLACK:
        return failed(
            f"The 95th percentile of {len(seconds)} answers is {value} ms; {limit} ms are allowed.", value, limit
        )
    if value > limit:
        return passed(
            f"{slow} of {len(seconds)} answers took more than {limit} ms, which is within what the window allows.",
            value,
            limit,
        )
    return passed(f"The 95th percentile of {len(seconds)} answers is {value} ms.", value, limit)


def model_answers(_: LiveTarget, seen: Observation) -> GateOutcome:
    """Of the canary's answers no more come of the heuristics than the plan allows."""
    answered = [one for one in seen.outcomes if one.answered]
    others = [one for one in answered if one.source != "model"]
    limit = seen.limits.degraded_ratio
    if not answered:
        return _too_early(seen) or failed("No photo was answered, so nobody knows by whom.", None, limit)
    value = round(len(others) / len(answered), 4)
    if len(others) > limit * seen.expected(len(answered)) + SLACK:
        reasons = ", ".join(f"{number} {name}" for name, number in Counter(one.reason for one in others).most_common())
        return failed(
            f"{len(others)} of {len(answered)} answers come of the heuristics ({reasons}); /ml/status says why.",
            value,
            limit,
        )
    return passed(f"The model gave {len(answered) - len(others)} of {len(answered)} answers.", value, limit)


def load(live: LiveTarget, seen: Observation) -> GateOutcome:
    """At four times the canary's rate answers come in time, few fail, and few are refused for want of room."""
    limits, rate = seen.limits, LOAD_FACTOR * seen.limits.canary_per_second
    with ProbeLoad(live, rate, most=LOAD_FACTOR * MOST_IN_FLIGHT) as crowd:
        time.sleep(limits.load_s)
        crowd.finish(live.photo_s)
    sent = crowd.outcomes
    seconds = [one.seconds for one in sent if one.answered]
    refused, lost = sum(one.refused for one in sent), [one for one in sent if one.lost]
    value = {
        "sent": len(sent),
        "p95_ms": round(1000 * percentile(seconds)) if seconds else None,
        "errors": round(len(lost) / len(sent), 4) if sent else None,
        "refused": round(refused / len(sent), 4) if sent else None,
    }
    limit = {"p95_ms": limits.p95_ms, "errors": limits.error_ratio, "refused": REFUSED_MOST}
    told = f"At {rate:g} photos a second for {limits.load_s} s"
    if not seconds:
        return failed(f"{told} none of {len(sent)} was answered ({_statuses(sent)}).", value, limit)
    if len(lost) > limits.error_ratio * len(sent) + SLACK:
        return failed(f"{told} {len(lost)} of {len(sent)} failed ({_statuses(lost)}).", value, limit)
    if refused >= REFUSED_MOST * len(sent):
        return failed(
            f"{told} {refused} of {len(sent)} were refused: more tasks or more CPU are needed, or a higher "
            "SHINE_RATE_PER_MINUTE.",
            value,
            limit,
        )
    if 1000 * percentile(seconds) > limits.p95_ms:
        return failed(f"{told} the 95th percentile is {value['p95_ms']} ms; {limits.p95_ms} are allowed.", value, limit)
    return passed(f"{told} the 95th percentile is {value['p95_ms']} ms, {len(lost)} failed.", value, limit)


def _too_early(seen: Observation) -> GateOutcome | None:
    """While the first of the window's requests are on their way nothing speaks against it; None once some are back."""
    if seen.outcomes:
        return None
    period, window = PATIENCE / seen.limits.canary_per_second, seen.window
    if window is not None and seen.canary.clock() - window.began <= period and window.ends > seen.canary.clock():
        return passed("The window's first requests are on their way.")
    return failed("No request of the canary has come back yet.")


def _statuses(outcomes: list[Outcome]) -> str:
    counted = Counter("no answer" if one.status == 0 else str(one.status) for one in outcomes)
    return ", ".join(f"{number} × {name}" for name, number in counted.most_common()) or "nothing was sent"
