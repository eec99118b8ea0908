"""Standard input, output and error of the command lines."""

import contextlib
import os
import sys

from bentos.cli.exit_codes import CLOSED, FAILED

STREAMS = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))


def prepare_streams() -> None:
    """Have every letter printed that a terminal lacks, as its code; replace streams that the caller has closed.

    Reading or printing then fails (`>&-`), but for messages, which are lost. Without a replacement the next file that
    is opened would take the number of the stream, and what is printed.
    """
    for name, flags, mode in STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, errors="surrogateescape"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def complain(text: str) -> None:
    """Print a line on standard error; where that cannot be, it is lost, and the work goes on."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  for Python flushes it once more when it ends


def flushed(code: int, program: str) -> int:
    """The exit code, once all output is written; it stays what it is where some could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        unprinted = report_unprinted(error, program)
        return code or unprinted
    return code


def report_unprinted(error: OSError, program: str) -> int:
    """Say why standard output could not be written, unless its reader closed the pipe; the exit code."""
    closed = isinstance(error, BrokenPipeError)
    if not closed:
        complain(f"{program}: not all could be printed: {error.strerror or error}.")
    # Python flushes once more when it ends, and would complain.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED if closed else FAILED
