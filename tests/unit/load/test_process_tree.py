"""CPU and memory of a tree of processes, on a written /proc and on real processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.load.process_tree import TICK_S, ProcessTree, machine_busy_s, pss_bytes, usage

ROOT, CHILD, GRANDCHILD, STRANGER = 10, 11, 12, 99


class Proc:
    """A folder like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "self").mkdir()

    def has(self, pid: int, parent: int, own: int, waited: int = 0, *, started: int = 5, pss_kib: int = 0) -> None:
        """A process that has used so many ticks."""
        place = self.folder / str(pid)
        place.mkdir(exist_ok=True)
        fields = ["S", str(parent), *["0"] * 9, str(own - 1), "1", str(waited), "0", "20", "0", "1", "0", str(started)]
        (place / "stat").write_text(f"{pid} (a (name) b) {' '.join(fields)} 0 0\n")
        (place / "smaps_rollup").write_text(
            f"00-ff ---p 0 0 0 [rollup]\nRss: 9 kB\nPss:  {pss_kib} kB\nPss_Dirty: 1 kB\n"
        )

    def lost(self, pid: int) -> None:
        """A process that has ended."""
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """A root of 100 ticks, its child of 50, that one's child of 20, and somebody else."""
    written = Proc(tmp_path)
    written.has(ROOT, 1, 100, pss_kib=1024)
    written.has(CHILD, ROOT, 50, pss_kib=2048)
    written.has(GRANDCHILD, CHILD, 20, pss_kib=512)
    written.has(STRANGER, 1, 1000, pss_kib=4096)
    return written


def ticks(tree: ProcessTree) -> int:
    return round(tree.cpu_s() / TICK_S)


def test_a_tree_is_the_root_and_its_descendants_and_nobody_else(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    assert ticks(tree) == 170
    assert sorted(tree.pids) == [ROOT, CHILD, GRANDCHILD]
    assert tree.pss_mib() == 3.5


def test_a_child_that_was_waited_for_is_counted_once(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.lost(GRANDCHILD)
    proc.has(CHILD, ROOT, 50, waited=25)  # it used 5 more before its end
    assert ticks(tree) == 175
    assert ticks(tree) == 175


def test_a_child_that_nobody_waited_for_is_kept(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.lost(GRANDCHILD)
    assert ticks(tree) == 170


def test_a_subtree_that_ended_at_once_is_counted_once(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.lost(GRANDCHILD)
    proc.lost(CHILD)
    proc.has(ROOT, 1, 100, waited=70)  # of both
    assert ticks(tree) == 170


def test_a_child_whose_own_child_was_not_waited_for_is_counted_with_it(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.lost(GRANDCHILD)
    proc.lost(CHILD)
    proc.has(ROOT, 1, 100, waited=50)  # of the child alone
    assert ticks(tree) == 170


def test_an_orphan_still_belongs_to_the_tree(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.lost(CHILD)
    proc.has(ROOT, 1, 100, waited=50)
    proc.has(GRANDCHILD, 1, 30)
    assert ticks(tree) == 180
    proc.lost(GRANDCHILD)
    assert ticks(tree) == 180


def test_a_process_id_that_is_given_anew_is_somebody_else(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.has(GRANDCHILD, 1, 7000, started=6)
    assert ticks(tree) == 170
    assert GRANDCHILD not in tree.pids


def test_a_process_that_came_later_belongs_to_it(proc: Proc) -> None:
    tree = ProcessTree(ROOT, proc.folder)
    proc.has(13, GRANDCHILD, 4)
    assert ticks(tree) == 174


def test_a_process_that_has_ended_has_no_usage_and_no_memory(tmp_path: Path) -> None:
    assert usage(4, tmp_path) is None
    assert pss_bytes(4, tmp_path) == 0
    assert ProcessTree(4, tmp_path).cpu_s() == 0


def test_the_machine_is_busy_but_when_it_is_idle_or_waits_for_a_disk(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 5000 700 4 6 10 0 0\ncpu0 1 1 1 1\n")
    assert machine_busy_s(tmp_path) == pytest.approx(170 * TICK_S)


def test_the_time_of_real_children_that_have_ended_is_not_lost() -> None:
    burn = "import time\nwhile time.process_time() < 0.15: pass"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(1, flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        tree = ProcessTree(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(2 * TICK_S)
        used = tree.cpu_s()
        process.communicate(b"\n")
    assert 0.12 < used < 1.5
    assert tree.cpu_s() >= used
