"""Trains the skin network on the labelled photos; the same command continues a stopped run.

    python -m training.train                       # 80 minutes on two cores
    python -m training.train --run long --branch main --steps 18000   # on from the middle of main: hours
    python -m training.train --run other --branch main --seed 1       # the second half again, otherwise augmented
    python -m training.train --data /photos        # your own photos: docs/training.md
    python -m training.train --smoke               # a dozen steps on synthetic crops: does training still work?

Each run has a folder in .cache/training/runs: `checkpoint.pt` (all that is needed to continue), `level.pt` (before the
cool-down, for --branch), `history.json`, `curves.png`, and `left_out.txt`, the train photos that match valid ones. The
random numbers of a step depend on the seed and the step's number only, so a run that was killed and continued ends with
the same weights as one that was not.
"""

from training import commands

if __name__ == "__main__":  # before torch, which --help does not need
    commands.train(__doc__).parse_args()

import ctypes
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from training import curves, data, data_checks
from training.checkpoint import CheckpointError
from training.crops import RUNS
from training.data import DataError
from training.files import write_atomically
from training.loop import Settings, branch, train
from training.synthetic import synthetic_dataset

# C libraries read these at their start only. Freed memory is kept: page faults took more time than the convolutions.
# Threads sleep while they wait: beside other programs, spinning raised a step from .9 to 4 processor seconds.
ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "2000000000",
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
}


def main() -> None:
    options = commands.train(__doc__).parse_args()
    _restart_with_environment()
    torch.set_num_threads(options.threads)
    start = time.monotonic()
    try:
        if options.smoke:
            settings = Settings(seed=options.seed, steps=options.steps or 12, side=128, last_side=160, save_every=4)
            labelled, run = synthetic_dataset(), RUNS / "smoke"
            (run / "checkpoint.pt").unlink(missing_ok=True)
        else:
            settings = Settings(seed=options.seed)
            settings = replace(settings, steps=options.steps or settings.steps)
            run = RUNS / options.run
            data_checks.check(options.data, "train")
            require_same_photos(run, data.state(options.data))
            labelled = data.load(options.data)
            if options.branch:
                branch(RUNS / options.branch / "level.pt", run / "checkpoint.pt", settings)
            print(f"training on {len(labelled.fit.acne)} acne and {len(labelled.fit.wrinkles)} wrinkle crops")
            left_out = "".join(f"{line}\n" for line in labelled.left_out)
            write_atomically(run / "left_out.txt", lambda part: part.write_text(left_out))
        state = train(labelled, run, settings, seconds=60 * options.minutes)
    except (DataError, CheckpointError) as error:
        sys.exit(str(error))
    curves.draw(state.history, run / "curves.png")
    minutes = (time.monotonic() - start) / 60
    print(f"{state.step} of {settings.steps} steps done, {minutes:.1f} minutes; results are in {run}")


def require_same_photos(run: Path, state: str) -> None:
    """Require that a run goes on with the photos that it began with, and note them in a new run's folder.

    Args:
        run: folder of the run; made if missing.
        state: of the photos, from `data.state`.

    Raises:
        DataError: the run began with others.
    """
    note = run / data.PHOTOS
    began = note.read_text() if note.exists() else ""  # runs without a note are of ACNE04
    if (run / "checkpoint.pt").exists() and began != state:
        raise DataError(
            f"{run} was trained on other photos, or on these before they changed: name another --run, or delete it"
        )
    run.mkdir(parents=True, exist_ok=True)
    note.write_text(state)


def _restart_with_environment() -> None:
    """Replace this process by one with ENVIRONMENT, where the C library is glibc and the variables are not set."""
    if sys.platform == "linux" and not set(ENVIRONMENT) <= set(os.environ) and hasattr(ctypes.CDLL(None), "mallopt"):
        os.execve(sys.executable, sys.orig_argv, {**ENVIRONMENT, **os.environ})  # noqa: S606


if __name__ == "__main__":
    main()
