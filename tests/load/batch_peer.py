"""`shine batch` by the processes of one machine, told and asked as in_process.py is: what it takes beyond functions.

    PYTHONPATH=TREE:tests/load python tests/load/batch_peer.py --processes 2

Each task is a run of its own, from a table of paths to the files of both tables, of as many photos as the last one did
in so many seconds; the processes stay between runs.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bentos.batch.local import LocalEngine
from bentos.batch.run import Request, run
from bentos.batch.work import Work

WORK = Work(None, allow_fallback=False)
FEWEST = 64  # photos of a run, so that its end, where processes wait for the last, is little of it
PART_PHOTOS = 64  # windows are short: with parts as large as usual they would have one


class _Untold:
    """Nobody watches."""

    def found(self, photos: int, others: int) -> None: ...

    def began(self, done: int, damaged: int) -> None: ...

    def advanced(self, photos: int, failed: int) -> None: ...


def carry_out(engine: LocalEngine, photos: list[str], count: int) -> dict[str, Any]:
    """One run.

    Args:
        engine: that has been started.
        photos: their files.
        count: of rows, which take the photos in turn.

    Returns:
        As `in_process.analyze_for`; `ms` is the same for all.
    """
    with tempfile.TemporaryDirectory(prefix="shine-batch-") as folder:
        table, output = Path(folder) / "photos.parquet", Path(folder) / "out"
        pq.write_table(pa.table({"path": list(islice(cycle(photos), count))}), table)
        began = time.perf_counter()
        run(Request(str(table), str(output), WORK, part_photos=PART_PHOTOS), nullcontext(engine), _Untold())
        seconds = time.perf_counter() - began
        found = pq.read_table(output / "findings", columns=["path", "analysis"]).to_pylist()
    answers: dict[str, Counter[str]] = {}
    for row in found:
        answers.setdefault(Path(row["path"]).name, Counter())[row["analysis"]] += 1
    return {"seconds": seconds, "ms": [1000 * seconds / count] * len(found), "answers": answers}


def main() -> None:
    parser = argparse.ArgumentParser(description="shine batch by the processes of one machine.")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    per_s = 0.0
    with LocalEngine(WORK, options.processes) as engine:
        engine.weights()
        print("ready", flush=True)
        for line in sys.stdin:
            task = json.loads(line)
            done = carry_out(engine, task["photos"], max(FEWEST, round(per_s * task["seconds"])))
            per_s = len(done["ms"]) / done["seconds"]
            print(json.dumps([done]), flush=True)


if __name__ == "__main__":
    main()
