"""Mixed load with a random fault every 20 s: all are answered, fallbacks marked, it recovers and does not grow.

make soak                               # 20 minutes
SECONDS_SOAK=180 SEED_SOAK=7 make soak     # shorter; the seed repeats the faults of the run that printed it
"""

import base64
import os
import random
import shutil
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import psutil
import pytest

from deploy.image.load import at_work
from tests.faults.proxy import Fault
from tests.faults.rows import flipped, remembers_otherwise
from tests.faults.service_under_fault import HEAL_S, ServiceUnderFault
from tests.service.traffic import DEADLINE_S, ROOM_S, client_of, drawn_photos

SECONDS = int(os.environ.get("SECONDS_SOAK", "1200"))
SEED = int(os.environ.get("SEED_SOAK", str(random.randrange(10_000))))
EVERY_S, LASTS_S = 20.0, 8.0  # between faults; of a fault
SAMPLE_S = 2.0  # between looks at memory
SETTLED_SHARE = 0.25  # of the run, the first 5 of 20 minutes: what caches and allocators take
GROWTH_MOST = 1.05
CLIENTS = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(SECONDS + 300)]


@dataclass
class Tally:
    """What the load saw."""

    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


# --- load -----------------------------------------------------------------------------------------------------------


def marked(body: dict[str, object]) -> bool:
    """Whether an analysis says truly who found it."""
    model = body["source"] == "model"
    return (body["degraded"], body["reason"] is None, body["model"] is not None) == (not model, model, model)


def analyze(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/analyze", files={"image": photo})
    return answer.status_code == 200 and marked(answer.json())


def analyze_base64(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/analyze_base64", json={"image": base64.b64encode(photo).decode()})
    return answer.status_code == 200 and marked(answer.json())


def batch(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/analyze_batch", files=[("images", photo), ("images", b"no photo"), ("images", photo)])
    results = answer.json().get("results", [{}] * 3)
    return "error" in results[1] and all(marked(result) for result in (results[0], results[2]))


def overlay(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/overlay", files={"image": photo})
    return answer.status_code == 200 and answer.content.startswith(b"\x89PNG") and "x-degraded" in answer.headers


def required(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/analyze", files={"image": photo}, data={"require": "model"})
    if answer.status_code == 503:
        return answer.json()["error"]["code"] == "model_unavailable" and "retry-after" in answer.headers
    return answer.status_code == 200 and answer.json()["source"] == "model"


def broken(client: httpx.Client, photo: bytes) -> bool:
    answer = client.post("/analyze", files={"image": photo[: len(photo) // 2]})
    return answer.status_code == 422 and answer.json()["error"]["code"] == "image_unreadable"


def healthy(client: httpx.Client, _: bytes) -> bool:
    return all(client.get(path).status_code == 200 for path in ("/health", "/ready", "/ml/status", "/metrics"))


MIX: tuple[Callable[[httpx.Client, bytes], bool], ...] = (
    *(analyze,) * 6,
    *(healthy,) * 4,
    analyze_base64,
    batch,
    overlay,
    required,
    broken,
)


@contextmanager
def mixed_load(service: ServiceUnderFault) -> Iterator[Tally]:
    """Clients that do now this, now that."""
    tally, photos = Tally(), drawn_photos()

    def work(number: int, over: threading.Event) -> None:
        chance = random.Random(f"{SEED}-{number}")
        with client_of(service.running) as client:
            while not over.is_set():
                act, photo, began = chance.choice(MIX), chance.choice(photos), time.monotonic()
                try:
                    held, what = act(client, photo), ""
                except (httpx.TransportError, ValueError, LookupError) as error:
                    held, what = False, repr(error)
                seconds = time.monotonic() - began
                tally.kinds[act.__name__] += 1
                tally.slowest_s = max(tally.slowest_s, seconds)
                if not held or seconds > DEADLINE_S + ROOM_S:
                    tally.wrong.append(f"{act.__name__} after {seconds:.1f} s {what}")

    with at_work(work, CLIENTS):
        yield tally


# --- faults: each inflicts something and gives back what ends it ---------------------------------------------------

Heal = Callable[[], object]


def on_the_way(fault: Fault) -> Callable[[ServiceUnderFault], Heal]:
    def inflict(service: ServiceUnderFault) -> Heal:
        service.proxy.fault = fault
        return lambda: setattr(service.proxy, "fault", Fault.none())

    return inflict


def killed(*workers: str) -> Callable[[ServiceUnderFault], Heal]:
    def inflict(service: ServiceUnderFault) -> Heal:
        for worker in workers:
            with suppress(LookupError, psutil.NoSuchProcess):
                service.running.worker(worker).kill()
        return lambda: None

    return inflict


def stopped(worker: str) -> Callable[[ServiceUnderFault], Heal]:
    def inflict(service: ServiceUnderFault) -> Heal:
        process = service.running.worker(worker)
        process.suspend()

        def resume() -> None:
            with suppress(psutil.NoSuchProcess):  # its watchdog has ended it
                process.resume()

        return resume

    return inflict


def good_version(service: ServiceUnderFault) -> Heal:
    number = service.published = service.published + 1
    service.publish(service.bundle(f"1.{number}.0"))
    return lambda: None


def bad_version(service: ServiceUnderFault) -> Heal:
    remembers_otherwise(service)
    return lambda: good_version(service)


def bad_version_and_killed(service: ServiceUnderFault) -> Heal:
    heal = bad_version(service)
    killed("SkinModel")(service)
    return heal


def cache_gone(service: ServiceUnderFault) -> Heal:
    shutil.rmtree(service.cache / "weights", ignore_errors=True)
    killed("SkinModel")(service)
    return lambda: None


def cache_flipped(service: ServiceUnderFault) -> Heal:
    for path in (service.cache / "weights").glob("*/model.onnx"):
        path.write_bytes(flipped(path.read_bytes()))
    killed("SkinModel")(service)
    return lambda: None


FAULTS: dict[str, Callable[[ServiceUnderFault], Heal]] = {
    "S3 refuses": on_the_way(Fault.refuse()),
    "S3 hangs": on_the_way(Fault.hang()),
    "S3 is slow": on_the_way(Fault.slow(1000)),
    "S3 answers 503": on_the_way(Fault.status(503)),
    "S3 answers 403": on_the_way(Fault.status(403)),
    "S3 redirects": on_the_way(Fault.redirect()),
    "the model worker is killed": killed("SkinModel"),
    "the fallback worker is killed": killed("HeuristicFallback"),
    "both are killed": killed("SkinModel", "HeuristicFallback"),
    "the model worker is stopped": stopped("SkinModel"),
    "the fallback worker is stopped": stopped("HeuristicFallback"),
    "a good version": good_version,
    "a bad version": bad_version,
    "a bad version, the model worker killed": bad_version_and_killed,
    "the cache is gone, the model worker killed": cache_gone,
    "a bit of the cache flips, the model worker killed": cache_flipped,
}


def test_random_faults_under_mixed_load_cost_nobody_an_answer(
    make_service: Callable[[bool], ServiceUnderFault],
) -> None:
    print(f"soak of {SECONDS} s, SEED_SOAK={SEED}", flush=True)
    chance, service = random.Random(SEED), make_service(True)
    service.publish()
    service.start()
    service.settled()
    samples: list[tuple[float, int]] = []
    with mixed_load(service) as tally:
        began = time.monotonic()

        def rest(until_s: float) -> None:
            while (left := began + until_s - time.monotonic()) > 0:
                samples.append((time.monotonic() - began, service.usage()[0]))
                time.sleep(min(left, SAMPLE_S))

        for number in range(round(SECONDS / EVERY_S)):
            name = chance.choice(sorted(FAULTS))
            print(f"{time.monotonic() - began:5.0f} s  {name}", flush=True)
            heal = FAULTS[name](service)
            rest(number * EVERY_S + LASTS_S)
            heal()
            rest((number + 1) * EVERY_S)
        ends = time.monotonic() + HEAL_S
        while service.status()["state"] != "ready" and time.monotonic() < ends:
            time.sleep(0.5)
    print(f"{dict(tally.kinds)}, slowest {tally.slowest_s:.1f} s, wrong: {tally.wrong}")
    assert service.status()["state"] == "ready"
    assert tally.wrong == []
    settled = [size for at, size in samples if SECONDS * SETTLED_SHARE < at < 2 * SECONDS * SETTLED_SHARE]
    last = [size for at, size in samples if at > SECONDS * (1 - SETTLED_SHARE)]
    growth = statistics.median(last) / statistics.median(settled)
    print(f"memory {statistics.median(settled) / 2**20:.0f} MiB, at the end × {growth:.3f}")
    assert growth < GROWTH_MOST
