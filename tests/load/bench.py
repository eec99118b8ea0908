"""The cost of an answer: by stage, over HTTP and by direct calls of the same code, alone and under load.

    make bench
    .venv/bin/python -m tests.load.bench --requests 400 --photo face.jpg

Prints ratios within one run, since absolute times are the machine's.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bentos.skin.measure import measure
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.runtime.gateway import prepare
from tests.server import PORTRAIT, Server


def milliseconds(work: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each of several calls, after one to warm up."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def stages(data: bytes, times: int) -> dict[str, float]:
    """Median milliseconds of each stage, called directly in one thread."""
    reader = FaceReader()
    photo = decode(data)
    faces = reader.read(photo)
    prepared = prepare(photo, faces)
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: decode(data),
        "faces, landmarks": lambda: reader.read(photo),
        "view, light, quality": lambda: prepare(photo, faces),
        "measure": lambda: measure(prepared.view),
    }
    return {stage: statistics.median(milliseconds(call, times)) for stage, call in work.items()}


def load(url: str, data: bytes, requests: int, concurrency: int) -> tuple[list[float], float]:
    """Milliseconds of each request, sorted, and requests per second."""
    with (
        httpx.Client(limits=httpx.Limits(max_connections=concurrency), timeout=30) as client,
        ThreadPoolExecutor(concurrency) as clients,
    ):

        def ask(_: int) -> float:
            began = time.perf_counter()
            client.post(url + "/analyze", files={"image": data}).raise_for_status()
            return 1000 * (time.perf_counter() - began)

        began = time.perf_counter()
        taken = sorted(clients.map(ask, range(requests)))
        return taken, requests / (time.perf_counter() - began)


def at(share: float, taken: Sequence[float]) -> float:
    """A quantile of sorted values."""
    return taken[min(len(taken) - 1, int(share * len(taken)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=PORTRAIT, help="the photo that is sent (default: the portrait)")
    parser.add_argument("--requests", type=int, default=200, help="requests at each concurrency (default: 200)")
    options = parser.parse_args()
    data = options.photo.read_bytes()

    medians = stages(data, 30)
    direct = sum(medians.values())
    print("stage, called directly   ms   share")
    for stage, taken in medians.items():
        print(f"  {stage:<20} {taken:6.1f}   {taken / direct:4.0%}")
    print(f"  {'together':<20} {direct:6.1f}")

    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), SHINE_PHASE="simple")
        try:
            server.wait_for_workers()
            load(server.url, data, 40, 8)  # the batching of the runners learns from the first calls
            print("clients    p50 ms   p95 ms   requests/s   p50 / direct")
            for concurrency in (1, 8, 32):
                requests, rate = load(server.url, data, options.requests, concurrency)
                middle = at(0.5, requests)
                print(
                    f"  {concurrency:<7} {middle:8.1f} {at(0.95, requests):8.1f} {rate:12.1f} {middle / direct:13.1f}"
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
