"""Checks and cuts the labelled photos, leaves out duplicates across the splits, and holds a part of train out.

    python -m training.data                            # check, cut, list near-duplicates; a minute, then seconds
    python -m training.data --data /photos             # your own photos: docs/training.md

A photo may occur several times: as variants of one export, in several mosaics, or in both splits. Photos whose aligned
faces match form one group. A group is never split, and a train photo that matches a valid photo is not trained on.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.data(__doc__).parse_args()

import csv
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo import crop as cropping
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import FaceReader
from training import annotations, crops, labels, pasting, people
from training.annotations import DataError as DataError
from training.crops import Example
from training.labels import AcnePhoto, LondonFace

HELD_OUT = 0.1  # share of the wrinkle photos, by group: calibration and choices are made on it, never on valid
HELD_OUT_PEOPLE = 0.12  # share of the acne photos, with all others of their people .15: 130 photos
RUN = 12  # acne photos with neighbouring numbers that are held out together
MANY_LESIONS = 2  # least severity of the photos that are trained on twice: a fifth of all has it
PASTED = 600  # faces with lesions pasted in
PHOTOS = "photos.txt"  # in a run's folder: the `state` of the photos that it was trained on
SEED = 0  # of the choice of the held-out part
FACELESS_SIDE_MIN = 150  # px; smaller tiles without a face show a chin or a wall
PATCH = 48  # px; side of the aligned face that is compared
PATCH_BLUR = 3.0  # px; coarser structure is removed: light, and the shape that all faces share
PATCH_SPAN = 3.4  # side of the aligned face over the pupils' distance: brows to chin, little background
SAME_PHOTO = 0.6  # least correlation of aligned faces that show the same photo; see `near_duplicates`


@dataclass(frozen=True, slots=True)
class Split:
    """Crops for training or for measurement.

    Attributes:
        acne: with their lesions marked.
        wrinkles: with the wrinkles of each zone marked.
        clear: mostly clear faces, some with lesions pasted in; for training only.
    """

    acne: list[Example]
    wrinkles: list[Example]
    clear: list[Example] = field(default_factory=list)


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


def load(data: Path, *, everyone: bool = False) -> Labelled:
    """Check, cut and divide the train splits; takes ten minutes the first time, then reads the cache.

    Acne photos are divided by person: nobody occurs in both parts. A photo without the exporter's changes stands for
    its two variants, whose boxes lie beside the lesions where they were turned. The training part has photos of many
    lesions twice, since they are few. Lesions pasted into other faces come from the training part.

    Args:
        data: the folder that holds `lesions` or `acne04`, and `wrinkles`; `london`, where there is one, is used too.
        everyone: whether what is held out is trained on too, once all choices have been made.

    Raises:
        DataError: a folder is missing, an annotation is broken, or a split is empty.
    """
    _check_people(labels.lesions_folder(data))
    variants, wrinkles = _acne(data, "train"), _wrinkles(data, "train")
    originals = _originals(data)
    valid = load_valid(data)
    left_out: list[str] = []
    dropped: set[str] = set()
    for examples, valid_examples in (
        (variants, valid.acne),
        (originals, valid.acne),
        (wrinkles, valid.wrinkles),
    ):
        pairs = near_duplicates(examples, valid_examples)
        left_out += [
            f"{examples[i].group} shows the valid photo {valid_examples[j].group} (correlation {c:.3f})"
            for i, j, c in pairs
        ]
        dropped |= {examples[i].group for i, _, _ in pairs}
    variants, originals, wrinkles = (
        [example for example in examples if example.group not in dropped]
        for examples in (variants, originals, wrinkles)
    )
    fit, held_out = Split([], []), Split([], [])
    taken = {example.group for example in originals}  # photos that are there as they were taken
    unknown = held_out_photos(data)

    def repeated(example: Example) -> list[Example]:  # an original stands for its two variants
        return [example] * ((2 if example.group in taken else 1) * (2 if example.severity >= MANY_LESIONS else 1))

    for example in originals + [example for example in variants if example.group not in taken]:
        if example.group in unknown:
            held_out.acne.append(example)
        else:
            fit.acne.extend(repeated(example))
    for example, is_held_out in zip(wrinkles, hold_out(groups(wrinkles)), strict=True):
        (held_out if is_held_out else fit).wrinkles.append(example)
    fit.clear.extend(_clear(data, fit))
    for part, purpose in ((fit, "train on"), (held_out, "hold out")):
        for kind, examples in (("lesion", part.acne), ("wrinkle", part.wrinkles)):
            if not examples:
                raise DataError(
                    f"{data} has no {kind} photo to {purpose}: train needs photos of two people at least that do not "
                    f"show the same as those of valid; {len(left_out)} were left out because they do"
                )
    if everyone:
        fit.acne.extend(again for example in held_out.acne for again in repeated(example))
        fit.wrinkles.extend(held_out.wrinkles)
    return Labelled(fit, held_out, left_out)


def held_out_photos(data: Path) -> set[str]:
    """Choose the acne photos of the held-out people, as `AcnePhoto.photo`; nobody of them is trained on.

    Who a photo shows says `people.csv` beside it, or for ACNE04 `people.people`; else it shows a person of its own.

    Raises:
        FileNotFoundError, ValueError: as `labels.acne_photos` and `people.people`.
    """
    folder = labels.lesions_folder(data) / "train"
    listed, known = labels.persons(folder), {} if labels.is_own(data) else people.people()
    person = {
        photo.photo: listed.get(photo.path.name, known.get(f"levle{photo.photo}", photo.photo))
        for photo in labels.acne_photos(folder)
    }
    photos = sorted(person)
    if labels.is_own(data):
        is_held_out = hold_out([person[photo] for photo in photos], HELD_OUT_PEOPLE)
    else:  # photos of one sitting have neighbouring numbers, so runs of them are chosen, and all of the same people
        photos.sort(key=lambda photo: tuple(int(part) for part in photo.split("_")))
        is_held_out = hold_out([str(position // RUN) for position in range(len(photos))], HELD_OUT_PEOPLE)
    chosen = {person[photo] for photo, is_out in zip(photos, is_held_out, strict=True) if is_out}
    return {photo for photo in photos if person[photo] in chosen}


def by_person(data: Path) -> list[AcnePhoto]:
    """List the photos of the held-out people for measurement: as they were taken, else the first variant.

    Raises:
        FileNotFoundError, ValueError: as `labels.acne_photos`.
    """
    unknown, photos = held_out_photos(data), labels.acne_photos(labels.lesions_folder(data) / "train")
    listed = {photo.photo: photo for photo in reversed(photos) if photo.photo in unknown}  # the first one wins
    if _has_originals(data):
        for original in crops.carried_originals(data):
            name = original.photo.removeprefix("levle")
            if name in listed and original.to_variant:
                listed[name] = AcnePhoto(original.path, name, original.severity, original.boxes)
    return [listed[name] for name in sorted(listed)]


def load_valid(data: Path) -> Split:
    """Load the valid splits, for the final measurement and to find their duplicates in train.

    Raises:
        DataError: as `load`.
    """
    return Split(_acne(data, "valid"), _wrinkles(data, "valid"))


def london(data: Path) -> list[tuple[Example, LondonFace]]:
    """Load the London faces with their labels.

    Raises:
        DataError: a table or a photo is missing or broken.
    """
    try:
        return crops.london_examples(data / "london", _cache(data, "london"))
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"there is no {error.filename}") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"a table in {data / 'london'} lacks a column or holds another value: {error}") from None


def check(data: Path, split: str) -> None:
    """Check the folders, tables and boxes of one split.

    Args:
        data: the folder that holds `lesions` or `acne04`, and `wrinkles`.
        split: "train" or "valid".

    Raises:
        DataError: a folder or file is missing or empty, a row is broken, or a box lies outside its photo.
    """
    lesions, wrinkles = labels.lesions_folder(data) / split, data / "wrinkles" / split
    if not lesions.is_dir():
        raise DataError(
            f"there is no folder {lesions}; --data names the one that holds lesions or acne04, and wrinkles"
        )
    if not (data / "wrinkles").is_dir():
        raise DataError(
            f"there is no folder {data / 'wrinkles'}: without it the model would answer wrinkles at random; "
            "a few dozen labelled faces are enough to begin with (docs/training.md)"
        )
    if annotations.form(lesions) == "csv":
        _check_table(lesions)
    labels.acne_photos(lesions)
    _check_wrinkles(wrinkles)


def state(data: Path) -> str:
    """Name the state of your own photos and labels: another one after any change; empty for ACNE04, which stays.

    Crops are cached under this name, and a run goes on only with the photos that it began with.
    """
    if not labels.is_own(data):
        return ""
    files = sorted(path for part in ("lesions", "wrinkles", "london") for path in (data / part).rglob("*"))
    listed = [
        (str(path.relative_to(data)), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()
    ]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:12]


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
    """Choose the examples to hold out; a group is never split, and each part has one where there are two.

    Args:
        names: the group of each of n examples.
        share: of the groups to hold out.
        seed: of the choice.

    Returns:
        bool (n,).
    """
    unique = sorted(set(names))
    shuffled = np.random.default_rng(seed).permutation(len(unique))
    count = min(max(round(share * len(unique)), 1), len(unique) - 1)
    held_out = {unique[number] for number in shuffled[:count]}
    return np.array([name in held_out for name in names], dtype=np.bool_)


def _acne(data: Path, split: str) -> list[Example]:
    check(data, split)
    own = labels.is_own(data)
    return crops.acne_examples(
        labels.lesions_folder(data) / split, _cache(data, f"acne-{split}"), speckled=split == "train" and not own
    )


def _has_originals(data: Path) -> bool:
    return not labels.is_own(data) and (data / "acne04" / "train_1024").is_dir()


def _originals(data: Path) -> list[Example]:
    """Return the photos of ACNE04 as they were taken; none where their folder is missing."""
    return crops.original_examples(data, "acne-originals") if _has_originals(data) else []


def _clear(data: Path, fit: Split) -> list[Example]:
    """Return the London faces of the fit split and as many faces with lesions pasted in; none without London."""
    if not (data / "london").is_dir():
        return []
    faces = [example for example, label in london(data) if label.split == "fit"]
    receivers = [example for example in fit.wrinkles if example.lesions_known == "everywhere"]
    # Half of them are pasted into London's faces, whose other lesions are counted.
    receivers = faces * (PASTED // 2 // max(len(faces), 1)) + receivers
    donors = [example for example in fit.acne if example.crop.landmarks is not None]  # the others have another scale
    if not any(len(donor.lesions) for donor in donors):
        return faces
    pasted = crops.cached(_cache(data, "pasted"), pasting.pasted_examples(receivers, donors, PASTED, SEED))
    return [example for pair in zip(itertools.cycle(faces), pasted) for example in pair]


def _wrinkles(data: Path, split: str) -> list[Example]:
    check(data, split)
    folder = data / "wrinkles" / split
    examples = crops.wrinkle_examples(folder, _cache(data, f"wrinkles-{split}"))
    if split == "train":
        examples = examples + crops.cached(_cache(data, "wrinkles-train-faceless"), _faceless(folder))
    return examples


def _cache(data: Path, name: str) -> str:
    """Name a cache of crops by what it holds and by the state of the photos."""
    return "-".join(filter(None, (name, state(data))))


def _faceless(folder: Path) -> Iterator[Example]:
    """Yield the labelled tiles and photos without a face, uncropped, as the service passes such photos to the model.

    They are half faces and close-ups; the 400 of them are a quarter of all labelled tiles.
    """
    reader = FaceReader()
    for label in tqdm(labels.wrinkle_photos(folder), desc="faceless", mininterval=5):
        pixels = annotations.decoded(label.path).pixels
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
                yield Example(crop, label.path.stem, -1, np.empty((0, 4)), boxes, lesions_known="nowhere")


def _check_people(folder: Path) -> None:
    """Require that nobody whom both tables of people name is in train and in valid."""
    train, valid = (set(labels.persons(folder / split).values()) for split in ("train", "valid"))
    if train & valid:
        raise DataError(
            f"{folder / 'valid' / 'people.csv'}: {min(train & valid)} has photos in train too; "
            "a person's photos belong in one split, or valid flatters"
        )


def _check_table(folder: Path) -> None:
    table = folder / annotations.TABLE
    known = {path.name: path for path in annotations.photos(folder)}
    own = labels.is_own(folder.parents[1])
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = {"filename", "width", "height", "xmin", "ymin", "xmax", "ymax"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{table} has no column {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, start=2):
            where = f"{table}, line {number}"
            if row["filename"] not in known:
                raise DataError(f"{where}: there is no photo {row['filename']}")
            try:
                keys = ("xmin", "ymin", "xmax", "ymax", "width", "height")
                x0, y0, x1, y1, width, height = (float(row[key]) for key in keys)
                box = (x0 / width, y0 / height, x1 / width, y1 / height)
            except (TypeError, ValueError, ZeroDivisionError):
                raise DataError(f"{where}: a box needs six numbers, this row is broken") from None
            annotations.check_box(box, where)
            if own:  # ACNE04's photos all have the size that the table says
                annotations.require_size(known[row["filename"]], (int(width), int(height)), where)


def _check_wrinkles(folder: Path) -> None:
    if not any((folder / name).is_file() for name in annotations.COCO):
        for path in (folder / "images", folder / "labels"):
            if not path.is_dir():
                raise DataError(f"there is no folder {path}, and no {annotations.COCO[0]} beside it")
            if not any(path.iterdir()):
                raise DataError(f"the folder {path} is empty")
        classes = annotations.class_names(folder)
        named = {labels.wrinkle_zone(name) for name in classes or ()}
        missing = [zone for zone in WRINKLE_ZONES if zone not in named]
        if classes is not None and missing:
            raise DataError(f"{folder.parent / 'classes.txt'} does not name {', '.join(missing)}")
    photos = labels.wrinkle_photos(folder)
    without_box = [zone for zone in WRINKLE_ZONES if not any(len(photo.boxes[zone]) for photo in photos)]
    if without_box:
        raise DataError(f"no photo of {folder} has a box of {', '.join(without_box)}")


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
    parser = commands.data(__doc__)
    try:
        labelled = load(parser.parse_args().data)
    except DataError as error:
        parser.error(str(error))
    for name, split in (("fit", labelled.fit), ("held out", labelled.held_out)):
        print(f"{name}: {len(split.acne)} acne crops, {len(split.wrinkles)} wrinkle crops")
    print(f"left out, {len(labelled.left_out)}:", *labelled.left_out, sep="\n  ")


if __name__ == "__main__":
    main()
