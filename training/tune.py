"""Fits the numbers of the heuristics on the train photos and writes them to bentos/skin/measure/tuned.json.

    OMP_NUM_THREADS=1 python -m training.tune                  # acne and wrinkles, about five minutes on one idle core
    OMP_NUM_THREADS=1 python -m training.tune --only lines     # wrinkles only; the numbers of acne are kept
    python -m training.evaluate                                # then measure the heuristics on the valid photos

The crops are cached in .cache/training; delete that folder when decoding, face detection or cropping has changed. Only
the train splits are read, and of the London faces those of the fit split. The seeds are fixed: the same photos give
the same numbers. Fitted on the photos without the exporter's noise, and without the people that are held out, they were
worse: count 4.5 instead of 4.2 off, clear faces and spotted ones told apart less.
"""

from training import commands

if __name__ == "__main__":  # before scikit-learn, which --help does not need
    commands.tune(__doc__).parse_args()

import json
import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from bentos.skin.measure.tuned import TUNED
from training import crops, tune_blemishes, tune_lines
from training.files import replace_files


def main() -> None:
    parser = commands.tune(__doc__)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is the regularisation
    for name in ("acne04", "wrinkles", "london"):
        if not (options.data / name).is_dir():
            parser.error(f"there is no {name} in {options.data}; name the folder of the labelled photos with --data")
    fitted: dict[str, Any] = json.loads(TUNED.read_text()) if TUNED.exists() else {}
    if options.only != "lines":
        acne = crops.acne_examples(options.data / "acne04/train", "acne-train-as-exported")
        london = [pair for pair in crops.london_examples(options.data / "london") if pair[1].split == "fit"]
        wrinkled = crops.wrinkle_examples(options.data / "wrinkles/train", "wrinkles-train")[::3]
        fitted["blemishes"] = tune_blemishes.fit(acne, london, wrinkled)
        write(fitted)
    if options.only != "blemishes":
        fitted["lines"] = tune_lines.fit(crops.wrinkle_examples(options.data / "wrinkles/train", "wrinkles-train"))
        write(fitted)


def write(fitted: dict[str, Any]) -> None:
    """Replace tuned.json."""
    replace_files({TUNED: (json.dumps(fitted, separators=(",", ":"), sort_keys=True) + "\n").encode()})
    print(f"wrote {TUNED.name}, {TUNED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
