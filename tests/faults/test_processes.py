"""Faults of the processes: killed, stopped, slow, out of memory, in a jumping clock; in a container and outside."""

import contextlib
import os
import resource
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from tests.faults import outcomes
from tests.faults.service_under_fault import ServiceUnderFault, kill_every
from tests.service.traffic import FAKE_ENGINE, Engine, until

Make = Callable[[bool], ServiceUnderFault]
CONTAINED = pytest.mark.parametrize("contained", [False, True], ids=["shell", "container"])
LOST = {"model_crashed", "model_timeout", "circuit_open", "model_loading"}  # reasons while a runner is not there
CLOCK = Path(__file__).with_name("clock.c")

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]


def pid_of(ward: ServiceUnderFault, worker: str) -> int | None:
    """The worker's process, if it is there at the moment."""
    with contextlib.suppress(LookupError, psutil.Error):
        return ward.running.worker(worker).pid
    return None


def started(ward: ServiceUnderFault) -> tuple[int, int]:
    """A service whose model answers; memory and descriptors then."""
    ward.publish()
    ward.start()
    return ward.settled()


def end(
    ward: ServiceUnderFault, number: int, fault: str, healed: float, before: tuple[int, int], lost: bool | None = True
) -> None:
    """What holds after every fault of processes.

    `lost`: whether the model was away for some answers; None where it may be back before the first of them.
    """
    reasons = ward.reasons()
    assert lost is None or bool(reasons) is lost
    assert reasons <= LOST
    for reason in reasons:
        assert ward.counted(reason)
        assert ward.logged(f'"reason": "{reason}"')
    outcomes.is_back(before, ward.settled())
    outcomes.note(number, fault, ward, reasons, healed)


@CONTAINED
def test_26_the_model_worker_is_killed_again_and_again(ward: Make, contained: bool) -> None:
    place = ward(contained)
    before = started(place)
    with place.load():
        place.until_answered_by("model")
        assert len(kill_every(lambda: pid_of(place, "SkinModel"), 3.0, 4)) >= 3
        healed = place.until_answered_by("model")
    end(place, 26, "model worker killed, again every 3 s", healed, before)


@CONTAINED
def test_27_the_model_worker_is_stopped(ward: Make, contained: bool) -> None:
    place = ward(contained)
    before = started(place)
    stopped = place.running.worker("SkinModel")
    with place.load():
        place.until_answered_by("model")
        stopped.suspend()
        try:
            place.until_answered_by("heuristic")
        finally:
            stopped.resume()
        healed = place.until_answered_by("model")
    assert {"model_timeout", "circuit_open"} <= place.reasons()
    end(place, 27, "model worker stopped (SIGSTOP)", healed, before)


def test_28_the_model_is_five_seconds_slow(ward: Make, tmp_path: Path) -> None:
    place, engine = ward(False), Engine(tmp_path)
    place.start(FAKE_ENGINE, **engine.env)
    before = place.settled()
    with place.load():
        place.until_answered_by("model")
        engine.behaves("slow 5")
        place.until_answered_by("heuristic")
        engine.behaves("healthy")
        healed = place.until_answered_by("model")
    assert {"model_timeout", "circuit_open"} <= place.reasons()
    end(place, 28, "model 5 s slow", healed, before)


@CONTAINED
@pytest.mark.parametrize(
    ("number", "workers"), [(29, ("HeuristicFallback",)), (30, ("SkinModel", "HeuristicFallback"))]
)
def test_29_and_30_a_killed_fallback_is_stood_in_for(
    ward: Make, contained: bool, number: int, workers: tuple[str, ...]
) -> None:
    place = ward(contained)
    before = started(place)
    old = {name: place.running.worker(name).pid for name in workers}
    with place.load():
        place.until_answered_by("model")
        for pid in old.values():
            os.kill(pid, 9)
        until(lambda: all(pid_of(place, name) not in (None, old[name]) for name in workers), 60, "they are back")
        healed = place.until_answered_by("model")
    fault = "fallback worker killed" if number == 29 else "both killed"
    end(place, number, fault, healed, before, lost=False if number == 29 else None)


def test_31_the_model_is_out_of_memory(ward: Make) -> None:
    place = ward(False)
    before = started(place)
    starved = place.running.worker("SkinModel")
    with place.load():
        place.until_answered_by("model")
        starved.rlimit(resource.RLIMIT_AS, (starved.memory_info().vms - (1 << 20), resource.RLIM_INFINITY))
        time.sleep(8)
        with contextlib.suppress(psutil.NoSuchProcess):
            starved.rlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        healed = place.until_answered_by("model")
    end(place, 31, "model out of memory (rlimit)", healed, before)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev")
@pytest.mark.parametrize("days", [30, -30])
def test_35_the_clock_jumps(ward: Make, tmp_path: Path, days: int) -> None:
    shim, moved = tmp_path / "clock.so", tmp_path / "moved"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(CLOCK), "-o", str(shim), "-ldl"], check=True)
    moved.write_bytes(bytes(8))
    place = ward(False)
    place.publish()
    place.start(LD_PRELOAD=str(shim), FAULTS_CLOCK=str(moved))
    before = place.settled()
    with place.load():
        place.until_answered_by("model")
        began = len(place.seen)
        with moved.open("r+b", buffering=0) as file:  # in place: the processes have it mapped
            for number in range(15):  # to and fro, so that it jumps within photos too; at last it stays away
                file.seek(0)
                file.write(struct.pack("l", 0 if number % 2 else days * 86400))
                time.sleep(0.3)
        place.publish(place.bundle("1.1.0"))
        until(lambda: place.versions()[-1:] == ["1.1.0"], 60, "polls go on")
        healed = place.until_answered_by("model")
    until(lambda: place.status()["model"]["version"] == "1.1.0", 10, "the status, asked for each second, follows")
    loaded = place.status()["model"]["loaded_at"]
    assert abs(time.time() - datetime.fromisoformat(loaded).timestamp()) > 20 * 86400  # it did
    assert {one.body["reason"] for one in place.seen[began:]} == {None}  # the model answers all the time
    end(place, 35, "system clock jumps by 30 days", healed, before, lost=False)
