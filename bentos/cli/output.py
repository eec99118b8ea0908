"""Standard output and error of the command lines."""

import contextlib
import os
import sys

UNPRINTED = 2  # exit code where not all could be printed


def prepare_streams() -> None:
    """Have every letter printed that a terminal lacks, as its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flushed(code: int, program: str) -> int:
    """The exit code, once all output is written; it stays what it is where some could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        report_unprinted(error, program)
        return code or UNPRINTED
    return code


def report_unprinted(error: OSError, program: str) -> None:
    """Say why stdout could not be written; not where the reader closed the pipe (`trail explain | head`)."""
    if not isinstance(error, BrokenPipeError):
        print(f"{program}: not all could be printed: {error.strerror or error}.", file=sys.stderr)
    # Python flushes once more when it ends, and would complain.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
