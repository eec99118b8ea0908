"""Asks the gates of a phase round by round: until all hold, then for a whole window, then once more.

watch = Watch(live, live.limits)
for results in watch:        # after each round, all that is known
    …
watch.verdict.held
"""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from deploy.config.plan import Gates
from deploy.gates import registry as table
from deploy.gates.gate import Gate
from deploy.gates.observation import Observation, Window
from deploy.gates.probe_load import ProbeLoad
from deploy.gates.result import GateResult
from deploy.gates.target import LiveTarget

INTERVAL_S = 5.0  # between rounds
Results = dict[str, GateResult]


@dataclass(frozen=True)
class Verdict:
    """How it ended.

    Attributes:
        held: all gates held for the whole window.
        results: the last of each gate that was asked, in the table's order.
        failed: those that do not hold.
        sentence: for people.
    """

    held: bool
    results: list[GateResult]
    failed: list[GateResult]
    sentence: str


class Watch:
    """`watch`, for who iterates and then wants the verdict; None while it is not known."""

    def __init__(
        self,
        live: LiveTarget,
        limits: Gates,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.verdict: Verdict | None = None
        self._rounds = watch(live, limits, sleep, clock, interval_s)

    def __iter__(self) -> Iterator[list[GateResult]]:
        self.verdict = yield from self._rounds


def watch(
    live: LiveTarget,
    limits: Gates,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    interval_s: float = INTERVAL_S,
) -> Generator[list[GateResult], None, Verdict]:
    """Ask until it is certain; yields all results after each round.

    First the system settles: within `settle_s` all gates must hold at the same time, those that are asked once
    included. Then the window: in each round all steady gates must hold; one that does not is asked again at once, since
    a packet may be lost, and a second miss ends it. At its end the others are asked once more.

    Args:
        live: that is asked.
        limits: of the plan, for the phase.
        sleep, clock: of the system; tests have their own.
        interval_s: seconds between rounds.

    Returns:
        The verdict.

    Raises:
        ClientError, BotoCoreError: AWS credentials are missing or no longer valid.
    """
    gates = table.of(live.phase)
    steady = [one for one in gates if one.kind == "steady"]
    once = [one for one in gates if one.kind == "once"]
    results: Results = {}

    def told() -> list[GateResult]:
        return [results[one.name] for one in gates if one.name in results]

    def verdict(sentence: str) -> Verdict:
        failed = [one for one in told() if not one.holds]
        return Verdict(not failed, told(), failed, sentence)

    with ProbeLoad(live, limits.canary_per_second, clock=clock) as canary:
        began = clock()
        while True:
            seen = Observation(live, limits, canary)
            if _ask(steady, live, seen, results):
                _ask_in_turn(once, live, seen, results)
            yield told()
            if len(results) == len(gates) and all(one.holds for one in results.values()):
                break
            if any(one.hopeless for one in results.values()):
                return verdict("It cannot settle any more.")
            if clock() - began >= limits.settle_s:
                return verdict(f"It did not settle within {limits.settle_s} s.")
            sleep(interval_s)

        window = _window(seen, limits)
        while (left := window.ends - clock()) > 0:
            sleep(min(interval_s, left))
            lasted = limits.window_s - max(0.0, window.ends - clock())
            held = _ask_twice(steady, live, lambda: Observation(live, limits, canary, window), results)
            yield told()
            if not held:
                return verdict(f"It did not hold for {limits.window_s} s: after {lasted:.0f} s a gate failed.")
        if _ask_twice(
            [one for one in once if not one.last], live, lambda: Observation(live, limits, canary, window), results
        ):
            _ask([one for one in once if one.last], live, Observation(live, limits, canary, window), results)
        yield told()
        if any(not one.holds for one in results.values()):
            return verdict(f"The others held for {limits.window_s} s; asked once more at the end, these did not.")
        return verdict(f"All {len(gates)} gates held for {limits.window_s} s.")


def _window(seen: Observation, limits: Gates) -> Window:
    """Begins now, with what the round before has seen."""
    began = seen.canary.clock()
    return Window(
        began=began,
        ends=began + limits.window_s,
        wanted=seen.wanted,
        running=frozenset(one["taskArn"] for one in seen.ours),
        stopped=frozenset(seen.stopped),
    )


def _ask(gates: list[Gate], live: LiveTarget, seen: Observation, results: Results) -> bool:
    """Whether all of them hold."""
    results |= {one.name: one.ask(live, seen) for one in gates}
    return all(results[one.name].holds for one in gates)


def _ask_in_turn(gates: list[Gate], live: LiveTarget, seen: Observation, results: Results) -> None:
    """Ask those that have not held yet."""
    for one in gates:
        waits = one.last and any(not known.holds for known in results.values())
        if not waits and not (one.name in results and results[one.name].holds):
            results[one.name] = one.ask(live, seen)


def _ask_twice(gates: list[Gate], live: LiveTarget, look: Callable[[], Observation], results: Results) -> bool:
    """Whether all of them hold; those that do not are asked again at once, in a round of their own."""
    if _ask(gates, live, look(), results):
        return True
    again = [one for one in gates if one.again and not results[one.name].holds]
    _ask(again, live, look(), results)
    return all(results[one.name].holds for one in gates)
