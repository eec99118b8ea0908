"""`python -m tests.plane [FOLDER]`: the plane on its own, until Ctrl-C; prints what to export and where the plan is."""

import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.plane import Plane


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else Path(tempfile.mkdtemp(prefix="plane-"))
    with Plane(folder) as plane:
        path = plane.write_plan(folder / "trail.yaml")
        for name, value in plane.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# plan: {path}\n# service: {plane.secure_url}, plain {plane.base_url}\n# images:")
        for name, digest in plane.digests.items():
            print(f"#   {digest}  {name}")
        print("# Ctrl-C ends it and every task.", flush=True)
        over = threading.Event()
        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, lambda *_: over.set())
        over.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
