"""Measure an image, and write what its contract tells: bentos/skin/measured.json. About ten minutes on a quiet machine.

    python -m deploy.image.measure IMAGE

The next build carries the figures. Nothing in that file is typed by hand.
"""

import argparse
import atexit
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from bentos.skin.contract import MEASURED, MIB, Measured, health_command
from bentos.skin.settings import PORT
from deploy.image import load
from deploy.image.build import compressed
from deploy.image.container import Container
from deploy.image.engine import EngineError, environment

REPEATS = 3
LOAD_S = 40.0  # of each trial
STEP_MIB = 64  # trials differ by that
ROOM = 1.15  # over the least that held for LOAD_S: it must hold for ever
MOST_MIB = 4096
SELFIE = 1  # which of the load's photos an app would send: one megapixel, JPEG
CPUS = (0.25, 0.5, 1.0, 2.0)  # tried in turn
SLOWEST_S = 5.0  # an answer of the model, alone
INSIDE = "/app/bento/src/bentos/skin/measured.json"


def measure(image: str, env: dict[str, str], say: "Say") -> Measured:
    """All figures of an image."""
    health, model, idle, cold, warm, memory = [], [], [], [], [], []
    for _ in range(REPEATS):
        with Container(image, env, MOST_MIB, options=unlimited()) as running:
            health.append(running.wait())
            model.append(running.wait(state="ready"))
            cold.append(timed(running))
            warm.append(statistics.median(timed(running) for _ in range(5)))
            load.send(running.url, load.PORTRAIT.read_bytes())
            time.sleep(3)
            memory.append(used(running))
            idle.append(running.stop())
    say(f"start {health} s, model {model} s, stop {idle} s, health {cold} {warm} s, idle {memory} MiB")
    pictures = load.photos()
    with Container(image, env, MOST_MIB, options=unlimited()) as running:
        running.wait(state="ready")
        peak = 0
        with load.clients(running.url, pictures) as tally:
            ends = time.monotonic() + LOAD_S
            while time.monotonic() < ends:
                peak = max(peak, used(running))
            busy = running.stop()
    say(f"peak {peak} MiB of {len(tally.statuses)} answers, busy stop {busy:.1f} s")
    least = least_memory(image, env, pictures, statistics.median(memory), say)
    cpus = least_cpus(image, env, say)
    rate = photos_per_minute(image, env, pictures[SELFIE])
    say(f"{rate} photos a minute on one CPU")
    size = int(
        subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Size}}", image], env=env, capture_output=True, check=True
        ).stdout
    )
    return Measured(
        start_s={"health": middle(health), "model": middle(model)},
        stop_s={"idle": middle(idle), "busy": round(busy, 1)},
        health_s={"cold": max(round(one, 2) for one in cold), "warm": middle(warm, 2)},
        memory_idle_mib=int(statistics.median(memory)),
        memory_load_mib=peak,
        memory_minimum_mib=least,
        cpu_minimum=cpus,
        photos_per_minute=rate,
        image_mib=round(size / MIB),
        compressed_mib=round(compressed(image, env) / MIB),
        load=load.DESCRIPTION,
        machine=machine(),
    )


def least_memory(image: str, env: dict[str, str], pictures: list[bytes], idle_mib: float, say: "Say") -> int:
    """The least limit under which the load is answered and no process is killed, and ROOM; by bisection."""
    low, high = int(idle_mib) // STEP_MIB, MOST_MIB // STEP_MIB  # low fails, high holds
    while high - low > 1:
        tried = (low + high) // 2
        holds = survives(image, env, pictures, tried * STEP_MIB)
        say(f"{tried * STEP_MIB} MiB {'holds' if holds else 'is too little'}")
        low, high = (low, tried) if holds else (tried, high)
    return math.ceil(high * ROOM) * STEP_MIB


def survives(image: str, env: dict[str, str], pictures: list[bytes], memory_mib: int) -> bool:
    """Whether every photo of the load gets an answer within a limit, and no process is killed."""
    with Container(image, env, memory_mib, options=unlimited()) as running:
        try:
            running.wait(state="ready")
        except TimeoutError:
            return False
        with load.clients(running.url, pictures) as tally:
            time.sleep(LOAD_S)
        state = running.inspect()["State"]
        ended = "a worker ended by itself" in running.logs()
        return state["Status"] == "running" and not ended and not tally.lost and len(tally.sources) > 0


def least_cpus(image: str, env: dict[str, str], say: "Say") -> float:
    """The least quota with which the model answers, in time."""
    for cpus in CPUS:
        with Container(image, env, MOST_MIB, cpus, options=unlimited()) as running:
            try:
                running.wait(state="ready")
            except TimeoutError:
                continue
            load.send(running.url, load.PORTRAIT.read_bytes())
            with load.clients(running.url, [load.PORTRAIT.read_bytes()], 1) as tally:
                checks = [timed(running) for _ in range(5)]
            good = (
                not tally.wrong
                and not tally.lost
                and set(tally.sources) == {"model"}
                and max(tally.seconds) < SLOWEST_S
            )
            say(f"{cpus} CPUs: answers of {set(tally.sources)}, slowest {max(tally.seconds):.1f} s, health {checks}")
            if good and max(checks) < SLOWEST_S:
                return cpus
    sys.exit(f"the model does not answer in time with {CPUS[-1]} CPUs")


def photos_per_minute(image: str, env: dict[str, str], photo: bytes) -> int:
    """How many photos of one kind are answered in a minute on one CPU, with more clients than it can serve."""
    with Container(image, env, MOST_MIB, 1.0, options=unlimited()) as running:
        running.wait(state="ready")
        load.send(running.url, photo)
        with load.clients(running.url, [photo]) as tally:
            time.sleep(LOAD_S)
            answered = len(tally.sources)
    return round(answered * 60 / LOAD_S)


@cache
def unlimited() -> tuple[str, ...]:
    """Mount figures that refuse no limit, since the image's own would refuse what is tried here."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump({**json.loads(MEASURED.read_text()), "memory_minimum_mib": 0}, file)
    Path(file.name).chmod(0o644)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return ("--volume", f"{file.name}:{INSIDE}:ro")


def timed(running: Container) -> float:
    """Seconds that the health command takes inside."""
    began = time.monotonic()
    running.execute(*health_command(PORT)[1:])
    return round(time.monotonic() - began, 2)


def used(running: Container) -> int:
    """MiB in use, page cache that can be given back not counted."""
    text = running.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", running.name).split("/")[0].strip()
    for unit, factor in (("GiB", 1024.0), ("MiB", 1.0), ("KiB", 1 / 1024), ("B", 1 / MIB)):
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * factor)
    raise ValueError(text)


def middle(values: list[float], digits: int = 1) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def machine() -> str:
    """Processor and number of cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    return f"{os.cpu_count()} cores of {name}"


class Say:
    """Progress, with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:5.0f} s  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", help="name:tag")
    try:
        found = measure(parser.parse_args().image, environment(), Say())
    except EngineError as error:
        sys.exit(str(error))
    part = MEASURED.with_suffix(".part")
    part.write_text(found.model_dump_json(indent=1) + "\n")
    part.replace(MEASURED)
    print(found.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
