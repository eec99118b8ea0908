"""The progress page of `trail record`: Markdown for a repository or wiki, HTML as one file for browsers.

The templates beside this file hold the text; what they need is computed here. Other people write parts of the record
(logs, notes, names), so every value is escaped when it is inserted, in HTML and in Markdown.
"""

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploy.record import text
from deploy.record.drawing import TALL, WIDE, Point, Shape, draw
from deploy.record.phases import GateState, PhaseProgress, State, seconds_taken
from deploy.record.progress import Progress
from deploy.record.trail import Record

FOLDER = Path(__file__).parent
CSS = FOLDER / "page.css"
OPEN_DAYS = 7  # of the log; older ones are folded
LONGEST = 4000  # characters of one value on a page
MARKDOWN_SYNTAX = re.compile(r"([\\`*_\[\]|~])")  # what has a meaning within a line; < and & are escaped as in HTML
IN_CODE = str.maketrans({"`": "'", "|": "¦", "<": "‹"})
NOT_STARTED = "No phase has been started yet."
ALL_PROVEN = "All four phases are proven."
# When to run the next command, by the state of its phase.
NEXT_CONDITION: dict[State, str] = {
    "running": "if the rollout was interrupted",
    "failed": "after the problem is fixed",
}


class GateStatus(NamedTuple):
    """How a gate is shown."""

    css_class: str
    sign: str
    words: str


PASSED = GateStatus("yes", "✓", "passed")
FAILED = GateStatus("no", "✗", "failed")
NOT_PASSED_YET = GateStatus("wait", "…", "not passed yet")
NOT_CHECKED_YET = GateStatus("open", "·", "not checked yet")


def markdown(record: Record, progress: Progress) -> str:
    """The page as Markdown."""
    page = MARKDOWN.get_template("page.md.j2").render(record=record, progress=progress)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def html(record: Record, progress: Progress) -> str:
    """The page as one file of HTML that loads nothing and runs nothing."""
    return HTML.get_template("page.html.j2").render(
        record=record,
        progress=progress,
        pictures=[trail_svg(progress, shape) for shape in (WIDE, TALL)],
        open_days=OPEN_DAYS,
    )


def trail_svg(progress: Progress, shape: Shape) -> Markup:
    """The picture of the trail: the four phases, and the snail as far as the gates let it."""
    svg = HTML.get_template("trail.svg.j2").render(progress=progress, drawing=draw(progress.stations, shape))
    return Markup(svg)  # noqa: S704 - it is escaped


def gate_status(gate: GateState, phase: PhaseProgress) -> GateStatus:
    """A gate that failed may still pass while its phase runs."""
    if gate.holds is None:
        return NOT_CHECKED_YET
    if gate.holds:
        return PASSED
    return NOT_PASSED_YET if phase.state == "running" else FAILED


def _clean(value: Any) -> Any:
    """A value for HTML, on one line, without control characters and blanks around it; Jinja2 escapes it."""
    return value if isinstance(value, Markup) else text.clean("" if value is None else str(value), LONGEST)


def _markdown_text(value: Any) -> Markup:
    """A value for Markdown, with everything escaped that has a meaning there; fit for a table's cell."""
    if isinstance(value, Markup):
        return value
    return Markup(MARKDOWN_SYNTAX.sub(r"\\\1", escape(_clean(value), quote=False)))  # noqa: S704 - it is escaped


def _markdown_code(value: str) -> Markup:
    """Inline code. Nothing can be escaped within backquotes, so characters that would end it are replaced."""
    return Markup(f"`{text.clean(value).translate(IN_CODE)}`")  # noqa: S704 - it is escaped


def _point(point: Point) -> str:
    return f"{round(point[0], 1):g} {round(point[1], 1):g}"


def _line(points: Sequence[Point]) -> Markup:
    """Points of an SVG path; Markup, since it may be longer than LONGEST."""
    return Markup("L").join(map(_point, points))


def _optional(show: Callable[[Any], str]) -> Callable[[Any], str | None]:
    """A filter that leaves None alone; a page shows None as nothing."""
    return lambda value: None if value is None else show(value)


# `finalize` gets every value that a template inserts. So no template can forget to clean or escape one.
HTML = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_clean,
    trim_blocks=True,
    lstrip_blocks=True,
)
HTML.globals |= {
    "ALL_PROVEN": ALL_PROVEN,
    "NEXT_CONDITION": NEXT_CONDITION,
    "NOT_STARTED": NOT_STARTED,
    "gate_status": gate_status,
}
HTML.filters |= {
    "clock": text.clock,
    "css_class": lambda state: state.replace(" ", "-"),
    "day": text.day,
    "duration": _optional(text.duration),
    "gate_value": text.gate_value,
    "line": _line,
    "markdown_code": _optional(_markdown_code),
    "moment": _optional(text.moment),
    "person": text.person,
    "point": _point,
    "seconds_taken": seconds_taken,
    "short": _optional(text.short),
    "utc": text.utc,
}
MARKDOWN = HTML.overlay(finalize=_markdown_text)
