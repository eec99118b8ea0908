"""Makes the weights bundle that the service embeds from an exported run.

    python -m training.bundle --version 1.0.0                # .cache/training/runs/main/export → bentos/skin/weights
    python -m training.bundle --run wider --out /tmp/bundle  # another run, into another folder
    python -m training.evaluate                              # then measure it; writes the bundle's metrics.json

The image of the self-test is a portrait that may be redistributed, never a training photo. The bundle's files are
replaced only after all of them are written and the new bundle has passed its self-test.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.bundle(__doc__).parse_args()

import base64
import datetime
import hashlib
import json
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES
from bentos.skin.inference import new_session
from bentos.skin.model.bundle import FORMAT_VERSION, MANIFEST, METRICS, MODEL, BundleError, Manifest, read
from bentos.skin.model.engine import OnnxEngine, picture
from bentos.skin.model.output_checks import OUTPUT_SHAPES
from bentos.skin.photo.crop import CROP_SIZE, cut
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face import FaceDetector
from training.crops import RUNS
from training.data import PHOTOS
from training.files import replace_files

PORTRAIT = Path(__file__).resolve().parents[1] / "tests" / "photos" / "astronaut.png"
NAME = "face-skin"
LICENSE = "LicenseRef-Shine-Weights-Research"
NOTICE = (
    "For research and evaluation only: trained on photographs whose terms allow no more. Not a medical device. "
    "See LICENSE.weights beside this file."
)
OWN_LICENSE = "LicenseRef-Owner"
OWN_NOTICE = "Made from photographs of its owner, who decides what it may be used for. Not a medical device."
SELF_TEST_SIZE = 128  # px; the image is enlarged by repeating pixels, so that no resampling can differ
SELF_TEST_OUTPUTS = ("density", "severity", "count_distribution", "wrinkles")
TOLERANCE = 0.02  # other processors sum in another order; another network differs by far more


def build(exported: Path, target: Path, version: str, licence: str = LICENSE, notice: str = NOTICE) -> None:
    """Write a bundle.

    Args:
        exported: folder with model.onnx and calibration.json of `training.export`.
        target: folder of the bundle; made if missing.
        version: of the weights.
        licence: of the weights: an SPDX expression or a LicenseRef; that of weights from ACNE04 by default.
        notice: what the weights may be used for.

    Raises:
        FileNotFoundError: the run was not exported.
        BundleError: the new bundle is not valid or fails its self-test; the old one is kept.
        OSError: the bundle cannot be written; the old one is kept.
    """
    calibration = json.loads((exported / "calibration.json").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary)
        shutil.copyfile(exported / MODEL, staged / MODEL)
        (staged / METRICS).write_text(json.dumps({"note": "not measured yet: run training.evaluate"}) + "\n")
        content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "name": NAME,
            "version": version,
            "license": licence,
            "notice": notice,
            "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "files": {},
            "input": {"name": "crops", "layout": "NHWC", "dtype": "uint8", "size": CROP_SIZE},
            "outputs": list(OUTPUT_SHAPES),
            "classes": {"severity": list(SEVERITIES[1:]), "wrinkles": list(WRINKLE_ZONES)},
            "calibration": calibration,
            "self_test": make_self_test(staged / MODEL),
        }
        content["files"] = {name: _file_entry((staged / name).read_bytes()) for name in (MODEL, METRICS)}
        (staged / MANIFEST).write_bytes(_manifest(content))
        OnnxEngine(read(staged), threads=2)
        # The manifest comes last: until then the old one refuses the new files by their checksums.
        replace_files({target / name: (staged / name).read_bytes() for name in (MODEL, METRICS, MANIFEST)})


def terms(run: Path) -> tuple[str, str]:
    """License and notice of the weights of a run: those of ACNE04, or of your own photos where it was trained on them.

    Raises:
        OSError: the note of the run cannot be read.
    """
    note = run / PHOTOS
    return (OWN_LICENSE, OWN_NOTICE) if note.exists() and note.read_text() else (LICENSE, NOTICE)


def make_self_test(model: Path) -> dict[str, Any]:
    """Run a network on the portrait.

    Args:
        model: the ONNX file.

    Returns:
        png, the face as base64; expected, output → values; tolerance, the largest absolute difference.
    """
    photo = decode(PORTRAIT.read_bytes())
    face = FaceDetector().detect(photo)[0]
    image = Image.fromarray(cut(photo, face).pixels).resize((SELF_TEST_SIZE, SELF_TEST_SIZE), Image.Resampling.BOX)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    png = base64.b64encode(buffer.getvalue()).decode()
    values = new_session(model, threads=2).run(list(SELF_TEST_OUTPUTS), {"crops": picture(png)[np.newaxis]})
    expected = {
        name: [round(float(value), 5) for value in np.ravel(output)]
        for name, output in zip(SELF_TEST_OUTPUTS, values, strict=True)
    }
    return {"png": png, "expected": expected, "tolerance": TOLERANCE}


def set_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Replace metrics.json of a bundle, and manifest.json, which names its checksum.

    Args:
        folder: of the bundle.
        metrics: content of metrics.json.

    Raises:
        OSError: a file cannot be read or written; the old files are kept.
    """
    content = json.loads((folder / MANIFEST).read_text())
    data = (json.dumps(metrics, indent=1) + "\n").encode()
    content["files"][METRICS] = _file_entry(data)
    replace_files({folder / METRICS: data, folder / MANIFEST: _manifest(content)})


def _file_entry(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _manifest(content: dict[str, Any]) -> bytes:
    Manifest.model_validate(content)
    return (json.dumps(content, indent=1) + "\n").encode()


def main() -> None:
    options = commands.bundle(__doc__).parse_args()
    exported = RUNS / options.run / "export"
    if not (exported / MODEL).exists():
        sys.exit(f"there is no {exported / MODEL}; run python -m training.export first")
    try:
        licence, notice = terms(RUNS / options.run)
        build(exported, options.out, options.version, options.license or licence, options.notice or notice)
    except BundleError as error:
        sys.exit(error.message)
    except OSError as error:
        sys.exit(f"The bundle cannot be made: {error}")
    print(f"wrote {options.out}, manifest sha256 {hashlib.sha256((options.out / MANIFEST).read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
