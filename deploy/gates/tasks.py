"""Gates on the tasks and targets of our deployment, as ECS and the load balancer report them."""

from collections import Counter
from typing import Any

import httpx

from deploy.aws.task import addresses
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.responses import describe_error
from deploy.gates.target import LiveTarget
from deploy.text import printable

DIGEST_SHOWN = 19  # characters in a sentence: sha256: and twelve digits


def tasks_running(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The desired number of tasks of our deployment run, and none has stopped since the window began."""
    desired, states = observation.desired, Counter(str(task.get("lastStatus")) for task in observation.ours)
    running = states.pop("RUNNING", 0)
    value, limit = {"running": running, "stopped": len(observation.newly_stopped)}, {"running": desired, "stopped": 0}
    state = (observation.deployment or {}).get("rolloutState")
    if state == "FAILED":
        why = printable(str((observation.deployment or {}).get("rolloutStateReason", "")), 200).rstrip(".")
        return failed(f"ECS has given up the deployment{f': {why}' if why else ''}.", value, limit, permanent=True)
    if desired == 0:
        return failed("The service runs no task: its desired count is 0.", value, limit)
    if observation.newly_stopped:
        return failed(f"{_stopped(observation.newly_stopped)} within the window.", value, limit)
    if running < desired:
        others = ", ".join(f"{number} {name}" for name, number in states.items())
        whose = live.deployment or "this task definition"
        return failed(
            f"{running} of {desired} tasks of {whose} run{f', {others}' if others else ''}; "
            "the service's events and the stopped reasons of its tasks say why.",
            value,
            limit,
        )
    return passed(f"{running} tasks of this deployment run, as many as desired.", value, limit)


def digest(live: LiveTarget, observation: Observation) -> GateOutcome:
    """Every running task of the service runs the right image, whichever deployment started it."""
    running = [task for task in observation.tasks if task.get("lastStatus") == "RUNNING"]
    digests = Counter(observation.digest_of(task) for task in running)
    value = {name or "unknown": number for name, number in digests.items()}
    if not running:
        return failed("No task of the service runs.", value, live.digest)
    if None in digests:
        return failed("ECS does not report yet which image a task runs.", value, live.digest)
    if set(digests) != {live.digest}:
        others = ", ".join(f"{count} of {_short(str(name))}" for name, count in digests.items() if name != live.digest)
        return failed(
            f"Not every task runs {_short(live.digest)}: {others}. Either the old tasks are still stopping, or ECS has "
            "rolled back.",
            value,
            live.digest,
        )
    return passed(f"All {len(running)} running tasks run {_short(live.digest)}.", value, live.digest)


def targets_healthy(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The desired number of targets are healthy, and each is a task with the right image."""
    states = Counter(str(target["TargetHealth"]["State"]) for target in observation.targets)
    unhealthy = [item["TargetHealth"] for item in observation.targets if item["TargetHealth"]["State"] != "healthy"]
    healthy = {str(item["Target"]["Id"]) for item in observation.targets if item["TargetHealth"]["State"] == "healthy"}
    digests = {address: observation.digest_of(task) for task in observation.tasks for address in addresses(task)}
    value, limit = dict(states), {"healthy": observation.desired}
    if others := [address for address in sorted(healthy) if digests.get(address) != live.digest]:
        names = ", ".join(f"{item} ({_short(digests[item] or '')})" if digests.get(item) else item for item in others)
        return failed(f"Traffic goes to {names}, which is not a task with {_short(live.digest)}.", value, limit)
    if len(healthy) < observation.desired or not healthy:
        reasons = "; ".join(sorted({_describe(health) for health in unhealthy})) or "no other is registered"
        return failed(f"{len(healthy)} of {observation.desired} targets are healthy: {reasons}.", value, limit)
    return passed(f"{len(healthy)} targets are healthy, each a task with {_short(live.digest)}.", value, limit)


def stable(_: LiveTarget, observation: Observation) -> GateOutcome:
    """No task of our deployment has stopped or disappeared since the window began; no circuit breaker is open."""
    now = {task["taskArn"] for task in observation.ours}
    before = observation.window.running if observation.window else frozenset(now)
    gone = before - now - (observation.scaled_in if before - now else set())
    states = dict(observation.status.get("breakers") or {})
    opened = sorted(name for name, state in states.items() if state == "open")
    value = {"stopped": len(observation.newly_stopped), "gone": len(gone), "open": opened}
    limit = {"stopped": 0, "gone": 0, "open": []}
    if observation.newly_stopped:
        return failed(f"{_stopped(observation.newly_stopped)} within the window.", value, limit)
    if gone:
        return failed(f"{len(gone)} of {len(before)} tasks that ran when the window began are gone.", value, limit)
    if not states:
        return failed("/ml/status does not report the state of the circuit breakers.", value, limit)
    if opened:
        return failed(
            f"The circuit breaker of the {' and the '.join(opened)} runner is open: the runner does not answer.",
            value,
            limit,
        )
    return passed(f"The same {len(before & now)} tasks run, and no circuit breaker is open.", value, limit)


def ready(live: LiveTarget, observation: Observation) -> GateOutcome:
    """/ready answers 200 as many times as there are tasks, and ECS reports each task as healthy."""
    states = Counter(str(task["healthStatus"]) for task in observation.ours if task.get("healthStatus"))
    times = max(1, len(observation.ours))
    path = str(live.contract["ready_path"])
    for number in range(times):
        response = observation.get(path, {})
        if response.status_code != 200:
            readiness = _readiness(response)
            return failed(f"GET {path} answers {readiness}, at try {number + 1} of {times}.", readiness, 200)
    others = ", ".join(f"{number} {name}" for name, number in states.items() if name != "HEALTHY")
    if others:
        return failed(
            f"{path} answers 200, but ECS does not report all tasks as healthy: {others}.", dict(states), "HEALTHY"
        )
    unknown = "" if sum(states.values()) == len(observation.ours) else "; ECS does not report the health of some"
    return passed(f"GET {path} answered 200 {times} times; tasks are healthy{unknown}.", dict(states), "HEALTHY")


def _readiness(response: httpx.Response) -> str:
    try:
        content = response.json()
        state, reason = printable(str(content["state"]), 20), printable(str(content["reason"]), 40)
        return f"{response.status_code} ({state}, {reason})"
    except (ValueError, LookupError, TypeError):
        return describe_error(response)


def _short(name: str) -> str:
    return name if len(name) <= DIGEST_SHOWN else name[:DIGEST_SHOWN] + "…"


def _describe(health: dict[str, Any]) -> str:
    reason = ", ".join(printable(str(health[key]), 120) for key in ("Reason", "Description") if health.get(key))
    return f"{health['State']}{f' ({reason})' if reason else ''}"


def _stopped(tasks: list[dict[str, Any]]) -> str:
    reasons = sorted(
        {printable(str(task.get("stoppedReason") or "no reason given"), 160).rstrip(".") for task in tasks}
    )
    return f"{len(tasks)} {'task' if len(tasks) == 1 else 'tasks'} stopped ({'; '.join(reasons)})"
