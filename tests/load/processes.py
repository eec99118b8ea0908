"""Programs that the bench starts: their environment, what they say, and their end."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.load.process_tree import ProcessTree
from tests.server import ROOT

PROGRAMS = ROOT / "tests" / "load"
PEERS_BIN = ROOT / ".cache" / "bench-venv" / "bin"
STOP_S = 10.0  # until a program that was asked to stop is killed
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # as the service has it

Process = subprocess.Popen[bytes]


class Broken(Exception):
    """Something did not work, so that there is no figure: a server did not start, or a program of the bench ended."""


def environment(tree: Path, **more: str) -> dict[str, str]:
    """The environment of a program that imports the functions of a tree: this repository, or an older commit."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "BENTOML_"))}
    paths = os.pathsep.join([str(tree), str(PROGRAMS)])
    return {**inherited, **ONE_THREAD, "BENTOML_DO_NOT_TRACK": "true", "PYTHONPATH": paths, **more}


def start(command: Sequence[str], env: dict[str, str], log: Path, cwd: Path = ROOT, *, speaks: bool = True) -> Process:
    """Start a program, in a session of its own: Ctrl-C reaches the bench alone, which then ends it.

    Args:
        command: with its arguments.
        env: whole environment.
        log: where its errors go.
        cwd: where it is started.
        speaks: whether it is told lines and answers by lines; else its output goes to the log too.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if speaks else output,
            stderr=output,
            start_new_session=True,
        )


def tell(process: Process, line: str) -> None:
    """Write a line to a program.

    Raises:
        Broken: it has ended.
    """
    assert process.stdin is not None
    try:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise Broken(f"{name_of(process)} ended with {process.wait()}") from None


def hear(process: Process, within_s: float, log: Path) -> str:
    """The next line of a program.

    Raises:
        Broken: it ended, or said nothing in time; with the end of its log.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], within_s)
    if not readable:
        raise Broken(f"{name_of(process)} said nothing for {within_s:.0f} s:\n{tail(log)}")
    line = process.stdout.readline().decode()
    if not line:
        raise Broken(f"{name_of(process)} ended with {process.wait()}:\n{tail(log)}")
    return line.rstrip("\n")


def name_of(process: Process) -> str:
    """The program and its first arguments."""
    words = [process.args] if isinstance(process.args, str | bytes | os.PathLike) else list(process.args)
    return " ".join(Path(os.fsdecode(word)).name for word in words[:3])


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log."""
    return "\n".join(line[:300] for line in log.read_text(errors="replace").splitlines()[-lines:])


def end(process: Process, tree: ProcessTree | None = None, ask: int = signal.SIGTERM) -> None:
    """Ask a program to stop, then kill what is left of it and of its descendants, whoever their parent is by now.

    Args:
        process: of the program.
        tree: of its processes.
        ask: the signal by which it is asked.
    """
    if tree is not None:
        tree.sample()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    if process.poll() is None:
        process.send_signal(ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    if tree is not None:
        tree.sample()
        for pid in tree.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


@contextlib.contextmanager
def busy_core(most_s: float, log: Path) -> Iterator[None]:
    """Another process that keeps one core busy until the block ends; it ends by itself after `most_s` seconds."""
    program = f"import time\nend = time.monotonic() + {most_s}\nwhile time.monotonic() < end: pass"
    process = start([sys.executable, "-c", program], dict(os.environ), log, speaks=False)
    try:
        yield
    finally:
        end(process)
