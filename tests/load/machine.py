"""The facts that figures depend on: the machine, the versions, and who else is at work."""

import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bentos.skin.cgroup import cpus
from tests.load.process_tree import machine_busy_s
from tests.load.processes import PEERS_BIN, Broken
from tests.load.worktree import git

OF_THE_SERVICE = ("bentoml", "numpy", "onnxruntime", "pillow", "simplejpeg", "pydantic", "uvicorn", "uvloop")
OF_THE_PEERS = ("bentoml", "fastapi", "litserve", "numpy", "onnxruntime", "starlette", "uvicorn", "uvloop")
LOOK_S = 2.0


def facts() -> dict[str, Any]:
    """Cores, CPU, memory, versions, and how many cores others use; takes LOOK_S seconds."""
    busy, began = machine_busy_s(), time.perf_counter()
    versions = {name: version(name) for name in OF_THE_SERVICE}
    time.sleep(LOOK_S)
    others = (machine_busy_s() - busy) / (time.perf_counter() - began)
    return {
        "cores": cpus(),
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "others_cores": round(others, 3),
        "versions": versions,
        "peers": _peers(),
    }


def commit() -> dict[str, Any]:
    """The commit that is measured, and whether files differ from it; nulls outside a git repository."""
    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except Broken:
        return {"commit": None, "changed": None}


def _peers() -> dict[str, str]:
    """The versions in the environment of the peers; none where it is not there."""
    python = PEERS_BIN / "python"
    if not python.exists():
        return {}
    program = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([python, "-c", program, *OF_THE_PEERS], capture_output=True, text=True, check=True)
    return dict(zip(OF_THE_PEERS, done.stdout.split(), strict=True))


def _field(path: Path, name: str) -> str:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "unknown")
