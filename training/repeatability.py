"""Measures by how much each score must differ between two photos of one face before the difference means something.

    python -m training.repeatability                         # embedded bundle and heuristics; 10 minutes on a core
    python -m training.repeatability --quick                 # a part of the photos, into .cache/training/evaluate
    python -m training.repeatability --bundle /tmp/bundle    # another bundle, after training.evaluate has measured it
    python -m training.repeatability --data /photos --bundle /tmp/bundle     # on your own photos: docs/training.md

Each photo of the valid splits is taken again three times with other crop, size, compression and light (training.retakes
has the ranges), and each retake passes the code of the service from its bytes to its scores, with the model and with
the heuristics. A retake in which the quality check finds an issue that the photo itself does not have is drawn anew.

The limit of a score is the repeatability limit r of ISO 5725-1: the value that the absolute difference of two results
does not exceed in 95 % of the cases. It is read off the differences of all pairs of retakes of one face, and rounded up
to whole units. Counts differ by more where there are more lesions: the limit is the largest of those of all faces, of
faces with up to 5, with 6 to 20 and with more than 20 lesions, so that it holds for each of them.

The usual estimate, 1.96·√2 times the standard deviation within a face (Bland and Altman, Stat Methods Med Res 1999),
wants differences that are normal and of one size on all faces; those of counts, and of scores that end at 0 and 100,
are neither. It is printed beside.

The limits go into the bundle's metrics.json and manifest.json (whose sha256 changes), into
bentos/skin/measure/metrics.json and into training/MODEL_CARD.md; training.evaluate keeps them there. All files are
written at the end, all or none. The same command gives the same limits.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.repeatability(__doc__).parse_args()

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from bentos.skin.errors import ShineError
from bentos.skin.findings import HAYASHI_LIMITS, LesionsAndWrinkles, Measured
from bentos.skin.measure import find, measure
from bentos.skin.model.bundle import REPEATABILITY, Bundle, BundleError, read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine
from bentos.skin.options import Options
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.pipeline import prepare
from bentos.skin.report import PreparedPhoto, RunnerResult, build
from bentos.skin.schema import LIMITS, HeuristicLimits, ModelLimits, Source, Timing
from training import card, evaluate, labels
from training.files import replace_files
from training.metrics import SEED
from training.retakes import draw, take

RETAKES = 3  # of each photo: three pairs
DRAWS = 24  # until a face has them; one that has not even two by then, hardly fitting its photo, is left out
SHARE = 0.95  # of the differences that lie within the limit
GROUPS = HAYASHI_LIMITS[1:3]  # lesions: clear or mild, moderate, severe or worse
LEAST_FACES = 20  # with a pair of retakes; of fewer the twentieth part is not one
QUICK_PHOTOS = 20  # of each set, of --quick
NO_TIME = Timing(decode=0, face=0, analysis=0, total=0)
UNITS = {"count": "lesions", "ita_degrees": "degrees"}  # of the others: points of 0 to 100

Scores = dict[str, float]
"""Name of a score, as in ModelLimits or HeuristicLimits → its value; without those that were not judged."""


@dataclass
class Takes:
    """The scores of all retakes.

    Attributes:
        faces: source → the scores of each face's retakes.
        photos: that were measured; those without a face are not.
        drawn: retakes.
        refused: of them by the quality check.
    """

    faces: dict[Source, list[list[Scores]]] = field(default_factory=lambda: {"model": [], "heuristic": []})
    photos: int = 0
    drawn: int = 0
    refused: int = 0

    @property
    def retaken(self) -> int:
        """Photos that have two retakes at least."""
        return sum(len(retakes) > 1 for retakes in self.faces["model"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = commands.repeatability(__doc__)
    options = parser.parse_args(arguments)
    own = labels.is_own(options.data)
    try:
        weights = read(options.bundle)
        engine = OnnxEngine(weights, threads=1)
        paths = photo_paths(options.data, options.quick)
    except BundleError as error:
        sys.exit(f"{error.message} Name a bundle with --bundle.")
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{error}; name the folder of the labelled photos with --data")
    try:
        takes = measure_all(paths, engine)
        # The limits of the heuristics are those on the project's photos.
        found = {
            source: limits_of(source, faces) for source, faces in takes.faces.items() if source == "model" or not own
        }
    except (OSError, ValueError, ShineError) as error:
        sys.exit(f"The photos in {options.data} cannot be measured: {error}")
    print(overview(takes, found))
    try:
        files = render(
            weights, found, takes.retaken, options.out or (evaluate.QUICK_OUT if options.quick else None), own
        )
        replace_files(files)
    except (OSError, BundleError) as error:
        sys.exit(f"The limits cannot be written: {error}")
    for path in files:
        print(f"wrote {path}")


def photo_paths(data: Path, quick: bool) -> list[Path]:
    """The photos of the valid splits of lesions and wrinkles, and of the London faces where there are some.

    Raises:
        OSError, ValueError, KeyError: folders or annotations are missing or broken.
    """
    sets: list[Sequence[labels.AcnePhoto | labels.WrinklePhoto | labels.LondonFace]] = [
        labels.acne_photos(labels.lesions_folder(data) / "valid"),
        labels.wrinkle_photos(data / "wrinkles/valid"),
        labels.london_faces(data / "london") if (data / "london").is_dir() else [],
    ]
    limit = QUICK_PHOTOS if quick else max(map(len, sets))
    return [photos[row].path for photos in sets for row in evaluate.random_rows(len(photos), limit)]


def measure_all(paths: Sequence[Path], engine: OnnxEngine) -> Takes:
    """Take each photo again and score the retakes.

    Args:
        paths: of the photos.
        engine: runs the network.

    Raises:
        OSError, ShineError: a photo cannot be read or decoded.
    """
    takes = Takes()
    reader = FaceReader()
    for number, path in enumerate(tqdm(paths, desc="photos", mininterval=5)):
        data = path.read_bytes()
        before = _prepared(data, reader)
        if before.faces.largest is None:
            continue
        takes.photos += 1
        known = set(_issues(before))
        scored: dict[Source, list[Scores]] = {"model": [], "heuristic": []}
        for retake in _retakes(data, np.random.default_rng([SEED, number])):
            takes.drawn += 1
            prepared = _prepared(retake, reader)
            if prepared.faces.largest is None or not known.issuperset(_issues(prepared)):
                takes.refused += 1
                continue
            measured = measure(prepared.view)
            (by_model,) = engine.predict([prepared.view.crop.pixels])
            scored["model"].append(scores(prepared, measured, by_model, "model"))
            scored["heuristic"].append(scores(prepared, measured, find(prepared.view), "heuristic"))
            if len(scored["model"]) == RETAKES:
                break
        for source, faces in takes.faces.items():
            faces.append(scored[source])
    return takes


def _retakes(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    image = Image.fromarray(decode(data).pixels)
    return (take(draw(rng), image) for _ in range(DRAWS))


def _prepared(data: bytes, reader: FaceReader) -> PreparedPhoto:
    photo = decode(data)
    return prepare(photo, reader.read(photo))


def _issues(prepared: PreparedPhoto) -> list[str]:
    return [] if prepared.quality is None else prepared.quality.issues


def scores(prepared: PreparedPhoto, measured: Measured, found: LesionsAndWrinkles, source: Source) -> Scores:
    """The scores of a photo as they are served.

    Args:
        prepared: the photo.
        measured: its colours and texture.
        found: its acne and wrinkles.
        source: of these.
    """
    result = RunnerResult(measured, found, source, degraded=False, reason=None, model=None)
    analysis = build(prepared, result, Options(), request_id="", timing=NO_TIME)
    concerns = analysis.concerns
    served = {name: getattr(concerns, name).score for name in type(concerns).model_fields}
    served["count"] = concerns.acne.count
    served["ita_degrees"] = None if analysis.tone is None else analysis.tone.ita_degrees
    return {name: float(served[name]) for name in LIMITS[source].model_fields if served[name] is not None}


def limits_of(source: Source, faces: Sequence[Sequence[Scores]]) -> HeuristicLimits | ModelLimits:
    """The limit of each score of a source.

    Args:
        source: of the scores.
        faces: the scores of each face's retakes.

    Raises:
        ValueError: too few faces have two retakes with a score.
    """
    limits = {}
    by_count = groups(faces)
    for name in LIMITS[source].model_fields:
        values = values_of(name, faces)
        if len(values) < LEAST_FACES:
            raise ValueError(f"{len(values)} faces have two retakes with a score of {name}; {LEAST_FACES} are needed.")
        of_groups = [of_group for group in by_count if len(of_group := values_of(name, group)) >= LEAST_FACES]
        limits[name] = max(map(limit, (values, *of_groups)))
    return LIMITS[source].model_validate(limits)


def groups(faces: Sequence[Sequence[Scores]]) -> list[list[Sequence[Scores]]]:
    """The faces by the mean count of their retakes: up to each of GROUPS, and above."""
    by_count: list[list[Sequence[Scores]]] = [[] for _ in range(len(GROUPS) + 1)]
    for retakes in faces:
        counts = [scored["count"] for scored in retakes if "count" in scored]
        if counts:
            by_count[int(np.searchsorted(GROUPS, np.mean(counts), side="left"))].append(retakes)
    return by_count


def values_of(name: str, faces: Sequence[Sequence[Scores]]) -> list[list[float]]:
    """One score in the retakes of each face that has two with it."""
    values = [[scored[name] for scored in retakes if name in scored] for retakes in faces]
    return [of_face for of_face in values if len(of_face) > 1]


def limit(faces: Sequence[Sequence[float]]) -> int:
    """The repeatability limit: SHARE of the differences between two retakes of one face lie within it.

    Args:
        faces: the values of each face's retakes, two at least.

    Returns:
        Whole units, rounded up.
    """
    differences = [abs(one - other) for values in faces for one, other in combinations(values, 2)]
    return math.ceil(round(float(np.quantile(differences, SHARE, method="inverted_cdf")), 6))


def normal_limit(faces: Sequence[Sequence[float]]) -> float:
    """The same, were the differences normal: 1.96·√2 times the standard deviation within a face."""
    within = np.mean([np.var(values, ddof=1) for values in faces])
    return float(1.96 * np.sqrt(2 * within))


def overview(takes: Takes, found: Mapping[Source, HeuristicLimits | ModelLimits]) -> str:
    """Write what was measured for the terminal.

    Args:
        takes: all retakes.
        found: source → its limits.
    """
    lines = [
        f"{takes.photos} photos with a face, {takes.retaken} with two retakes; "
        f"{takes.drawn} retakes drawn, {takes.refused} refused by the quality check",
        f"{'':24}{'limit':>6}  {'unit':10}{'if normal':>10}{'faces':>7}",
    ]
    for source, limits in found.items():
        for name, value in limits.model_dump().items():
            values = values_of(name, takes.faces[source])
            unit = UNITS.get(name, "points")
            lines.append(f"{f'{source} {name}':24}{value:6}  {unit:10}{normal_limit(values):10.1f}{len(values):7}")
    return "\n".join(lines)


def render(
    weights: Bundle,
    found: Mapping[Source, HeuristicLimits | ModelLimits],
    photos: int,
    out: Path | None,
    own: bool,
) -> dict[Path, bytes]:
    """Render all files.

    Args:
        weights: the bundle that was measured.
        found: source → its limits.
        photos: that have retakes.
        out: folder for the limits alone; None: the places in the project and in the bundle.
        own: whether the photos are not those of the project, whose figures are then kept.

    Returns:
        Path → content.

    Raises:
        OSError: a file cannot be read.
        BundleError: the new bundle is not valid.
    """
    content: dict[str, Any] = {source: limits.model_dump() | {"photos": photos} for source, limits in found.items()}
    if out is not None:
        return {out / "repeatability.json": evaluate.json_bytes(content)}
    embedded = weights.folder.resolve() == EMBEDDED.resolve()
    if own and embedded:
        return {evaluate.QUICK_OUT / "repeatability.json": evaluate.json_bytes(content)}
    model = {**weights.metrics, REPEATABILITY: content["model"]}
    files = evaluate.update_bundle(weights, model)
    if not own:
        heuristic = {**json.loads(evaluate.METRICS.read_text()), REPEATABILITY: content["heuristic"]}
        files = {evaluate.METRICS: evaluate.json_bytes(heuristic), **files}
        if embedded:
            text = card.text({"model": model, "heuristic": heuristic}, weights.manifest)
            files = {evaluate.HERE / evaluate.CARD: text.encode(), **files}
    return files


if __name__ == "__main__":
    main()
