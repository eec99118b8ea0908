"""Reads the boxes of one folder of photos from COCO or YOLO files, and refuses what is wrong by file and reason.

docs/training.md shows the layout. Boxes and sizes are those of the upright photo, as the service decodes it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from bentos.skin.errors import ShineError
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.image_header import read_header

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})  # what the service decodes
TABLE = "_annotations.csv"
COCO = ("annotations.json", "_annotations.coco.json")  # the second is what Roboflow calls it
OVERHANG = 0.5  # of a box's side outside its photo; exporters round and rotate, more is an error of the annotation

Form = Literal["csv", "coco", "yolo"]
Id = int | str
Finite = Annotated[float, Field(allow_inf_nan=False)]


class DataError(ValueError):
    """The labelled photos cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A photo with what was marked on it.

    Attributes:
        path: of the photo.
        size: width and height in px.
        boxes: (class, x, y, width, height) in px.
    """

    path: Path
    size: tuple[int, int]
    boxes: list[tuple[str, float, float, float, float]] = field(default_factory=list)


def photos(folder: Path) -> list[Path]:
    """List the photos in `folder/images` or, where there is none, in the folder itself, sorted.

    Raises:
        DataError: there is no folder, or it holds no photo.
    """
    within = folder / "images" if (folder / "images").is_dir() else folder
    if not within.is_dir():
        raise DataError(f"there is no folder {within}")
    paths = sorted(path for path in within.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not paths:
        raise DataError(f"the folder {within} is empty: it holds no photo ({', '.join(sorted(SUFFIXES))})")
    return paths


def form(folder: Path) -> Form:
    """Find out which form the labels of a folder have.

    Raises:
        DataError: there are none, or labels in two forms.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    forms: dict[str, Form] = {TABLE: "csv", **dict.fromkeys(COCO, "coco"), "labels": "yolo"}
    found = [name for name in forms if (folder / name).exists()]
    if not found:
        raise DataError(f"{folder} has no labels: there is no {TABLE}, no {COCO[0]} and no folder labels")
    if len(found) > 1:
        raise DataError(f"{folder} has labels in two forms, {found[0]} and {found[1]}: keep one")
    return forms[found[0]]


def decoded(path: Path) -> Photo:
    """Decode a photo as the service does.

    Raises:
        DataError: the file cannot be read, or is no photo that the service would accept.
    """
    try:
        return decode(path.read_bytes())
    except (OSError, ShineError) as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}") from None


@cache
def size_of(path: Path) -> tuple[int, int]:
    """Read width and height of the upright photo, in px, from its header.

    Raises:
        DataError: as `decoded`.
    """
    try:
        header = read_header(path.read_bytes())
    except (OSError, ShineError) as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}") from None
    return (header.height, header.width) if header.orientation >= 5 else (header.width, header.height)


def require_size(path: Path, size: tuple[int, int], where: str) -> None:
    """Require that a photo has the width and height, in px, that its labels say.

    Raises:
        DataError: it has others; `where` names the labels' file.
    """
    width, height = size_of(path)
    if size != (width, height):
        raise DataError(
            f"{where}: {path.name} has {width}×{height} px, not {size[0]}×{size[1]}: the boxes were drawn on another "
            "size of it, or before it was turned upright"
        )


class _Image(BaseModel):
    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


class _Category(BaseModel):
    id: Id
    name: str


class _Annotation(BaseModel):
    image_id: Id
    category_id: Id
    bbox: tuple[Finite, Finite, Finite, Finite]


class _Coco(BaseModel):
    """What is read of a COCO file (https://cocodataset.org/#format-data); other keys are ignored."""

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def coco(folder: Path) -> list[Marked]:
    """Read the boxes of a folder from its COCO file; a photo without annotations has none.

    Raises:
        DataError: the file is broken, lists other photos than there are, or has a box outside its photo.
    """
    path = next(folder / name for name in COCO if (folder / name).exists())
    try:
        content = _Coco.model_validate_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise DataError(f"{path}{place and ', '}{place}: {first['msg']}") from None
    marked = {file.name: Marked(file, size_of(file)) for file in photos(folder)}
    listed: dict[Id, Marked] = {}
    names: set[str] = set()
    for image in content.images:
        name = Path(image.file_name.replace("\\", "/")).name
        if name not in marked:
            raise DataError(f"{path}: there is no photo {name}, which it lists")
        if image.id in listed or name in names:
            raise DataError(f"{path}: the image {name} or its id {image.id} is there twice")
        names.add(name)
        width, height = marked[name].size
        require_size(marked[name].path, (image.width or width, image.height or height), str(path))
        listed[image.id] = marked[name]
    unlisted = sorted(set(marked) - names)
    if unlisted:
        raise DataError(f"{path} does not list the photo {unlisted[0]}; list it without annotations if it has none")
    classes = {category.id: category.name for category in content.categories}
    for number, annotation in enumerate(content.annotations):
        where = f"{path}, annotations[{number}]"
        if annotation.image_id not in listed:
            raise DataError(f"{where}: there is no image with the id {annotation.image_id}")
        if annotation.category_id not in classes:
            raise DataError(f"{where}: there is no category with the id {annotation.category_id}")
        photo = listed[annotation.image_id]
        x, y, w, h = annotation.bbox
        across, down = photo.size
        check_box((x / across, y / down, (x + w) / across, (y + h) / down), where)
        photo.boxes.append((classes[annotation.category_id], x, y, w, h))
    return list(marked.values())


def yolo(folder: Path) -> list[Marked]:
    """Read the boxes of a folder from `labels/*.txt`, one file for each photo, empty where nothing is marked.

    Raises:
        DataError: a photo has no labels, labels have no photo, a line is broken, or a box lies outside its photo.
    """
    paths, classes, marked = photos(folder), class_names(folder), []
    stems = [path.stem for path in paths]
    twice = next((stem for number, stem in enumerate(stems) if stem in stems[:number]), None)
    if twice is not None:
        raise DataError(f"{folder}: two photos are called {twice}, so labels/{twice}.txt may be of either")
    for path in sorted((folder / "labels").glob("*.txt")):
        if path.stem not in stems and path.name != "classes.txt":
            raise DataError(f"{path} has no photo: there is no {path.stem}.jpg or its like")
    for path in paths:
        rows = list(yolo_rows(yolo_file(folder, path), classes))
        width, height = size_of(path)
        boxes = [(name, (x - w / 2) * width, (y - h / 2) * height, w * width, h * height) for name, x, y, w, h in rows]
        marked.append(Marked(path, (width, height), boxes))
    return marked


def yolo_file(folder: Path, photo: Path) -> Path:
    """Name the file with the labels of a photo.

    Raises:
        DataError: there is none.
    """
    path = folder / "labels" / f"{photo.stem}.txt"
    if not path.is_file():
        raise DataError(f"{photo.name} has no labels: there is no {path}; an empty file says that nothing is marked")
    return path


def yolo_rows(path: Path, classes: list[str] | None) -> Iterator[tuple[str, float, float, float, float]]:
    """Read (class, x, y, width, height) of each line, x and y of the middle, all as fractions of the photo.

    Args:
        path: of the file.
        classes: their names in the order of their numbers; None: the number is the name.

    Raises:
        DataError: a line is broken, or a box lies outside its photo.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            kind, x, y, width, height = (float(value) for value in line.split())
            name = str(int(kind)) if classes is None else dict(enumerate(classes))[int(kind)]
        except (ValueError, KeyError, OverflowError):
            below = "" if classes is None else f" below {len(classes)}"
            raise DataError(f"{where}: expected a class{below} and four fractions") from None
        check_box((x - width / 2, y - height / 2, x + width / 2, y + height / 2), where)
        yield name, x, y, width, height


def class_names(folder: Path) -> list[str] | None:
    """Read `classes.txt`, a name a line: of the folder, of its labels, or of both splits; None without one."""
    for path in (folder / "classes.txt", folder / "labels" / "classes.txt", folder.parent / "classes.txt"):
        if path.is_file():
            return [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    return None


def column(folder: Path, table: str, name: str) -> dict[str, tuple[str, str]]:
    """Read an optional table with the columns `file` and `name`.

    Args:
        folder: holds the table, and the photos that it names.
        table: file name.
        name: of the second column.

    Returns:
        File name → (value, the place of the value for messages); nothing without the table.

    Raises:
        DataError: a column is missing, or a row has no value, no photo, or a photo that another row has.
    """
    path = folder / table
    if not path.is_file():
        return {}
    known, values = {photo.name for photo in photos(folder)}, dict[str, tuple[str, str]]()
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = {"file", name} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{path} has no column {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, start=2):
            where = f"{path}, line {number}"
            if row["file"] not in known:
                raise DataError(f"{where}: there is no photo {row['file']}")
            if row["file"] in values:
                raise DataError(f"{where}: {row['file']} is there twice")
            if not row[name]:
                raise DataError(f"{where}: {row['file']} has no {name}")
            values[row["file"]] = row[name].strip(), where
    return values


def check_box(corners: tuple[float, float, float, float], where: str) -> None:
    """Check a box whose corners are fractions of the photo; `where` names its file and line.

    Raises:
        DataError: the box ends before it begins, or lies outside its photo.
    """
    x0, y0, x1, y1 = corners
    if not (x1 >= x0 and y1 >= y0):
        raise DataError(f"{where}: the box ends before it begins")
    if (
        min(x0, y0) < -OVERHANG * max(x1 - x0, y1 - y0) - 1e-6
        or max(x1, y1) > 1 + OVERHANG * max(x1 - x0, y1 - y0) + 1e-6
    ):
        raise DataError(f"{where}: the box lies outside its photo")


def _reason(error: OSError | ShineError) -> str:
    return error.message if isinstance(error, ShineError) else error.strerror or str(error)
