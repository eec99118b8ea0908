"""Shows a rollout: as a live view on a terminal, as lines of a log elsewhere; both have the same content."""

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
from deploy.lenient import seconds
from deploy.next_command import NO_OPTIONS, OptionsInUse
from deploy.record.phases import MARKERS
from deploy.record.trail import GateResult
from deploy.text import printable

LONGEST_NAME = max(len(gate.name) for gate in GATES)
LINES_SHOWN = 8  # below the tables
LONGEST = 2000  # characters of a line, which may quote AWS, a container's log or a person
GOOD = {"healthy", "HEALTHY", "RUNNING", "COMPLETED"}
BAD = {"unhealthy", "UNHEALTHY", "STOPPED", "FAILED"}


class LogReporter:
    """Prints each line once, and again when it changes; for logs of CI and for pipes.

    Args:
        stream: stderr by default, which keeps stdout free for --json.
        options: that are added to commands in a line, so that they can be pasted.
    """

    def __init__(self, stream: TextIO | None = None, options: OptionsInUse = NO_OPTIONS) -> None:
        self._stream = stream or sys.stderr
        self._options = options
        self._began = time.monotonic()
        self._printed: dict[str, str] = {}
        self._events: set[Event] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begin_phase(self, phase: Phase, title: str, expected: float) -> None:
        """Show that a phase begins, and that it usually takes `expected` seconds."""
        self._printed.clear()
        self.say(f"── {phase}: {title}, takes about {expected:.0f} s")

    def show_proven(self, phases: Sequence[Phase]) -> None:
        """Show which phases are proven; only the live view does."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        yield

    def say(self, line: str) -> None:
        """Print one line."""
        spent = time.monotonic() - self._began
        print(f"{int(spent // 60):3}:{spent % 60:04.1f}  {self._line(line)}", file=self._stream, flush=True)

    def _line(self, line: str) -> str:
        return printable(self._options.text(line), LONGEST)

    def show_snapshot(self, snapshot: ServiceSnapshot, deployment: str) -> None:
        """Print what has changed since the last snapshot."""
        current = snapshot.deployment(deployment)
        if current is not None:
            tasks = f"{current.running} of {current.desired} tasks run, {current.pending} pending"
            tasks += f", {current.failed} failed" if current.failed else ""
            self._changed("deployment", f"{deployment} {current.rollout}: {tasks}")
        for task in snapshot.tasks:
            age = new_or_old(task, deployment)
            self._changed(task.id, f"task {task.id[:8]} {age} {task.status}, health {task.health}")
        for target in snapshot.targets:
            reason = f": {printable(target.why)}" if target.why else ""
            self._changed(f"target {target.address}", f"target {target.address} is {target.state}{reason}")
        for event in snapshot.events:
            if event not in self._events:
                self._events.add(event)
                if current is None or seconds(event.at) >= seconds(current.created):
                    self.say(f"ECS: {printable(event.text, 300)}")

    def show_gates(self, results: Sequence[GateResult], passed_s: float, window_s: float) -> None:
        """Print which gates have changed; all of them have passed for `passed_s` of `window_s` seconds."""
        for result in results:
            mark = "passed" if result.holds else "failed"
            if self._printed.get(f"gate {result.name}") != mark:
                self._printed[f"gate {result.name}"] = mark
                self.say(f"gate {result.name} {mark}: {printable(result.sentence, 300)}")
        if results and all(result.holds for result in results):
            tenths = int(10 * min(1.0, passed_s / window_s)) if window_s else 10
            self._changed("window", f"all {len(results)} gates have passed for {tenths * 10} % of {window_s:.0f} s")

    def _changed(self, key: str, line: str) -> None:
        if self._printed.get(key) != line:
            self._printed[key] = line
            self.say(line)


class LiveReporter(LogReporter):
    """Draws a table of tasks and gates on a terminal, several times a second."""

    def __init__(self, console: Console | None = None, options: OptionsInUse = NO_OPTIONS) -> None:
        super().__init__(options=options)
        self._console = console or Console(stderr=True)
        self._phase: Phase | None = None
        self._title = ""
        self._proven: tuple[Phase, ...] = ()
        self._lines: list[Text] = []
        self._snapshot: ServiceSnapshot | None = None
        self._deployment = ""
        self._phase_began = time.monotonic()
        self._expected = 1.0
        self._results: tuple[GateResult, ...] = ()
        self._window = (0.0, 1.0)
        # Last, since it draws at once.
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self.drawing)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin_phase(self, phase: Phase, title: str, expected: float) -> None:
        """Begin with an empty table."""
        super().begin_phase(phase, title, expected)
        self._phase, self._title, self._expected = phase, printable(title), expected
        self._phase_began = time.monotonic()
        self._snapshot, self._results, self._window = None, (), (0.0, 1.0)

    def show_proven(self, phases: Sequence[Phase]) -> None:
        """Draw these phases as proven; no phase has begun yet."""
        self._proven, self._phase = tuple(phases), None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop drawing until the question is answered."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def say(self, line: str) -> None:
        """Print a line below the tables; before a phase begins, above them, where the differences stay in sight."""
        line = self._line(line)
        if self._phase is None:
            self._console.print(Text(line))
            return
        spent = time.monotonic() - self._began
        stamp = f"{int(spent // 60):3}:{int(spent % 60):02}  "
        self._lines = [*self._lines[-(LINES_SHOWN - 1) :], Text.assemble((stamp, "dim"), line)]

    def show_snapshot(self, snapshot: ServiceSnapshot, deployment: str) -> None:
        """Draw the tasks, and print what has changed."""
        self._snapshot, self._deployment = snapshot, deployment
        super().show_snapshot(snapshot, deployment)

    def show_gates(self, results: Sequence[GateResult], passed_s: float, window_s: float) -> None:
        """Draw the gates, and print which have changed."""
        self._results, self._window = tuple(results), (passed_s, window_s)
        super().show_gates(results, passed_s, window_s)

    def drawing(self) -> RenderableType:
        """What the terminal shows now."""
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
        parts += [tables, Panel(Group(*self._lines), title="events", title_align="left", border_style="dim")]
        return Group(*parts)

    def _trail(self) -> Text:
        trail = Text("  ")
        for phase in PHASES:
            if phase in self._proven:
                trail.append(f"{MARKERS[phase].sign} {phase}", style="bold green")
            elif phase == self._phase:
                trail.append(f"🐌 {phase}", style="bold yellow")
            else:
                trail.append(f"·  {phase}", style="dim")
            if phase != PHASES[-1]:
                trail.append(" ━━━━━ " if phase in self._proven else " ┄┄┄┄┄ ", style="dim")
        return trail

    def _tasks(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, expand=True, border_style="dim")
        for column in ("task", "status", "health", "target"):
            table.add_column(column, no_wrap=True)
        if self._snapshot is None:
            return table
        targets = {target.address: target for target in self._snapshot.targets}
        for task in self._snapshot.tasks:
            target = targets.get(task.address or "")
            name = Text(f"{printable(task.id[:8])} {new_or_old(task, self._deployment)}")
            states = (task.status, task.health, target.state if target else "–")
            table.add_row(name, *(coloured(state) for state in states))
        return table

    def _gates(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, expand=True, border_style="dim")
        table.add_column("gate", no_wrap=True, min_width=LONGEST_NAME + 2)
        table.add_column("result", overflow="ellipsis", no_wrap=True)
        for result in self._results:
            mark = Text("✔", style="green") if result.holds else Text("✘", style="red")
            table.add_row(
                mark.append(f" {result.name}", style="default"),
                Text(printable(result.sentence), style="" if result.holds else "red"),
            )
        passed, window = self._window
        if not self._results:
            return table
        bar = ProgressBar(total=max(window, 1e-9), completed=min(passed, window), complete_style="green")
        return Group(table, bar)


def coloured(state: str) -> Text:
    """A state in green if it is good, in red if it is bad, else in yellow."""
    return Text(printable(state), style="red" if state in BAD else "green" if state in GOOD else "yellow")


def new_or_old(task: Task, deployment: str) -> str:
    """Whether the deployment started the task."""
    return "new" if task.started_by == deployment else "old"


def make_reporter(plain: bool, options: OptionsInUse = NO_OPTIONS) -> LogReporter:
    """A live view on a terminal, unless `plain`; options as in `LogReporter`."""
    console = Console(stderr=True)
    return LogReporter(options=options) if plain or not console.is_terminal else LiveReporter(console, options)
