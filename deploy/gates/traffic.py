"""Gates on many responses: those of the probe load, and those of a load test."""

import time
from collections import Counter

from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.probe_load import MOST_IN_FLIGHT, P95, Outcome, ProbeLoad, percentile
from deploy.gates.target import LiveTarget

LOAD_FACTOR = 4  # times the rate of the probe load
REFUSED_MOST = 0.05  # share of a load test's requests that the service may refuse with 429
ROUNDING = 1e-9  # error of a product that should be a whole number
FIRST_PERIODS = 3  # of the probe load, within which the first response should have come


def errors(_: LiveTarget, observation: Observation) -> GateOutcome:
    """No more requests of the probe load fail with 5xx or without a response than the plan allows."""
    sent, lost = observation.outcomes, [outcome for outcome in observation.outcomes if outcome.lost]
    value, limit = round(len(lost) / len(sent), 4) if sent else None, observation.limits.error_ratio
    if (early := _too_early(observation)) is not None:
        return early
    if len(lost) > limit * observation.expected(len(sent)) + ROUNDING:
        return failed(f"{len(lost)} of {len(sent)} requests failed ({_statuses(lost)}).", value, limit)
    number = len(lost) or "None"
    return passed(f"{number} of {len(sent)} requests failed; {limit:.1%} may.", value, limit)


def latency(_: LiveTarget, observation: Observation) -> GateOutcome:
    """The 95th percentile of the probe load's latency is within the plan's limit."""
    seconds = [outcome.seconds for outcome in observation.outcomes if outcome.answered]
    limit = observation.limits.p95_ms
    if not seconds:
        return _too_early(observation) or failed("No photo was analysed, so the latency is not known.", None, limit)
    value = round(1000 * percentile(seconds))
    slow = sum(1000 * item > limit for item in seconds)
    if slow > (1 - P95) * observation.expected(len(seconds)) + ROUNDING:
        return failed(
            f"The 95th percentile of {len(seconds)} responses is {value} ms; the limit is {limit} ms.", value, limit
        )
    if value > limit:
        return passed(
            f"{slow} of {len(seconds)} responses took more than {limit} ms; the whole window may have more of them.",
            value,
            limit,
        )
    return passed(f"The 95th percentile of {len(seconds)} responses is {value} ms.", value, limit)


def model_answers(_: LiveTarget, observation: Observation) -> GateOutcome:
    """The heuristics answer no more requests of the probe load than the plan allows."""
    answered = [outcome for outcome in observation.outcomes if outcome.answered]
    others = [outcome for outcome in answered if outcome.source != "model"]
    limit = observation.limits.degraded_ratio
    if not answered:
        return _too_early(observation) or failed(
            "No photo was analysed, so it is not known whether the model answers.", None, limit
        )
    value = round(len(others) / len(answered), 4)
    if len(others) > limit * observation.expected(len(answered)) + ROUNDING:
        reasons = ", ".join(
            f"{number} {name}" for name, number in Counter(outcome.reason for outcome in others).most_common()
        )
        return failed(
            f"The heuristics gave {len(others)} of {len(answered)} answers ({reasons}); /ml/status says why.",
            value,
            limit,
        )
    return passed(f"The model gave {len(answered) - len(others)} of {len(answered)} answers.", value, limit)


def load(live: LiveTarget, observation: Observation) -> GateOutcome:
    """At four times the rate of the probe load latency is within the limit, few requests fail, and few are refused."""
    limits, rate = observation.limits, LOAD_FACTOR * observation.limits.canary_per_second
    with ProbeLoad(live, rate, most=LOAD_FACTOR * MOST_IN_FLIGHT) as load_test:
        time.sleep(limits.load_s)
        load_test.finish(live.photo_s)
    sent = load_test.outcomes
    seconds = [outcome.seconds for outcome in sent if outcome.answered]
    refused, lost = sum(outcome.refused for outcome in sent), [outcome for outcome in sent if outcome.lost]
    value = {
        "sent": len(sent),
        "p95_ms": round(1000 * percentile(seconds)) if seconds else None,
        "errors": round(len(lost) / len(sent), 4) if sent else None,
        "refused": round(refused / len(sent), 4) if sent else None,
    }
    limit = {"p95_ms": limits.p95_ms, "errors": limits.error_ratio, "refused": REFUSED_MOST}
    prefix = f"At {rate:g} photos per second for {limits.load_s} s"
    if not seconds:
        return failed(f"{prefix} none of {len(sent)} was analysed ({_statuses(sent)}).", value, limit)
    if len(lost) > limits.error_ratio * len(sent) + ROUNDING:
        return failed(f"{prefix} {len(lost)} of {len(sent)} failed ({_statuses(lost)}).", value, limit)
    if refused >= REFUSED_MOST * len(sent):
        return failed(
            f"{prefix} {refused} of {len(sent)} were refused: the service needs more tasks, more CPU, or a higher "
            "SHINE_RATE_PER_MINUTE.",
            value,
            limit,
        )
    if 1000 * percentile(seconds) > limits.p95_ms:
        return failed(
            f"{prefix} the 95th percentile is {value['p95_ms']} ms; the limit is {limits.p95_ms} ms.", value, limit
        )
    return passed(f"{prefix} the 95th percentile is {value['p95_ms']} ms, {len(lost)} failed.", value, limit)


def _too_early(observation: Observation) -> GateOutcome | None:
    """The outcome before the first response in the window; None once there is one."""
    if observation.outcomes:
        return None
    period, window = FIRST_PERIODS / observation.limits.canary_per_second, observation.window
    if (
        window is not None
        and observation.probe_load.clock() - window.began <= period
        and window.ends > observation.probe_load.clock()
    ):
        return passed("The first requests of the window are in flight.")
    return failed("No request of the probe load has a response yet.")


def _statuses(outcomes: list[Outcome]) -> str:
    counted = Counter("no response" if outcome.status == 0 else str(outcome.status) for outcome in outcomes)
    return ", ".join(f"{number} × {name}" for name, number in counted.most_common()) or "nothing was sent"
