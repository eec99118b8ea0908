"""Thread counts follow the CPU quota."""

import json
import os
import subprocess
import sys

import pytest

from bentos.skin import cgroup, threads
from bentos.skin.settings import Settings

SCRIPT = """
import json, os, numpy, threadpoolctl
from bentos.skin import threads
before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
threads.limit_pools()
after = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
print(json.dumps([before, after, [os.environ[name] for name in threads.POOLS]]))
"""


def test_the_setting_goes_before_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "cpus", lambda: 2)
    assert threads.thread_count(Settings(threads=5)) == 5
    assert threads.thread_count(Settings(threads=0)) == 2


@pytest.mark.parametrize(("said", "environment"), [(None, ["1", "1", "1"]), ("3", ["3", "1", "1"])])
def test_numeric_libraries_get_one_thread_a_call_unless_the_operator_says_more(
    said: str | None, environment: list[str]
) -> None:
    env = {name: value for name, value in os.environ.items() if name not in threads.POOLS}
    if said is not None:
        env["OMP_NUM_THREADS"] = said
    shown = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    before, after, set_to = json.loads(shown.stdout)
    assert set_to == environment
    assert after == (before if said else [1] * len(before))
    assert before, "numpy has a pool of threads"
