"""Faults of the processes: killed, stopped, slow, out of memory, with a jumping clock; in a container and outside."""

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


def pid_of(service: ServiceUnderFault, worker: str) -> int | None:
    """The worker's process, if it is there at the moment."""
    with contextlib.suppress(LookupError, psutil.Error):
        return service.running.worker(worker).pid
    return None


def started(service: ServiceUnderFault) -> tuple[int, int]:
    """A service whose model answers; memory and descriptors then."""
    service.publish()
    service.start()
    return service.settled()


def end(
    service: ServiceUnderFault,
    number: int,
    fault: str,
    healed: float,
    before: tuple[int, int],
    lost: bool | None = True,
) -> None:
    """What holds after every fault of processes.

    `lost`: whether the model was away for some answers; None where it may be back before the first of them.
    """
    reasons = service.reasons()
    assert lost is None or bool(reasons) is lost
    assert reasons <= LOST
    for reason in reasons:
        assert service.counted(reason)
        assert service.logged(f'"reason": "{reason}"')
    outcomes.is_back(before, service.settled())
    outcomes.note(number, fault, service, reasons, healed)


@CONTAINED
def test_26_the_model_worker_is_killed_again_and_again(make_service: Make, contained: bool) -> None:
    service = make_service(contained)
    before = started(service)
    with service.load():
        service.until_answered_by("model")
        assert len(kill_every(lambda: pid_of(service, "SkinModel"), 3.0, 4)) >= 3
        healed = service.until_answered_by("model")
    end(service, 26, "model worker killed, again every 3 s", healed, before)


@CONTAINED
def test_27_the_model_worker_is_stopped(make_service: Make, contained: bool) -> None:
    service = make_service(contained)
    before = started(service)
    stopped = service.running.worker("SkinModel")
    with service.load():
        service.until_answered_by("model")
        stopped.suspend()
        try:
            service.until_answered_by("heuristic")
        finally:
            stopped.resume()
        healed = service.until_answered_by("model")
    assert {"model_timeout", "circuit_open"} <= service.reasons()
    end(service, 27, "model worker stopped (SIGSTOP)", healed, before)


def test_28_the_model_is_five_seconds_slow(make_service: Make, tmp_path: Path) -> None:
    service, engine = make_service(False), Engine(tmp_path)
    service.start(FAKE_ENGINE, **engine.env)
    before = service.settled()
    with service.load():
        service.until_answered_by("model")
        engine.behaves("slow 5")
        service.until_answered_by("heuristic")
        engine.behaves("healthy")
        healed = service.until_answered_by("model")
    assert {"model_timeout", "circuit_open"} <= service.reasons()
    end(service, 28, "model 5 s slow", healed, before)


@CONTAINED
@pytest.mark.parametrize(
    ("number", "workers"), [(29, ("HeuristicFallback",)), (30, ("SkinModel", "HeuristicFallback"))]
)
def test_29_and_30_a_killed_fallback_is_stood_in_for(
    make_service: Make, contained: bool, number: int, workers: tuple[str, ...]
) -> None:
    service = make_service(contained)
    before = started(service)
    old = {name: service.running.worker(name).pid for name in workers}
    with service.load():
        service.until_answered_by("model")
        for pid in old.values():
            os.kill(pid, 9)
        until(lambda: all(pid_of(service, name) not in (None, old[name]) for name in workers), 60, "they are back")
        healed = service.until_answered_by("model")
    fault = "fallback worker killed" if number == 29 else "both killed"
    end(service, number, fault, healed, before, lost=False if number == 29 else None)


def test_31_the_model_is_out_of_memory(make_service: Make) -> None:
    service = make_service(False)
    before = started(service)
    starved = service.running.worker("SkinModel")
    with service.load():
        service.until_answered_by("model")
        starved.rlimit(resource.RLIMIT_AS, (starved.memory_info().vms - (1 << 20), resource.RLIM_INFINITY))
        time.sleep(8)
        with contextlib.suppress(psutil.NoSuchProcess):
            starved.rlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        healed = service.until_answered_by("model")
    end(service, 31, "model out of memory (rlimit)", healed, before)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev")
@pytest.mark.parametrize("days", [30, -30])
def test_35_the_clock_jumps(make_service: Make, tmp_path: Path, days: int) -> None:
    shim, moved = tmp_path / "clock.so", tmp_path / "moved"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(CLOCK), "-o", str(shim), "-ldl"], check=True)
    moved.write_bytes(bytes(8))
    service = make_service(False)
    service.publish()
    service.start(LD_PRELOAD=str(shim), FAULTS_CLOCK=str(moved))
    before = service.settled()
    with service.load():
        service.until_answered_by("model")
        began = len(service.responses)
        with moved.open("r+b", buffering=0) as file:  # in place: the processes have it mapped
            for number in range(15):  # to and fro, so that it jumps within photos too; at last it stays away
                file.seek(0)
                file.write(struct.pack("l", 0 if number % 2 else days * 86400))
                time.sleep(0.3)
        service.publish(service.bundle("1.1.0"))
        until(lambda: service.versions()[-1:] == ["1.1.0"], 60, "polls go on")
        healed = service.until_answered_by("model")
    until(lambda: service.status()["model"]["version"] == "1.1.0", 10, "the status, asked for each second, follows")
    loaded = service.status()["model"]["loaded_at"]
    assert abs(time.time() - datetime.fromisoformat(loaded).timestamp()) > 20 * 86400  # it did
    assert {response.body["reason"] for response in service.responses[began:]} == {
        None
    }  # the model answers all the time
    end(service, 35, "system clock jumps by 30 days", healed, before, lost=False)
