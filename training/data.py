"""Checks and cuts the labelled photos, leaves out duplicates across the splits, and holds a part of train out.

    python -m training.data                            # check, cut, list near-duplicates; a minute, then seconds
    python -m training.data --data /photos             # photos in another folder

A photo may occur several times: as variants of one export, in several mosaics, or in both splits. Photos whose aligned
faces match form one group. A group is never split, and a train photo that matches a valid photo is not trained on.
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
from bentos.skin.photo.face_reader import FaceReader
from training import crops, labels
from training.crops import Example

HELD_OUT = 0.1  # share of train, by group: calibration and choices are made on it, never on valid
SEED = 0  # of the choice of the held-out part
FACELESS_SIDE_MIN = 150  # px; smaller tiles without a face show a chin or a wall
OVERHANG = 0.5  # of a box's side outside its photo; exporters round and rotate, more is an error of the annotation
PATCH = 48  # px; side of the aligned face that is compared
PATCH_BLUR = 3.0  # px; coarser structure is removed: light, and the shape that all faces share
PATCH_SPAN = 3.4  # side of the aligned face over the pupils' distance: brows to chin, little background
SAME_PHOTO = 0.6  # least correlation of aligned faces that show the same photo; see `near_duplicates`


class DataError(Exception):
    """The labelled photos cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Split:
    """Crops for training or for measurement."""

    acne: list[Example]
    wrinkles: list[Example]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The train split without the photos that match valid ones.

    Attributes:
        fit: the part to train on.
        held_out: the part for calibration and choices.
        left_out: one line for each photo that was left out, with the reason.
    """

    fit: Split
    held_out: Split
    left_out: list[str]


def load(data: Path) -> Labelled:
    """Check, cut and divide the train splits; takes a minute or two the first time, then reads the cache.

    Args:
        data: the folder that holds `acne04` and `wrinkles`.

    Raises:
        DataError: a folder is missing, an annotation is broken, or a split is empty.
    """
    train = Split(_acne(data, "train"), _wrinkles(data, "train"))
    valid = load_valid(data)
    left_out: list[str] = []
    kept = []
    for examples, valid_examples in ((train.acne, valid.acne), (train.wrinkles, valid.wrinkles)):
        pairs = near_duplicates(examples, valid_examples)
        left_out += [
            f"{examples[i].group} shows the valid photo {valid_examples[j].group} (correlation {c:.3f})"
            for i, j, c in pairs
        ]
        dropped = {examples[i].group for i, _, _ in pairs}
        kept.append([example for example in examples if example.group not in dropped])
    fit, held_out = Split([], []), Split([], [])
    for examples, fit_examples, held_out_examples in (
        (kept[0], fit.acne, held_out.acne),
        (kept[1], fit.wrinkles, held_out.wrinkles),
    ):
        for example, is_held_out in zip(examples, hold_out(groups(examples)), strict=True):
            (held_out_examples if is_held_out else fit_examples).append(example)
    return Labelled(fit, held_out, left_out)


def load_valid(data: Path) -> Split:
    """Load the valid splits, for the final measurement and to find their duplicates in train.

    Raises:
        DataError: as `load`.
    """
    return Split(_acne(data, "valid"), _wrinkles(data, "valid"))


def check(data: Path, split: str) -> None:
    """Check the folders, tables and boxes of one split.

    Args:
        data: the folder that holds `acne04` and `wrinkles`.
        split: "train" or "valid".

    Raises:
        DataError: a folder or file is missing or empty, a row is broken, or a box lies outside its photo.
    """
    for folder in (data / "acne04" / split, data / "wrinkles" / split / "images", data / "wrinkles" / split / "labels"):
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; --data names the one that holds acne04 and wrinkles")
        if not any(folder.iterdir()):
            raise DataError(f"the folder {folder} is empty")
    _check_acne(data / "acne04" / split)
    _check_wrinkles(data / "wrinkles", split)


def near_duplicates(examples: list[Example], others: list[Example]) -> list[tuple[int, int, float]]:
    """Find pairs that show the same photo.

    Each face is rotated, scaled and shifted by its pupils onto a small patch, which undoes the exporter's crop,
    rotation and scale; mirrored pairs count too. One photo in two mosaics correlates by .6 or more. Faces of different
    people in the same pose correlate by up to .68 in ACNE04, so SAME_PHOTO leaves out a few photos too many there.

    Returns:
        (index in examples, index in others, correlation of the aligned faces).
    """
    if not examples or not others:
        return []
    a, b = (np.stack([_patch(example) for example in part]) for part in (examples, others))
    mean = np.concatenate([a, b, _mirrored(a), _mirrored(b)]).mean(axis=0)  # common to all faces
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a - mean, b - mean))
    upright, mirrored = a @ b.T, a @ _mirrored(b).T
    correlation = np.maximum(upright, mirrored)
    return [(int(i), int(j), float(correlation[i, j])) for i, j in np.argwhere(correlation >= SAME_PHOTO)]


def groups(examples: list[Example]) -> list[str]:
    """Name the group of each example; examples of one file or with matching faces have the same group."""
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
    """Choose the examples to hold out; a group is never split.

    Args:
        names: the group of each of n examples.
        share: of the groups to hold out.
        seed: of the choice.

    Returns:
        bool (n,).
    """
    unique = sorted(set(names))
    shuffled = np.random.default_rng(seed).permutation(len(unique))
    held_out = {unique[number] for number in shuffled[: round(share * len(unique))]}
    return np.array([name in held_out for name in names], dtype=np.bool_)


def _acne(data: Path, split: str) -> list[Example]:
    check(data, split)
    return crops.acne_examples(data / "acne04" / split, f"acne-{split}")


def _wrinkles(data: Path, split: str) -> list[Example]:
    check(data, split)
    examples = crops.wrinkle_examples(data / "wrinkles" / split, f"wrinkles-{split}")
    if split == "train":
        examples = examples + crops.cached("wrinkles-train-faceless", _faceless(data / "wrinkles" / split))
    return examples


def _faceless(folder: Path) -> Iterator[Example]:
    """Yield the labelled tiles and photos without a face, uncropped, as the service passes such photos to the model.

    They are half faces and close-ups; the 400 of them are a quarter of all labelled tiles.
    """
    reader = FaceReader()
    for label in tqdm(labels.wrinkle_photos(folder), desc="faceless", mininterval=5):
        pixels = decode(label.path.read_bytes()).pixels
        size = np.array([pixels.shape[1], pixels.shape[0]] * 2)
        for x0, y0, x1, y1 in labels.tiles(pixels):
            tile = Photo(np.ascontiguousarray(pixels[y0:y1, x0:x1]), x1 - x0, y1 - y0, "JPEG")
            face = reader.read(tile).largest
            if min(x1 - x0, y1 - y0) < FACELESS_SIDE_MIN or (face and face.box[2] >= crops.FACE_SIDE_MIN):
                continue
            crop = cropping.cut(tile, None)
            boxes = {
                zone: crops.boxes_to_crop(crop, labels.boxes_in(rows * size, (x0, y0, x1, y1), crops.MIN_SHARE_IN_TILE))
                for zone, rows in label.boxes.items()
            }
            if any(len(rows) for rows in boxes.values()):
                yield Example(crop, label.path.stem, -1, np.empty((0, 4)), boxes)


def _check_acne(folder: Path) -> None:
    table = folder / "_annotations.csv"
    if not table.is_file():
        raise DataError(f"there is no {table}, which holds the boxes of the lesions")
    known = {path.name for path in folder.glob("*.jpg")}
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {"filename", "width", "height", "xmin", "ymin", "xmax", "ymax"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, start=2):
            if row["filename"] not in known:
                raise DataError(f"{table}, line {number}: there is no photo {row['filename']}")
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
    used_classes = set()
    for image in sorted((folder / split / "images").iterdir()):
        path = folder / split / "labels" / f"{image.stem}.txt"
        if not path.is_file():
            raise DataError(f"{image.name} has no labels: there is no {path}")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                kind, x, y, width, height = (float(value) for value in line.split())
                used_classes.add(dict(enumerate(classes))[int(kind)])
            except (ValueError, KeyError):
                raise DataError(
                    f"{path}, line {number}: expected a class below {len(classes)} and four fractions"
                ) from None
            _check_box((x - width / 2, y - height / 2, x + width / 2, y + height / 2), f"{path}, line {number}")
    without_box = set(labels.WRINKLE_CLASSES) - used_classes
    if without_box:
        raise DataError(f"no photo of {folder / split} has a box of {', '.join(sorted(without_box))}")


def _check_box(corners: tuple[float, float, float, float], where: str) -> None:
    """Check a box whose corners are fractions of the photo; `where` names its file and line."""
    x0, y0, x1, y1 = corners
    if not (x1 >= x0 and y1 >= y0):
        raise DataError(f"{where}: the box ends before it begins")
    if (
        min(x0, y0) < -OVERHANG * max(x1 - x0, y1 - y0) - 1e-6
        or max(x1, y1) > 1 + OVERHANG * max(x1 - x0, y1 - y0) + 1e-6
    ):
        raise DataError(f"{where}: the box lies outside its photo")


def _patch(example: Example) -> NDArray[np.float32]:
    """Return the face aligned by its pupils, float32 (PATCH²,), grey, of unit norm; without a face, the whole crop."""
    image = Image.fromarray(example.crop.pixels).convert("L").resize((4 * PATCH, 4 * PATCH), Image.Resampling.BOX)
    scale = image.width / cropping.CROP_SIZE
    if example.pupils is None:
        small = image.resize((PATCH, PATCH), Image.Resampling.BOX)
    else:
        right, left = example.pupils * scale
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
    parser.add_argument(
        "--data", type=Path, default=labels.DATA, help="folder that holds acne04 and wrinkles (%(default)s)"
    )
    try:
        labelled = load(parser.parse_args().data)
    except DataError as error:
        parser.error(str(error))
    for name, split in (("fit", labelled.fit), ("held out", labelled.held_out)):
        print(f"{name}: {len(split.acne)} acne crops, {len(split.wrinkles)} wrinkle crops")
    print(f"left out, {len(labelled.left_out)}:", *labelled.left_out, sep="\n  ")


if __name__ == "__main__":
    main()
