"""A weights bundle: a folder with manifest.json, model.onnx and metrics.json; nothing executable, all checked."""

import hashlib
import json
import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.schema import ModelLimits

MANIFEST = "manifest.json"
MODEL = "model.onnx"
METRICS = "metrics.json"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 20  # a manifest has some 100 kB, most of it the self-test's picture
MAX_METRICS_BYTES = 1 << 20  # `/ml/status` sends them all; the shipped ones have 27 kB
MAX_METRICS_DEPTH = 32  # of objects and lists in each other: what writes JSON has a limit too
REPEATABILITY = "repeatability"  # the key of metrics.json that holds ModelLimits
MAX_FILE_BYTES = 64 << 20  # of any other file; a published bundle has 20 MB at most

Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class BundleError(Exception):
    """A bundle cannot be used.

    Attributes:
        reason: the contract's reason code.
        message: what was wrong and what to do, in one sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Strict(BaseModel):
    """A model that accepts no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FileEntry(Strict):
    """A file of the bundle, as the manifest lists it."""

    size: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Input(Strict):
    """The input of the network: uint8 (batch, size, size, 3), sRGB; normalisation is part of the graph."""

    name: str
    layout: Literal["NHWC"]
    dtype: Literal["uint8"]
    size: int


class ConfidenceTable(Strict):
    """Score of the heat map → share of such boxes that are correct: knots, linear between them, constant beyond."""

    score: Annotated[list[Share], Field(min_length=1)]
    right: Annotated[list[Share], Field(min_length=1)]


class LesionNumbers(Strict):
    """How peaks become boxes.

    Attributes:
        score_min: from which a peak is a candidate.
        min_confidence: from which a candidate is shown by default; where F1 is best.
        boxes_max: of a face.
        overlap_max: intersection over union from which the weaker of two boxes is dropped.
    """

    score_min: Share
    min_confidence: Share
    boxes_max: Annotated[int, Field(ge=1, le=1000)]
    overlap_max: Share
    confidence: ConfidenceTable


class CountNumbers(Strict):
    """weights · (density, mean of count_distribution) + bias = lesions; below `clear_below` the face is clear."""

    weights: Annotated[list[Finite], Field(min_length=2, max_length=2)]
    bias: Finite
    clear_below: Annotated[float, Field(ge=0, le=5)]


class SeverityNumbers(Strict):
    """sigmoid(weights (3, 2) · features + bias (3)) = probabilities of worse than mild, moderate, severe.

    The features are log(1 + density) and the logit of the same probability by the network's severity; `strength`: of
    the regularisation.
    """

    weights: Annotated[
        list[Annotated[list[Finite], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=3)
    ]
    bias: Annotated[list[Finite], Field(min_length=3, max_length=3)]
    strength: float


class Platt(Strict):
    """sigmoid(slope · logit + bias) = probability."""

    slope: Finite
    bias: Finite


class Calibration(Strict):
    """The numbers that turn outputs into findings, fitted on photos that were not used for training."""

    lesions: LesionNumbers
    count: CountNumbers
    severity: SeverityNumbers
    wrinkles: dict[str, Platt]


class SelfTest(Strict):
    """A small recorded input and the outputs that the network must give for it.

    Attributes:
        png: base64 of a small square RGB PNG; it is enlarged to the input size by repeating its pixels.
        expected: output name → its values, flattened, for that input.
        tolerance: largest difference, absolute.
    """

    png: str
    expected: dict[str, list[Finite]]
    tolerance: Annotated[float, Field(gt=0, le=0.2)]


class Manifest(Strict):
    """The manifest of a bundle."""

    format_version: Literal[1]
    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    license: str
    notice: str
    created: str
    files: dict[str, FileEntry]
    input: Input
    outputs: list[str]
    classes: dict[str, list[str]]
    calibration: Calibration
    self_test: SelfTest


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, all of whose files have been checked.

    Attributes:
        manifest: parsed.
        sha256: of the manifest's bytes; the version that a deployment pins.
        folder: of its files.
        metrics: measured accuracy and repeatability, as `/ml/status` shows them.
    """

    manifest: Manifest
    sha256: str
    folder: Path
    metrics: dict[str, Any]


def read(folder: Path, pin: str | None = None) -> Bundle:
    """Read and check a bundle.

    Args:
        folder: of the three files.
        pin: sha256 that the manifest must have.

    Raises:
        BundleError: weights_missing (there are none), weights_corrupt (they do not match the manifest or the pin),
            weights_incompatible (another format or another network).
    """
    if not folder.is_dir():
        raise BundleError("weights_missing", f"There is no weights bundle at {folder}.")
    if not (folder / MANIFEST).exists():
        raise BundleError("weights_missing", f"There is no {MANIFEST} in {folder}.")
    text = regular(folder, MANIFEST, MAX_MANIFEST_BYTES).read_bytes()
    sha256 = hashlib.sha256(text).hexdigest()
    if pin is not None and sha256 != pin:
        raise BundleError("weights_corrupt", f"The manifest in {folder} has sha256 {sha256}, the pin is {pin}.")
    manifest = parse(text)
    for name, entry in manifest.files.items():
        _check(folder, name, entry)
    metrics = parse_metrics(regular(folder, METRICS, MAX_METRICS_BYTES).read_bytes())
    return Bundle(manifest, sha256, folder, metrics)


def parse_metrics(text: bytes) -> dict[str, Any]:
    """Parse the bytes of metrics.json, as far as this service relies on them: `/ml/status` must be able to send them.

    Raises:
        BundleError: weights_corrupt: they are no JSON object of finite numbers, or the limits of repeatability are
            none.
    """
    try:
        content = json.loads(text, parse_constant=_finite, parse_float=_finite)
        json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair cannot be sent
        sound = isinstance(content, dict) and _depth(content) <= MAX_METRICS_DEPTH
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        raise BundleError("weights_corrupt", f"{METRICS} is no JSON object of finite numbers.")
    try:
        if content.get(REPEATABILITY) is not None:
            ModelLimits.model_validate(content[REPEATABILITY])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (REPEATABILITY, *first["loc"]))
        raise BundleError("weights_corrupt", f"{METRICS}: {place}: {first['msg']}.") from None
    return dict(content)


def _finite(text: str) -> float:
    """A number of JSON; raises ValueError for NaN and infinity, which are none, and for what is too large."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def parse(text: bytes) -> Manifest:
    """Parse the bytes of a manifest; an unknown key is an error; raises as `read`."""
    try:
        content = json.loads(text)
        version = content["format_version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BundleError("weights_corrupt", f"{MANIFEST} is no JSON object with a format_version.") from None
    if version != FORMAT_VERSION:
        raise BundleError(
            "weights_incompatible", f"The bundle has format {version!r}; this service reads format {FORMAT_VERSION}."
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError("weights_corrupt", f"{MANIFEST}: {place}: {first['msg']}.") from None
    if set(manifest.files) != {MODEL, METRICS}:
        raise BundleError("weights_corrupt", f"{MANIFEST} must list {MODEL} and {METRICS}, nothing else.")
    if manifest.input.size != CROP_SIZE:
        raise BundleError("weights_incompatible", f"The network takes {manifest.input.size} px, not {CROP_SIZE}.")
    if manifest.classes != {"severity": list(SEVERITIES[1:]), "wrinkles": list(WRINKLE_ZONES)}:
        raise BundleError("weights_incompatible", "The network knows other classes than this service.")
    return manifest


def regular(folder: Path, name: str, limit: int) -> Path:
    """The path of a regular file of limited size; a link, pipe, device or folder is refused."""
    path = folder / name
    try:
        status = path.lstat()
    except OSError:
        raise BundleError("weights_corrupt", f"{name} is missing in {folder}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BundleError("weights_corrupt", f"{name} in {folder} is not a plain file.")
    if status.st_size > limit:
        raise BundleError(
            "weights_corrupt", f"{name} in {folder} has {status.st_size:,} bytes; {limit:,} are the most."
        )
    return path


def _check(folder: Path, name: str, entry: FileEntry) -> None:
    path = regular(folder, name, MAX_FILE_BYTES)
    size = path.stat().st_size
    if size != entry.size:
        raise BundleError("weights_corrupt", f"{name} has {size:,} bytes where the manifest says {entry.size:,}.")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != entry.sha256:
        raise BundleError("weights_corrupt", f"{name} has not the sha256 that the manifest says.")
