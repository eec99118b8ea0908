"""Measure model and heuristics on the same valid photos, as served; write figures, plots and the model card.

    python -m training.evaluate                              # both, with the embedded bundle; 3 to 6 minutes on a core
    python -m training.evaluate --quick                      # a part of the photos, into .cache/training/evaluate
    python -m training.evaluate --bundle /tmp/bundle --out /tmp/evaluation   # another bundle; nothing else is touched
    python -m training.evaluate --only heuristic             # after a change of the heuristics; no card, no plots

Writes, all at the end: bentos/skin/measure/metrics.json (heuristics), metrics.json of the bundle (model; the manifest's
sha256 changes with it), training/latency.json (of this machine, the rest is reproducible), training/plots and
training/MODEL_CARD.md. Intervals hold 95 % of seeded bootstrap resamples of the photos; differences are paired. The
valid photos are read for this and nothing else: no threshold and no calibration comes from here.
"""

import argparse
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
from bentos.skin.model.bundle import MANIFEST, MODEL, Bundle, BundleError, read
from bentos.skin.model.bundle import METRICS as BUNDLE_METRICS
from bentos.skin.model.engine import EMBEDDED, OnnxEngine, new_session
from training import answers, bundle, card, figures, labels, plots, summary
from training.answers import Look
from training.distortions import DISTORTIONS
from training.figures import Rows
from training.summary import Tables

HERE = Path(__file__).parent
METRICS = Path(blemishes.__file__).with_name("metrics.json")
QUICK_OUT = Path(".cache/training/evaluate")
DISTORTED = {"acne": 90, "wrinkles": 60}  # photos of the robustness figures; all of them would double the time
QUICK = {"acne": 60, "wrinkles": 50}  # photos
QUICK_DISTORTED = {"acne": 24, "wrinkles": 24}
QUICK_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Photos:
    """The labelled photos.

    Attributes:
        acne: valid.
        wrinkles: valid.
        parts: rows of the acne and of the wrinkle photos that are distorted too.
        usual_count: lesions of the median train photo.
    """

    acne: list[labels.AcnePhoto]
    wrinkles: list[labels.WrinklePhoto]
    parts: tuple[Rows, Rows]
    usual_count: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="weights to measure (the embedded by default)")
    parser.add_argument("--out", type=Path, help="folder to write everything into, instead of project and bundle")
    parser.add_argument("--only", choices=("model", "heuristic"), help="measure one path; no differences, no card")
    parser.add_argument("--quick", action="store_true", help="a part of the photos, few resamples; to try it out")
    parser.add_argument("--skip-robustness", action="store_true", help="no distorted photos; a third of the time")
    wanted = parser.parse_args(arguments)
    for name in ("acne04", "wrinkles"):
        if not (wanted.data / name).is_dir():
            parser.error(f"there is no {name} in {wanted.data}; name the folder of the labelled photos with --data")
    out: Path | None = QUICK_OUT if wanted.quick and wanted.out is None else wanted.out
    looks: dict[str, Look] = {}
    weights: Bundle | None = None
    if wanted.only != "heuristic":
        try:
            weights = read(wanted.bundle)
            looks["model"] = model_of(weights)
        except BundleError as error:
            sys.exit(f"{error.message} Name a bundle with --bundle, or measure --only heuristic.")
    if wanted.only != "model":
        looks["heuristic"] = answers.heuristic
    try:
        photos = chosen(wanted.data, wanted.quick)
        tables, metrics, latency = measure(photos, looks, wanted.quick, robust=not wanted.skip_robustness)
    except (OSError, ValueError, KeyError, ShineError) as error:
        sys.exit(f"The photos in {wanted.data} cannot be measured: {error}")
    files = rendered(tables, metrics, latency, weights, out)
    try:
        if weights is not None and out is None:
            files |= sealed(weights, metrics["model"])
        write(files)
    except (OSError, BundleError) as error:
        sys.exit(f"The figures cannot be written: {error}")
    print(card.overview(metrics))
    for path in files:
        print(f"wrote {path}")


def model_of(weights: Bundle) -> Look:
    """The path through a bundle's network; raises `BundleError` where it does not pass its self-test."""
    engine = OnnxEngine(weights, threads=1)
    session = new_session(weights.folder / MODEL, threads=1)
    has_maps = answers.MAPS in {output.name for output in session.get_outputs()}
    return answers.model(engine, weights.manifest.calibration, session if has_maps else None)


def chosen(data: Path, quick: bool) -> Photos:
    """The valid photos, all or a seeded part, and the seeded part that is distorted.

    Raises:
        OSError, ValueError, KeyError: folders or annotations are missing or broken.
    """
    acne, wrinkles = labels.acne_photos(data / "acne04/valid"), labels.wrinkle_photos(data / "wrinkles/valid")
    if not acne or not wrinkles:
        raise ValueError("there are no photos in acne04/valid or wrinkles/valid")
    usual = float(np.median([len(photo.boxes) for photo in labels.acne_photos(data / "acne04/train")]))
    if quick:
        acne = [acne[row] for row in part(len(acne), QUICK["acne"])]
        wrinkles = [wrinkles[row] for row in part(len(wrinkles), QUICK["wrinkles"])]
    most = QUICK_DISTORTED if quick else DISTORTED
    return Photos(acne, wrinkles, (part(len(acne), most["acne"]), part(len(wrinkles), most["wrinkles"])), usual)


def part(count: int, most: int) -> Rows:
    """Seeded rows, at most `most` of `count`, in order."""
    return np.sort(np.random.default_rng(figures.SEED).permutation(count)[:most]).astype(np.intp)


def measure(
    photos: Photos, looks: Mapping[str, Look], quick: bool, robust: bool
) -> tuple[dict[str, Tables], dict[str, Any], dict[str, Any]]:
    """(tables, metrics, latency), each by path."""
    distortions = DISTORTIONS if robust else {}
    total = len(photos.acne) + len(photos.wrinkles) + len(distortions) * sum(map(len, photos.parts))
    some_acne = [photos.acne[row] for row in photos.parts[0]]
    some_wrinkles = [photos.wrinkles[row] for row in photos.parts[1]]
    with tqdm(total=total, desc="photos", mininterval=5) as bar:
        acne, acne_faceless = answers.gather(photos.acne, looks, seen=bar.update)
        wrinkles, wrinkles_faceless = answers.gather(photos.wrinkles, looks, seen=bar.update)
        after = {
            name: (
                answers.gather(some_acne, looks, distortion, bar.update)[0],
                answers.gather(some_wrinkles, looks, distortion, bar.update)[0],
            )
            for name, distortion in distortions.items()
        }
    tables = {
        name: Tables(
            acne[name].acne_table(),
            wrinkles[name].wrinkle_table(),
            {key: (one[name].acne_table(), two[name].wrinkle_table()) for key, (one, two) in after.items()},
            photos.parts,
        )
        for name in looks
    }
    resamples = QUICK_RESAMPLES if quick else figures.RESAMPLES
    sampled = {
        name: summary.samples(table, photos.usual_count, resamples)
        for name, table in tqdm(tables.items(), desc="resamples")
    }
    faceless = {"acne": acne_faceless, "wrinkles": wrinkles_faceless}
    metrics = {
        name: summary.metrics(table, sampled[name], faceless, sampled.get("heuristic") if name == "model" else None)
        for name, table in tables.items()
    }
    spent = {name: acne[name].milliseconds + wrinkles[name].milliseconds for name in looks}
    latency = {name: summary.latency(values) for name, values in spent.items()}
    return tables, metrics, latency


def rendered(
    tables: Mapping[str, Tables],
    metrics: Mapping[str, Any],
    latency: Mapping[str, Any],
    weights: Bundle | None,
    out: Path | None,
) -> dict[Path, bytes]:
    """Every file's bytes by its path; the bundle's own metrics only where `out` takes them."""
    here = HERE if out is None else out
    files: dict[Path, bytes] = {}
    if "heuristic" in metrics:
        files[METRICS if out is None else out / "heuristic.json"] = _json(metrics["heuristic"])
    if "model" in metrics and out is not None:
        files[out / "model.json"] = _json(metrics["model"])
    if weights is not None and len(metrics) > 1:
        files[here / "latency.json"] = _json(latency)
        files |= {here / "plots" / name: data for name, data in plots.drawn(tables, metrics).items()}
        files[here / "MODEL_CARD.md"] = card.text(metrics, weights.manifest).encode()
    return files


def sealed(weights: Bundle, metrics: Mapping[str, Any]) -> dict[Path, bytes]:
    """The bundle's files that change with its metrics, the manifest last; sealed and read back in another folder.

    Raises:
        OSError, BundleError: it cannot be done; the bundle is as it was.
    """
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        for name in (MODEL, BUNDLE_METRICS, MANIFEST):
            shutil.copyfile(weights.folder / name, staged / name)
        bundle.measured(staged, dict(metrics))
        read(staged)
        return {weights.folder / name: (staged / name).read_bytes() for name in (BUNDLE_METRICS, MANIFEST)}


def write(files: Mapping[Path, bytes]) -> None:
    """All the files or none: each is written beside its place first, then all are moved.

    Raises:
        OSError: one cannot be written; the others are as they were.
    """
    parts = {path: path.with_name(f".{path.name}.part") for path in files}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_bytes(data)
        for path, written in parts.items():
            written.replace(path)
    finally:
        for written in parts.values():
            written.unlink(missing_ok=True)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


if __name__ == "__main__":
    main()
