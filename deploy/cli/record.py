"""`trail status` and `trail record`: how far the rollout is, on a terminal and as a page."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bentos.skin.files import write_whole
from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.cli import options
from deploy.config.plan import PHASES, Plan, read
from deploy.exit_codes import FINE
from deploy.findings import terminal as report
from deploy.gates.registry import names
from deploy.next_command import OptionsInUse
from deploy.record import lock, page
from deploy.record.phases import PhaseProgress, State
from deploy.record.progress import Progress, compute
from deploy.record.s3_folder import RecordError
from deploy.record.store import Store, open_store, with_note
from deploy.record.text import clean, duration, moment, short
from deploy.record.trail import Note, Record
from deploy.rollout.status import LiveStatus, live_status
from deploy.text import printable

LONGEST_NOTE = 2000  # characters
STDOUT = "-"
UNDO = "trail rollback"
STYLES: dict[State, str] = {"proven": "green", "running": "yellow", "failed": "red", "not begun": "dim"}


Live = Callable[[Plan, Clients, Record], LiveStatus]


@click.command(cls=options.Command)
@options.plan
@options.json_output
def status(plan: Path, as_json: bool) -> int:
    """Say how far the rollout is, what the problem is, and the next command."""
    return print_status(read(plan), OptionsInUse.of({"plan": plan}), as_json, live_status)


@click.command(cls=options.Command)
@options.plan
@click.option(
    "--markdown",
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE]",
    help="Write the page as Markdown (the default, to the terminal).",
)
@click.option("--html", metavar="FILE", help="Write the page as one file of HTML; - is the terminal.")
@click.option("--note", metavar="TEXT", help="Add a decision first, with your name and the time.")
@options.json_output
def record(plan: Path, markdown: str | None, html: str | None, note: str | None, as_json: bool) -> int:
    """Print the progress tracker as a page, or add a decision to it.

    \b
    trail record --html trail.html
    trail record --markdown TRAIL.md
    trail record --note "2 GiB from now on: the model needs 900 MiB while it loads"
    """
    team_plan = read(plan)
    clients = Clients(team_plan.region, writes=note is not None)
    store = open_store(team_plan, clients)
    kept = _noted(note, team_plan, clients, store) if note is not None else store.read()
    progress = compute(kept, expected())
    for where, text in ((markdown, page.markdown), (html, page.html)):
        if where is not None:
            _put(where, text(kept, progress))
    if as_json:
        report.print_json({"record": kept.model_dump(mode="json", fallback=str), "progress": _progress(progress)})
    elif note is not None:
        print("The decision is in the record.", file=sys.stderr)
    elif markdown is None and html is None:
        _put(STDOUT, page.markdown(kept, progress))
    return FINE


def expected() -> dict[Phase, list[str]]:
    """Names of the gates of each phase, as the rollout asks them."""
    return {phase: names(phase) for phase in PHASES}


def print_status(plan: Plan, used: OptionsInUse, as_json: bool, live: Live | None) -> int:
    """Print progress, problem and next command; the exit code.

    Args:
        plan: whose service it is.
        used: options that the next command takes over.
        as_json: for programs.
        live: reads from AWS what runs; None: the record alone is printed.
    """
    clients = Clients(plan.region, writes=False)
    assert_account(plan, clients)
    store = open_store(plan, clients)
    record = store.read()
    last = next(iter(record.attempts[-1:]), None)
    used = used.with_base_url(last.base_url if last else None)
    progress = completed(compute(record, expected()), used)
    holding = lock.peek(store)
    running = live(plan, clients, record) if live is not None else None
    if as_json:
        held = None if holding is None else holding.model_dump(mode="json") | {"stale": holding.stale}
        content = {"progress": _progress(progress), "lock": held, "live": None if running is None else running.data}
        report.print_json(content)
        return FINE
    colours = report.colours_wanted(sys.stdout)
    lines = [
        printable(f"{record.service}, cluster {record.cluster}, account {record.account}, {record.region}", 600),
        *(line for station in progress.stations for line in _lines(station, colours, used)),
        f"{progress.passed} of {progress.gates} gates passed ({progress.percent} %)"
        + (f", started {moment(progress.started)}." if progress.started else f". {page.NOT_STARTED}"),
        f"Runs:  {progress.current.sentence}",
        *(printable(line, 600) for line in (running.lines if running is not None else [])),
    ]
    if holding is not None:
        lines.append(f"Lock:  {holding}{' (stale)' if holding.stale else ''}")
    drifted = running is not None and bool(running.data.get("differs_from_record")) and holding is None
    if drifted:
        undo = printable(used.command(UNDO), 1000)
        lines.append(f"Next:  {undo} (back to what the record knows), or find out who changed it")
    else:
        lines.append(f"Next:  {printable(progress.next or page.ALL_PROVEN, 1000)}")
        lines += [f"       {printable(progress.advice, 1000)}"] if progress.advice else []
    print("\n".join(lines))
    return FINE


def completed(progress: Progress, used: OptionsInUse) -> Progress:
    """The same with commands that can be pasted."""
    stations = [
        station if station.next is None else station.model_copy(update={"next": used.command(station.next)})
        for station in progress.stations
    ]
    following = None if progress.next is None else used.command(progress.next)
    advice = None if progress.advice is None else used.text(progress.advice)
    return progress.model_copy(update={"stations": stations, "next": following, "advice": advice})


def _lines(one: PhaseProgress, colours: bool, used: OptionsInUse) -> list[str]:
    """A station on one line, and what blocks it on another."""
    state = report.coloured(f"{one.state:9}", STYLES[one.state], colours)
    parts = [f"  {one.number} {one.phase:10}  {state}  {one.passed}/{one.gates} gates"]
    if one.started:
        end = f" to {moment(one.ended)} ({duration(one.seconds)})" if one.ended and one.seconds is not None else ""
        parts.append(f"{moment(one.started)}{end}")
    parts += [short(one.digest)] if one.digest else []
    parts += [str(one.marker)] if one.proof else []
    cause = f" ({clean(one.cause)})" if one.cause else ""
    blocks = [f"                {clean(used.text(one.blocks), 1000)}{cause}"] if one.blocks else []
    return ["  ".join(parts), *blocks]


def _noted(text: str, plan: Plan, clients: Clients, store: Store) -> Record:
    """The record with a decision added, under the identity of these credentials."""
    text = text.strip()
    if not text or len(text) > LONGEST_NOTE:
        raise RecordError(f"A decision is a sentence or some, of {LONGEST_NOTE:,} characters at most.")
    note = Note(who=assert_account(plan, clients), at=datetime.now(UTC), text=text)
    return store.change(lambda record: with_note(record, note))


def assert_account(plan: Plan, clients: Clients) -> str:
    """ARN of the caller.

    Raises:
        RecordError: the credentials are for another account than the plan.
    """
    caller = clients["sts"].get_caller_identity()
    if caller["Account"] != plan.account:
        raise RecordError(f"These credentials are for account {caller['Account']}, the plan is for {plan.account}.")
    return str(caller["Arn"])


def _put(where: str, text: str) -> None:
    """To the terminal, or into a file that is never half written.

    Raises:
        options.Unwritable: no file can be made there.
    """
    if where == STDOUT:
        print(text, end="")
        return
    path = Path(where)
    try:
        if path.is_symlink():
            path = path.resolve()
        if path.exists() and not path.is_file():  # a pipe, a device: written to, never replaced
            path.write_text(text, encoding="utf-8")
            return
        write_whole(path, text.encode())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise options.Unwritable(f"{printable(where)} cannot be written: {why}.") from None


def _progress(progress: Progress) -> dict[str, Any]:
    return progress.model_dump(mode="json", fallback=str) | {"percent": progress.percent}
