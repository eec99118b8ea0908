"""Stops the tasks of a fake ECS whose own process was killed: `python guardian.py MARK`, with a pipe from it for stdin.

A fake ECS that closes ends its tasks itself, and this finds nothing to do.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

NAME = "PLANE_MARK"  # in the environment of all that a task runs


class Guardian:
    """The guardian process, for the fake ECS.

    Attributes:
        mark: value of the environment variable by which it knows what to end.
    """

    def __init__(self) -> None:
        self.mark = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), self.mark], stdin=subprocess.PIPE, start_new_session=True
        )

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def main(mark: str) -> None:
    sys.stdin.buffer.read()  # until the other end is closed, by whatever
    for _ in range(3):  # what is being started meanwhile too
        for item in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = item.environ()
                if environment.get(NAME) == mark and item.pid != os.getpid():
                    item.kill()
                    shutil.rmtree(environment["TMPDIR"], ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
