"""Turn an exported run into the weights bundle that the service embeds.

    python -m training.bundle --version 1.0.0                # .cache/training/runs/main/export → bentos/skin/weights
    python -m training.bundle --run wider --out /tmp/bundle  # another run, to look at first
    python -m training.evaluate                              # then measure it; writes the bundle's metrics.json

The self-test's picture is the portrait that is free to redistribute, never a training photo. The folder is changed only
when all of it is written and has been read back.
"""

import argparse
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
from bentos.skin.model.bundle import FORMAT_VERSION, MANIFEST, METRICS, MODEL, BundleError, Manifest, read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine, new_session, picture
from bentos.skin.model.output_checks import MAPS
from bentos.skin.photo.crop import CROP_SIZE, cut
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face import FaceDetector

RUNS = Path(".cache/training/runs")
PORTRAIT = Path(__file__).resolve().parents[1] / "tests" / "photos" / "astronaut.png"
NAME = "face-skin"
LICENSE = "LicenseRef-Shine-Weights-Research"
NOTICE = (
    "For research and evaluation only: trained on photographs whose terms allow no more. Not a medical device. "
    "See LICENSE.weights beside this file."
)
SELF_TEST_SIZE = 128  # px; the picture is enlarged by repeating pixels, so that no resampling can differ
SELF_TEST_OUTPUTS = ("density", "severity", "count_distribution", "wrinkles")
TOLERANCE = 0.02  # other processors sum in another order; another network is off by far more


def build(exported: Path, target: Path, version: str) -> None:
    """Write a bundle.

    Args:
        exported: model.onnx, calibration.json and figures.json of `training.export`.
        target: folder of the bundle.
        version: of the weights.

    Raises:
        FileNotFoundError: the run was not exported.
        BundleError: what was written cannot be read back, or fails its self-test.
    """
    calibration = json.loads((exported / "calibration.json").read_text())
    figures = json.loads((exported / "figures.json").read_text())
    calibration["wrinkles_confidence"] = figures["held_out"]["wrinkle_accuracy"]
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder)
        shutil.copyfile(exported / MODEL, part / MODEL)
        (part / METRICS).write_text(json.dumps({"note": "not measured yet: run training.evaluate"}) + "\n")
        content = {
            "format_version": FORMAT_VERSION,
            "name": NAME,
            "version": version,
            "license": LICENSE,
            "notice": NOTICE,
            "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "files": {},
            "input": {"name": "crops", "layout": "NHWC", "dtype": "uint8", "size": CROP_SIZE},
            "outputs": list(MAPS),
            "classes": {"severity": list(SEVERITIES[1:]), "wrinkles": list(WRINKLE_ZONES)},
            "calibration": calibration,
            "self_test": self_test(part / MODEL),
        }
        seal(part, content)
        OnnxEngine(read(part), threads=2)
        target.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, METRICS, MANIFEST):  # the manifest last: until then the old one finds nothing of its own
            shutil.copyfile(part / name, target / f".{name}.part")
            (target / f".{name}.part").replace(target / name)


def self_test(model: Path) -> dict[str, Any]:
    """The portrait's face, small, and what the network says of it."""
    photo = decode(PORTRAIT.read_bytes())
    face = FaceDetector().detect(photo)[0]
    image = Image.fromarray(cut(photo, face).pixels).resize((SELF_TEST_SIZE, SELF_TEST_SIZE), Image.Resampling.BOX)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    png = base64.b64encode(buffer.getvalue()).decode()
    values = new_session(model, threads=2).run(list(SELF_TEST_OUTPUTS), {"crops": picture(png)[np.newaxis]})
    expected = {
        name: [round(float(one), 5) for one in np.ravel(value)]
        for name, value in zip(SELF_TEST_OUTPUTS, values, strict=True)
    }
    return {"png": png, "expected": expected, "tolerance": TOLERANCE}


def seal(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest of the files that lie in a folder.

    Raises:
        pydantic.ValidationError: the content is no manifest.
    """
    content["files"] = {name: entry((folder / name).read_bytes()) for name in (MODEL, METRICS)}
    _put(folder, {MANIFEST: _manifest(content)})


def entry(data: bytes) -> dict[str, Any]:
    """Size and sha256 of a file's bytes."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def measured(folder: Path, metrics: dict[str, Any]) -> None:
    """Put measured figures into a bundle, and seal it anew; the manifest's sha256 changes with them.

    Raises:
        OSError: they cannot be written; the bundle is as it was, unless the machine stops between two renames.
    """
    content = json.loads((folder / MANIFEST).read_text())
    figures = (json.dumps(metrics, indent=1) + "\n").encode()
    content["files"][METRICS] = entry(figures)
    _put(folder, {METRICS: figures, MANIFEST: _manifest(content)})


def _manifest(content: dict[str, Any]) -> bytes:
    Manifest.model_validate(content)
    return (json.dumps(content, indent=1) + "\n").encode()


def _put(folder: Path, files: dict[str, bytes]) -> None:
    """Write all parts beside their places, then move them."""
    parts = {folder / f".{name}.part": folder / name for name in files}
    for part, data in zip(parts, files.values(), strict=True):
        part.write_bytes(data)
    for part, path in parts.items():
        part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the bundle (the embedded one by default)")
    parser.add_argument("--version", default="1.0.0", help="of the weights (%(default)s)")
    wanted = parser.parse_args()
    exported = RUNS / wanted.run / "export"
    if not (exported / MODEL).exists():
        sys.exit(f"there is no {exported / MODEL}; run training.export first")
    try:
        build(exported, wanted.out, wanted.version)
    except BundleError as error:
        sys.exit(error.message)
    print(f"wrote {wanted.out}, manifest sha256 {hashlib.sha256((wanted.out / MANIFEST).read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
