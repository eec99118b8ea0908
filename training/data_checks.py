"""Checks the folders, tables and boxes of labelled photos; what is missing or broken is refused by file and reason."""

import csv
from pathlib import Path

from bentos.skin.findings import WRINKLE_ZONES
from training import annotations, labels
from training.annotations import DataError


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


def check_people(folder: Path) -> None:
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
