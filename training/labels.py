"""The labelled photos: lesion boxes and severity (ACNE04), wrinkle boxes by zone, mosaics taken apart into faces."""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import WRINKLE_ZONES

DATA = Path("../shared/data")  # from the project's root; what --data says instead
WRINKLE_CLASSES = {
    "forehead": "forehead",
    "crows_feet": "crows_feet",
    "frown_line": "frown",
    "gummy_smile": "nasolabial",
}
ACNE_NAME = re.compile(r"levle(?P<severity>[0-3])_(?P<photo>\d+)_")
MOSAIC_SIZE = (640, 640)  # px; only files of this size are mosaics
SEAM_MARGIN = 40  # px from the border where no seam is looked for
SEAM_STEP = 10.0  # mean grey step across a seam; the pair of them must reach it
SEAM_RATIO = 2.0  # a seam's step over the 99th percentile of all columns' (rows') steps


@dataclass(frozen=True, slots=True)
class AcnePhoto:
    """A photo with its lesions.

    Attributes:
        path: of the picture.
        photo: name of the photo this is a variant of; variants of one photo share it.
        severity: 0..3, mild to very severe (Hayashi et al. 2008), as judged by the dermatologists.
        boxes: float64 (n, 4), x, y, width, height in px of the picture.
    """

    path: Path
    photo: str
    severity: int
    boxes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WrinklePhoto:
    """A photo, or a mosaic of photos, with its wrinkles.

    Attributes:
        path: of the picture.
        boxes: WRINKLE_ZONES → float64 (n, 4), x, y, width, height as fractions of the picture.
    """

    path: Path
    boxes: dict[str, NDArray[np.float64]]


def acne_photos(folder: Path) -> list[AcnePhoto]:
    """The photos of one ACNE04 split, sorted by name.

    Args:
        folder: holds the pictures and `_annotations.csv`.

    Raises:
        FileNotFoundError: if the folder or its annotations are missing.
        ValueError: if a picture's name tells no severity.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / "_annotations.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            boxes[row["filename"]].append([x0, y0, x1 - x0, y1 - y0])
    photos = []
    for path in sorted(folder.glob("*.jpg")):
        name = ACNE_NAME.match(path.name)
        if name is None:
            raise ValueError(
                f"{path.name} does not begin with levle0_ … levle3_ and a number, so its severity is unknown"
            )
        rows = np.array(boxes.get(path.name, []), dtype=np.float64).reshape(-1, 4)
        photos.append(AcnePhoto(path, f"{name['severity']}_{name['photo']}", int(name["severity"]), rows))
    return photos


def wrinkle_photos(folder: Path) -> list[WrinklePhoto]:
    """The pictures of one wrinkle split, sorted by name.

    Args:
        folder: holds `images` and `labels`; the class names lie beside it in `classes.txt`.
    """
    classes = (folder.parent / "classes.txt").read_text().split()
    photos = []
    for path in sorted((folder / "images").iterdir()):
        boxes: dict[str, list[list[float]]] = {zone: [] for zone in WRINKLE_ZONES}
        for line in (folder / "labels" / f"{path.stem}.txt").read_text().splitlines():
            number, *values = line.split()
            zone = WRINKLE_CLASSES.get(classes[int(number)])
            if zone is not None:
                x, y, width, height = map(float, values)
                boxes[zone].append([x - width / 2, y - height / 2, width, height])
        photos.append(WrinklePhoto(path, {zone: np.array(rows).reshape(-1, 4) for zone, rows in boxes.items()}))
    return photos


def tiles(pixels: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """The photos a picture is made of, as (x0, y0, x1, y1), half-open; the whole picture where it is a single photo.

    A mosaic is four photos that meet in a cross: one vertical and one horizontal line where the grey steps all along.

    Args:
        pixels: uint8 (height, width, 3).
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
    """The column before which the grey steps most, and whether it stands out enough to be a seam."""
    steps = np.abs(np.diff(grey, axis=1))
    # Flat regions on both sides of a seam step too; a busy texture steps everywhere, so its neighbours are taken off.
    mean = steps.mean(axis=0)
    beside = np.maximum(np.roll(mean, 2), np.roll(mean, -2))
    excess = mean - beside
    inner = excess[SEAM_MARGIN:-SEAM_MARGIN]
    best = int(inner.argmax())
    return best + SEAM_MARGIN + 1, bool(inner[best] > SEAM_STEP and inner[best] > SEAM_RATIO * np.percentile(inner, 98))


def boxes_in(
    boxes: NDArray[np.float64], region: tuple[float, float, float, float], share: float = 0.5
) -> NDArray[np.float64]:
    """The boxes of which at least `share` lies in a region, relative to its corner.

    Args:
        boxes: (n, 4), x, y, width, height.
        region: x0, y0, x1, y1, in the same unit.
        share: 0..1, of a box's area.

    Returns:
        float64 (m, 4), cut to the region.
    """
    low = np.maximum(boxes[:, :2], region[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], region[2:])
    size = np.maximum(high - low, 0)
    inside = size.prod(axis=1) >= share * np.maximum(boxes[:, 2:].prod(axis=1), 1e-12)
    cut = np.concatenate([low - np.asarray(region[:2]), size], axis=1)
    return np.asarray(cut[inside], dtype=np.float64)
