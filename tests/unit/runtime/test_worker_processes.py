"""Workers that are forked: their exit codes, and how their memory is kept."""

import subprocess
import sys

from tests.server import ROOT

EXIT_CODES = """
import atexit, os, signal, sys, time
import psutil
from bentos.skin.runtime import compat_fork

def become(args, *_):
    atexit._clear()
    exec(args[0])

compat_fork._become = become

def ended(code):
    return compat_fork.ForkedWorker([code], cwd="/", env={}).wait(10)

print(ended("pass"), ended("sys.exit(3)"), ended("sys.exit('shine: a sentence')"), ended("1 / 0"))
print(ended("os.kill(os.getpid(), signal.SIGKILL)"))
worker = compat_fork.ForkedWorker(["time.sleep(60)"], cwd="/", env={})
print(worker.poll(), worker.is_running())
try:
    worker.wait(0.1)
except psutil.TimeoutExpired:
    print("runs still")
worker.send_signal(signal.SIGTERM)
print(worker.wait(10), worker.poll())
gone = compat_fork.ForkedWorker(["pass"], cwd="/", env={})
os.waitpid(gone.pid, 0)  # as circus may do, for all of its children
print(gone.wait(10))
"""
PAGE_FAULTS = """
import resource
from bentos.skin.runtime.process_memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [b"x" * (6 << 20) for _ in range(8)]  # as the arrays of a photo, that are there at the same time
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

as_it_is = faults()
keep_freed_memory()
faults()
print(as_it_is, faults())
"""


def run(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_forked_worker_ends_as_python_does() -> None:
    done = run(EXIT_CODES)
    assert done.stdout.split("\n") == ["0 3 1 70", "-9", "None True", "runs still", "-15 -15", "0", ""], done.stderr
    assert "shine: a sentence\n" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_freed_memory_is_kept_for_the_next_photo() -> None:
    before, after = map(int, run(PAGE_FAULTS).stdout.split())
    assert before > 20 * 1000
    assert after < before / 20
