"""Trains the skin network on the labelled photos; the same command continues a stopped run.

    python -m training.train                       # the first run, 53 minutes on two cores
    python -m training.train --run halves --branch main --seed 1 --halved 0.4    # its last half again, 28 minutes
    python -m training.export --average halves     # then calibrate and export the mean of both
    python -m training.train --smoke               # a dozen steps on synthetic crops: does training still work?

Each run has a folder in .cache/training/runs: `checkpoint.pt` (all that is needed to continue), `level.pt` (before the
cool-down, for --branch), `history.json`, `curves.png`, and `left_out.txt`, the train photos that match valid ones. The
random numbers of a step depend on the seed and the step's number only, so a run that was killed and continued ends with
the same weights as one that was not.
"""

import argparse
import ctypes
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from training import curves, data, labels
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=labels.DATA, help="folder that holds acne04 and wrinkles (%(default)s)"
    )
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument("--steps", type=int, help="number of steps of the optimiser (5400)")
    parser.add_argument("--branch", metavar="RUN", help="start from the state of that run before its cool-down")
    parser.add_argument("--seed", type=int, default=0, help="seed of order, augmentation and dropout (%(default)s)")
    parser.add_argument(
        "--halved", type=float, default=0.0, help="share of acne crops that are joined from two faces (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="train 12 steps on synthetic crops, in the run `smoke`")
    options = parser.parse_args()
    _restart_with_environment()
    torch.set_num_threads(options.threads)
    start = time.monotonic()
    try:
        if options.smoke:
            settings = Settings(seed=options.seed, steps=options.steps or 12, side=128, last_side=160, save_every=4)
            labelled, run = synthetic_dataset(), RUNS / "smoke"
            (run / "checkpoint.pt").unlink(missing_ok=True)
        else:
            settings = Settings(seed=options.seed, halved=options.halved)
            settings = replace(settings, steps=options.steps or settings.steps)
            labelled, run = data.load(options.data), RUNS / options.run
            if options.branch:
                branch(RUNS / options.branch / "level.pt", run / "checkpoint.pt", settings)
            print(f"training on {len(labelled.fit.acne)} acne and {len(labelled.fit.wrinkles)} wrinkle crops")
            run.mkdir(parents=True, exist_ok=True)
            left_out = "".join(f"{line}\n" for line in labelled.left_out)
            write_atomically(run / "left_out.txt", lambda part: part.write_text(left_out))
        state = train(labelled, run, settings)
    except (DataError, CheckpointError) as error:
        sys.exit(str(error))
    curves.draw(state.history, run / "curves.png")
    print(f"{state.step} steps done, {(time.monotonic() - start) / 60:.1f} minutes; results are in {run}")


def _restart_with_environment() -> None:
    """Replace this process by one with ENVIRONMENT, where the C library is glibc and the variables are not set."""
    if sys.platform == "linux" and not set(ENVIRONMENT) <= set(os.environ) and hasattr(ctypes.CDLL(None), "mallopt"):
        os.execve(sys.executable, sys.orig_argv, {**ENVIRONMENT, **os.environ})  # noqa: S606


if __name__ == "__main__":
    main()
