"""Measures the model and the heuristics on the same valid photos and writes metrics, plots and the model card.

    python -m training.evaluate                              # both, with the embedded bundle; 3 to 6 minutes on a core
    python -m training.evaluate --quick                      # a part of the photos, into .cache/training/evaluate
    python -m training.evaluate --bundle /tmp/bundle --out /tmp/evaluation   # another bundle, into another folder
    python -m training.evaluate --data /photos --bundle /tmp/bundle          # on your own photos: docs/training.md
    python -m training.evaluate --only heuristic             # after a change of the heuristics; no card, no plots

All files are written at the end: bentos/skin/measure/metrics.json (heuristics), metrics.json and manifest.json of the
bundle (model; the manifest's sha256 changes), training/latency.json (depends on the machine; all else is reproducible),
training/plots and training/MODEL_CARD.md. Limits of repeatability that training.repeatability has put there stay.
Intervals hold 95 % of bootstrap resamples of the photos; differences are paired. The valid photos are used for this
alone: no threshold and no calibration is fitted on them.

Figures of your own photos never replace those of the project: they go into .cache/training/evaluate, without a card,
and into the bundle, unless that is the embedded one.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.evaluate(__doc__).parse_args()

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bentos.skin.errors import ShineError
from bentos.skin.measure import blemishes
from bentos.skin.model.bundle import MANIFEST, MODEL, REPEATABILITY, Bundle, BundleError, read
from bentos.skin.model.bundle import METRICS as BUNDLE_METRICS
from bentos.skin.model.engine import EMBEDDED, OnnxEngine
from training import bundle, card, labels, plots, predictions, summary
from training.crops import CACHE
from training.data import by_person
from training.distortions import CLEANED, DISTORTIONS
from training.files import replace_files
from training.metrics import RESAMPLES, SEED, Rows
from training.predictions import Predictor
from training.summary import Tables

HERE = Path(__file__).parent
CARD = "MODEL_CARD.md"
METRICS = Path(blemishes.__file__).with_name("metrics.json")
OWN_ACNE = "{} photos of the valid split of the owner's collection, with lesions labelled by its owner"
OWN_WRINKLES = (
    "{} wrinkle photos of the valid split of the same collection; a photo without a box of a zone is its negative"
)
QUICK_OUT = CACHE / "evaluate"
DISTORTED = {"acne": 283, "wrinkles": 60}  # photos of each distortion: all acne photos, for a fall of .02 to show
QUICK = {"acne": 60, "wrinkles": 50}  # photos of --quick
QUICK_DISTORTED = {"acne": 24, "wrinkles": 24}  # photos of each distortion of --quick
QUICK_RESAMPLES = 200  # of the bootstrap of --quick


@dataclass(frozen=True, slots=True)
class Photos:
    """The labels of the photos to measure on.

    Attributes:
        acne: of the valid split.
        wrinkles: of the valid split.
        distorted_rows: rows of the acne and of the wrinkle photos that are also distorted.
        median_count: lesions of the median train photo.
        london: all faces; thresholds were chosen on those of the fit split.
        by_person: acne photos of people of whom no photo was trained on.
        doctors: severities by single doctors, 0..3, of each acne photo; empty where there are none.
        own: whether they are your own, not those that the project names.
    """

    acne: list[labels.AcnePhoto]
    wrinkles: list[labels.WrinklePhoto]
    distorted_rows: tuple[Rows, Rows]
    median_count: float
    london: list[labels.LondonFace]
    by_person: list[labels.AcnePhoto]
    doctors: list[list[int]]
    own: bool = False


def main(arguments: Sequence[str] | None = None) -> None:
    parser = commands.evaluate(__doc__)
    options = parser.parse_args(arguments)
    own = labels.is_own(options.data)
    for folder in (labels.lesions_folder(options.data), options.data / "wrinkles"):
        if not folder.is_dir():
            parser.error(
                f"there is no {folder.name} in {options.data}; name the folder of the labelled photos with --data"
            )
    ours = not own and options.bundle.resolve() == EMBEDDED.resolve()  # card and plots are of the project's weights
    out: Path | None = options.out or (None if ours and not options.quick else QUICK_OUT)
    predictors: dict[str, Predictor] = {}
    weights: Bundle | None = None
    if options.only != "heuristic":
        try:
            weights = read(options.bundle)
            predictors["model"] = load_model(weights)
        except BundleError as error:
            sys.exit(f"{error.message} Name a bundle with --bundle, or measure --only heuristic.")
    if options.only != "model":
        predictors["heuristic"] = predictions.predict_with_heuristics
    try:
        photos = select_photos(options.data, options.quick)
        tables, metrics, latency = measure(photos, predictors, options.quick, robust=not options.skip_robustness)
    except (OSError, ValueError, KeyError, ShineError) as error:
        sys.exit(f"The photos in {options.data} cannot be measured: {error}")
    keep_repeatability(metrics, weights, own)
    files = render_files(tables, metrics, latency, weights, out)
    into_bundle = out is None or (not options.quick and options.out is None)
    if own:
        files = {path: content for path, content in files.items() if path.name != CARD}  # it names the photos of ours
        into_bundle = into_bundle and options.bundle.resolve() != EMBEDDED.resolve()
    try:
        if weights is not None and into_bundle:
            files |= update_bundle(weights, metrics["model"])
        replace_files(files)
    except (OSError, BundleError) as error:
        sys.exit(f"The results cannot be written: {error}")
    print(card.overview(metrics))
    for path in files:
        print(f"wrote {path}")


def load_model(weights: Bundle) -> Predictor:
    """Load the network of a bundle.

    Raises:
        BundleError: the network cannot be loaded or fails its self-test.
    """
    return predictions.model_predictor(OnnxEngine(weights, threads=1), weights.manifest.calibration)


def select_photos(data: Path, quick: bool) -> Photos:
    """Read the labels of the valid photos and choose, with a fixed seed, the photos to distort.

    Args:
        data: the folder that holds `lesions` or `acne04`, and `wrinkles`; `london` is measured where there is one.
        quick: whether to use a part of the photos only.

    Raises:
        OSError, ValueError, KeyError: folders or annotations are missing or broken.
    """
    lesions = labels.lesions_folder(data)
    acne, wrinkles = labels.acne_photos(lesions / "valid"), labels.wrinkle_photos(data / "wrinkles/valid")
    median_count = float(np.median([len(photo.boxes) for photo in labels.acne_photos(lesions / "train")]))
    if quick:
        acne = [acne[row] for row in random_rows(len(acne), QUICK["acne"])]
        wrinkles = [wrinkles[row] for row in random_rows(len(wrinkles), QUICK["wrinkles"])]
    limits = QUICK_DISTORTED if quick else DISTORTED
    distorted_rows = (random_rows(len(acne), limits["acne"]), random_rows(len(wrinkles), limits["wrinkles"]))
    others = by_person(data)
    if quick:
        others = [others[row] for row in random_rows(len(others), QUICK["acne"])]
    london = labels.london_faces(data / "london") if (data / "london").is_dir() else []
    judged = labels.doctors(lesions)
    doctors = [judged.get(photo.photo, []) for photo in acne]
    return Photos(acne, wrinkles, distorted_rows, median_count, london, others, doctors, labels.is_own(data))


def random_rows(count: int, limit: int) -> Rows:
    """Choose at most `limit` of `count` rows with a fixed seed; returns int (n,), sorted."""
    return np.sort(np.random.default_rng(SEED).permutation(count)[:limit]).astype(np.intp)


def measure(
    photos: Photos, predictors: Mapping[str, Predictor], quick: bool, robust: bool
) -> tuple[dict[str, Tables], dict[str, Any], dict[str, Any]]:
    """Run the predictors on the photos and compute all metrics.

    Args:
        photos: from `select_photos`.
        predictors: name → predictor.
        quick: whether to use few bootstrap resamples.
        robust: whether to measure the distorted photos too.

    Returns:
        Tables, content of metrics.json, and content of latency.json, each by predictor.

    Raises:
        OSError, ShineError: a photo cannot be read or decoded.
    """
    distortions = DISTORTIONS if robust else {}
    plain = len(photos.acne) + len(photos.wrinkles) + len(photos.london) + len(photos.by_person)
    total = plain + len(distortions) * sum(map(len, photos.distorted_rows))
    acne_part = [photos.acne[row] for row in photos.distorted_rows[0]]
    wrinkle_part = [photos.wrinkles[row] for row in photos.distorted_rows[1]]
    with tqdm(total=total, desc="photos", mininterval=5) as bar:
        acne, acne_faceless = predictions.collect(photos.acne, predictors, on_photo=bar.update)
        wrinkles, wrinkles_faceless = predictions.collect(photos.wrinkles, predictors, on_photo=bar.update)
        london = predictions.collect_london(photos.london, predictors, bar.update)
        others, _ = predictions.collect(photos.by_person, predictors, CLEANED, bar.update)
        distorted = {
            name: (
                predictions.collect(acne_part, predictors, distortion, bar.update)[0],
                predictions.collect(wrinkle_part, predictors, distortion, bar.update)[0],
            )
            for name, distortion in distortions.items()
        }
    tables = {
        name: Tables(
            acne[name].acne_table(),
            wrinkles[name].wrinkle_table(),
            {key: (a[name].acne_table(), w[name].wrinkle_table()) for key, (a, w) in distorted.items()},
            photos.distorted_rows,
            london[name] if photos.london else None,
            others[name].acne_table() if photos.by_person else None,
            photos.doctors,
        )
        for name in predictors
    }
    resamples = QUICK_RESAMPLES if quick else RESAMPLES
    sampled = {
        name: summary.samples(table, photos.median_count, resamples)
        for name, table in tqdm(tables.items(), desc="resamples")
    }
    faceless = {"acne": acne_faceless, "wrinkles": wrinkles_faceless}
    metrics = {
        name: summary.summarise(table, sampled[name], faceless, sampled.get("heuristic") if name == "model" else None)
        for name, table in tables.items()
    }
    if photos.own:
        for content in metrics.values():
            content["dataset"] |= {
                "acne": OWN_ACNE.format(len(photos.acne)),
                "wrinkles": OWN_WRINKLES.format(len(photos.wrinkles)),
            }
    latency = {name: summary.latency(acne[name].milliseconds + wrinkles[name].milliseconds) for name in predictors}
    return tables, metrics, latency


def keep_repeatability(metrics: Mapping[str, Any], weights: Bundle | None, own: bool) -> None:
    """Add the limits of repeatability that `training.repeatability` has measured before.

    Args:
        metrics: content of metrics.json by predictor; changed.
        weights: the bundle that was measured, or None.
        own: whether the photos are your own; those of the heuristics were measured on the project's.
    """
    before = {} if weights is None else {"model": weights.metrics}
    if not own:
        before["heuristic"] = json.loads(METRICS.read_text())
    for name, content in metrics.items():
        if REPEATABILITY in before.get(name, {}):
            content[REPEATABILITY] = before[name][REPEATABILITY]


def render_files(
    tables: Mapping[str, Tables],
    metrics: Mapping[str, Any],
    latency: Mapping[str, Any],
    weights: Bundle | None,
    out: Path | None,
) -> dict[Path, bytes]:
    """Render all files but those of the bundle.

    Args:
        tables: by predictor.
        metrics: content of metrics.json by predictor.
        latency: content of latency.json by predictor.
        weights: the bundle that was measured, or None.
        out: folder for all files; None: the places in the project.

    Returns:
        Path → content.
    """
    folder = HERE if out is None else out
    files: dict[Path, bytes] = {}
    if "heuristic" in metrics:
        files[METRICS if out is None else out / "heuristic.json"] = json_bytes(metrics["heuristic"])
    if "model" in metrics and out is not None:
        files[out / "model.json"] = json_bytes(metrics["model"])
    if weights is not None and len(metrics) > 1:
        files[folder / "latency.json"] = json_bytes(latency)
        files |= {folder / "plots" / name: data for name, data in plots.render(tables, metrics).items()}
        files[folder / CARD] = card.text(metrics, weights.manifest).encode()
    return files


def update_bundle(weights: Bundle, metrics: Mapping[str, Any]) -> dict[Path, bytes]:
    """Render the files of a bundle with new metrics, and check them in a temporary folder.

    Returns:
        Path → content of metrics.json and, last, of manifest.json; the bundle itself is not changed.

    Raises:
        OSError: the temporary folder cannot be written.
        BundleError: the new bundle is not valid.
    """
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary)
        for name in (MODEL, BUNDLE_METRICS, MANIFEST):
            shutil.copyfile(weights.folder / name, staged / name)
        bundle.set_metrics(staged, dict(metrics))
        read(staged)
        return {weights.folder / name: (staged / name).read_bytes() for name in (BUNDLE_METRICS, MANIFEST)}


def json_bytes(content: Any) -> bytes:
    """A file of figures."""
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


if __name__ == "__main__":
    main()
