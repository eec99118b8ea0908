"""`python -m tests.fake_ecs [FOLDER]` runs the fake ECS until Ctrl-C; it prints the environment and the plan's path."""

import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.fake_ecs import FakeEcs


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else Path(tempfile.mkdtemp(prefix="plane-"))
    with FakeEcs(folder) as fake_ecs:
        path = fake_ecs.write_plan(folder / "trail.yaml")
        for name, value in fake_ecs.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# plan: {path}\n# service: {fake_ecs.secure_url}, plain {fake_ecs.base_url}\n# images:")
        for name, digest in fake_ecs.digests.items():
            print(f"#   {digest}  {name}")
        print("# Ctrl-C ends it and every task.", flush=True)
        over = threading.Event()
        for expected in (signal.SIGINT, signal.SIGTERM):
            signal.signal(expected, lambda *_: over.set())
        over.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
