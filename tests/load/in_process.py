"""The limit: the whole way of a photo without HTTP, by so many processes of so many threads.

    PYTHONPATH=TREE:tests/load python tests/load/in_process.py --processes 2 --threads 1

It says `ready` when every process can answer. Each line it then reads is a JSON object, {"photos": [paths],
"seconds": s, "least": n}; it answers by a line with what each thread did, and ends with its input. PYTHONPATH names
this repository or an older commit of it, so nothing of `tests` is imported.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.load.functions import Functions, keep_freed_memory
else:
    from functions import Functions, keep_freed_memory


def analyze_for(
    functions: Functions, photos: dict[str, bytes], seconds: float, least: int, offset: int
) -> dict[str, Any]:
    """Analyse photos one after the other, in turn, and end with the first answer after `seconds`.

    Args:
        functions: what analyses them.
        photos: name → file.
        seconds: wall clock.
        least: photos, however long they take.
        offset: number of the photo that comes first.

    Returns:
        `seconds` it took, `ms` of each photo, and `answers`: name → answer → how often it was given.
    """
    order = list(photos)
    taken: list[float] = []
    answers: dict[str, Counter[str]] = {name: Counter() for name in order}
    began = now = time.perf_counter()
    for name in _in_turn(order, offset):
        answer = functions.analyze(photos[name])
        before, now = now, time.perf_counter()
        taken.append(1000 * (now - before))
        answers[name][answer.decode()] += 1
        if now - began >= seconds and len(taken) >= least:
            break
    return {"seconds": now - began, "ms": taken, "answers": answers}


def _in_turn(order: list[str], offset: int) -> Iterator[str]:
    turn = cycle(order)
    for _ in range(offset % len(order)):
        next(turn)
    return turn


def work(channel: Connection, number: int, threads: int) -> None:
    """One process: do what comes in, until None does."""
    keep_freed_memory()
    functions = Functions(1)
    channel.send("ready")
    with ThreadPoolExecutor(threads) as pool:
        while (task := channel.recv()) is not None:
            photos = {Path(path).name: Path(path).read_bytes() for path in task["photos"]}
            offsets = range(number * threads, (number + 1) * threads)
            length = task["seconds"], task["least"]
            calls = [pool.submit(analyze_for, functions, photos, *length, offset) for offset in offsets]
            channel.send([call.result() for call in calls])


def start(processes: int, threads: int) -> list[tuple[SpawnProcess, Connection]]:
    """Start the processes, and wait until each can answer."""
    context = multiprocessing.get_context("spawn")
    workers = []
    for number in range(processes):
        ours, theirs = context.Pipe()
        worker = context.Process(target=work, args=(theirs, number, threads), daemon=True)
        worker.start()
        theirs.close()  # so that the end of the process ends the reading here
        workers.append((worker, ours))
    for _, channel in workers:
        channel.recv()
    return workers


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole way of a photo without HTTP.")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    options = parser.parse_args()
    workers = start(options.processes, options.threads)
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        for _, channel in workers:
            channel.send(task)
        done = [threads for _, channel in workers for threads in channel.recv()]
        print(json.dumps(done), flush=True)
    for worker, channel in workers:
        channel.send(None)
        worker.join()


if __name__ == "__main__":
    main()
