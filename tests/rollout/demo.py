"""`make rollout-demo`: deploys one image in four phases, against a stand-in for AWS on loopback."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fake_ecs import FakeEcs
from tests.rollout.operator import calling
from tests.server import ROOT


def main() -> int:
    """Deploy the phases and print how it went."""
    with tempfile.TemporaryDirectory(prefix="shine-demo-") as folder, FakeEcs(Path(folder) / "fake_ecs") as fake_ecs:
        path = fake_ecs.write_plan(Path(folder) / "trail.yaml")
        environment = {**os.environ, **fake_ecs.environment()}

        def trail(*words: str) -> int:
            print(f"\n$ trail {' '.join(words)}", flush=True)
            command = [sys.executable, "-m", "deploy", *words, "--plan", str(path)]
            return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode

        more = ("--yes", "--every", "1", *sys.argv[1:])
        status = trail("up", "simple", "--digest", fake_ecs.digests["good"], *more)
        if status == 0:
            with calling(fake_ecs.base_url) as callers:
                status = trail("up", "--to", "full", *more)
            print(f"Meanwhile {len(callers.seen)} photos were sent, and {len(callers.lost())} were lost.")
        trail("status")
        return status


if __name__ == "__main__":
    raise SystemExit(main())
