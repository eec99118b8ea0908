"""A CPU quota is written as each version of control groups wants it, and holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.cpu_quota import MOUNT, CpuQuota
from tests.load.processes import Broken

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def rmtree(folder: Path) -> None:
    """Control groups are removed with their files in them."""
    shutil.rmtree(folder)


@pytest.fixture
def version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "rmdir", rmtree)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cgroup.procs").write_text("1\n")
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "rmdir", rmtree)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    return tmp_path


def test_version_1_has_quota_and_period_in_files_of_their_own(version_1: Path) -> None:
    with CpuQuota(0.5, version_1) as group:
        assert group.folder.parent == version_1 / "cpu"
        assert (group.folder / "cpu.cfs_quota_us").read_text() == "50000"
        assert (group.folder / "cpu.cfs_period_us").read_text() == "100000"
    assert not group.folder.exists()


def test_version_2_has_both_in_one_and_the_controller_is_enabled(version_2: Path) -> None:
    with CpuQuota(2, version_2) as group:
        assert (group.folder / "cpu.max").read_text() == "200000 100000"
        assert (version_2 / "cgroup.subtree_control").read_text() == "+cpu"
    assert not group.folder.exists()


def test_what_is_left_in_a_group_is_killed(version_1: Path) -> None:
    with CpuQuota(1, version_1) as group:
        process = subprocess.Popen(SLEEP)
        group.add(process.pid)
        assert group.pids == {process.pid}
    assert process.wait(5) == -9


def test_without_a_controller_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="no CPU controller"):
        CpuQuota(1, tmp_path)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied; run as root"),
        (OSError(30, "Read-only file system"), "Read-only file system$"),
    ],
)
def test_where_no_group_can_be_made_the_error_says_why(
    error: OSError, told: str, version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Broken, match=told), CpuQuota(1, version_1):
        pass


def test_a_quota_that_the_kernel_refuses_leaves_no_group(version_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    group = CpuQuota(1, version_1)
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(Broken, match="quota of 100000 µs: Invalid argument"), group:
        pass
    assert not group.folder.exists()


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not MOUNT.is_dir(), reason="needs root and control groups")
def test_the_kernel_keeps_to_a_quota() -> None:
    program = """
import time
input()
began, used = time.monotonic(), time.process_time()
while time.monotonic() < began + 2: pass
print(time.process_time() - used)
"""
    with CpuQuota(0.2) as group:
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        group.add(process.pid)
        output, _ = process.communicate(b"go\n", timeout=30)
    assert float(output) == pytest.approx(0.2 * 2, rel=0.2)
    assert not group.folder.exists()
