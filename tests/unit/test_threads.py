"""Thread counts follow the CPU quota."""

import os

import pytest

from bentos.skin import cgroup, threads
from bentos.skin.settings import Settings


def test_the_setting_goes_before_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "cpus", lambda: 2)
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
