"""Lesions are pasted where they may lie, with their boxes, and keep the tone of the face that receives them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("cv2")

from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_reader import FaceReader
from training import pasting
from training.crops import Example

LIGHT, DARK = (205, 160, 135), (92, 62, 48)
ASTRONAUT = Path(__file__).resolve().parents[2] / "photos" / "astronaut.png"


def drawn(
    skin: tuple[int, int, int],
    lesions: Sequence[tuple[int, int]] = (),
    spot: tuple[float, float, float] = (0.98, 0.75, 0.8),
) -> Example:
    """Draw skin with round lesions of radius 6 at x, y, in boxes of 20 px; `spot` is their colour over the skin's."""
    pixels = np.ones((CROP_SIZE, CROP_SIZE, 3)) * skin
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    for centre_x, centre_y in lesions:
        pixels[np.hypot(x - centre_x, y - centre_y) < 6] *= spot
    boxes = np.array([[x - 10.0, y - 10.0, 20.0, 20.0] for x, y in lesions]).reshape(-1, 4)
    crop = Crop(pixels.astype(np.uint8), np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None)
    return Example(crop, "drawn", -1, boxes, {})


DONOR_LESIONS = [(x, y) for x in range(60, 480, 60) for y in range(60, 480, 60)]
EVERYWHERE = np.ones((CROP_SIZE, CROP_SIZE), dtype=np.bool_)


@pytest.fixture
def donor() -> Example:
    return drawn(LIGHT, DONOR_LESIONS)


def pasted(receiver: Example, donor: Example, count: int, allowed: NDArray[np.bool_] = EVERYWHERE) -> Example:
    return pasting.paste(receiver, allowed, [donor] * 8, count, np.random.default_rng(3))


def overlapping(boxes: NDArray[np.float64]) -> int:
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    both = (low[:, None] < high[None]).all(axis=2) & (low[None] < high[:, None]).all(axis=2)
    return int(both.sum() - len(boxes))


def test_each_box_holds_a_lesion_and_nothing_else_changes(donor: Example) -> None:
    receiver = drawn(DARK)
    result = pasted(receiver, donor, 12)
    changed = (result.crop.pixels != receiver.crop.pixels).any(axis=2)
    assert len(result.lesions) == 12
    for x, y, width, height in result.lesions.astype(int):
        assert changed[y : y + height, x : x + width].any()
        changed[y - 1 : y + height + 2, x - 1 : x + width + 2] = False
    assert not changed.any()


@pytest.mark.parametrize("skin", [LIGHT, DARK])
def test_a_lesion_is_darker_and_redder_than_the_skin_that_receives_it(
    donor: Example, skin: tuple[int, int, int]
) -> None:
    result = pasted(drawn(skin), donor, 5)
    for x, y, width, height in result.lesions:
        red, green, blue = result.crop.pixels[int(y + height / 2), int(x + width / 2)] / np.array(skin)
        assert green < 0.9
        assert red > max(green, blue)


def test_lesions_of_dark_skin_are_pigmented(donor: Example) -> None:
    red = {}
    for skin in (LIGHT, DARK):
        x, y, width, height = pasted(drawn(skin), donor, 1).lesions[0]
        red[skin] = pasted(drawn(skin), donor, 1).crop.pixels[int(y + height / 2), int(x + width / 2), 0] / skin[0]
    assert red[DARK] < red[LIGHT] - 0.05


def test_lesions_lie_on_allowed_skin_and_overlap_neither_each_other_nor_the_own(donor: Example) -> None:
    receiver = drawn(LIGHT, [(150, 150), (200, 240)])
    allowed = np.zeros_like(EVERYWHERE)
    allowed[100:300, 100:300] = True
    result = pasted(receiver, donor, 25, allowed)
    centres = (result.lesions[:, :2] + result.lesions[:, 2:] / 2).astype(int)
    assert len(result.lesions) > 15
    np.testing.assert_array_equal(result.lesions[:2], receiver.lesions)
    assert allowed[centres[:, 1], centres[:, 0]].all()
    assert overlapping(result.lesions) == 0


@pytest.mark.parametrize(("own", "count", "severity"), [(0, 5, 0), (0, 6, 1), (2, 4, 1), (0, 21, 2)])
def test_severity_follows_from_the_count(donor: Example, own: int, count: int, severity: int) -> None:
    result = pasted(drawn(LIGHT, DONOR_LESIONS[:own]), donor, count)
    assert (len(result.lesions), result.severity) == (own + count, severity)


def test_without_a_place_or_a_lesion_the_face_stays_as_it_is(donor: Example) -> None:
    receiver = drawn(LIGHT)
    assert pasted(receiver, donor, 5, ~EVERYWHERE) is receiver
    assert pasted(receiver, donor, 0) is receiver
    assert pasted(receiver, drawn(LIGHT), 5) is receiver


def beside_a_dark_hair(donor: Example) -> Example:
    pixels = donor.crop.pixels.copy()
    for x, y in DONOR_LESIONS:
        pixels[y, x + 11] = 30
    return Example(Crop(pixels, donor.crop.to_photo, donor.crop.valid, None), "drawn", -1, donor.lesions, {})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: drawn(LIGHT, DONOR_LESIONS, (1.0, 1.0, 1.0)),  # labels on nothing
        lambda _: drawn(LIGHT, DONOR_LESIONS, (0.99, 0.95, 0.95)),  # hardly seen
        lambda _: drawn(LIGHT, DONOR_LESIONS, (0.98, 0.7, 0.92)),  # purple
        lambda _: drawn(LIGHT, DONOR_LESIONS, (0.75, 0.8, 0.98)),  # blue
        lambda _: drawn((150, 150, 150), DONOR_LESIONS),  # grey
        lambda _: drawn(LIGHT, [(x + dx, 100) for x in range(60, 480, 60) for dx in (0, 15)]),  # too close
        lambda _: drawn(LIGHT, [(8, y) for y in range(60, 480, 60)]),  # at the border
        beside_a_dark_hair,
    ],
)
def test_what_is_no_clean_lesion_is_not_pasted(donor: Example, spoil: Callable[[Example], Example]) -> None:
    receiver = drawn(LIGHT)
    assert pasted(receiver, donor, 3) is not receiver
    assert pasted(receiver, spoil(donor), 3) is receiver


def test_no_lesion_lies_on_eyes_or_beside_the_face_and_the_same_seed_gives_the_same(donor: Example) -> None:
    faces = FaceReader().read(decode(ASTRONAUT.read_bytes()))
    face = Example(faces.crop, "astronaut", -1, np.empty((0, 4)), {})
    allowed = pasting.allowed_skin(face)
    assert allowed is not None
    assert faces.crop.landmarks is not None
    for point in (33, 263, 13, 105):  # corners of the eyes, mouth, brow
        x, y = faces.crop.landmarks[point, :2].astype(int)
        assert not allowed[y, x]
    assert 0.05 < allowed.mean() < 0.4
    first, second = (list(pasting.pasted_examples([drawn(LIGHT), face], [donor], 3)) for _ in range(2))
    assert len(first) == 3
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.crop.pixels, other.crop.pixels)
        np.testing.assert_array_equal(one.lesions, other.lesions)
        assert len(one.lesions)


def test_a_grey_face_receives_nothing(donor: Example) -> None:
    with Image.open(ASTRONAUT) as image:
        grey = np.asarray(image.convert("L").convert("RGB"))
    crop = FaceReader().read(decode(ASTRONAUT.read_bytes())).crop
    face = Example(Crop(grey, crop.to_photo, crop.valid, crop.landmarks), "grey", -1, np.empty((0, 4)), {})
    assert pasting.allowed_skin(face) is None
    with pytest.raises(ValueError, match="nothing to paste"):
        list(pasting.pasted_examples([face], [donor], 1))


def test_the_bounds_of_a_counted_face_grow_by_the_pasted_lesions(donor: Example) -> None:
    face = drawn(LIGHT)
    counted = Example(face.crop, "counted", -1, face.lesions, {}, bounds=(0, 1))
    assert pasted(counted, donor, 4).bounds == (4, 5)
