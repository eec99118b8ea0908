"""What a person sees of a rollout: a live view on a terminal, plain lines elsewhere; both tell the same."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bentos.skin.settings import Phase
from deploy.aws.service import Event, ServiceSnapshot
from deploy.aws.task import Task
from deploy.config.plan import PHASES
from deploy.gates.registry import GATES
from deploy.gates.result import GateResult
from deploy.lenient import seconds
from deploy.next_command import NO_OPTIONS, OptionsInUse
from deploy.text import printable

MARKERS: dict[Phase, str] = {"simple": "🎯", "hybrid": "🔍", "foundation": "🏗️", "full": "🏆"}
LONGEST_NAME = max(len(one.name) for one in GATES)
LAST = 8  # lines of what happened that stay in sight
LONGEST = 2000  # characters of a line; AWS's own words, a container's and a person's may be in it
STATES = {"healthy": "green", "HEALTHY": "green", "RUNNING": "green", "COMPLETED": "green"}
BAD = {"unhealthy", "UNHEALTHY", "STOPPED", "FAILED"}


class LogReporter:
    """Lines, each said once and when it changes; for logs of CI and for pipes.

    Args:
        stream: where to; stderr keeps stdout free for --json.
        options: that commands in a line need, so that they can be pasted.
    """

    def __init__(self, stream: TextIO | None = None, options: OptionsInUse = NO_OPTIONS) -> None:
        self._stream = stream or sys.stderr
        self._options = options
        self._began = time.monotonic()
        self._said: dict[str, str] = {}
        self._events: set[Event] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begin(self, phase: Phase, title: str, expected: float) -> None:
        """A phase is tried; `expected` seconds are usual."""
        self._said.clear()
        self.say(f"── {phase}: {title}, takes about {expected:.0f} s")

    def proven(self, phases: Sequence[Phase]) -> None:
        """Which phases are proven; the live view draws them."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While a person is asked something."""
        yield

    def say(self, line: str) -> None:
        """Tell something."""
        spent = time.monotonic() - self._began
        print(f"{int(spent // 60):3}:{spent % 60:04.1f}  {self._line(line)}", file=self._stream, flush=True)

    def _line(self, line: str) -> str:
        return printable(self._options.text(line), LONGEST)

    def picture(self, seen: ServiceSnapshot, deployment: str) -> None:
        """Say what has changed."""
        ours = seen.deployment(deployment)
        if ours is not None:
            self._changed(
                "deployment",
                f"{deployment} {ours.rollout}: {ours.running} of {ours.desired} tasks run, {ours.pending} pending"
                + (f", {ours.failed} failed" if ours.failed else ""),
            )
        for task in seen.tasks:
            self._changed(task.id, f"task {task.id[:8]} {whose(task, deployment)} {task.status}, health {task.health}")
        for target in seen.targets:
            why = f": {printable(target.why)}" if target.why else ""
            self._changed(f"target {target.address}", f"target {target.address} is {target.state}{why}")
        for event in seen.events:
            if event not in self._events:
                self._events.add(event)
                if ours is None or seconds(event.at) >= seconds(ours.created):
                    self.say(f"ECS: {printable(event.text, 300)}")

    def gates(self, results: Sequence[GateResult], held_s: float, window_s: float) -> None:
        """Say which gates have changed."""
        for one in results:
            mark = "holds" if one.holds else "does not hold"
            if self._said.get(f"gate {one.name}") != mark:
                self._said[f"gate {one.name}"] = mark
                self.say(f"gate {one.name} {mark}: {printable(one.sentence, 300)}")
        if results and all(one.holds for one in results):
            tenths = int(10 * min(1.0, held_s / window_s)) if window_s else 10
            self._changed("window", f"all {len(results)} gates hold, for {tenths * 10} % of {window_s:.0f} s")

    def _changed(self, key: str, line: str) -> None:
        if self._said.get(key) != line:
            self._said[key] = line
            self.say(line)


class LiveReporter(LogReporter):
    """The same, drawn and redrawn on a terminal."""

    def __init__(self, console: Console | None = None, options: OptionsInUse = NO_OPTIONS) -> None:
        super().__init__(options=options)
        self._console = console or Console(stderr=True)
        self._phase: Phase | None = None
        self._title = ""
        self._proven: tuple[Phase, ...] = ()
        self._lines: list[Text] = []
        self._seen: ServiceSnapshot | None = None
        self._deployment = ""
        self._phase_began = time.monotonic()
        self._expected = 1.0
        self._results: tuple[GateResult, ...] = ()
        self._held = (0.0, 1.0)
        # Last: it draws at once.
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self._drawn)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, phase: Phase, title: str, expected: float) -> None:
        """Redrawn from an empty table."""
        super().begin(phase, title, expected)
        self._phase, self._title, self._expected = phase, printable(title), expected
        self._phase_began = time.monotonic()
        self._seen, self._results, self._held = None, (), (0.0, 1.0)

    def proven(self, phases: Sequence[Phase]) -> None:
        """Drawn as stations that are behind; the next phase is looked at, and has not begun."""
        self._proven, self._phase = tuple(phases), None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Drawn no longer, and again afterwards."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def say(self, line: str) -> None:
        """Into the lines below the tables; before a phase has begun above all, where it stays: what would change."""
        line = self._line(line)
        if self._phase is None:
            self._console.print(Text(line))
            return
        spent = time.monotonic() - self._began
        stamp = f"{int(spent // 60):3}:{int(spent % 60):02}  "
        self._lines = [*self._lines[-(LAST - 1) :], Text.assemble((stamp, "dim"), line)]

    def picture(self, seen: ServiceSnapshot, deployment: str) -> None:
        """Kept for the next drawing, beside what is said of it."""
        self._seen, self._deployment = seen, deployment
        super().picture(seen, deployment)

    def gates(self, results: Sequence[GateResult], held_s: float, window_s: float) -> None:
        """Kept, as above."""
        self._results, self._held = tuple(results), (held_s, window_s)
        super().gates(results, held_s, window_s)

    def _drawn(self) -> RenderableType:
        parts: list[RenderableType] = [self._trail()]
        if self._phase is None:
            return parts[0]
        spent = time.monotonic() - self._phase_began
        clock = Text.assemble(
            (f"{int(spent // 60)}:{int(spent % 60):02}", "bold"),
            (f" of about {int(self._expected // 60)}:{int(self._expected % 60):02}", "dim"),
        )
        parts.append(Text.assemble("  ", (self._title, "bold"), "  ", clock))
        tables = Table.grid(expand=True, padding=(0, 2))
        tables.add_column(ratio=2)
        tables.add_column(ratio=3)
        tables.add_row(self._tasks(), self._gates())
        parts += [tables, Panel(Group(*self._lines), title="what happens", title_align="left", border_style="dim")]
        return Group(*parts)

    def _trail(self) -> Text:
        drawn = Text("  ")
        for phase in PHASES:
            if phase in self._proven:
                drawn.append(f"{MARKERS[phase]} {phase}", style="bold green")
            elif phase == self._phase:
                drawn.append(f"🐌 {phase}", style="bold yellow")
            else:
                drawn.append(f"·  {phase}", style="dim")
            if phase != PHASES[-1]:
                drawn.append(" ━━━━━ " if phase in self._proven else " ┄┄┄┄┄ ", style="dim")
        return drawn

    def _tasks(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, expand=True, border_style="dim")
        for column in ("task", "status", "health", "target"):
            table.add_column(column, no_wrap=True)
        seen = self._seen
        if seen is None:
            return table
        states = {one.address: one for one in seen.targets}
        for task in seen.tasks:
            target = states.get(task.address)
            name = Text(f"{printable(task.id[:8])} {whose(task, self._deployment)}")
            table.add_row(name, *(coloured(one) for one in (task.status, task.health, target.state if target else "–")))
        return table

    def _gates(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, expand=True, border_style="dim")
        table.add_column("gate", no_wrap=True, min_width=LONGEST_NAME + 2)
        table.add_column("seen", overflow="ellipsis", no_wrap=True)
        for one in self._results:
            mark = Text("✔", style="green") if one.holds else Text("✘", style="red")
            table.add_row(
                mark.append(f" {one.name}", style="default"),
                Text(printable(one.sentence), style="" if one.holds else "red"),
            )
        held, window = self._held
        if not self._results:
            return table
        bar = ProgressBar(total=max(window, 1e-9), completed=min(held, window), complete_style="green")
        return Group(table, bar)


def coloured(word: str) -> Text:
    """Green where all is well, red where it is not."""
    return Text(printable(word), style="red" if word in BAD else STATES.get(word, "yellow"))


def whose(task: Task, deployment: str) -> str:
    """Whether a task is of the deployment that is followed."""
    return "new" if task.started_by == deployment else "old"


def view(plain: bool, options: OptionsInUse = NO_OPTIONS) -> LogReporter:
    """A live one on a terminal, unless lines are wanted; options: as of `LogReporter`."""
    console = Console(stderr=True)
    return LogReporter(options=options) if plain or not console.is_terminal else LiveReporter(console, options)
