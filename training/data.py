"""Checks and cuts the labelled photos, leaves out duplicates across the splits, and holds a part of train out.

    python -m training.data                            # check, cut, list near-duplicates; a minute, then seconds
    python -m training.data --data /photos             # your own photos: docs/training.md

A photo may occur several times: as variants of one export, in several mosaics, or in both splits. Photos whose aligned
faces match form one group. A group is never split, and a train photo that matches a valid photo is not trained on.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.data(__doc__).parse_args()

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bentos.skin.photo import crop as cropping
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import FaceReader
from training import annotations, crops, labels, pasting, people
from training.annotations import DataError as DataError
from training.crops import Example
from training.data_checks import check, check_people
from training.duplicates import groups, near_duplicates
from training.labels import AcnePhoto, LondonFace

HELD_OUT = 0.1  # share of the wrinkle photos, by group: calibration and choices are made on it, never on valid
HELD_OUT_PEOPLE = 0.12  # share of the acne photos, with all others of their people .15: 130 photos
RUN = 12  # acne photos with neighbouring numbers that are held out together
MANY_LESIONS = 2  # least severity of the photos that are trained on twice: a fifth of all has it
PASTED = 600  # faces with lesions pasted in
PHOTOS = "photos.txt"  # in a run's folder: the `state` of the photos that it was trained on
SEED = 0  # of the choice of the held-out part
FACELESS_SIDE_MIN = 150  # px; smaller tiles without a face show a chin or a wall


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


def load(data: Path) -> Labelled:
    """Check, cut and divide the train splits; takes ten minutes the first time, then reads the cache.

    Acne photos are divided by person: nobody occurs in both parts. A photo without the exporter's changes stands for
    its two variants, whose boxes lie beside the lesions where they were turned. The training part has photos of many
    lesions twice, since they are few. Lesions pasted into other faces come from the training part.

    Args:
        data: the folder that holds `lesions` or `acne04`, and `wrinkles`; `london`, where there is one, is used too.

    Raises:
        DataError: a folder is missing, an annotation is broken, or a split is empty.
    """
    check_people(labels.lesions_folder(data))
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
    for example in originals + [example for example in variants if example.group not in taken]:
        if example.group in unknown:
            held_out.acne.append(example)
        else:  # an original stands for its two variants
            times = (2 if example.group in taken else 1) * (2 if example.severity >= MANY_LESIONS else 1)
            fit.acne.extend([example] * times)
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
