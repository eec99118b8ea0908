"""Boxes of augmented variants are carried to the photos as they were taken."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

cv2 = pytest.importorskip("cv2")

from training import originals  # noqa: E402

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
STRAIGHT = np.array([[0.625, 0.0, 0.0], [0.0, 0.625, 0.0]])


def scene(seed: int = 0, side: int = 1024) -> Pixels:
    """Draw overlapping rectangles of random greys."""
    rng = np.random.default_rng(seed)
    pixels = np.full((side, side), 128, np.uint8)
    for _ in range(400):
        x, y, width, height = rng.integers([0, 0, 20, 20], [side, side, 90, 90])
        pixels[y : y + height, x : x + width] = rng.integers(256)
    return pixels


def turned(degrees: float, shear: float = 0.0, mirrored: bool = False) -> Floats:
    """The map from an original of 1024 px to a variant of 640 px, about their centres."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, shear], [0, 1]]
    linear = 0.625 * turn @ np.diag([-1 if mirrored else 1, 1])
    return np.concatenate([linear, (320 - linear @ [512, 512])[:, None]], axis=1)


def variant(pixels: Pixels, forward: Floats) -> Pixels:
    """Export a variant, with speckles."""
    shifted = forward.copy()  # OpenCV counts from the centre of the first pixel
    shifted[:, 2] += forward[:, :2] @ [0.5, 0.5] - 0.5
    exported = cv2.warpAffine(pixels, shifted, (640, 640), flags=cv2.INTER_AREA)
    speckled = np.random.default_rng(9).random(exported.shape) < 0.02
    return np.where(speckled, 255, exported).astype(np.uint8)


def exported_boxes(boxes: Floats, forward: Floats) -> Floats:
    """The bounds of the mapped boxes."""
    centre = (boxes[:, :2] + boxes[:, 2:] / 2) @ forward[:, :2].T + forward[:, 2]
    size = boxes[:, 2:] @ np.abs(forward[:, :2]).T
    return np.concatenate([centre - size / 2, size], axis=1)


def backward(forward: Floats) -> Floats:
    return np.asarray(cv2.invertAffineTransform(forward), dtype=np.float64)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_variant_is_mapped_to_its_original(mirrored: bool) -> None:
    forward = turned(9, 0.1, mirrored)
    found = originals.match(variant(scene(), forward), scene())
    assert found is not None
    corners = np.array([[100.0, 100.0], [540.0, 100.0], [320.0, 500.0]])
    expected, actual = (corners @ rows[:, :2].T + rows[:, 2] for rows in (backward(forward), found))
    np.testing.assert_allclose(actual, expected, atol=2)


def test_another_photo_is_refused() -> None:
    assert originals.match(variant(scene(1), turned(5)), scene(0)) is None


def test_an_empty_photo_is_refused() -> None:
    assert originals.match(scene(0, 640), np.full((1024, 1024), 9, np.uint8)) is None


@pytest.mark.parametrize("degrees", [0.0, 12.0, 90.0])
def test_a_turned_box_gets_its_own_size_back(degrees: float) -> None:
    boxes = np.array([[200.0, 300.0, 50.0, 40.0], [600.0, 100.0, 30.0, 42.0]])
    forward = turned(degrees, 0.1)
    np.testing.assert_allclose(originals.carry(exported_boxes(boxes, forward), backward(forward)), boxes, atol=1e-6)


def test_a_box_turned_by_45_degrees_is_taken_for_a_square() -> None:
    boxes, forward = np.array([[200.0, 300.0, 50.0, 40.0]]), turned(45)
    carried = originals.carry(exported_boxes(boxes, forward), backward(forward))
    np.testing.assert_allclose(carried, [[202.5, 297.5, 45, 45]], atol=1e-6)


def test_boxes_at_the_border_are_marked() -> None:
    boxes = np.array([[0.0, 50, 20, 20], [50, 50, 20, 20], [50, 625, 20, 15]])
    assert originals.cut(boxes, (640, 640)).tolist() == [True, False, True]


def test_equal_variants_are_averaged_and_lone_boxes_kept() -> None:
    uncut = np.zeros(2, np.bool_)
    one = np.array([[100.0, 100, 40, 40], [300, 300, 40, 40]])
    other = np.array([[700.0, 700, 40, 40], [104, 100, 44, 40]])
    merged = originals.merge([(one, uncut, False), (other, uncut, False)])
    assert len(merged) == 3
    np.testing.assert_allclose(merged[0], [102, 100, 42, 40])


def test_the_straight_variant_and_the_uncut_box_are_preferred() -> None:
    straight = np.array([[100.0, 100, 40, 40], [300, 300, 40, 20]])
    turned_boxes = np.array([[104.0, 100, 44, 40], [304, 300, 40, 40]])
    merged = originals.merge(
        [(turned_boxes, np.array([False, False]), False), (straight, np.array([False, True]), True)]
    )
    np.testing.assert_allclose(merged[0], straight[0])
    np.testing.assert_allclose(merged[1, 2:], turned_boxes[1, 2:])


def test_boxes_outside_the_original_are_dropped_and_others_cut_to_it() -> None:
    boxes = np.array([[-30.0, 10, 40, 40], [-10, 10, 40, 40]])
    assert originals.inside(boxes, 1024, 1024).tolist() == [[0, 10, 30, 40]]


@pytest.mark.parametrize("mirrored", [False, True])
def test_circles_are_placed_on_a_cut_and_mirrored_original(mirrored: bool) -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform(100, 900, (20, 2))
    red = np.zeros((1024, 1024), np.float32)
    for x, y in places.astype(int):
        red[y - 12 : y + 13, x - 12 : x + 13] = 3
    uncut = np.concatenate([places - 10 + [0, 80], np.full((20, 2), 20.0)], axis=1)  # 1024×1280, cut 80 from the top
    if mirrored:
        uncut[:, 0] = 1024 - uncut[:, 0] - uncut[:, 2]
    placed = originals.place_circles(uncut / [1024, 1280, 1024, 1280], red, np.empty((0, 4)))
    np.testing.assert_allclose(placed[:, :2] + placed[:, 2:] / 2, places, atol=12)


def test_circles_that_could_lie_either_way_are_left_out() -> None:
    circles = np.array([[0.2, 0.2, 0.02, 0.02]])
    assert originals.place_circles(circles, np.zeros((64, 64), np.float32), np.empty((0, 4))).shape == (0, 4)


def test_originals_are_read_with_their_labels(tmp_path: Path) -> None:
    folder = tmp_path / "acne04"
    for name in ("train", "train_1024", "labels"):
        (folder / name).mkdir(parents=True)
    boxes = np.array([[200.0, 304.0, 48.0, 40.0], [600.0, 104.0, 32.0, 40.0]])
    Image.fromarray(scene()).save(folder / "train_1024" / "levle1_7.jpg", quality=95)
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name, forward in (("levle1_7_jpg.rf.a.jpg", STRAIGHT), ("levle1_7_jpg.rf.b.jpg", turned(8, 0, True))):
        Image.fromarray(variant(scene(), forward)).save(folder / "train" / name, quality=95)
        for x, y, width, height in exported_boxes(boxes, forward):
            rows.append(f"{name},640,640,lesion,{x},{y},{x + width},{y + height}")
    (folder / "train" / "_annotations.csv").write_text("\n".join(rows) + "\n")
    (folder / "labels" / "v2_circles.csv").write_text("photo,split,x0,y0,x1,y1\n")
    (folder / "labels" / "severity_official_differs.csv").write_text(
        "photo,official_severity,official_count,split\nlevle1_7,0,2,train\n"
    )
    (original,) = originals.originals(tmp_path)
    assert (original.photo, original.severity, original.circles.shape) == ("levle1_7", 0, (0, 4))
    np.testing.assert_allclose(original.boxes, boxes, atol=2)
    np.testing.assert_allclose(original.to_variant["levle1_7_jpg.rf.a.jpg"], STRAIGHT, atol=1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train_1024"):
        originals.originals(tmp_path)
