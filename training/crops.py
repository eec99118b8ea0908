"""Cuts the labelled photos to crops with the service's own code, and caches the crops on disk."""

import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bentos.skin.boxes import overlaps
from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo import crop as cropping
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import FaceReader, PhotoFaces
from bentos.skin.photo.landmarks import POINTS
from training import labels, originals
from training.annotations import decoded
from training.despeckle import despeckle
from training.files import write_atomically
from training.labels import LondonFace
from training.originals import Original

# Crops and runs, 3 GB; ignored by git. Delete it when decoding, face detection or cropping has changed.
CACHE = Path(os.environ.get("SHINE_TRAIN_CACHE", ".cache/training"))
RUNS = CACHE / "runs"  # one folder for each training run
FACE_SIDE_MIN = 60.0  # px; smaller faces in a mosaic show no wrinkles worth learning
MIN_SHARE_IN_TILE = 0.5  # of a box's area inside a mosaic's tile; with less, the box does not belong to that tile


LesionsKnown = Literal["everywhere", "beside", "nowhere"]
KNOWN: tuple[LesionsKnown, ...] = get_args(LesionsKnown)


@dataclass(frozen=True, slots=True)
class Example:
    """A crop with its labels.

    Attributes:
        crop: cut as the service cuts it.
        group: examples of one group show the same photo and must lie in the same fold.
        severity: 0..3 (ACNE04), or -1 where it is not labelled.
        lesions: float64 (n, 4), x, y, width, height in crop pixels.
        wrinkles: WRINKLE_ZONES → float64 (n, 4) in crop pixels; empty for acne photos.
        pupils: float64 (2, 2), right and left, in crop pixels; None where no face was found.
        doubtful: float64 (m, 4) in crop pixels: what a second team took for lesions; neither lesion nor background.
        lesions_known: where the lesions are labelled: "everywhere"; "beside" the face, where there is none; "nowhere".
        bounds: least and most lesions of a face whose lesions were counted and not marked; None elsewhere.
    """

    crop: Crop
    group: str
    severity: int
    lesions: NDArray[np.float64]
    wrinkles: dict[str, NDArray[np.float64]]
    pupils: NDArray[np.float64] | None = None
    doubtful: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    lesions_known: LesionsKnown = "everywhere"
    bounds: tuple[int, int] | None = None


def acne_examples(folder: Path, name: str, speckled: bool = False) -> list[Example]:
    """Cut one ACNE04 split; where no face is found the crop holds the whole photo, as in the service.

    Args:
        folder: holds the photos and `_annotations.csv`.
        name: of the cache.
        speckled: whether an exporter added salt-and-pepper noise, which is taken out first.

    Raises:
        FileNotFoundError, ValueError: as `labels.acne_photos`.
        DataError: a photo cannot be decoded.
    """
    reader = FaceReader()

    def examples() -> Iterator[Example]:
        for label in tqdm(labels.acne_photos(folder), desc=name, mininterval=5):
            photo = decoded(label.path)
            faces = reader.read(replace(photo, pixels=despeckle(photo.pixels)) if speckled else photo)
            boxes = boxes_to_crop(faces.crop, label.boxes)
            yield Example(faces.crop, label.photo, label.severity, boxes, {}, pupils(faces))

    return cached(name, examples())


def original_examples(data: Path, name: str) -> list[Example]:
    """Cut the ACNE04 photos that are there as they were taken, with the boxes of their variants.

    Args:
        data: the folder that holds `acne04`.
        name: of the cache.

    Raises:
        FileNotFoundError: as `originals.originals`.
        DataError: a photo cannot be decoded.
    """
    reader = FaceReader()

    def examples() -> Iterator[Example]:
        for photo in carried_originals(data):
            if not photo.to_variant:
                continue  # its boxes are not known
            faces = reader.read(decoded(photo.path))
            lesions = boxes_to_crop(faces.crop, photo.boxes)
            circles = boxes_to_crop(faces.crop, photo.circles)
            # A circle that meets a box is about a lesion of the first team.
            doubtful = circles[overlaps(circles, lesions).max(axis=1, initial=0.0) == 0]
            group = photo.photo.removeprefix("levle")
            yield Example(faces.crop, group, photo.severity, lesions, {}, pupils(faces), doubtful)

    return cached(name, examples())


def carried_originals(data: Path) -> list[Original]:
    """The photos as they were taken with the boxes of their variants, from the cache; raises as `originals`."""
    path = CACHE / "originals.pickle"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        content = pickle.dumps(originals.originals(data))
        write_atomically(path, lambda part: part.write_bytes(content))
    carried: list[Original] = pickle.loads(path.read_bytes())  # noqa: S301  # written above
    return carried


def wrinkle_examples(folder: Path, name: str) -> list[Example]:
    """Cut one wrinkle split, mosaics split into their tiles; tiles without a face are left out.

    Args:
        folder: holds `images` and `labels`.
        name: of the cache.

    Raises:
        FileNotFoundError: as `labels.wrinkle_photos`.
        DataError: a photo cannot be decoded.
    """
    reader = FaceReader()

    def examples() -> Iterator[Example]:
        for label in tqdm(labels.wrinkle_photos(folder), desc=name, mininterval=5):
            pixels = decoded(label.path).pixels
            size = np.array([pixels.shape[1], pixels.shape[0]] * 2)
            for x0, y0, x1, y1 in labels.tiles(pixels):
                tile = Photo(np.ascontiguousarray(pixels[y0:y1, x0:x1]), x1 - x0, y1 - y0, "JPEG")
                faces = reader.read(tile)
                if faces.largest is None or faces.largest.box[2] < FACE_SIDE_MIN:
                    continue
                boxes = {
                    zone: boxes_to_crop(faces.crop, labels.boxes_in(rows * size, (x0, y0, x1, y1), MIN_SHARE_IN_TILE))
                    for zone, rows in label.boxes.items()
                }
                # These faces have hardly a lesion; without them as background, furrows were taken for lesions.
                known: LesionsKnown = "nowhere" if faces.crop.landmarks is None else "everywhere"
                yield Example(
                    faces.crop, label.path.stem, -1, np.empty((0, 4)), boxes, pupils(faces), lesions_known=known
                )

    return cached(name, examples())


def london_examples(folder: Path, name: str = "london") -> list[tuple[Example, LondonFace]]:
    """Cut the London faces; raises as `labels.london_faces`.

    Args:
        folder: holds `faces` and the labels.
        name: of the cache.

    Returns:
        Examples without boxes, each with its labels.
    """
    reader = FaceReader()
    faces = labels.london_faces(folder)

    def examples() -> Iterator[Example]:
        for label in tqdm(faces, desc=name, mininterval=5):
            found = reader.read(decoded(label.path))
            bounds = (label.least, label.most)
            known: LesionsKnown = "everywhere" if bounds <= (0, 1) else "beside"
            yield Example(
                found.crop,
                label.path.stem,
                -1,
                np.empty((0, 4)),
                {},
                pupils(found),
                lesions_known=known,
                bounds=bounds,
            )

    return list(zip(cached(name, examples()), faces, strict=True))


def pupils(faces: PhotoFaces) -> NDArray[np.float64] | None:
    """The pupils of the largest face, float64 (2, 2), in crop pixels; None without a face."""
    return None if faces.largest is None else cropping.points_to_crop(faces.crop, faces.largest.keypoints[:2])


def boxes_to_crop(crop: Crop, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert boxes (n, 4) in photo pixels to crop pixels; boxes whose centre lies outside the crop are dropped."""
    corners = [cropping.points_to_crop(crop, boxes[:, :2] + share * boxes[:, 2:]) for share in (0, 1)]
    low, high = np.minimum(*corners), np.maximum(*corners)  # a crop may be turned
    centre = (low + high) / 2
    inside = ((centre >= 0) & (centre < cropping.CROP_SIZE)).all(axis=1)
    return np.concatenate([low, high - low], axis=1)[inside]


def cached(name: str, examples: Iterator[Example]) -> list[Example]:
    """Read examples from the cache; where there is none, write it first.

    Args:
        name: of the cache.
        examples: read only where there is no cache.

    Returns:
        The examples; pixels are mapped from the disk and read when they are used.
    """
    pixels_path, table_path = CACHE / f"{name}.pixels", CACHE / f"{name}.npz"
    if not table_path.exists():
        _write(pixels_path, table_path, examples)
    with np.load(table_path) as table:
        columns = {key: table[key] for key in table.files}
    count = len(columns["group"])
    if not count:  # an empty file cannot be mapped
        return []
    pixels = np.memmap(pixels_path, np.uint8, "r", shape=(count, cropping.CROP_SIZE, cropping.CROP_SIZE, 3))
    return [_example(index, pixels[index], columns) for index in range(count)]


def _write(pixels_path: Path, table_path: Path, examples: Iterator[Example]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    names = ("group", "severity", "landmarks", "pupils", "valid", "to_photo", "lesions_known", "bounds")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    boxes: list[list[float]] = []  # example, kind (0 lesion, then the zones, last the doubtful), x, y, width, height
    # Both files appear complete or not at all, also where a run is interrupted or another one runs at the same time.
    pixels_part, table_part = (path.with_name(f"{os.getpid()}-{path.name}") for path in (pixels_path, table_path))
    with pixels_part.open("wb") as file:
        for number, example in enumerate(examples):
            crop = example.crop
            file.write(crop.pixels.tobytes())
            zones = [example.wrinkles.get(zone, np.empty((0, 4))) for zone in WRINKLE_ZONES]
            kinds = [example.lesions, *zones, example.doubtful]
            boxes += [[number, kind, *box] for kind, group in enumerate(kinds) for box in group.tolist()]
            columns["group"].append(example.group)
            columns["severity"].append(example.severity)
            missing = np.full((POINTS, 3), np.nan, np.float32)
            columns["landmarks"].append(missing if crop.landmarks is None else crop.landmarks)
            columns["pupils"].append(np.full((2, 2), np.nan) if example.pupils is None else example.pupils)
            columns["valid"].append(crop.valid)
            columns["to_photo"].append(crop.to_photo)
            columns["lesions_known"].append(KNOWN.index(example.lesions_known))
            columns["bounds"].append(example.bounds or (-1, -1))
    table = {name: np.array(values) for name, values in columns.items()}
    np.savez(table_part, boxes=np.array(boxes).reshape(-1, 6), **table)  # type: ignore[arg-type]  # the names are no option's
    pixels_part.replace(pixels_path)
    table_part.replace(table_path)


def _example(index: int, pixels: NDArray[np.uint8], columns: dict[str, NDArray[Any]]) -> Example:
    landmarks, pupils = columns["landmarks"][index], columns["pupils"][index]
    x0, y0, x1, y1 = (int(edge) for edge in columns["valid"][index])
    crop = Crop(pixels, columns["to_photo"][index], (x0, y0, x1, y1), None if np.isnan(landmarks).any() else landmarks)
    own = columns["boxes"][columns["boxes"][:, 0] == index]
    lesions, *zones, doubtful = (own[own[:, 1] == kind, 2:] for kind in range(2 + len(WRINKLE_ZONES)))
    least, most = (int(value) for value in columns["bounds"][index])
    return Example(
        crop,
        str(columns["group"][index]),
        int(columns["severity"][index]),
        lesions,
        dict(zip(WRINKLE_ZONES, zones, strict=True)),
        None if np.isnan(pupils).any() else pupils,
        doubtful,
        KNOWN[int(columns["lesions_known"][index])],
        None if most < 0 else (least, most),
    )
