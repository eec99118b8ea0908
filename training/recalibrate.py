"""Fits the calibration of a bundle anew, with the network as it is: after a change of what the numbers are fitted on.

python -m training.recalibrate --version 1.1.0     # the embedded bundle; a minute or two
python -m training.evaluate                        # then measure it; writes the bundle's metrics.json
"""

from training import commands

if __name__ == "__main__":  # before torch, which --help does not need
    commands.recalibrate(__doc__).parse_args()

import json
import shutil
import sys
import tempfile
from pathlib import Path

from bentos.skin.inference import new_session
from bentos.skin.model.bundle import MODEL, BundleError, read
from training import bundle, calibrate, data, export
from training.data import DataError


def recalibrate(folder: Path, photos: Path, version: str) -> None:
    """Replace a bundle by one with the same network and a calibration fitted on the held-out photos.

    Args:
        folder: of the bundle.
        photos: folder that holds lesions or acne04, and wrinkles; `london`, where there is one, is used too.
        version: of the new bundle.

    Raises:
        BundleError: the bundle cannot be read, or the new one is not valid; the old one is kept.
        DataError: photos are missing or broken.
        OSError: the bundle cannot be written; the old one is kept.
    """
    weights = read(folder)
    held_out = data.load(photos).held_out
    model = new_session(weights.folder / MODEL, threads=2)
    acne = export.run(model, export.stack_pixels(held_out.acne), label="held-out acne")
    wrinkles = export.run(model, export.stack_pixels(held_out.wrinkles), label="held-out wrinkles")
    numbers = calibrate.fit(held_out.acne, acne, held_out.wrinkles, wrinkles, *export.run_london(model, photos))
    print(json.dumps(calibrate.measure(numbers, held_out.acne, acne, held_out.wrinkles, wrinkles), indent=1))
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary)
        shutil.copyfile(weights.folder / MODEL, exported / MODEL)
        (exported / "calibration.json").write_text(json.dumps(numbers, indent=1) + "\n")
        bundle.build(exported, folder, version)


def main() -> None:
    options = commands.recalibrate(__doc__).parse_args()
    try:
        recalibrate(options.bundle, options.data, options.version)
    except BundleError as error:
        sys.exit(error.message)
    except DataError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"The bundle cannot be made: {error}")
    print(f"wrote {options.bundle}")


if __name__ == "__main__":
    main()
