"""A stranger's photos are read in every form they come in, refused by file and reason, and trained into a bundle."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("scipy")
pytest.importorskip("tqdm")

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.model.bundle import Calibration, read
from bentos.skin.model.engine import OnnxEngine
from bentos.skin.model.postprocess import Outputs, severity_chances
from tests.unit.training import own_photos
from training import annotations, bundle, data, data_checks, evaluate, labels
from training.data import DataError
from training.synthetic import synthetic_dataset

ROOT = Path(__file__).resolve().parents[3]
FACES = {
    f"{name}.jpg": own_photos.face(seed, spots) for seed, (name, spots) in enumerate([("a", 4), ("b", 0), ("c", 9)])
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a small folder of photos in COCO form."""
    return own_photos.dataset(tmp_path / "photos", "coco", (4, 2), (3, 3))


def change(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_the_three_forms_of_labels_give_the_same_photos(tmp_path: Path) -> None:
    forms: tuple[own_photos.Form, ...] = ("csv", "coco", "yolo")
    for form in forms:
        own_photos.write(tmp_path / form / "lesions/train", FACES, form, ("papule", "pustule"))
    table, *others = (labels.acne_photos(tmp_path / form / "lesions/train") for form in forms)
    assert [(photo.path.name, photo.photo, photo.severity, len(photo.boxes)) for photo in table] == [
        ("a.jpg", "a.jpg", 0, 4),
        ("b.jpg", "b.jpg", 0, 0),
        ("c.jpg", "c.jpg", 1, 9),
    ]
    for photos in others:
        assert [(p.path.name, p.photo, p.severity) for p in photos] == [
            (p.path.name, p.photo, p.severity) for p in table
        ]
        for photo, same in zip(photos, table, strict=True):
            np.testing.assert_allclose(photo.boxes, same.boxes, atol=1e-3)


def test_photos_may_lie_beside_their_table(tmp_path: Path) -> None:
    split = tmp_path / "lesions/train"
    own_photos.write(split, FACES, "coco", ("papule", "pustule"))
    for path in (split / "images").iterdir():
        path.rename(split / path.name)
    (split / "images").rmdir()
    assert [len(photo.boxes) for photo in labels.acne_photos(split)] == [4, 0, 9]


def test_wrinkles_are_the_same_in_both_forms_and_by_both_names(tmp_path: Path) -> None:
    faces = {"a.jpg": own_photos.face(1, zones=WRINKLE_ZONES), "b.jpg": own_photos.face(2, zones=("frown",))}
    own_photos.write(tmp_path / "coco/train", faces, "coco", ("chin", *WRINKLE_ZONES))
    own_photos.write(tmp_path / "yolo/train", faces, "yolo", WRINKLE_ZONES)
    (tmp_path / "yolo/classes.txt").write_text("forehead\ncrows_feet\nfrown_line\ngummy_smile\n")
    for photo, same in zip(
        labels.wrinkle_photos(tmp_path / "coco/train"), labels.wrinkle_photos(tmp_path / "yolo/train"), strict=True
    ):
        assert [len(photo.boxes[zone]) for zone in WRINKLE_ZONES] == (
            [1] * 4 if photo.path.stem == "a" else [0, 0, 1, 0]
        )
        for zone in WRINKLE_ZONES:
            np.testing.assert_allclose(photo.boxes[zone], same.boxes[zone], atol=1e-6)


def test_a_severity_is_given_or_in_the_name_or_that_of_the_number_of_boxes(tmp_path: Path) -> None:
    split = tmp_path / "lesions/train"
    faces = {name: own_photos.face(seed, 6) for seed, name in enumerate(["a.jpg", "b.jpg", "levle3_7_x.jpg"])}
    own_photos.write(split, faces, "yolo", ("papule", "pustule"))
    (split / "severity.csv").write_text("file,severity\na.jpg,2\n")
    assert [photo.severity for photo in labels.acne_photos(split)] == [2, 1, 3]


@pytest.mark.parametrize(("count", "severity"), [(0, 0), (5, 0), (6, 1), (20, 1), (21, 2), (50, 2), (51, 3)])
def test_hayashis_limits_are_the_upper_counts_of_a_class(count: int, severity: int) -> None:
    assert labels.hayashi_class(count) == severity


def test_augmented_variants_of_a_photo_share_its_name(tmp_path: Path) -> None:
    split = tmp_path / "lesions/train"
    faces = {f"a_jpg.rf.{key}.jpg": own_photos.face(seed) for seed, key in enumerate("xy")}
    own_photos.write(split, faces, "coco", ("papule",))
    assert [photo.photo for photo in labels.acne_photos(split)] == ["a_jpg", "a_jpg"]


def test_the_photos_of_a_person_are_held_out_together(folder: Path) -> None:
    people = folder / "lesions/train/people.csv"
    assert len(data.held_out_photos(folder)) == 1
    people.write_text("file,person\nface-00.jpg,p\nface-01.jpg,p\nface-02.jpg,q\nface-03.jpg,q\n")
    assert data.held_out_photos(folder) in ({"face-00.jpg", "face-01.jpg"}, {"face-02.jpg", "face-03.jpg"})


def test_nobody_may_be_in_both_splits(folder: Path) -> None:
    (folder / "lesions/train/people.csv").write_text("file,person\nface-00.jpg,p\n")
    (folder / "lesions/valid/people.csv").write_text("file,person\nface-04.jpg,p\n")
    with pytest.raises(DataError, match=r"valid/people\.csv: p has photos in train too"):
        data.load(folder)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_few_people_are_in_both_parts(count: int) -> None:
    held_out = data.hold_out([str(number) for number in range(count)], 0.1)
    assert 1 <= held_out.sum() < count


def test_a_folder_that_is_right_passes(folder: Path) -> None:
    for split in ("train", "valid"):
        data_checks.check(folder, split)


def test_any_change_of_the_photos_changes_their_state(folder: Path) -> None:
    before = data.state(folder)
    (folder / "lesions/train/severity.csv").write_text("file,severity\nface-00.jpg,1\n")
    assert before
    assert data.state(folder) != before


def test_without_lesions_the_photos_are_those_of_acne04_and_have_one_state(folder: Path) -> None:
    (folder / "lesions").rename(folder / "acne04")
    assert data.state(folder) == ""
    assert labels.lesions_folder(folder) == folder / "acne04"
    with pytest.raises(DataError, match=r"face-00\.jpg does not begin with levle0_ .* belong in lesions"):
        data_checks.check(folder, "train")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][1].update(image_id=99), r"annotations\[1\]: there is no image with the id 99"),
        (lambda c: c["annotations"][0].update(category_id=9), r"annotations\[0\]: there is no category with the id 9"),
        (
            lambda c: c["annotations"][0].update(bbox=[900, 5, 8, 8]),
            r"annotations\[0\]: the box lies outside its photo",
        ),
        (lambda c: c["annotations"][0].update(bbox=[9, 5, -8, 8]), r"annotations\[0\]: the box ends before it begins"),
        (lambda c: c["annotations"][0].update(bbox=[9, 5, 8]), r"annotations\[0\]\.bbox\[3\]: Field required"),
        (lambda c: c["annotations"][0].update(bbox=["x", 5, 8, 8]), r"annotations\[0\]\.bbox\[0\]: .* valid number"),
        (lambda c: c["annotations"][0].pop("bbox"), r"annotations\[0\]\.bbox: Field required"),
        (lambda c: c.pop("categories"), r"annotations\.json, categories: Field required"),
        (lambda c: c["images"][0].update(file_name="x.jpg"), r"there is no photo x\.jpg, which it lists"),
        (lambda c: c["images"].pop(0), r"does not list the photo face-00\.jpg"),
        (lambda c: c["images"][1].update(file_name="sub/face-00.jpg"), r"face-00\.jpg or its id 1 is there twice"),
        (lambda c: c["images"][0].update(width=9), r"face-00\.jpg has \d+×\d+ px, not 9×"),
    ],
)
def test_a_broken_coco_file_is_refused_by_place_and_reason(
    folder: Path, edit: Callable[[Any], object], message: str
) -> None:
    change(folder / "lesions/train/annotations.json", edit)
    with pytest.raises(DataError, match=message) as refused:
        data_checks.check(folder, "train")
    assert str(refused.value).startswith(str(folder / "lesions/train/annotations.json"))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_file_that_is_no_coco_is_refused_by_name(folder: Path, text: str) -> None:
    (folder / "lesions/train/annotations.json").write_text(text)
    with pytest.raises(DataError, match=r"lesions/train/annotations\.json: "):
        data_checks.check(folder, "train")


def test_a_file_that_is_no_photo_is_refused_by_name(folder: Path) -> None:
    photo = folder / "lesions/train/images/face-00.jpg"
    whole = photo.read_bytes()
    photo.write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"face-00\.jpg cannot be read: "):
        data_checks.check(folder, "train")
    photo.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"face-00\.jpg cannot be read: The JPEG is corrupt or truncated"):
        annotations.decoded(photo)


@pytest.mark.parametrize(
    ("change_files", "message"),
    [
        (lambda f: (f / "lesions/train").rename(f / "gone"), r"there is no folder .*lesions/train; --data names"),
        (lambda f: (f / "wrinkles").rename(f / "gone"), r"there is no folder .*wrinkles: without it"),
        (lambda f: (f / "lesions/train/annotations.json").unlink(), r"lesions/train has no labels: there is no _ann"),
        (lambda f: (f / "lesions/train/labels").mkdir(), r"labels in two forms, annotations\.json and labels: keep"),
        (lambda f: [p.unlink() for p in (f / "lesions/train/images").iterdir()], r"lesions/train/images is empty"),
        (lambda f: (f / "lesions/train/severity.csv").write_text("file\n"), r"severity\.csv has no column severity"),
        (lambda f: (f / "lesions/train/severity.csv").write_text("file,severity\nx.jpg,1\n"), r"line 2: .*no photo x"),
        (
            lambda f: (f / "lesions/train/severity.csv").write_text("file,severity\nface-00.jpg,4\n"),
            r"4 is no severity",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(folder: Path, change_files: Callable[[Path], object], message: str) -> None:
    change_files(folder)
    with pytest.raises(DataError, match=message):
        data_checks.check(folder, "train")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels/a.txt", "7 0.5 0.5 0.1 0.1", r"a\.txt, line 1: expected a class below 2 and four fractions"),
        ("labels/a.txt", "0 0.5 0.5 0.1", r"a\.txt, line 1: expected a class below 2 and four fractions"),
        ("labels/a.txt", "0 50 50 10 10", r"a\.txt, line 1: the box lies outside its photo"),
        ("labels/x.txt", "", r"x\.txt has no photo"),
        ("images/a.png", "", r"two photos are called a"),
        ("images/d.jpg", "", r"d\.jpg has no labels: there is no .*labels/d\.txt"),
    ],
)
def test_broken_yolo_labels_are_refused_by_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    split = tmp_path / "lesions/train"
    own_photos.write(split, FACES, "yolo", ("papule", "pustule"))
    (split / name).write_text(text)
    with pytest.raises(DataError, match=message):
        labels.acne_photos(split)


def test_a_table_drawn_on_another_size_of_the_photo_is_refused(folder: Path) -> None:
    split = folder / "lesions/train"
    (split / "annotations.json").unlink()
    rows = "filename,width,height,class,xmin,ymin,xmax,ymax\nface-00.jpg,1000,1000,x,10,10,30,30\n"
    (split / "_annotations.csv").write_text(rows)
    with pytest.raises(DataError, match=r"line 2: face-00\.jpg has .* px, not 1000×1000"):
        data_checks.check(folder, "train")


def test_a_folder_london_without_its_tables_is_refused(folder: Path) -> None:
    (folder / "london").mkdir()
    with pytest.raises(DataError, match=r"there is no .*london/info\.csv"):
        data.london(folder)


def test_photos_without_london_are_measured_without_it_and_under_their_own_name(folder: Path) -> None:
    photos = evaluate.select_photos(folder, quick=True)
    assert (photos.london, photos.own, len(photos.acne)) == ([], True, 2)


def outputs(count: int) -> Outputs:
    """What a network that finds nothing says of so many crops."""
    shapes: dict[str, tuple[int, ...]] = {"heat": (128, 128), "size": (128, 128, 2), "offset": (128, 128, 2)}
    shapes |= {
        "density": (),
        "severity": (4,),
        "count_distribution": (66,),
        "wrinkles": (4,),
        "wrinkle_maps": (64, 64, 4),
    }
    made = {name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items()}
    made["severity"][:], made["count_distribution"][:, 0], made["wrinkles"][:] = 0.25, 1.0, 0.3
    return made


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_held_out_part_too_small_to_fit_on_is_calibrated_with_stated_numbers(count: int) -> None:
    pytest.importorskip("sklearn")
    from training import calibrate

    held_out = synthetic_dataset(count).held_out
    parts = (held_out.acne, outputs(count), held_out.wrinkles[:1], outputs(1))
    numbers = calibrate.fit(*parts, [], {})
    calibration = Calibration.model_validate(numbers)
    assert calibration.count.clear_below == calibrate.CLEAR_BELOW
    assert calibration.wrinkles["frown"].slope == 1.0
    at_limit = outputs(3) | {"density": np.array([5.5, 20.5, 50.5], np.float32)}
    worse = np.cumsum(severity_chances(at_limit, calibration)[:, ::-1], axis=1)[:, -2::-1]
    np.testing.assert_allclose(np.diag(worse), 0.5, atol=1e-3)
    json.dumps(calibrate.measure(numbers, *parts), allow_nan=False)


def test_of_equal_neighbours_either_may_be_the_peak_and_other_peaks_may_not_differ() -> None:
    pytest.importorskip("torch")
    from training import export

    one = {name: value[:, :8, :8] if name == "heat" else value for name, value in outputs(1).items()}
    same, other = dict(one), dict(one)
    one["heat"], same["heat"], other["heat"] = (np.zeros((1, 8, 8), np.float32) for _ in range(3))
    one["heat"][0, 3, 3] = same["heat"][0, 3, 4] = other["heat"][0, 3, 6] = 0.5
    export.require_equal(one, same, "test")
    with pytest.raises(export.ExportError, match=r"test: heat differs by 0\.5"):
        export.require_equal(one, other, "test")


def test_a_run_goes_on_with_its_own_photos_alone(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from training import train

    train.require_same_photos(tmp_path, "state")
    train.require_same_photos(tmp_path, "other")  # nothing was trained yet
    (tmp_path / "checkpoint.pt").touch()
    train.require_same_photos(tmp_path, "other")
    for state in ("state", ""):
        with pytest.raises(DataError, match="was trained on other photos"):
            train.require_same_photos(tmp_path, state)


def test_weights_of_own_photos_have_their_owners_terms(tmp_path: Path) -> None:
    assert bundle.terms(tmp_path) == (bundle.LICENSE, bundle.NOTICE)
    (tmp_path / data.PHOTOS).write_text("")  # ACNE04
    assert bundle.terms(tmp_path) == (bundle.LICENSE, bundle.NOTICE)
    (tmp_path / data.PHOTOS).write_text("state")
    assert bundle.terms(tmp_path) == (bundle.OWN_LICENSE, bundle.OWN_NOTICE)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_twenty_drawn_faces_become_a_bundle(form: own_photos.Form, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    photos = own_photos.dataset(tmp_path / "photos", form)
    before = {path: path.read_bytes() for path in (ROOT / "bentos/skin/weights").iterdir()}
    command = [
        "make",
        "-o",
        "setup-training",
        "train",
        f"BIN={Path(sys.executable).parent}",
        f"DATA={photos}",
        "STEPS=3",
    ]
    made = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"SHINE_TRAIN_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert f"there is no {photos / 'london'}: faces are called clear below" in made.stderr
    weights = read(tmp_path / "cache/runs/trial/bundle")
    OnnxEngine(weights, threads=1)
    assert weights.manifest.license == bundle.OWN_LICENSE
    assert weights.manifest.calibration.count.clear_below == 1.0
    measured = json.loads((tmp_path / "cache/evaluate/model.json").read_text())
    assert measured["acne"]["photos"] == 6
    assert "owner" in measured["dataset"]["acne"]
    assert not (tmp_path / "cache/evaluate/MODEL_CARD.md").exists()
    assert {path: path.read_bytes() for path in before} == before
