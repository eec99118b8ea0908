"""Measures an image for its contract: bentos/skin/measured.json. About ten minutes on a quiet machine.

    python -m deploy.image.measure IMAGE

The next build contains the figures. Nobody edits that file by hand.
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
LOAD_S = 40.0  # seconds of each trial
STEP_MIB = 64  # between two trials of memory
HEADROOM = 1.15  # over the least memory that was enough for LOAD_S, since it must be enough for ever
MOST_MIB = 4096
SELFIE = 1  # index of the photo that an app would send: one megapixel, JPEG
CPUS = (0.25, 0.5, 1.0, 2.0)  # tried in turn
SLOWEST_S = 5.0  # of one analysis by the model, without other load
INSIDE = "/app/bento/src/bentos/skin/measured.json"


def measure(image: str, env: dict[str, str], say: "Say") -> Measured:
    """Measure all figures of an image."""
    health, model, idle, cold, warm, memory = [], [], [], [], [], []
    for _ in range(REPEATS):
        with Container(image, env, MOST_MIB, options=unlimited()) as running:
            health.append(running.wait())
            model.append(running.wait(state="ready"))
            cold.append(timed(running))
            warm.append(statistics.median(timed(running) for _ in range(5)))
            load.send(running.url, load.PROBE_PHOTO.read_bytes())
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
    say(f"peak {peak} MiB over {len(tally.statuses)} responses, stop under load {busy:.1f} s")
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
        start_s={"health": rounded_median(health), "model": rounded_median(model)},
        stop_s={"idle": rounded_median(idle), "busy": round(busy, 1)},
        health_s={"cold": max(round(seconds, 2) for seconds in cold), "warm": rounded_median(warm, 2)},
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
    """The least memory limit in MiB that survives the load, times HEADROOM; found by bisection."""
    low, high = int(idle_mib) // STEP_MIB, MOST_MIB // STEP_MIB  # low fails, high is enough
    while high - low > 1:
        middle = (low + high) // 2
        enough = survives(image, env, pictures, middle * STEP_MIB)
        say(f"{middle * STEP_MIB} MiB {'is enough' if enough else 'is too little'}")
        low, high = (low, middle) if enough else (middle, high)
    return math.ceil(high * HEADROOM) * STEP_MIB


def survives(image: str, env: dict[str, str], pictures: list[bytes], memory_mib: int) -> bool:
    """Whether under a memory limit every photo gets a response and no process is killed."""
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
    """The least CPU quota with which the model analyses a photo within SLOWEST_S."""
    for cpus in CPUS:
        with Container(image, env, MOST_MIB, cpus, options=unlimited()) as running:
            try:
                running.wait(state="ready")
            except TimeoutError:
                continue
            load.send(running.url, load.PROBE_PHOTO.read_bytes())
            with load.clients(running.url, [load.PROBE_PHOTO.read_bytes()], 1) as tally:
                checks = [timed(running) for _ in range(5)]
            good = (
                not tally.wrong
                and not tally.lost
                and set(tally.sources) == {"model"}
                and max(tally.seconds) < SLOWEST_S
            )
            say(f"{cpus} CPUs: sources {set(tally.sources)}, slowest {max(tally.seconds):.1f} s, health {checks} s")
            if good and max(checks) < SLOWEST_S:
                return cpus
    sys.exit(f"The model does not answer in time with {CPUS[-1]} CPUs.")


def photos_per_minute(image: str, env: dict[str, str], photo: bytes) -> int:
    """Analyses a minute on one CPU, with more clients than it can serve."""
    with Container(image, env, MOST_MIB, 1.0, options=unlimited()) as running:
        running.wait(state="ready")
        load.send(running.url, photo)
        with load.clients(running.url, [photo]) as tally:
            time.sleep(LOAD_S)
            analyses = len(tally.sources)
    return round(analyses * 60 / LOAD_S)


@cache
def unlimited() -> tuple[str, ...]:
    """Options of `docker run` that mount figures without a minimum of memory.

    The service refuses to start below the image's own minimum, and the trials go below it.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump({**json.loads(MEASURED.read_text()), "memory_minimum_mib": 0}, file)
    Path(file.name).chmod(0o644)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return ("--volume", f"{file.name}:{INSIDE}:ro")


def timed(running: Container) -> float:
    """Seconds that the health command takes inside the container."""
    started = time.monotonic()
    running.execute(*health_command(PORT)[1:])
    return round(time.monotonic() - started, 2)


def used(running: Container) -> int:
    """Memory in use, in MiB, without page cache that can be freed."""
    text = running.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", running.name).split("/")[0].strip()
    for unit, factor in (("GiB", 1024.0), ("MiB", 1.0), ("KiB", 1 / 1024), ("B", 1 / MIB)):
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * factor)
    raise ValueError(text)


def rounded_median(values: list[float], digits: int = 1) -> float:
    """Rounded median."""
    return round(statistics.median(values), digits)


def machine() -> str:
    """Processor and number of cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    return f"{os.cpu_count()} cores of {name}"


class Say:
    """Prints progress with the time since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:5.0f} s  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", help="name:tag")
    try:
        measured = measure(parser.parse_args().image, environment(), Say())
    except EngineError as error:
        sys.exit(str(error))
    part = MEASURED.with_suffix(".part")
    part.write_text(measured.model_dump_json(indent=1) + "\n")
    part.replace(MEASURED)
    print(measured.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
