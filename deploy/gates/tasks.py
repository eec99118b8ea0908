"""Gates about tasks and targets: what ECS and the load balancer say of our deployment."""

from collections import Counter
from typing import Any

import httpx

from deploy.aws.task import addresses
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.replies import refusal
from deploy.gates.target import LiveTarget
from deploy.text import printable

SHOWN = 19  # characters of a digest in a sentence: sha256: and twelve digits


def tasks_running(live: LiveTarget, seen: Observation) -> GateOutcome:
    """As many tasks of our deployment run as are desired, and none of them has stopped since the window began."""
    wanted, states = seen.wanted, Counter(str(one.get("lastStatus")) for one in seen.ours)
    running = states.pop("RUNNING", 0)
    value, limit = {"running": running, "stopped": len(seen.newly_stopped)}, {"running": wanted, "stopped": 0}
    state = (seen.deployment or {}).get("rolloutState")
    if state == "FAILED":
        why = printable(str((seen.deployment or {}).get("rolloutStateReason", "")), 200).rstrip(".")
        return failed(f"ECS has given the deployment up{f': {why}' if why else ''}.", value, limit, hopeless=True)
    if wanted == 0:
        return failed("The service wants no task: its desired count is 0.", value, limit)
    if seen.newly_stopped:
        return failed(f"{_stopped(seen.newly_stopped)} within the window.", value, limit)
    if running < wanted:
        others = ", ".join(f"{number} {name}" for name, number in states.items())
        whose = live.deployment or "this task definition"
        return failed(
            f"{running} of {wanted} tasks of {whose} run{f', {others}' if others else ''}; "
            "the service's events and the reasons of its stopped tasks say why.",
            value,
            limit,
        )
    return passed(f"{running} tasks of this deployment run, as many as are wanted.", value, limit)


def digest(live: LiveTarget, seen: Observation) -> GateOutcome:
    """Every running task of the service runs the wanted image, whichever deployment started it."""
    running = [one for one in seen.tasks if one.get("lastStatus") == "RUNNING"]
    found = Counter(seen.digest_of(one) for one in running)
    value = {name or "unknown": number for name, number in found.items()}
    if not running:
        return failed("No task of the service runs.", value, live.digest)
    if None in found:
        return failed("ECS does not tell yet which image a task runs.", value, live.digest)
    if set(found) != {live.digest}:
        others = ", ".join(f"{number} of {_short(str(name))}" for name, number in found.items() if name != live.digest)
        return failed(
            f"Not every task runs {_short(live.digest)}: {others}. Either the old tasks are still leaving, or ECS has "
            "gone back to them.",
            value,
            live.digest,
        )
    return passed(f"All {len(running)} running tasks are of {_short(live.digest)}.", value, live.digest)


def targets_healthy(live: LiveTarget, seen: Observation) -> GateOutcome:
    """As many targets are healthy as tasks are desired, and behind each stands a task with the wanted image."""
    states = Counter(str(one["TargetHealth"]["State"]) for one in seen.targets)
    healthy = {str(one["Target"]["Id"]) for one in seen.targets if one["TargetHealth"]["State"] == "healthy"}
    right = {address for one in seen.tasks if seen.digest_of(one) == live.digest for address in addresses(one)}
    value, limit = dict(states), {"healthy": seen.wanted}
    if strangers := sorted(healthy - right):
        known = {address: seen.digest_of(one) for one in seen.tasks for address in addresses(one)}
        told = ", ".join(f"{one} ({_short(known[one] or '')})" if known.get(one) else one for one in strangers)
        return failed(f"Traffic goes to {told}, behind which no task with {_short(live.digest)} stands.", value, limit)
    if len(healthy) < seen.wanted or not healthy:
        whys = {_why(one["TargetHealth"]) for one in seen.targets if one["TargetHealth"]["State"] != "healthy"}
        told = "; ".join(sorted(whys)) or "no other is registered"
        return failed(f"{len(healthy)} of {seen.wanted} targets are healthy: {told}.", value, limit)
    return passed(f"{len(healthy)} targets are healthy, each a task with {_short(live.digest)}.", value, limit)


def stable(_: LiveTarget, seen: Observation) -> GateOutcome:
    """None of our tasks stopped, none went or was replaced since the window began, and no breaker is open."""
    now = {one["taskArn"] for one in seen.ours}
    before = seen.window.running if seen.window else frozenset(now)
    gone = before - now - (seen.scaled_in if before - now else set())
    states = dict(seen.status.get("breakers") or {})
    opened = sorted(name for name, state in states.items() if state == "open")
    value = {"stopped": len(seen.newly_stopped), "gone": len(gone), "open": opened}
    limit = {"stopped": 0, "gone": 0, "open": []}
    if seen.newly_stopped:
        return failed(f"{_stopped(seen.newly_stopped)} within the window.", value, limit)
    if gone:
        return failed(f"Of the tasks that were there when the window began {len(gone)} are gone.", value, limit)
    if not states:
        return failed("/ml/status does not tell the circuits' state.", value, limit)
    if opened:
        return failed(
            f"The circuit before the {' and the '.join(opened)} runner is open: it does not answer.", value, limit
        )
    return passed(f"The same {len(before & now)} tasks run, and no circuit is open.", value, limit)


def ready(live: LiveTarget, seen: Observation) -> GateOutcome:
    """/ready answers 200, asked as often as there are tasks, and ECS takes each of them for healthy."""
    states = Counter(str(one["healthStatus"]) for one in seen.ours if one.get("healthStatus"))
    times = max(1, len(seen.ours))
    path = str(live.contract["ready_path"])
    for number in range(times):
        answer = seen.get(path, {})
        if answer.status_code != 200:
            told = _readiness(answer)
            return failed(f"GET {path} answers {told}, at try {number + 1} of {times}.", told, 200)
    wrong = {name: number for name, number in states.items() if name != "HEALTHY"}
    if wrong:
        told = ", ".join(f"{number} {name}" for name, number in wrong.items())
        return failed(
            f"{path} answers 200, but ECS does not take all tasks for healthy: {told}.", dict(states), "HEALTHY"
        )
    silent = "" if sum(states.values()) == len(seen.ours) else "; of some ECS does not tell the health"
    return passed(f"GET {path} answered 200 {times} times; tasks are healthy{silent}.", dict(states), "HEALTHY")


def _readiness(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return f"{answer.status_code} ({printable(str(told['state']), 20)}, {printable(str(told['reason']), 40)})"
    except (ValueError, LookupError, TypeError):
        return refusal(answer)


def _short(name: str) -> str:
    return name if len(name) <= SHOWN else name[:SHOWN] + "…"


def _why(health: dict[str, Any]) -> str:
    reason = ", ".join(printable(str(health[key]), 120) for key in ("Reason", "Description") if health.get(key))
    return f"{health['State']}{f' ({reason})' if reason else ''}"


def _stopped(tasks: list[dict[str, Any]]) -> str:
    reasons = sorted({printable(str(one.get("stoppedReason") or "no reason told"), 160).rstrip(".") for one in tasks})
    return f"{len(tasks)} {'task' if len(tasks) == 1 else 'tasks'} stopped ({'; '.join(reasons)})"
