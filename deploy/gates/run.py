"""Runs the gates of a phase round by round: until all pass, then for a whole window, then once more at its end."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from deploy.config.plan import Gates
from deploy.gates import registry
from deploy.gates.gate import Gate
from deploy.gates.observation import Observation, Window
from deploy.gates.probe_load import ProbeLoad
from deploy.gates.target import LiveTarget
from deploy.record.trail import GateResult

INTERVAL_S = 5.0  # between rounds
Results = dict[str, GateResult]


@dataclass(frozen=True)
class Verdict:
    """How the gates ended.

    Attributes:
        passed: whether all gates passed for the whole window.
        results: the last of each gate that was checked, in the registry's order.
        failed: those that failed.
        sentence: for people.
    """

    passed: bool
    results: list[GateResult]
    failed: list[GateResult]
    sentence: str


def run_gates(
    live: LiveTarget,
    limits: Gates,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    interval_s: float = INTERVAL_S,
) -> Generator[list[GateResult], None, Verdict]:
    """Check the gates until the verdict is certain; yields all results after each round.

    First the system settles: within `settle_s` all gates must pass at the same time, those that are checked once
    included. Then the window begins: in each round all steady gates must pass. A gate that fails is checked again at
    once, since a packet may be lost; a second failure ends the window. At its end the other gates are checked once
    more.

    Args:
        live: the system to check.
        limits: of the plan, for the phase.
        sleep, clock: of the system; tests have their own.
        interval_s: seconds between rounds.

    Raises:
        ClientError, BotoCoreError: AWS credentials are missing or no longer valid.
    """
    gates = registry.gates_of(live.phase)
    steady = [gate for gate in gates if gate.kind == "steady"]
    once = [gate for gate in gates if gate.kind == "once"]
    results: Results = {}

    def ordered() -> list[GateResult]:
        return [results[gate.name] for gate in gates if gate.name in results]

    def verdict(sentence: str) -> Verdict:
        failed = [result for result in ordered() if not result.holds]
        return Verdict(not failed, ordered(), failed, sentence)

    with ProbeLoad(live, limits.canary_per_second, clock=clock) as probe_load:
        began = clock()
        while True:
            observation = Observation(live, limits, probe_load)
            if _run(steady, live, observation, results):
                _run_pending(once, live, observation, results)
            yield ordered()
            if len(results) == len(gates) and all(result.holds for result in results.values()):
                break
            if any(result.permanent for result in results.values()):
                return verdict("A gate failed in a way that waiting cannot fix.")
            if clock() - began >= limits.settle_s:
                return verdict(f"Not all gates passed within {limits.settle_s} s.")
            sleep(interval_s)

        window = _begin_window(observation, limits)

        def observe() -> Observation:
            return Observation(live, limits, probe_load, window)

        while (left := window.ends - clock()) > 0:
            sleep(min(interval_s, left))
            elapsed = limits.window_s - max(0.0, window.ends - clock())
            passed = _run_twice(steady, live, observe, results)
            yield ordered()
            if not passed:
                return verdict(f"A gate failed after {elapsed:.0f} of {limits.window_s} s.")
        if _run_twice([gate for gate in once if not gate.last], live, observe, results):
            _run([gate for gate in once if gate.last], live, observe(), results)
        yield ordered()
        if any(not result.holds for result in results.values()):
            return verdict(f"After {limits.window_s} s these gates failed when they were checked once more.")
        return verdict(f"All {len(gates)} gates passed for {limits.window_s} s.")


def _begin_window(observation: Observation, limits: Gates) -> Window:
    """A window that begins now, with the tasks of the last round."""
    began = observation.probe_load.clock()
    return Window(
        began=began,
        ends=began + limits.window_s,
        desired=observation.desired,
        running=frozenset(task["taskArn"] for task in observation.ours),
        stopped=frozenset(observation.stopped),
    )


def _run(gates: list[Gate], live: LiveTarget, observation: Observation, results: Results) -> bool:
    """Check the gates; returns whether all pass."""
    results |= {gate.name: gate.run(live, observation) for gate in gates}
    return all(results[gate.name].holds for gate in gates)


def _run_pending(gates: list[Gate], live: LiveTarget, observation: Observation, results: Results) -> None:
    """Check the gates that have not passed yet."""
    for gate in gates:
        waits = gate.last and any(not result.holds for result in results.values())
        if not waits and not (gate.name in results and results[gate.name].holds):
            results[gate.name] = gate.run(live, observation)


def _run_twice(gates: list[Gate], live: LiveTarget, observe: Callable[[], Observation], results: Results) -> bool:
    """Check the gates, and those that fail a second time at once, with a new observation."""
    if _run(gates, live, observe(), results):
        return True
    failed = [gate for gate in gates if gate.again and not results[gate.name].holds]
    _run(failed, live, observe(), results)
    return all(results[gate.name].holds for gate in gates)
