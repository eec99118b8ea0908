"""The labelled crops: checked, cached as the service cuts them, duplicates across splits left out, a part held out.

    python -m training.data                            # check, cut, list near-duplicates; a minute, then seconds
    python -m training.data --data /photos

A photo may come several times: as the exporter's variants, in several mosaics, or in both splits. Photos that match in
their aligned faces form one group; a group is never parted, and what matches a valid photo is not trained on.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from bentos.skin.photo import crop as cropping
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import FaceDetector
from training import crops, labels
from training.crops import Example

HELD_OUT = 0.1  # of train, by group: calibration, limits and the choice of checkpoints are made on it, never on valid
SEED = 0
FACELESS_SIDE_MIN = 150  # px; smaller tiles without a face show a chin or a wall
OVERHANG = 0.5  # of a box's side beyond its photo; exporters round and rotate, more is an error of the annotation
PATCH = 48  # px; side of the aligned face that is compared
PATCH_BLUR = 3.0  # px; what is coarser is taken off: light and the shape all faces share
PATCH_SPAN = 3.4  # side of the aligned face over the pupils' distance: brows to chin, little background
SAME = 0.6  # correlation of aligned faces from which two photos are one; see `near_duplicates`


class DataError(Exception):
    """The labelled photos cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Crops to learn from or to measure on."""

    acne: list[Example]
    wrinkles: list[Example]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The train split without what matches valid, parted in two; and what was left out, with why."""

    fit: Split
    held_out: Split
    left_out: list[str]


def load(data: Path) -> Labelled:
    """Check, cut and part the train splits; the first time takes a minute or two, then it comes from the cache.

    Args:
        data: folder of `acne04` and `wrinkles`.

    Raises:
        DataError: a folder is missing, an annotation broken, a split empty.
    """
    train = Split(_acne(data, "train"), _wrinkles(data, "train"))
    valid = load_valid(data)
    left_out: list[str] = []
    kept = []
    for own, other in ((train.acne, valid.acne), (train.wrinkles, valid.wrinkles)):
        pairs = near_duplicates(own, other)
        left_out += [
            f"{own[i].group} shows the valid photo {other[j].group} (correlation {c:.3f})" for i, j, c in pairs
        ]
        dropped = {own[i].group for i, _, _ in pairs}
        kept.append([example for example in own if example.group not in dropped])
    fit, held = Split([], []), Split([], [])
    for examples, fits, helds in (
        (kept[0], fit.acne, held.acne),
        (kept[1], fit.wrinkles, held.wrinkles),
    ):
        for example, out in zip(examples, hold_out(groups(examples)), strict=True):
            (helds if out else fits).append(example)
    return Labelled(fit, held, left_out)


def load_valid(data: Path) -> Split:
    """The valid splits: for the last measurement, and to leave out of train what is in them.

    Raises:
        DataError: as `load`.
    """
    return Split(_acne(data, "valid"), _wrinkles(data, "valid"))


def check(data: Path, split: str) -> None:
    """Refuse what would train a network on nonsense.

    Raises:
        DataError: a folder or file is missing or empty, a row is broken, a box outside its picture.
    """
    for folder in (data / "acne04" / split, data / "wrinkles" / split / "images", data / "wrinkles" / split / "labels"):
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; --data names the one that holds acne04 and wrinkles")
        if not any(folder.iterdir()):
            raise DataError(f"the folder {folder} is empty")
    _check_acne(data / "acne04" / split)
    _check_wrinkles(data / "wrinkles", split)


def near_duplicates(own: list[Example], other: list[Example]) -> list[tuple[int, int, float]]:
    """Pairs that show one photo: (index in own, index in other, correlation of their aligned faces).

    Faces are turned, scaled and moved by their pupils onto one small patch, which undoes the exporter's crop, rotation
    and scale; mirrored pairs count too. In the strongest pairs one photo in two mosaics correlates by .6 and more;
    faces of different people in one pose by up to .68 in ACNE04, where SAME therefore leaves out a few too many.
    """
    if not own or not other:
        return []
    mine, theirs = (np.stack([_patch(example) for example in examples]) for examples in (own, other))
    mean = np.concatenate([mine, theirs, _mirrored(mine), _mirrored(theirs)]).mean(axis=0)  # what all faces share
    mine, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (mine - mean, theirs - mean))
    plain, mirrored = mine @ theirs.T, mine @ _mirrored(theirs).T
    correlation = np.maximum(plain, mirrored)
    return [(int(i), int(j), float(correlation[i, j])) for i, j in np.argwhere(correlation >= SAME)]


def groups(examples: list[Example]) -> list[str]:
    """A name for each example; those of one file or of matching faces share theirs."""
    parent = {example.group: example.group for example in examples}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for i, j, _ in near_duplicates(examples, examples):
        a, b = sorted((root(examples[i].group), root(examples[j].group)))
        parent[b] = a
    return [root(example.group) for example in examples]


def hold_out(names: list[str], share: float = HELD_OUT, seed: int = SEED) -> NDArray[np.bool_]:
    """Whether each example is held out; a group is whole on one side."""
    unique = sorted(set(names))
    drawn = np.random.default_rng(seed).permutation(len(unique))
    held = {unique[number] for number in drawn[: round(share * len(unique))]}
    return np.array([name in held for name in names], dtype=np.bool_)


def _acne(data: Path, split: str) -> list[Example]:
    check(data, split)
    return crops.acne(data / "acne04" / split, f"acne-{split}")


def _wrinkles(data: Path, split: str) -> list[Example]:
    check(data, split)
    examples = crops.wrinkles(data / "wrinkles" / split, f"wrinkles-{split}")
    if split == "train":
        examples = examples + crops._cached("wrinkles-train-faceless", _faceless(data / "wrinkles" / split))
    return examples


def _faceless(folder: Path) -> Iterator[Example]:
    """Labelled tiles and pictures in which no face is found, whole, as the service shows such photos to the model.

    Half faces and close-ups: 400 of them are a quarter of all labelled tiles.
    """
    detector = FaceDetector()
    for photo in tqdm(labels.wrinkle_photos(folder), desc="faceless", mininterval=5):
        pixels = decode(photo.path.read_bytes()).pixels
        size = np.array([pixels.shape[1], pixels.shape[0]] * 2)
        for x0, y0, x1, y1 in labels.tiles(pixels):
            tile = Photo(np.ascontiguousarray(pixels[y0:y1, x0:x1]), x1 - x0, y1 - y0, "JPEG")
            faces = detector.detect(tile)
            if min(x1 - x0, y1 - y0) < FACELESS_SIDE_MIN or (faces and faces[0].box[2] >= crops.FACE_SIDE_MIN):
                continue
            crop = cropping.cut(tile, None)
            boxes = {
                zone: crops._to_crop(crop, labels.boxes_in(rows * size, (x0, y0, x1, y1), crops.IN_TILE))
                for zone, rows in photo.boxes.items()
            }
            if any(len(rows) for rows in boxes.values()):
                yield Example(crop, photo.path.stem, -1, np.empty((0, 4)), boxes)


def _check_acne(folder: Path) -> None:
    table = folder / "_annotations.csv"
    if not table.is_file():
        raise DataError(f"there is no {table}, which holds the lesions' boxes")
    known = {path.name for path in folder.glob("*.jpg")}
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {"filename", "width", "height", "xmin", "ymin", "xmax", "ymax"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, start=2):
            if row["filename"] not in known:
                raise DataError(f"{table}, line {number}: there is no picture {row['filename']}")
            try:
                keys = ("xmin", "ymin", "xmax", "ymax", "width", "height")
                x0, y0, x1, y1, width, height = (float(row[key]) for key in keys)
                box = (x0 / width, y0 / height, x1 / width, y1 / height)
            except (TypeError, ValueError, ZeroDivisionError):
                raise DataError(f"{table}, line {number}: a box needs six numbers, this row is broken") from None
            _check_box(box, f"{table}, line {number}")


def _check_wrinkles(folder: Path, split: str) -> None:
    if not (folder / "classes.txt").is_file():
        raise DataError(f"there is no {folder / 'classes.txt'}, which names the classes")
    classes = (folder / "classes.txt").read_text().split()
    missing = set(labels.WRINKLE_CLASSES) - set(classes)
    if missing:
        raise DataError(f"{folder / 'classes.txt'} does not name {', '.join(sorted(missing))}")
    used = set()
    for image in sorted((folder / split / "images").iterdir()):
        path = folder / split / "labels" / f"{image.stem}.txt"
        if not path.is_file():
            raise DataError(f"{image.name} has no labels: there is no {path}")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                kind, x, y, width, height = (float(value) for value in line.split())
                used.add(dict(enumerate(classes))[int(kind)])
            except (ValueError, KeyError):
                raise DataError(
                    f"{path}, line {number}: expected a class below {len(classes)} and four fractions"
                ) from None
            _check_box((x - width / 2, y - height / 2, x + width / 2, y + height / 2), f"{path}, line {number}")
    empty = set(labels.WRINKLE_CLASSES) - used
    if empty:
        raise DataError(f"no photo of {folder / split} has a box of {', '.join(sorted(empty))}")


def _check_box(corners: tuple[float, float, float, float], where: str) -> None:
    """Corners as fractions of the picture."""
    x0, y0, x1, y1 = corners
    if not (x1 >= x0 and y1 >= y0):
        raise DataError(f"{where}: the box ends before it begins")
    if (
        min(x0, y0) < -OVERHANG * max(x1 - x0, y1 - y0) - 1e-6
        or max(x1, y1) > 1 + OVERHANG * max(x1 - x0, y1 - y0) + 1e-6
    ):
        raise DataError(f"{where}: the box lies outside its picture")


def _patch(example: Example) -> NDArray[np.float32]:
    """The face aligned by its pupils, (PATCH², ), grey, of unit length; the whole crop where no face was found."""
    image = Image.fromarray(example.crop.pixels).convert("L").resize((4 * PATCH, 4 * PATCH), Image.Resampling.BOX)
    scale = image.width / cropping.CROP_SIZE
    points = example.crop.keypoints
    if points is None:
        small = image.resize((PATCH, PATCH), Image.Resampling.BOX)
    else:
        right, left = points[0].astype(np.float64) * scale, points[1].astype(np.float64) * scale
        across = (left - right) * PATCH_SPAN / PATCH  # one patch pixel along the line of the pupils
        down = np.array([-across[1], across[0]])
        corner = (right + left) / 2 - across * PATCH / 2 - down * PATCH * 0.38  # more below the eyes than above
        small = image.transform(
            (PATCH, PATCH),
            Image.Transform.AFFINE,
            (across[0], down[0], corner[0], across[1], down[1], corner[1]),
            Image.Resampling.BILINEAR,
        )
    grey = np.asarray(small, dtype=np.float32)
    grey = (grey - gaussian_filter(grey, PATCH_BLUR)).ravel()
    grey = grey - grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), dtype=np.float32)


def _mirrored(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    return patches.reshape(-1, PATCH, PATCH)[:, :, ::-1].reshape(len(patches), -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    try:
        labelled = load(parser.parse_args().data)
    except DataError as error:
        parser.error(str(error))
    for name, split in (("fit", labelled.fit), ("held out", labelled.held_out)):
        print(f"{name}: {len(split.acne)} acne crops, {len(split.wrinkles)} wrinkle crops")
    print(f"left out, {len(labelled.left_out)}:", *labelled.left_out, sep="\n  ")


if __name__ == "__main__":
    main()
