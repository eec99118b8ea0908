"""Compares this service with the limit, with other servers of the same functions, and with an older commit of itself.

    make bench                                     # everything, 17 minutes on two cores
    make bench BASE=HEAD~10                        # and an older commit
    make bench ARGS=--quick                        # a smoke test of 3 minutes; its figures are rough
    make bench ARGS="--only limit,service"         # parts
    make bench ARGS="--photos FOLDER --only service,overload"

Ways take turns, so that whatever else the machine does hits all alike; ratios are the median of those of the rounds.
The figures mean what docs/performance.md says; all raw ones are written to benchmarks.json. The exit code is 0 where
targets are missed, 1 where something broke: a server did not start, findings differ, answers were lost. Ctrl-C ends all
that was started, and tells what was measured until then.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.load import photos
from tests.load.machine import commit, facts
from tests.load.plan import FULL, MAIN_SIDE, PARTS, QUICK, SERVERS, steps
from tests.load.processes import PEERS_BIN, Broken
from tests.load.progress import carry_out, clock
from tests.load.results import document
from tests.load.session import Session
from tests.load.table import DISTURBED_CORES, report
from tests.load.worktree import checked_out, compile_modules
from tests.server import ROOT

OUT = ROOT / ".cache" / "bench"
INTERRUPTED = 130
CUT_SHORT = "interrupted: these figures are of what was measured before"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line.

    Raises:
        SystemExit: one is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="NAME,NAME", help=f"parts of it: {', '.join(PARTS)} (default: all); --base adds its own"
    )
    parser.add_argument("--base", metavar="COMMIT", help="an older commit: its service and its functions take part too")
    parser.add_argument("--quick", action="store_true", help="one short round, few tunings, two sizes of photos")
    parser.add_argument(
        "--photos", metavar="FOLDER", type=Path, help="send these photos; else they are made of the portrait in tests"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=OUT, help="for benchmarks.json and logs (default: .cache/bench)"
    )
    options = parser.parse_args(arguments)
    options.parts = frozenset(PARTS if options.only is None else options.only.split(","))
    if unknown := sorted(options.parts - set(PARTS)):
        parser.error(f"--only knows no {', '.join(unknown)}; it knows {', '.join(PARTS)}")
    if options.only is not None and "base" in options.parts and options.base is None:
        parser.error("which commit is base? name it: --base COMMIT")
    options.parts |= {"base"} if options.base else set()
    if options.parts & set(SERVERS) and not (PEERS_BIN / "python").exists():
        parser.error("the other servers are not installed; `make bench` installs them, --only limit,service needs none")
    return options


def run(options: argparse.Namespace) -> int:
    """Measure everything, print and write it; the exit code.

    Raises:
        Broken: there is no commit to compare with.
    """
    began = time.monotonic()
    scale = QUICK if options.quick else FULL
    logs = options.out / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    compile_modules(ROOT)
    machine = facts()
    if machine["others_cores"] > DISTURBED_CORES:
        print(f"bench: others use {machine['others_cores']} cores: the figures will be rough.", file=sys.stderr)
    with ExitStack() as stack:
        base = stack.enter_context(checked_out(options.base)) if options.base else None
        if options.photos is not None:
            sets = photos.of_folder(options.photos)
        else:
            print("bench: making the photos", file=sys.stderr)
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shine-photos-")))
            sets = photos.write((MAIN_SIDE, *scale.sides), place)
        session = stack.enter_context(Session(logs, sets, main=next(iter(sets)), base=base))
        try:
            carry_out(steps(session, scale, options.parts))
        except KeyboardInterrupt:
            session.problems.append(CUT_SHORT)
        results = document(session, time.monotonic() - began, machine, commit())
        told = report(session)
    (options.out / "benchmarks.json").write_text(json.dumps(results, indent=1) + "\n")
    print(told)
    print(f"\n{clock(results['seconds'])} minutes; all figures: {options.out / 'benchmarks.json'}")
    if CUT_SHORT in results["problems"]:
        return INTERRUPTED
    return 1 if results["problems"] else 0


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: what was started is being ended
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; the exit code."""
    options = parse(arguments)
    try:
        with ended_by_signals():
            return run(options)
    except Broken as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything that was started has been ended.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
