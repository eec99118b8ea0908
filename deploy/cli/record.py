"""`trail status` and `trail record`: how far the trail is walked, for a terminal and as a page.

    trail status                         # progress, what blocks, the next command
    trail record --html trail.html       # the progress tracker, one file
    trail record --markdown TRAIL.md
    trail record --note "2 GiB from now on: the model needs 900 MiB while it loads"

Exit codes: 0 fine; 2 something could not be read, or written.
"""

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.config.plan import PHASES, Plan, read
from deploy.exit_codes import FINE
from deploy.findings import terminal as report
from deploy.gates.registry import names
from deploy.next_command import OptionsInUse
from deploy.record import lock, page
from deploy.record.objects import RecordError
from deploy.record.phases import PhaseProgress, State
from deploy.record.progress import Progress, compute
from deploy.record.store import Store, open_store, with_note
from deploy.record.text import clean, duration, moment, short
from deploy.record.trail import Note, Record
from deploy.rollout.status import LiveStatus
from deploy.text import printable

LONGEST_NOTE = 2000  # characters
STDOUT = "-"
UNDO = "trail rollback"
COLOURS: dict[State, str] = {"proven": "32", "running": "33", "failed": "31", "not begun": "2"}


Live = Callable[[Plan, Clients, Record], LiveStatus]


class Unwritable(Exception):
    """A file cannot be written; the message is a sentence."""


def add_commands(subparsers: Any, live: Live | None = None) -> None:
    """Add `status` and `record`; each sets `command`, which takes the arguments and returns the exit code.

    What goes wrong is raised, and said by whoever runs commands.

    Args:
        subparsers: argparse's.
        live: asks AWS what runs, for `status`; None: the record alone is told.
    """
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--plan", type=Path, default=Path("trail.yaml"), help="default: trail.yaml")
    common.add_argument("--json", action="store_true", help="print JSON, for programs")

    text = "how far the rollout is, what blocks it, and the next command"
    shown = subparsers.add_parser("status", parents=[common], help=text, description=f"{text.capitalize()}.")
    shown.set_defaults(command=lambda wanted: _status(wanted, read(wanted.plan), live))

    text = "the progress tracker as a page, and decisions added to it"
    kept = subparsers.add_parser("record", parents=[common], help=text, description=f"{text.capitalize()}.")
    kept.add_argument(
        "--markdown", nargs="?", const=STDOUT, metavar="FILE", help="write it as Markdown (default, to the terminal)"
    )
    kept.add_argument("--html", metavar="FILE", help="write it as one file of HTML; - is the terminal")
    kept.add_argument("--note", metavar="TEXT", help="add a decision first, with your name and the time")
    kept.set_defaults(command=lambda wanted: _record(wanted, read(wanted.plan)))


def expected() -> dict[Phase, list[str]]:
    """Names of the gates of each phase, as the rollout asks them."""
    return {phase: names(phase) for phase in PHASES}


def _status(wanted: argparse.Namespace, plan: Plan, live: Live | None) -> int:
    clients = Clients(plan.region, writes=False)
    assert_account(plan, clients)
    store = open_store(plan, clients)
    record = store.read()
    last = next(iter(record.attempts[-1:]), None)
    options = OptionsInUse.of(wanted).with_base_url(last.base_url if last else None)
    progress = completed(compute(record, expected()), options)
    holding = lock.peek(store)
    seen = live(plan, clients, record) if live is not None else None
    if wanted.json:
        held = None if holding is None else holding.model_dump(mode="json") | {"stale": holding.stale}
        content = {"progress": _progress(progress), "lock": held, "live": None if seen is None else seen.data}
        report.print_json(content)
        return FINE
    colours = report.colours_wanted(sys.stdout)
    lines = [
        printable(f"{record.service}, cluster {record.cluster}, account {record.account}, {record.region}", 600),
        *(line for one in progress.stations for line in _lines(one, colours, options)),
        f"{progress.passed} of {progress.gates} gates passed ({progress.percent} %)"
        + (f", started {moment(progress.started)}." if progress.started else f". {page.NOT_STARTED}"),
        f"Runs:  {progress.current.sentence}",
        *(printable(line, 600) for line in (seen.lines if seen is not None else [])),
    ]
    if holding is not None:
        lines.append(f"Lock:  {holding}{' (stale)' if holding.stale else ''}")
    drifted = seen is not None and bool(seen.data.get("differs_from_record")) and holding is None
    if drifted:
        undo = printable(options.command(UNDO), 1000)
        lines.append(f"Next:  {undo} (back to what the record knows), or find out who changed it")
    else:
        lines.append(f"Next:  {printable(progress.next or page.ALL_PROVEN, 1000)}")
        lines += [f"       {printable(progress.advice, 1000)}"] if progress.advice else []
    print("\n".join(lines))
    return FINE


def completed(progress: Progress, options: OptionsInUse) -> Progress:
    """The same with commands that can be pasted."""
    stations = [
        one if one.next is None else one.model_copy(update={"next": options.command(one.next)})
        for one in progress.stations
    ]
    following = None if progress.next is None else options.command(progress.next)
    advice = None if progress.advice is None else options.text(progress.advice)
    return progress.model_copy(update={"stations": stations, "next": following, "advice": advice})


def _lines(one: PhaseProgress, colours: bool, options: OptionsInUse) -> list[str]:
    """A station on one line, and what blocks it on another."""
    state = f"\033[{COLOURS[one.state]}m{one.state:9}\033[0m" if colours else f"{one.state:9}"
    parts = [f"  {one.number} {one.phase:10}  {state}  {one.passed}/{one.gates} gates"]
    if one.started:
        end = f" to {moment(one.ended)} ({duration(one.seconds)})" if one.ended and one.seconds is not None else ""
        parts.append(f"{moment(one.started)}{end}")
    parts += [short(one.digest)] if one.digest else []
    parts += [str(one.marker)] if one.proof else []
    cause = f" ({clean(one.cause)})" if one.cause else ""
    blocks = [f"                {clean(options.text(one.blocks), 1000)}{cause}"] if one.blocks else []
    return ["  ".join(parts), *blocks]


def _record(wanted: argparse.Namespace, plan: Plan) -> int:
    clients = Clients(plan.region, writes=wanted.note is not None)
    store = open_store(plan, clients)
    record = _noted(wanted.note, plan, clients, store) if wanted.note is not None else store.read()
    progress = compute(record, expected())
    for where, text in (
        (wanted.markdown, page.markdown),
        (wanted.html, page.html),
    ):
        if where is not None:
            _put(where, text(record, progress))
    if wanted.json:
        report.print_json({"record": record.model_dump(mode="json", fallback=str), "progress": _progress(progress)})
    elif wanted.note is not None:
        print("The decision is in the record.", file=sys.stderr)
    elif wanted.markdown is None and wanted.html is None:
        _put(STDOUT, page.markdown(record, progress))
    return FINE


def _noted(text: str, plan: Plan, clients: Clients, store: Store) -> Record:
    """The record with a decision, told by whoever these credentials are."""
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
    """To the terminal, or into a file that is never seen half written.

    Raises:
        Unwritable: no file can be made there.
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
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            # mkstemp lets nobody else read it, and a page is to be read; one that is there stays as it is.
            Path(name).chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~mask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unwritable(f"{printable(where)} cannot be written: {why}.") from None


def _progress(progress: Progress) -> dict[str, Any]:
    return progress.model_dump(mode="json", fallback=str) | {"percent": progress.percent}
