"""Thread counts follow the CPU quota."""

import os
from pathlib import Path

import pytest

from bentos.skin import threads
from bentos.skin.settings import Settings


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight CPUs whose cgroup files lie in a folder, none of them written yet."""
    monkeypatch.setattr(threads, "CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "CGROUP_V1", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("1600000 100000", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_the_quota_of_cgroup_v2_is_rounded_up_within_the_affinity_mask(cgroup: Path, text: str, cpus: int) -> None:
    (cgroup / "cpu.max").write_text(text + "\n")
    assert threads.quota() == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"), [("-1", "100000", 8), ("200000", "100000", 2), ("1", "100000", 1)]
)
def test_cgroup_v1_is_read_where_there_is_no_v2(cgroup: Path, quota: str, period: str, cpus: int) -> None:
    (cgroup / "quota").write_text(quota)
    (cgroup / "period").write_text(period)
    assert threads.quota() == cpus


def test_without_cgroups_the_affinity_mask_counts(cgroup: Path) -> None:
    assert not list(cgroup.iterdir())
    assert threads.quota() == 8


def test_the_setting_goes_before_the_quota(cgroup: Path) -> None:
    (cgroup / "cpu.max").write_text("200000 100000")
    assert threads.thread_count(Settings(threads=5)) == 5
    assert threads.thread_count(Settings(threads=0)) == 2


def test_numeric_libraries_get_one_thread_a_call_unless_the_operator_says_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in threads.POOLS[1:]:
        monkeypatch.delenv(name, raising=False)
    threads.limit_pools()
    assert [os.environ[name] for name in threads.POOLS] == ["7", "1", "1"]
