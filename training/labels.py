"""Reads the labelled photos: lesion boxes and severity, wrinkle boxes by zone, and the tiles of mosaics."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import HAYASHI_LIMITS, WRINKLE_ZONES
from training import annotations
from training.annotations import DataError

OWN = "lesions"  # folder of your own lesion photos
DATA = Path("../shared/data")  # from the project's root; --data names another folder
WRINKLE_CLASSES = {
    "forehead": "forehead",
    "crows_feet": "crows_feet",
    "frown_line": "frown",
    "gummy_smile": "nasolabial",
}
OFFICIAL = "labels/severity_official_differs.csv"  # of ACNE04
LONDON_WRINKLES = {
    "wrinkle_forehead": "forehead",
    "wrinkle_crow": "crows_feet",
    "wrinkle_frown": "frown",
    "wrinkle_nasolabial": "nasolabial",
}
VARIANT = ".rf."  # what Roboflow puts between a photo's name and that of its augmented variant
ACNE_NAME = re.compile(r"levle(?P<severity>[0-3])_(?P<photo>\d+)_")
MOSAIC_SIZE = (640, 640)  # px; only files of this size are mosaics
SEAM_MARGIN = 40  # px from the border; no seam is searched there
SEAM_STEP = 10.0  # least mean grey step across a seam; both seams must reach it
SEAM_RATIO = 2.0  # least ratio of a seam's step to the 98th percentile of all columns' (rows') steps


@dataclass(frozen=True, slots=True)
class AcnePhoto:
    """An acne photo with its labels.

    Attributes:
        path: of the file.
        photo: name of the original photo; all variants of one photo share it.
        severity: 0..3, mild to very severe (Hayashi et al. 2008); in ACNE04 the official class, of the official count.
        boxes: float64 (n, 4), the lesions: x, y, width, height in px of the photo.
    """

    path: Path
    photo: str
    severity: int
    boxes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WrinklePhoto:
    """A wrinkle photo, or a mosaic of photos, with its labels.

    Attributes:
        path: of the file.
        boxes: WRINKLE_ZONES → float64 (n, 4), x, y, width, height as fractions of the photo.
    """

    path: Path
    boxes: dict[str, NDArray[np.float64]]


def lesions_folder(data: Path) -> Path:
    """Name the folder of the lesion photos: `lesions`, your own, or ACNE04 where there is none."""
    return data / (OWN if is_own(data) else "acne04")


def is_own(data: Path) -> bool:
    """Whether a folder of labelled photos holds your own lesion photos, not ACNE04."""
    return (data / OWN).is_dir()


def acne_photos(folder: Path) -> list[AcnePhoto]:
    """Read the labels of one split, sorted by file name; all categories are lesions.

    The severity is that of `severity.csv`, else that of the file name (levle0_ … levle3_), else, of your own photos,
    that of the number of boxes.

    Args:
        folder: holds the photos and `_annotations.csv`, `annotations.json` (COCO) or `labels` (YOLO); `../labels` may
            name photos of another class than their file's.

    Raises:
        DataError: the folder or its labels are missing or broken, or a severity of ACNE04 is unknown.
        KeyError, ValueError: a row of `_annotations.csv` is broken.
    """
    form = annotations.form(folder)
    if form == "csv":
        marked = _of_table(folder)
    else:
        read = annotations.coco if form == "coco" else annotations.yolo
        marked = {photo.path: [list(box[1:]) for box in photo.boxes] for photo in read(folder)}
    official, given = official_severities(folder.parent), _given_severities(folder)
    photos = []
    for path, rows in marked.items():
        name = ACNE_NAME.match(path.name)
        if name is None and folder.parent.name != OWN:
            raise DataError(
                f"{path.name} does not begin with levle0_ … levle3_ and a number, so its severity is unknown; "
                f"photos of your own belong in {OWN}"
            )
        if name is None:
            photo, severity = path.name.partition(VARIANT)[0], hayashi_class(len(rows))
        else:
            photo = f"{name['severity']}_{name['photo']}"
            severity = official.get(photo, int(name["severity"]))
        boxes = np.array(rows, dtype=np.float64).reshape(-1, 4)
        photos.append(AcnePhoto(path, photo, given.get(path.name, severity), boxes))
    return photos


def hayashi_class(count: int) -> int:
    """The severity of a face with so many lesions, 0..3 (Hayashi et al. 2008); of a clear face 0, as of a mild one."""
    return int(np.searchsorted(HAYASHI_LIMITS[1:], count, side="left"))


def persons(folder: Path) -> dict[str, str]:
    """Read the person of each photo of a split from `people.csv`: file name → person; nothing without the table.

    Raises:
        DataError: the table is broken.
    """
    return {file: person for file, (person, _) in annotations.column(folder, "people.csv", "person").items()}


def _of_table(folder: Path) -> dict[Path, list[list[float]]]:
    """Read `_annotations.csv`: photo → its boxes, x, y, width, height in px."""
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / annotations.TABLE).open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["filename"]].append([x0, y0, x1 - x0, y1 - y0])
    return {path: boxes.get(path.name, []) for path in annotations.photos(folder)}


def _given_severities(folder: Path) -> dict[str, int]:
    """Read `severity.csv`: file name → 0..3; nothing without the table."""
    severities = {}
    for file, (value, where) in annotations.column(folder, "severity.csv", "severity").items():
        if value not in ("0", "1", "2", "3"):
            raise DataError(f"{where}: {value} is no severity; it is 0 (mild or clear) to 3 (very severe)")
        severities[file] = int(value)
    return severities


def official_severities(folder: Path) -> dict[str, int]:
    """Read the official class of the photos whose file name says another one.

    Args:
        folder: of ACNE04; without `labels/severity_official_differs.csv` there is no such photo.

    Returns:
        Photo, as `AcnePhoto.photo` → 0..3.
    """
    table = folder / OFFICIAL
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {row["photo"].removeprefix("levle"): int(row["official_severity"]) for row in csv.DictReader(file)}


def doctors(folder: Path) -> dict[str, list[int]]:
    """Read the severities that single doctors gave to the ACNE04 photos, beside the official one.

    Args:
        folder: of ACNE04; without `labels/doctors.csv` there are none.

    Returns:
        Photo, as `AcnePhoto.photo` → 0..3 of two to four doctors.
    """
    table = folder / "labels" / "doctors.csv"
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("photo", "official_severity", "split")
    return {
        row["photo"].removeprefix("levle"): [int(value) for key, value in row.items() if key not in names and value]
        for row in rows
    }


def wrinkle_zone(name: str) -> str | None:
    """The zone that a class of the wrinkle photos stands for, by its name there or here; None: it is not used."""
    return WRINKLE_CLASSES.get(name, name if name in WRINKLE_ZONES else None)


def wrinkle_photos(folder: Path) -> list[WrinklePhoto]:
    """Read the labels of one wrinkle split, sorted by file name; classes without a zone are left out.

    Args:
        folder: holds `annotations.json` (COCO); or `images` and `labels` (YOLO), with `classes.txt`, the names of the
            classes, in its parent folder.

    Raises:
        DataError: a folder, a file or the labels of a photo are missing or broken.
    """
    photos = []
    for path, marked in _wrinkles(folder):
        boxes: dict[str, list[list[float]]] = {zone: [] for zone in WRINKLE_ZONES}
        for name, *box in marked:
            zone = wrinkle_zone(name)
            if zone is not None:
                boxes[zone].append(box)
        photos.append(WrinklePhoto(path, {zone: np.array(rows).reshape(-1, 4) for zone, rows in boxes.items()}))
    return photos


def _wrinkles(folder: Path) -> Iterator[tuple[Path, list[tuple[str, float, float, float, float]]]]:
    """Yield the photos with their boxes: class, x, y, width, height as fractions of the photo."""
    form = annotations.form(folder)
    if form == "csv":
        raise DataError(f"{folder / annotations.TABLE} cannot hold wrinkles: use {annotations.COCO[0]} or labels")
    if form == "coco":
        for photo in annotations.coco(folder):
            across, down = photo.size
            yield (
                photo.path,
                [(name, x / across, y / down, w / across, h / down) for name, x, y, w, h in photo.boxes],
            )
        return
    classes = annotations.class_names(folder)
    if classes is None:
        raise DataError(f"there is no {folder.parent / 'classes.txt'}, which names the classes")
    for path in annotations.photos(folder):
        rows = annotations.yolo_rows(annotations.yolo_file(folder, path), classes)
        yield path, [(name, x - w / 2, y - h / 2, w, h) for name, x, y, w, h in rows]


@dataclass(frozen=True, slots=True)
class LondonFace:
    """A face of the Face Research Lab London Set, labelled by eye.

    Attributes:
        path: of the photo.
        split: "fit" or "check".
        lesions: the likeliest number; `least` and `most` bound it.
        monk: skin tone by eye on the Monk scale, 1..10, ±1.
        ethnicity: as the person said.
        beard, hair_forehead: 0 (none) to 2 (covers the skin).
        wrinkles: WRINKLE_ZONES → 0 (none) to 2 (deep) by eye; zones that cannot be judged are missing.
    """

    path: Path
    split: str
    lesions: int
    least: int
    most: int
    monk: int
    ethnicity: str
    beard: int
    hair_forehead: int
    wrinkles: dict[str, int]


def london_faces(folder: Path) -> list[LondonFace]:
    """Read the labels of the London faces, sorted by file name.

    Args:
        folder: holds `faces`, `labels.csv` and `info.csv`.

    Raises:
        FileNotFoundError: the folder or its tables are missing.
        KeyError, ValueError: a table lacks a column or holds another value.
    """
    with (folder / "info.csv").open(newline="") as file:
        people = {row["face_id"]: row for row in csv.DictReader(file)}
    with (folder / "labels.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    return [
        LondonFace(
            path=folder / "faces" / row["file"],
            split=row["split"],
            lesions=int(row["lesions"]),
            least=int(row["lesions_min"]),
            most=int(row["lesions_max"]),
            monk=int(row["monk"]),
            ethnicity=people[row["file"].partition("_")[0]]["face_eth"],
            beard=int(row["beard"]),
            hair_forehead=int(row["hair_forehead"]),
            wrinkles={
                zone: int(row[column]) for column, zone in LONDON_WRINKLES.items() if row.get(column, "NA") != "NA"
            },
        )
        for row in rows
    ]


def tiles(pixels: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """Find the photos of which a mosaic is made.

    A mosaic is four photos that meet in a cross: the grey value jumps along one whole column and one whole row.

    Args:
        pixels: uint8 (height, width, 3).

    Returns:
        (x0, y0, x1, y1) of each photo in px, half-open; the whole image where it is a single photo.
    """
    height, width = pixels.shape[:2]
    if (width, height) != MOSAIC_SIZE:
        return [(0, 0, width, height)]
    grey = pixels.astype(np.float32).mean(axis=2)
    x, along_x = _seam(grey)
    y, along_y = _seam(grey.T)
    if not (along_x and along_y):
        return [(0, 0, width, height)]
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _seam(grey: NDArray[np.float32]) -> tuple[int, bool]:
    """Return the column before which the grey value jumps most, and whether the jump is large enough for a seam."""
    steps = np.abs(np.diff(grey, axis=1))
    # A busy texture has steps in all columns, a seam in one: subtract the steps of the neighbouring columns.
    mean = steps.mean(axis=0)
    beside = np.maximum(np.roll(mean, 2), np.roll(mean, -2))
    excess = mean - beside
    inner = excess[SEAM_MARGIN:-SEAM_MARGIN]
    best = int(inner.argmax())
    return best + SEAM_MARGIN + 1, bool(inner[best] > SEAM_STEP and inner[best] > SEAM_RATIO * np.percentile(inner, 98))


def boxes_in(
    boxes: NDArray[np.float64], region: tuple[float, float, float, float], share: float = 0.5
) -> NDArray[np.float64]:
    """Select the boxes of which at least `share` lies in a region.

    Args:
        boxes: (n, 4), x, y, width, height.
        region: x0, y0, x1, y1, in the same unit.
        share: 0..1, of a box's area.

    Returns:
        float64 (m, 4), cut to the region and relative to its upper left corner.
    """
    low = np.maximum(boxes[:, :2], region[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], region[2:])
    size = np.maximum(high - low, 0)
    inside = size.prod(axis=1) >= share * np.maximum(boxes[:, 2:].prod(axis=1), 1e-12)
    cut = np.concatenate([low - np.asarray(region[:2]), size], axis=1)
    return np.asarray(cut[inside], dtype=np.float64)
