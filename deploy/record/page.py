"""The progress tracker as a page: Markdown for a repository or wiki, HTML as one file for browsers.

Whatever the record holds is text here and nothing else: logs, notes and names of others come in escaped.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path

from deploy.record.days import Day
from deploy.record.drawing import TALL, WIDE, picture, sign
from deploy.record.progress import Progress
from deploy.record.stations import Asked, Station
from deploy.record.telling import clean, clock, day, moment, person, short, span, utc, value
from deploy.record.trail import Note, Record

CSS = Path(__file__).with_name("page.css")
OPEN_DAYS = 7  # of the log; older ones are folded
MARKUP = re.compile(r"([\\`*_\[\]|~])")  # with a meaning in Markdown within a line; < and & go as in HTML
IN_CODE = str.maketrans({"`": "'", "|": "¦", "<": "‹"})
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
END = "The trail is walked to its end."
TYPED = "Only decisions are typed; all else is computed from what the gates saw."
NOTHING = "Nobody has set out yet."


def markdown(record: Record, progress: Progress) -> str:
    """The page as Markdown."""
    lines = [
        f"# The snail trail of {_md(record.service)}",
        "",
        f"Cluster {_md(record.cluster)}, account {_md(record.account)}, {_md(record.region)}. "
        f"As of {moment(progress.at)}. {TYPED}",
        "",
        f"**Progress: {progress.passed} of {progress.gates} gates ({progress.percent} %)**"
        + (f", on the way since {moment(progress.started)}." if progress.started else f". {NOTHING}"),
        "",
        f"- Runs: {_md(progress.current.sentence)}",
        f"- Next: {_code(progress.next) if progress.next else END}"
        + (f" ({_md(progress.advice)})" if progress.advice else ""),
        "",
        "| phase | marker | state | gates | begun | ended | took | image |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(one) for one in progress.stations),
        "",
    ]
    for one in progress.stations:
        lines += _section(one)
    lines += ["## Decisions", ""]
    lines += [f"- {moment(one.at)}, {_md(person(one.who))}: {_md(one.text)}" for one in reversed(record.notes)] or [
        'None yet; `trail record --note "…"` adds one.'
    ]
    lines += ["", "## Log", ""]
    for one_day in progress.days:
        lines += [f"### {_date(one_day)}", ""]
        lines += [f"- {clock(entry.at)} {_md(entry.text)}" for entry in one_day.entries]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _row(one: Station) -> str:
    cells = [
        f"{one.number} {one.phase}",
        str(one.marker) if one.proof else "",
        one.state,
        f"{one.passed}/{one.gates}",
        moment(one.started) if one.started else "",
        moment(one.ended) if one.ended else "",
        span(one.seconds) if one.seconds is not None else "",
        _code(short(one.digest)) if one.digest else "",
    ]
    return f"| {' | '.join(cells)} |"


def _section(one: Station) -> list[str]:
    lines = [f"## {one.number} {one.phase}: {one.state}", ""]
    lines += [f"- Reached: {_md(one.reached)}"] if one.reached else []
    lines += [f"- Reached before: {_md(_earlier(one))}"] if one.earlier else []
    lines += [f"- Blocks: {_md(one.blocks)}" + (f" ({_code(one.cause)})" if one.cause else "")] if one.blocks else []
    lines += [f"- Next: {_code(one.next)} {_when(one)}".rstrip()] if one.next else []
    lines += [""] if len(lines) > 2 else []
    if not one.asked:
        return lines
    return [
        *lines,
        "| gate | holds | seen | demanded |",
        "|---|---|---|---|",
        *(
            f"| {_md(gate.title)} | {HELD[_kind(gate, one)]} | {_md(value(gate.value))} | {_md(value(gate.limit))} |"
            for gate in one.asked
        ),
        "",
    ]


def html(record: Record, progress: Progress) -> str:
    """The page as one file of HTML that loads nothing and runs nothing."""
    title = f"The snail trail of {_text(record.service)}"
    since = moment(progress.started) if progress.started else None
    facts = [
        ("Runs", _text(progress.current.sentence)),
        ("Gates", f"{progress.passed} of {progress.gates} passed"),
        ("Begun", _time(progress.started) if progress.started and since else NOTHING),
        ("Next", f"{_command(progress.next) if progress.next else END}{_advice(progress)}"),
    ]
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n',
        f"<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n",
        f'<p class="eyebrow">The snail trail</p>\n<h1>{_text(record.service)}</h1>\n',
        f'<p class="where">Cluster {_text(record.cluster)} · account {_text(record.account)} · '
        f"{_text(record.region)}</p>\n",
        f"{picture(progress, WIDE)}\n{picture(progress, TALL)}\n",
        f'<section class="summary" aria-label="Progress"><div class="share">{progress.percent} <small>%</small></div>',
        f"{_facts(facts)}</section>\n",
        f'<ol class="stations">\n{"".join(map(_card, progress.stations))}</ol>\n',
        f"<h2>Decisions</h2>\n{_decisions(record.notes)}\n<h2>Log</h2>\n{_log(progress.days)}\n</main>\n",
        f"<footer>As of {_time(progress.at)}. {TYPED}</footer>\n</body>\n</html>\n",
    ]
    return "".join(parts)


def _card(one: Station) -> str:
    facts = []
    if one.started:
        facts.append(("Begun", _time(one.started)))
    if one.ended and one.seconds is not None:
        facts.append(("Proven", f"{_time(one.ended)}, after {span(one.seconds)}"))
    if one.digest:
        facts.append(("Image", f'<code title="{_text(one.digest)}">{_text(short(one.digest))}</code>'))
    if one.reached and not one.proof:  # the marker says it
        facts.append(("Reached", _text(one.reached)))
    if one.earlier:
        facts.append(("Before", _text(_earlier(one))))
    if one.blocks:
        cause = f" <code>{_text(one.cause)}</code>" if one.cause else ""
        facts.append(("Blocks", f'<span class="blocks">{_text(one.blocks)}</span>{cause}'))
    if one.next:
        when = f' <span class="quiet">{_when(one)}</span>' if _when(one) else ""
        facts.append(("Next", f"{_command(one.next)}{when}"))
    evidence = "\n".join(_text(line, 400) for line in one.evidence)
    state = one.state.replace(" ", "-")
    return (
        f'<li class="station {state}"><div class="head">{sign(one)}<div><h3>{one.number} {one.phase}</h3>'
        f'<p>{one.marker.title}: {one.marker.meaning}</p></div><span class="state">{one.state}</span></div>'
        f"{_bar(one)}{_reached_marker(one)}{_facts(facts) if facts else ''}"
        + (f"<details><summary>What shows it</summary><pre>{evidence}</pre></details>" if evidence else "")
        + _gates(one)
        + "</li>\n"
    )


def _reached_marker(one: Station) -> str:
    if one.proof is None:
        return ""
    took = (utc(one.proof.ended) - utc(one.proof.started)).total_seconds() if one.proof.ended else None
    by = f"{_text(person(one.proof.who))}, {_time(one.proof.ended or one.proof.started)}"
    by += f", {span(took)} after it began" if took is not None else ""
    title = f'<span aria-hidden="true">{one.marker.sign}</span> {one.marker.title}'
    return f'<p class="reached-marker">{title}<small>{by}</small></p>'


def _bar(one: Station) -> str:
    cells = "".join(f'<i class="{_kind(gate, one)}"></i>' for gate in one.asked)
    told = f"{one.passed} of {one.gates} gates passed"
    return f'<div class="bar" aria-hidden="true">{cells}</div><p class="quiet">{told}</p>'


def _gates(one: Station) -> str:
    if not one.asked:
        return ""
    rows = []
    for gate in one.asked:
        seen = f'<span class="seen">{_text(_seen(gate))}</span>' if gate.holds is not None else ""
        why = f'<span class="seen">{_text(gate.sentence)}</span>' if gate.sentence and not gate.holds else ""
        kind = _kind(gate, one)
        rows.append(
            f'<li class="{kind}"><b role="img" aria-label="{TOLD[kind]}" title="{TOLD[kind]}">{TICKS[kind]}</b>'
            f"<span>{_text(gate.title)}</span>{seen}{why}</li>"
        )
    opened = " open" if one.state in ("running", "failed") else ""
    return f'<details{opened}><summary>Gates</summary><ul class="gates">{"".join(rows)}</ul></details>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{told}</dd>" for name, told in facts)
    return f'<dl class="facts">{rows}</dl>'


def _decisions(notes: Sequence[Note]) -> str:
    if not notes:
        return '<p class="quiet">None yet; <code>trail record --note "…"</code> adds one.</p>'
    rows = "".join(
        f"<li>{_text(one.text, 4000)}<small>{_text(person(one.who))}, {_time(one.at)}</small></li>"
        for one in reversed(notes)
    )
    return f'<ul class="decisions">{rows}</ul>'


def _log(days: Sequence[Day]) -> str:
    if not days:
        return f'<p class="quiet">{NOTHING}</p>'
    parts = []
    for number, one in enumerate(days):
        rows = "".join(
            f'<li class="{entry.kind}"><time datetime="{entry.at.isoformat()}">{clock(entry.at)}</time> '
            f"{_text(entry.text, 1000)}</li>"
            for entry in one.entries
        )
        opened = " open" if number < OPEN_DAYS else ""
        parts.append(
            f'<details class="day"{opened}><summary>{_date(one)}</summary><ul class="log">{rows}</ul></details>'
        )
    return "".join(parts)


def _date(one: Day) -> str:
    return day(one.entries[0].at)


def _earlier(one: Station) -> str:
    proof = one.earlier
    if proof is None or proof.deployed is None:
        return ""
    return f"by image {short(proof.deployed.digest)}, {moment(proof.ended or proof.started)}."


def _when(one: Station) -> str:
    """Under which condition the next command of a phase is to be run."""
    if one.next == "trail why":
        return ""
    return {"running": "if nobody is at it", "failed": "once it is repaired"}.get(one.state, "")


def _kind(gate: Asked, one: Station) -> str:
    """yes, no, wait (it may still come to hold), open (not asked yet)."""
    if gate.holds is None:
        return "open"
    return "yes" if gate.holds else "wait" if one.state == "running" else "no"


TICKS = {"yes": "✓", "no": "✗", "wait": "…", "open": "·"}
HELD = {"yes": "✓ yes", "no": "✗ **no**", "wait": "not yet", "open": "not asked yet"}
TOLD = {"yes": "holds", "no": "does not hold", "wait": "does not hold yet", "open": "not asked yet"}


def _seen(gate: Asked) -> str:
    told = value(gate.value)
    return told if gate.limit is None else f"{told}; demanded {value(gate.limit)}"


def _time(at: datetime) -> str:
    return f'<time datetime="{utc(at).isoformat()}">{moment(at)}</time>'


def _command(text: str) -> str:
    return f'<code class="command">{_text(text)}</code>'


def _advice(progress: Progress) -> str:
    return f' <span class="quiet">{_text(progress.advice)}</span>' if progress.advice else ""


def _text(text: str, most: int = 600) -> str:
    return escape(clean(text, most))


def _md(text: str) -> str:
    """Text that means nothing in Markdown, on one line, fit for a table's cell."""
    return MARKUP.sub(r"\\\1", escape(clean(text, 1000), quote=False))


def _code(text: str) -> str:
    """Within backquotes nothing can be escaped, so that what would end them is taken out."""
    return f"`{clean(text).translate(IN_CODE)}`"


@cache
def _style() -> str:
    return CSS.read_text(encoding="utf-8")
