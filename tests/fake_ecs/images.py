"""What each image does when it starts: the service itself, altered services, and small broken stubs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.server import ROOT

BIN = Path(sys.executable).parent
STUB = Path(__file__).with_name("stub.py")


@dataclass(frozen=True)
class Image:
    """An image of the catalogue.

    Attributes:
        kind: service: `bentoml serve service:Gateway` · altered: the same behind a middleware that behaves as `what` ·
            stub: a small server or script that behaves as `what`.
        what: the behaviour, see altered.py and stub.py.
        architecture: as its manifest would say, X86_64 or ARM64.
        environment: on top of the task's own.
        killed_for_memory: an end by SIGKILL that nobody ordered is the kernel's, for memory.
    """

    kind: str = "service"
    what: str = ""
    architecture: str = "X86_64"
    environment: tuple[tuple[str, str], ...] = ()
    killed_for_memory: bool = False

    def command(self, address: str, port: int) -> list[str]:
        """The command that the container runs."""
        if self.kind == "stub":
            return [sys.executable, "-u", str(STUB), self.what, address, str(port)]
        target = "service:Gateway" if self.kind == "service" else "tests.fake_ecs.altered:Gateway"
        return [str(BIN / "bentoml"), "serve", target, "--host", address, "--port", str(port)]

    def surroundings(self, folder: Path) -> dict[str, str]:
        """The environment that image and machine provide: their own paths, and of this process only where Python is."""
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
        return {
            **kept,
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
            "SHINE_CACHE_DIR": str(folder / "shine"),  # /tmp of the container is its own
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PLANE_BEHAVIOUR": self.what,
            **dict(self.environment),
        }


# By name; the fake ECS pushes each to ECR and knows it from then on by its digest.
CATALOGUE: dict[str, Image] = {
    "good": Image(),
    "good-next": Image(),  # another release of the same
    "golden-differs": Image("altered", "golden"),  # finds something else on the portrait
    "degraded": Image("altered", "degraded"),  # the model never answers
    "answers-500": Image("altered", "500"),  # healthy, but every photo is a 500
    "oom": Image("altered", "oom", killed_for_memory=True),  # killed by its first photo
    "slow-start": Image("stub", "slow 8"),  # seconds until the service is started
    "slow-for-ever": Image("stub", "slow 300"),  # longer than any grace period
    "exits": Image("stub", "exits"),  # a dependency is missing
    "wrong-architecture": Image(architecture="ARM64"),
    "wrong-port": Image("stub", "port 8080"),  # healthy on another port
    "wrong-path": Image("stub", "path"),  # 404 on /health
    "flapping": Image("stub", "flapping 3"),  # health comes and goes every so many seconds
    "stub": Image("stub", "good"),  # answers as little as the fake ECS's own tests need, and starts at once
    "stub-next": Image("stub", "good"),
    "stub-oom": Image("stub", "oom", killed_for_memory=True),
    "stub-stubborn": Image("stub", "stubborn"),  # SIGTERM is nothing to it
}
