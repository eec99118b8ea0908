"""`shine batch`: findings on any number of photos as Parquet, resumable, on one machine or on a Ray cluster."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bentos.cli.command import Command, CommandError, say
from bentos.cli.exit_codes import DONE, FAILED, SOME_FAILED, THERE, WEIGHTS
from bentos.cli.sources import weights_option
from bentos.cli.text import number_of
from bentos.skin import cgroup

if TYPE_CHECKING:
    from bentos.batch.run import Request

MOST_A_CPU = 4  # processes on this machine: more take memory, and nothing is done sooner
LINE_S = 30.0  # between two lines of progress where no terminal shows a bar
WINDOW_S = 60.0  # over which photos a second are told


@click.command(cls=Command)
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option("--resume", is_flag=True, help="Do what the output lacks of the same photos.")
@click.option("--overwrite", is_flag=True, help="Begin anew: what a former run has written is removed.")
@weights_option
@click.option(
    "--allow-fallback",
    is_flag=True,
    help="Let the heuristics answer where the model does not; each row says who did (default: refused).",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or Ray: the cluster at RAY_ADDRESS, else one that is started for this run.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes that analyse photos (default: one a CPU of this machine or of the cluster).",
)
@click.option(
    "--part-size", type=click.IntRange(1, 100_000), default=512, show_default=True, help="Photos in an output file."
)
def batch(
    source: str,
    output: str,
    resume: bool,
    overwrite: bool,
    weights: str | None,
    allow_fallback: bool,
    engine: str,
    processes: int | None,
    part_size: int,
) -> int:
    """Findings on any number of photos, as two tables in Parquet: OUTPUT/findings and OUTPUT/failures.

    INPUT is a folder (all photos in it and below), a text file with a path or s3:// address on each line (or ended by
    zero bytes), a Parquet file with a column `path` or `bytes` (and `id`), or s3://bucket/prefix. OUTPUT is a folder or
    s3://bucket/prefix. A photo that cannot be analysed is a row of failures.

    \b
    shine batch photos/ findings/                   # a row a photo: findings/findings/*.parquet
    shine batch photos/ findings/ --resume          # after a kill: what is missing, nothing twice
    shine batch list.txt findings/ --processes 1
    shine batch photos.parquet findings/ --allow-fallback
    shine batch s3://bucket/photos s3://bucket/findings
    RAY_ADDRESS=head:6379 shine batch s3://bucket/photos s3://bucket/findings --engine ray

    Exit codes: 0 done; 1 some photos failed, see OUTPUT/failures; 2 all failed, wrong usage, or the run could not go
    on: what is written stays; 3 OUTPUT exists, is of other photos or options, or another run works on it; 4 the
    weights cannot be used, or are others than those of the run that is resumed; 130 interrupted.
    """
    if processes is not None and processes > (most := MOST_A_CPU * cgroup.cpus()) and not _on_a_cluster(engine):
        raise CommandError(f"--processes {processes}: {cgroup.cpus()} CPUs may be used here; name {most} at most.")
    if resume and overwrite:
        raise CommandError("--resume goes on and --overwrite begins anew: give one of the two.")
    try:
        import pyarrow  # noqa: F401  whether it is there

        if engine == "ray":
            import ray  # noqa: F401  whether it is there
    except ImportError as error:
        raise CommandError(
            f"shine batch needs {error.name}, which is not installed: run `make setup-batch`, or pip install -r "
            "requirements/batch.txt."
        ) from None
    from bentos.batch.run import Request
    from bentos.batch.work import Work

    if weights is not None and not weights.startswith("s3://"):
        weights = str(Path(weights).absolute())
    request = Request(source, output, Work(weights or None, allow_fallback), resume, overwrite, part_size)
    with _ended_by_sigterm():
        return _carried_out(request, engine, processes)


def _carried_out(request: "Request", engine: str, processes: int | None) -> int:
    from bentos.batch.errors import BatchError, OutputInUse, WeightsUnusable
    from bentos.batch.run import run

    progress = _Progress()
    try:
        with progress:
            outcome = run(request, _engine(engine, request.work, processes), progress)
    except OutputInUse as error:
        raise CommandError(str(error), THERE) from None
    except WeightsUnusable as error:
        raise CommandError(str(error), WEIGHTS) from None
    except BatchError as error:
        raise CommandError(str(error)) from None
    except KeyboardInterrupt:
        say(f"{request.output} keeps what is written; the same command with --resume does the rest.")
        raise
    say(
        f"{request.output} holds the findings of {number_of(outcome.photos - outcome.failed, 'photo')}"
        + (f"; {outcome.failed:,} failed, see {request.output.rstrip('/')}/failures." if outcome.failed else ".")
        + (" Nothing was missing." if not outcome.analysed_now else "")
    )
    return DONE if not outcome.failed else SOME_FAILED if outcome.failed < outcome.photos else FAILED


def _engine(name: str, work: Any, processes: int | None) -> Any:
    if name == "ray":
        from bentos.batch.on_ray import RayEngine

        return RayEngine(work, processes or 0)
    from bentos.batch.local import LocalEngine

    return LocalEngine(work, processes or cgroup.cpus())


def _on_a_cluster(engine: str) -> bool:
    return engine == "ray" and bool(os.environ.get("RAY_ADDRESS"))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """End by SIGTERM as by Ctrl-C: processes are ended, the lock is given back."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    logging.getLogger("shine").addHandler(logging.NullHandler())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Progress:
    """Photos a second and the time left on standard error: a bar at a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._total = self._done = self._failed = 0
        self._seen: list[tuple[float, int]] = []  # (time, photos done by this run), of the last WINDOW_S
        self._told = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def found(self, photos: int, others: int) -> None:
        """As `Progress.found`."""
        self._total = photos
        left_out = f", {number_of(others, 'other file')} left out" if others else ""
        say(f"{number_of(photos, 'photo')}{left_out}. Starting processes …")

    def began(self, done: int, damaged: int) -> None:
        """As `Progress.began`."""
        self._done = done
        self._told = time.monotonic()
        self._seen = [(self._told, done)]
        if damaged:
            say(f"{number_of(damaged, 'damaged part')} of the output done anew.")
        say(f"{number_of(self._total - done, 'photo')} to do" + (f", {done:,} done before." if done else "."))
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(file=sys.stderr)
        words = TextColumn("{task.description}", markup=False)
        self._bar = Progress("Photos", BarColumn(), MofNCompleteColumn(), words, console=console, transient=True)
        self._bar.start()
        self._task = self._bar.add_task("", total=self._total, completed=done)

    def advanced(self, photos: int, failed: int) -> None:
        """As `Progress.advanced`."""
        self._done += photos
        self._failed += failed
        now = time.monotonic()
        self._seen.append((now, self._done))
        while len(self._seen) > 2 and self._seen[0][0] < now - WINDOW_S:
            self._seen.pop(0)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=self._words())
        elif now - self._told >= LINE_S:
            self._told = now
            say(f"{self._done:,} of {self._total:,} photos, {self._words()}.")

    def _words(self) -> str:
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        rate = (done - before) / max(now - began, 1e-3)
        left = (self._total - self._done) / rate if rate else 0.0
        hours, minutes, seconds = int(left // 3600), int(left // 60 % 60), int(left % 60)
        words = f"{rate:.1f} photos/s, {hours}:{minutes:02}:{seconds:02} left"
        return words + (f", {self._failed:,} failed" if self._failed else "")
