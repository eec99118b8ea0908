"""The labelled photos are checked, duplicates are found, and a part is held out before training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

pytest.importorskip("cv2")
pytest.importorskip("scipy")
pytest.importorskip("tqdm")

from bentos.skin.photo.crop import CROP_SIZE, Crop
from training import data, data_checks, duplicates, labels
from training.crops import Example
from training.data import DataError

ROW = "levle0_1_a.jpg,100,100,levle0,10,10,30,30\n"
HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a valid data set: one acne photo, and one wrinkle photo with a box of every class."""
    acne, wrinkles = tmp_path / "acne04/train", tmp_path / "wrinkles/train"
    for path in (acne, wrinkles / "images", wrinkles / "labels"):
        path.mkdir(parents=True)
    Image.new("RGB", (100, 100)).save(acne / "levle0_1_a.jpg")
    (acne / "_annotations.csv").write_text(HEAD + ROW)
    names = list(labels.WRINKLE_CLASSES)
    (tmp_path / "wrinkles/classes.txt").write_text("\n".join(names))
    Image.new("RGB", (100, 100)).save(wrinkles / "images/1.jpg")
    (wrinkles / "labels/1.txt").write_text("".join(f"{kind} 0.5 0.5 0.2 0.2\n" for kind in range(len(names))))
    return tmp_path


def example(pixels: np.ndarray, group: str) -> Example:
    crop, pupils = Crop(pixels, np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None), np.array([[200.0, 200], [310, 205]])
    return Example(crop, group, 0, np.empty((0, 4)), {}, pupils)


def face(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(40, 220, (40, 40, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BICUBIC))


def test_a_valid_data_set_passes(folder: Path) -> None:
    data_checks.check(folder, "train")


@pytest.mark.parametrize("missing", ["acne04/train", "wrinkles/train/images", "wrinkles/train/labels"])
def test_a_missing_folder_is_named(folder: Path, missing: str) -> None:
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=f"there is no folder .*{missing}"):
        data_checks.check(folder, "train")


def test_an_empty_folder_is_named(folder: Path) -> None:
    (folder / "wrinkles/train/labels/1.txt").unlink()
    with pytest.raises(DataError, match=r"labels is empty"):
        data_checks.check(folder, "train")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("filename,xmin\n", "has no column height, width, xmax, ymax, ymin"),
        (HEAD + "levle0_9_b.jpg,100,100,levle0,1,1,2,2\n", "line 2: there is no photo levle0_9_b.jpg"),
        (HEAD + ROW + "levle0_1_a.jpg,100,100,levle0,10,ten,30,30\n", "line 3: a box needs six numbers"),
        (HEAD + "levle0_1_a.jpg,100,100,levle0,10,10\n", "line 2: a box needs six numbers"),
        (HEAD + "levle0_1_a.jpg,0,100,levle0,10,10,30,30\n", "line 2: a box needs six numbers"),
        (HEAD + "levle0_1_a.jpg,100,100,levle0,150,10,170,30\n", "line 2: the box lies outside"),
        (HEAD + "levle0_1_a.jpg,100,100,levle0,30,10,10,30\n", "line 2: the box ends before it begins"),
        (HEAD + "levle0_1_a.jpg,100,100,levle0,nan,10,10,30\n", "line 2: the box ends before it begins"),
    ],
)
def test_a_broken_row_of_the_acne_table_is_named(folder: Path, table: str, message: str) -> None:
    (folder / "acne04/train/_annotations.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        data_checks.check(folder, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9 0.5 0.5 0.1 0.1", "expected a class below 4"),
        ("-1 0.5 0.5 0.1 0.1", "expected a class below 4"),
        ("0 0.5 0.5", "expected a class below 4 and four fractions"),
        ("0 1.5 0.5 0.1 0.1", "the box lies outside its photo"),
    ],
)
def test_a_broken_wrinkle_label_is_named(folder: Path, line: str, message: str) -> None:
    (folder / "wrinkles/train/labels/1.txt").write_text(line)
    with pytest.raises(DataError, match=rf"1\.txt, line 1: {message}"):
        data_checks.check(folder, "train")


def test_a_class_without_a_box_is_named(folder: Path) -> None:
    (folder / "wrinkles/train/labels/1.txt").write_text("0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match=r"no photo of .* has a box of"):
        data_checks.check(folder, "train")


def test_a_photo_without_labels_is_named(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "wrinkles/train/images/2.jpg")
    with pytest.raises(DataError, match=r"2\.jpg has no labels"):
        data_checks.check(folder, "train")


def test_a_relit_mirrored_copy_is_the_same_photo_and_other_faces_are_not() -> None:
    photos = [example(face(seed), f"{seed}") for seed in range(6)]
    image = Image.fromarray(photos[2].crop.pixels)
    relit = example(np.asarray(ImageEnhance.Brightness(image).enhance(0.6)), "relit")
    pupils = photos[4].pupils
    assert pupils is not None
    turned = (np.array([[CROP_SIZE, 0]]) + pupils * np.array([-1, 1]))[::-1]  # the right eye is on the other side now
    pixels = np.ascontiguousarray(photos[4].crop.pixels[:, ::-1])
    mirrored = Example(Crop(pixels, np.eye(2, 3), (0, 0, 512, 512), None), "mirrored", 0, np.empty((0, 4)), {}, turned)
    pairs = [(i, j) for i, j, _ in duplicates.near_duplicates(photos, [relit, mirrored, example(face(9), "other")])]
    assert pairs == [(2, 0), (4, 1)]


def test_examples_of_one_photo_share_a_group() -> None:
    photos = [example(face(seed), name) for seed, name in ((0, "a"), (1, "b"), (0, "c"), (2, "a"), (3, "d"), (4, "e"))]
    assert duplicates.groups(photos) == ["a", "b", "a", "a", "d", "e"]


def test_a_group_is_never_split_and_the_choice_is_repeatable() -> None:
    names = [f"{number % 50}" for number in range(500)]
    held_out = data.hold_out(names, 0.2)
    assert len({name for name, out in zip(names, held_out, strict=True) if out}) == 10
    assert held_out.sum() == 100
    np.testing.assert_array_equal(held_out, data.hold_out(names, 0.2))
    assert (held_out != data.hold_out(names, 0.2, seed=1)).any()
