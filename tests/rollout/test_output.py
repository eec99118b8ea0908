"""What an operator sees: each line once and when it changes; the same as a live view on a terminal."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from deploy.aws.network import Target
from deploy.aws.service import Deployment, Event, ServiceSnapshot
from deploy.aws.task import Task
from deploy.record.trail import GateResult
from deploy.rollout.output import LiveReporter, LogReporter, make_reporter

NOW = datetime(2026, 11, 3, 12, 4, tzinfo=UTC)
NEW, OLD = "ecs-svc/2", "ecs-svc/1"
DEPLOYMENT = Deployment(
    id=NEW,
    status="PRIMARY",
    rollout="IN_PROGRESS",
    task_definition="td:2",
    desired=2,
    running=1,
    pending=1,
    created=NOW,
)
TASKS = [
    Task(id=name, status="RUNNING", health="HEALTHY", started_by=deployment, digest="sha256:1", address=address)
    for name, deployment, address in (("aaaaaaaa1111", NEW, "127.0.0.2"), ("bbbbbbbb2222", OLD, "127.0.0.3"))
]
TARGETS = [Target(address="127.0.0.2", state="healthy"), Target(address="127.0.0.3", state="draining")]
SEEN = ServiceSnapshot(NOW, {}, [DEPLOYMENT], TASKS, TARGETS, [Event(at=NOW, text="has started\x1b[2J 1 tasks")])


def gate(name: str, holds: bool) -> GateResult:
    return GateResult(name=name, title=name, holds=holds, sentence=f"{name} was checked.", at=NOW)


def test_each_line_is_printed_once_and_again_when_it_changes() -> None:
    stream = io.StringIO()
    plain = LogReporter(stream)
    plain.begin_phase("hybrid", "shine", 78)
    for _ in range(3):
        plain.show_snapshot(SEEN, NEW)
        plain.show_gates([gate("health", True), gate("cors", False)], 0, 4)
    done = DEPLOYMENT.model_copy(update={"rollout": "COMPLETED", "running": 2, "pending": 0})
    plain.show_snapshot(replace(SEEN, deployments=[done]), NEW)
    plain.show_gates([gate("health", True), gate("cors", True)], 2, 4)
    output = [line[10:] for line in stream.getvalue().splitlines()]  # without the time
    assert output == [
        "── hybrid: shine, takes about 78 s",
        "ecs-svc/2 IN_PROGRESS: 1 of 2 tasks run, 1 pending",
        "task aaaaaaaa new RUNNING, health HEALTHY",
        "task bbbbbbbb old RUNNING, health HEALTHY",
        "target 127.0.0.2 is healthy",
        "target 127.0.0.3 is draining",
        "ECS: has started\\x1b[2J 1 tasks",
        "gate health passed: health was checked.",
        "gate cors failed: cors was checked.",
        "ecs-svc/2 COMPLETED: 2 of 2 tasks run, 0 pending",
        "gate cors passed: cors was checked.",
        "all 2 gates have passed for 50 % of 4 s",
    ]


def test_the_live_view_shows_phases_tasks_gates_and_events() -> None:
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=120)
    with LiveReporter(console) as screen:
        screen.show_proven(("simple",))
        screen.say("SHINE_PHASE: simple → hybrid")
        screen.begin_phase("hybrid", "shine", 78)
        screen.show_snapshot(SEEN, NEW)
        screen.show_gates([gate("health", True), gate("cors", False)], 0, 4)
        console.print(screen.drawing())
    text = console.export_text()
    assert "SHINE_PHASE: simple → hybrid" in text  # what would change stays above
    for part in ("🎯 simple", "🐌 hybrid", "aaaaaaaa new", "draining", "✔ health", "✘ cors", "of about 1:18"):
        assert part in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("plain", [True, False])
def test_without_a_terminal_there_are_lines(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_reporter(plain)) is LogReporter
