"""Prometheus's own tool, where it is installed: package `prometheus` of Debian and Ubuntu."""

import shutil
import subprocess
from pathlib import Path

import pytest

needed = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def run(*arguments: str | Path) -> None:
    """Run it.

    Raises:
        AssertionError: with what it printed, when it finds fault.
    """
    ended = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
