"""Labels are read from their files, and mosaics are split into their photos."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from training import labels

DATA = Path(__file__).resolve().parents[3] / labels.DATA


def photo(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Draw smooth noise; even and odd seeds differ in brightness."""
    rng = np.random.default_rng(seed)
    small = (rng.random((6, 6, 3)) * 90 + 120 * (seed % 2)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def mosaic(x: int, y: int) -> NDArray[np.uint8]:
    pixels = np.empty((640, 640, 3), np.uint8)
    for seed, (rows, columns) in enumerate(
        [
            (slice(0, y), slice(0, x)),
            (slice(0, y), slice(x, None)),
            (slice(y, None), slice(x, None)),
            (slice(y, None), slice(0, x)),
        ]
    ):
        height, width = pixels[rows, columns].shape[:2]
        pixels[rows, columns] = photo(height, width, seed)
    return pixels


@pytest.mark.parametrize(("x", "y"), [(320, 320), (177, 460), (590, 80)])
def test_a_mosaic_is_split_at_its_seams(x: int, y: int) -> None:
    assert labels.tiles(mosaic(x, y)) == [(0, 0, x, y), (x, 0, 640, y), (0, y, x, 640), (x, y, 640, 640)]


def test_a_single_photo_stays_whole() -> None:
    assert labels.tiles(photo(640, 640, 3)) == [(0, 0, 640, 640)]
    assert labels.tiles(mosaic(320, 320)[:426]) == [(0, 0, 640, 426)]


def test_a_box_goes_to_the_tile_that_holds_most_of_it_cut_to_the_tile() -> None:
    boxes = np.array([[90, 10, 20, 20], [95, 10, 20, 20], [10, 10, 5, 5]], float)
    left = labels.boxes_in(boxes, (0, 0, 100, 100))
    right = labels.boxes_in(boxes[1:2], (100, 0, 200, 100))
    np.testing.assert_array_equal(left, [[90, 10, 10, 20], [10, 10, 5, 5]])
    np.testing.assert_array_equal(right, [[0, 10, 15, 20]])


def acne_folder(folder: Path, names: list[str], rows: str) -> Path:
    for name in names:
        (folder / name).touch()
    (folder / "_annotations.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    return folder


def test_acne_labels_are_boxes_severity_and_the_original_photo(tmp_path: Path) -> None:
    names = ["levle0_7_jpg.rf.a.jpg", "levle2_7_jpg.rf.b.jpg", "levle2_7_jpg.rf.c.jpg"]
    rows = f"{names[1]},640,640,lesion,10,20,40,60\n{names[1]},640,640,lesion,1,2,3,4\n"
    clean, first, second = labels.acne_photos(acne_folder(tmp_path, names, rows))
    assert (clean.severity, clean.boxes.shape) == (0, (0, 4))
    np.testing.assert_array_equal(first.boxes, [[10, 20, 30, 40], [1, 2, 2, 2]])
    assert first.severity == 2
    assert first.photo == second.photo != clean.photo


def test_an_acne_photo_without_a_severity_in_its_name_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"face\.jpg"):
        labels.acne_photos(acne_folder(tmp_path, ["face.jpg"], ""))


def test_wrinkle_labels_are_corner_and_size_by_zone(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("bunny_line\nforehead\ngummy_smile\n")
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    (tmp_path / "train/images/a.jpg").touch()
    (tmp_path / "train/labels/a.txt").write_text("1 0.5 0.25 0.2 0.1\n0 0.1 0.1 0.1 0.1\n2 0.5 0.5 1 1\n")
    (label,) = labels.wrinkle_photos(tmp_path / "train")
    np.testing.assert_allclose(label.boxes["forehead"], [[0.4, 0.2, 0.2, 0.1]])
    np.testing.assert_allclose(label.boxes["nasolabial"], [[0, 0, 1, 1]])
    assert [len(label.boxes[zone]) for zone in ("frown", "crows_feet")] == [0, 0]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the labelled photos are not in {labels.DATA}")
def test_the_labelled_photos_are_all_there_and_single_ones_are_not_cut() -> None:
    valid = labels.acne_photos(DATA / "acne04/valid")
    assert len(valid) == 283
    assert sum(len(label.boxes) for label in valid) == 3425
    singles = labels.wrinkle_photos(DATA / "wrinkles/valid")
    assert len(singles) == 102
    for single in singles:
        with Image.open(single.path) as image:
            assert len(labels.tiles(np.asarray(image.convert("RGB")))) == 1
