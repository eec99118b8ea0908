"""Rounds of gates: which gate is checked when, and what ends the rounds; by a clock that only `sleep` moves."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from bentos.skin.settings import Phase
from deploy.config.plan import Gates
from deploy.gates import registry
from deploy.gates.gate import Gate, GateOutcome, failed, passed
from deploy.gates.observation import Observation, Window
from deploy.gates.run import Verdict, run_gates
from deploy.gates.target import LiveTarget
from deploy.record.trail import GateResult
from tests.rollout.live_account import run_to_end
from tests.rollout.test_gates_traffic import service

LIMITS = Gates(window_s=20, settle_s=30, canary_per_second=1)
INTERVAL_S = 5.0


@dataclass
class Scene:
    """Gates that pass or fail as a script says, and when they were checked.

    Attributes:
        script: by gate, what comes in turn: "+" holds, "-" does not, "!" fails permanently; the last one stays.
        asked: (seconds, gate), in turn.
    """

    script: dict[str, str] = field(default_factory=dict)
    now: float = 0.0
    asked: list[tuple[float, str]] = field(default_factory=list)
    windows: list[Window | None] = field(default_factory=list)

    def gate(self, name: str, **options: Any) -> Gate:
        def check(_: LiveTarget, observation: Observation) -> GateOutcome:
            self.asked.append((self.now, name))
            self.windows.append(observation.window)
            script = self.script.get(name, "+")
            turn = script[min(sum(item == name for _, item in self.asked), len(script)) - 1]
            return passed("Fine.") if turn == "+" else failed(f"{name} fails.", permanent=turn == "!")

        return Gate(name, name, check, **options)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def times(self, name: str) -> list[float]:
        """When a gate was asked."""
        return [at for at, item in self.asked if item == name]


class Account:
    """What the beginning of a window reads from AWS."""

    desired = 2
    ours = ({"taskArn": "runs"},)
    stopped = ("stopped-before",)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    gates = (
        made.gate("steady"),
        made.gate("share", again=False),
        made.gate("once", kind="once"),
        made.gate("log", kind="once"),
        made.gate("load", kind="once", last=True, again=False),
    )
    monkeypatch.setattr(registry, "GATES", gates)
    for name in ("desired", "ours", "stopped"):
        monkeypatch.setattr(Observation, name, getattr(Account, name))
    return made


@pytest.fixture
def live() -> Iterator[LiveTarget]:
    made = service(lambda _: httpx.Response(200, json={"source": "model"}))
    yield made
    made.close()


def watched(live: LiveTarget, scene: Scene, limits: Gates = LIMITS) -> tuple[Verdict, list[list[GateResult]]]:
    rounds, verdict = run_to_end(run_gates(live, limits, scene.sleep, lambda: scene.now, INTERVAL_S))
    return verdict, rounds


def test_all_gates_hold_for_the_whole_window_and_the_once_ones_again_at_its_end(live: LiveTarget, scene: Scene) -> None:
    verdict, rounds = watched(live, scene)
    assert verdict.passed
    assert [result.name for result in verdict.results] == ["steady", "share", "once", "log", "load"]
    assert verdict.failed == []
    assert verdict.sentence == "All 5 gates passed for 20 s."
    assert scene.times("steady") == scene.times("share") == [0, 5, 10, 15, 20]
    assert scene.times("once") == scene.times("load") == [0, 20]
    assert len(rounds) == 6
    window = Window(0, 20, desired=2, running=frozenset({"runs"}), stopped=frozenset({"stopped-before"}))
    assert scene.windows == [None] * 5 + [window] * 11


def test_while_it_settles_nothing_else_is_asked_and_what_held_once_is_not_asked_again(
    live: LiveTarget, scene: Scene
) -> None:
    scene.script = {"steady": "--+", "log": "--+"}
    verdict, rounds = watched(live, scene)
    assert verdict.passed
    assert scene.times("steady")[:5] == [0, 5, 10, 15, 20]
    assert scene.times("once") == [10, 40]
    assert scene.times("log") == [10, 15, 20, 40]
    assert scene.times("load") == [20, 40]
    assert [[result.holds for result in results] for results in rounds[:4]] == [
        [False, True], [False, True], [True, True, True, False], [True, True, True, False],
    ]  # fmt: skip


def test_what_does_not_settle_in_time_fails(live: LiveTarget, scene: Scene) -> None:
    scene.script = {"log": "-"}
    verdict, rounds = watched(live, scene)
    assert not verdict.passed
    assert [item.name for item in verdict.failed] == ["log"]
    assert verdict.sentence == "Not all gates passed within 30 s."
    assert (scene.now, len(rounds)) == (30, 7)
    assert scene.times("load") == []


def test_a_permanent_failure_is_not_waited_for(live: LiveTarget, scene: Scene) -> None:
    scene.script = {"steady": "-!"}
    verdict, _ = watched(live, scene)
    assert not verdict.passed
    assert scene.now == 5
    assert verdict.sentence == "A gate failed in a way that waiting cannot fix."


def test_a_single_miss_is_asked_again_at_once_and_forgiven(live: LiveTarget, scene: Scene) -> None:
    scene.script = {"steady": "++-+", "once": "+-+"}
    verdict, _ = watched(live, scene)
    assert verdict.passed
    assert scene.times("steady") == [0, 5, 10, 10, 15, 20]
    assert scene.times("share") == [0, 5, 10, 15, 20]  # which held
    assert scene.times("once") == [0, 20, 20]


def test_two_misses_in_a_row_end_the_window(live: LiveTarget, scene: Scene) -> None:
    scene.script = {"steady": "++--+"}
    verdict, rounds = watched(live, scene)
    assert not verdict.passed
    assert scene.times("steady") == [0, 5, 10, 10]
    assert scene.times("once") == [0]
    assert verdict.sentence == "A gate failed after 10 of 20 s."
    assert [item.name for item in verdict.failed] == [item.name for item in rounds[-1] if not item.holds] == ["steady"]


def test_a_share_of_many_requests_is_not_asked_again(live: LiveTarget, scene: Scene) -> None:
    scene.script = {"share": "++-+"}
    verdict, _ = watched(live, scene)
    assert not verdict.passed
    assert scene.times("share") == [0, 5, 10]


@pytest.mark.parametrize(("script", "loads"), [({"once": "+--"}, [0]), ({"load": "+-+"}, [0, 20])])
def test_what_fails_at_the_end_fails(
    live: LiveTarget, scene: Scene, script: dict[str, str], loads: list[float]
) -> None:
    scene.script = script
    verdict, _ = watched(live, scene)
    assert not verdict.passed
    assert [item.name for item in verdict.failed] == list(script)
    assert verdict.sentence == "After 20 s these gates failed when they were checked once more."
    assert scene.times("load") == loads


def test_a_window_of_no_time_is_one_look(live: LiveTarget, scene: Scene) -> None:
    verdict, _ = watched(live, scene, Gates(window_s=0, settle_s=0))
    assert verdict.passed
    assert scene.times("steady") == [0]


def test_rounds_are_no_longer_apart_than_the_window_lasts(live: LiveTarget, scene: Scene) -> None:
    watched(live, scene, Gates(window_s=12, settle_s=0))
    assert scene.times("steady") == [0, 5, 10, 12]


@pytest.fixture
def photos() -> Iterator[tuple[LiveTarget, list[float]]]:
    """A service, and when it was sent photos."""
    sent: list[float] = []

    def answer(_: httpx.Request) -> httpx.Response:
        sent.append(time.monotonic())
        return httpx.Response(200, json={"source": "model"})

    made = service(answer)
    yield made, sent
    made.close()


QUICK = Gates(window_s=20, settle_s=30, canary_per_second=20)


def flies(sent: list[float]) -> None:
    """Assert that another photo is sent."""
    before, ends = len(sent), time.monotonic() + 10
    while len(sent) == before:
        assert time.monotonic() < ends
        time.sleep(0.01)


def rests(sent: list[float]) -> None:
    """Assert that, but for what was on its way, no photo is sent any more."""
    time.sleep(0.2)
    before = len(sent)
    time.sleep(0.3)
    assert len(sent) == before


@pytest.mark.usefixtures("scene")
def test_the_probe_load_runs_meanwhile_and_no_longer(photos: tuple[LiveTarget, list[float]]) -> None:
    live, sent = photos
    rounds = run_gates(live, QUICK, lambda _: None)
    next(rounds)
    flies(sent)
    rounds.close()
    rests(sent)


def test_lost_credentials_end_the_rounds_and_the_probe_load(
    photos: tuple[LiveTarget, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, sent = photos

    def lost(_: LiveTarget, __: Observation) -> GateOutcome:
        flies(sent)
        raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "DescribeServices")

    monkeypatch.setattr(registry, "GATES", (Gate("lost", "lost", lost),))
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        list(run_gates(live, QUICK, lambda _: None))
    rests(sent)


# --- the registry -----------------------------------------------------------------------------------------------------

SIMPLE = ["tasks_running", "digest", "targets_healthy", "health", "version", "cors", "analysis", "errors", "latency"]
HYBRID = [*SIMPLE, "stable", "model_state", "metrics", "degradation"]
FOUNDATION = [*HYBRID, "model_from_s3", "cached", "logs"]
FULL = [*FOUNDATION, "model_answers", "ready", "alarms", "autoscaling", "https", "keys", "secrets", "load"]


@pytest.mark.parametrize(
    ("phase", "wanted"), [("simple", SIMPLE), ("hybrid", HYBRID), ("foundation", FOUNDATION), ("full", FULL)]
)
def test_each_phase_asks_its_own_gates_and_those_before(phase: Phase, wanted: list[str]) -> None:
    assert registry.names(phase) == wanted
    assert len({item.title for item in registry.gates_of(phase)}) == len(wanted)
