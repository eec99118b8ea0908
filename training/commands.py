"""The command lines of this package, apart from the modules that do the work: `--help` needs nothing that these import.

Each module with a command parses once before it imports the others, so that torch and its like may be missing, and
again in its `main`.
"""

import math
import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from bentos.skin.model.engine import EMBEDDED
from training.labels import DATA


def bundle(purpose: str | None) -> ArgumentParser:
    """The command line of `training.bundle`."""
    parser = _parser(purpose)
    parser.add_argument("--run", default="main", help="name of the exported run (%(default)s)")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the bundle (%(default)s)")
    parser.add_argument("--version", default="1.0.0", help="version of the weights (%(default)s)")
    parser.add_argument("--license", help="of the weights, an SPDX expression or a LicenseRef (that of the photos)")
    parser.add_argument("--notice", help="what the weights may be used for, in a sentence (what the photos allow)")
    return parser


def data(purpose: str | None) -> ArgumentParser:
    """The command line of `training.data`."""
    return _with_data(purpose, "lesions or acne04, and wrinkles")


def evaluate(purpose: str | None) -> ArgumentParser:
    """The command line of `training.evaluate`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and london if there is one")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder of the bundle to measure (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for all files, instead of the project and the bundle")
    parser.add_argument(
        "--only", choices=("model", "heuristic"), help="measure one predictor, without differences and card"
    )
    parser.add_argument(
        "--quick", action="store_true", help="use a part of the photos and few resamples, to try the command"
    )
    parser.add_argument(
        "--skip-robustness", action="store_true", help="leave the distorted photos out; takes a third of the time"
    )
    return parser


def export(purpose: str | None) -> ArgumentParser:
    """The command line of `training.export`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and london if there is one")
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument(
        "--average",
        nargs="*",
        default=[],
        metavar="RUN",
        help="average its weights with those of these runs, which branched off it",
    )
    parser.add_argument(
        "--bench", action="store_true", help="measure the latency, and that of EfficientNet-Lite0 alone"
    )
    return parser


def network(purpose: str | None) -> ArgumentParser:
    """The command line of `training.network`."""
    return _parser(purpose)


def people(purpose: str | None) -> ArgumentParser:
    """The command line of `training.people`."""
    parser = _with_data(purpose, "acne04")
    parser.add_argument("--out", type=Path, help="table to write (training/people.csv)")
    return parser


def preview(purpose: str | None) -> ArgumentParser:
    """The command line of `training.preview`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and for pasted lesions london")
    parser.add_argument("kind", choices=("views", "pasted"), help="augmented views, or faces with lesions pasted in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the images, outside the project")
    parser.add_argument("--number", type=int, default=24, help="of images (%(default)s)")
    return parser


def publish(purpose: str | None) -> ArgumentParser:
    """The command line of `training.publish`."""
    parser = _parser(purpose)
    parser.add_argument("uri", help="s3://bucket/prefix or a folder, the value of SHINE_WEIGHTS_URI")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder of the bundle (%(default)s)")
    parser.add_argument(
        "--dry-run", action="store_true", help="check the bundle and run its self-test, but write nothing"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="list the versions instead of publishing")
    action.add_argument(
        "--rollback",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="make an earlier version live instead of publishing; without FOLDER, the previous one",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    return parser


def recalibrate(purpose: str | None) -> ArgumentParser:
    """The command line of `training.recalibrate`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and london if there is one")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder of the bundle (%(default)s)")
    parser.add_argument("--version", required=True, help="version of the new bundle")
    return parser


def repeatability(purpose: str | None) -> ArgumentParser:
    """The command line of `training.repeatability`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and london if there is one")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="folder of the bundle to measure (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the limits alone, instead of the project and the bundle")
    parser.add_argument("--quick", action="store_true", help="use a part of the photos, to try the command")
    return parser


def train(purpose: str | None) -> ArgumentParser:
    """The command line of `training.train`."""
    parser = _with_data(purpose, "lesions or acne04, wrinkles, and london if there is one")
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument("--steps", type=int, help="number of steps of the optimiser (6000)")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop after so long; the same command goes on (no limit)"
    )
    parser.add_argument("--branch", metavar="RUN", help="start from the state of that run before its cool-down")
    parser.add_argument("--seed", type=int, default=0, help="seed of order, augmentation and dropout (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="train 12 steps on synthetic crops, in the run `smoke`")
    return parser


def tune(purpose: str | None) -> ArgumentParser:
    """The command line of `training.tune`."""
    parser = _with_data(purpose, "acne04, wrinkles and london")
    parser.add_argument(
        "--only", choices=("blemishes", "lines"), help="fit acne (blemishes) or wrinkles (lines) and keep the other"
    )
    return parser


def _parser(purpose: str | None) -> ArgumentParser:
    return ArgumentParser(description=purpose, formatter_class=RawDescriptionHelpFormatter)


def _with_data(purpose: str | None, holds: str) -> ArgumentParser:
    parser = _parser(purpose)
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder that holds {holds} (%(default)s)")
    return parser
