"""Fit the heuristics' numbers of acne and wrinkles on the train photos, and write bentos/skin/measure/tuned.json.

    OMP_NUM_THREADS=1 python -m training.tune                     # everything, about five minutes on one idle core
    OMP_NUM_THREADS=1 python -m training.tune --only lines        # one half; the other half of tuned.json stays
    python -m training.evaluate                                   # then measure it on the valid photos

Crops are kept in .cache/training; delete that folder when decoding, face detection or cropping has changed.
Only the train splits are read. Seeded: the same data give the same numbers.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from bentos.skin.measure.tuned import TUNED
from training import crops, labels, tune_blemishes, tune_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--only", choices=("blemishes", "lines"), help="fit one half and keep the other")
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is the regularisation
    if not (wanted.data / "acne04").is_dir():
        parser.error(f"there is no acne04 in {wanted.data}; name the folder of the labelled photos with --data")
    fitted: dict[str, Any] = json.loads(TUNED.read_text()) if TUNED.exists() else {}
    if wanted.only != "lines":
        fitted["blemishes"] = tune_blemishes.fit(crops.acne(wanted.data / "acne04/train", "acne-train"))
    if wanted.only != "blemishes":
        fitted["lines"] = tune_lines.fit(crops.wrinkles(wanted.data / "wrinkles/train", "wrinkles-train"))
    TUNED.write_text(json.dumps(fitted, separators=(",", ":"), sort_keys=True) + "\n")
    print(f"wrote {TUNED.name}, {TUNED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
