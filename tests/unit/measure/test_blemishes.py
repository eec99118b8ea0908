"""Lesions on a NASA portrait with spots painted in, and the rules about what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.boxes import nms
from bentos.skin.findings import HAYASHI_LIMITS, SEVERITIES, severity_beside, severity_of
from bentos.skin.measure import blemishes
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.face_parts import EYES
from bentos.skin.photo.view import FaceView, view_of
from tests import drawing

SPOT_SIGMA = 5.0  # px; a box of about 22 px, as the median labelled lesion
# Bare skin of this portrait, in distances between the pupils: across (her left positive), down from the pupils.
PLACES = [
    *[(-0.62, 0.55), (0.62, 0.55), (-0.42, 0.42), (0.42, 0.42), (0.0, 1.55), (-0.3, 1.5), (0.3, 1.5), (0.0, -0.25)],
    *[(-0.72, 0.8), (0.72, 0.8), (-0.6, 1.1), (0.6, 1.1), (-0.15, 1.75), (0.15, 1.75), (0.0, 0.25), (-0.7, 0.3)],
    *[(0.7, 0.3), (-0.4, 1.3)],
]


@pytest.fixture(scope="module")
def portrait() -> Crop:
    return drawing.portrait_crop()


def with_spots(crop: Crop, centres: list[tuple[float, float]]) -> Crop:
    """The crop with red, slightly dark spots."""
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    pixels = crop.pixels.astype(np.float64)
    for across, down in centres:
        bump = np.exp(-0.5 * ((x - across) ** 2 + (y - down) ** 2) / SPOT_SIGMA**2)[..., None]
        pixels -= bump * np.array([25.0, 65.0, 55.0])
    return replace(crop, pixels=np.clip(pixels, 0, 255).astype(np.uint8))


def cheeks(crop: Crop, count: int) -> list[tuple[float, float]]:
    """The first `count` of PLACES in crop pixels."""
    assert crop.landmarks is not None
    right, left = (crop.landmarks[list(eye), :2].astype(float).mean(axis=0) for eye in EYES)
    unit, middle = left - right, (left + right) / 2
    down = np.array([-unit[1], unit[0]])
    return [tuple(middle + across * unit + along * down) for across, along in PLACES[:count]]


def find_acne(crop: Crop) -> blemishes.Acne:
    return find_in(view_of(crop))


def find_in(view: FaceView) -> blemishes.Acne:
    return blemishes.find(view)


def test_most_painted_spots_are_boxed(portrait: Crop) -> None:
    spots = cheeks(portrait, 8)
    lesions = find_acne(with_spots(portrait, spots)).lesions

    def boxed(spot: tuple[float, float]) -> bool:
        return any(
            abs(x + w / 2 - spot[0]) < 8 and abs(y + h / 2 - spot[1]) < 8 for x, y, w, h in (le.box for le in lesions)
        )

    assert sum(map(boxed, spots)) >= 6


def test_more_spots_count_more(portrait: Crop) -> None:
    counts = [find_acne(with_spots(portrait, cheeks(portrait, number))).count for number in (0, 8, 18)]
    assert counts[0] <= HAYASHI_LIMITS[1]
    assert counts[0] < counts[1] < counts[2]


def test_boxes_come_best_first_with_confidences_that_are_chances(portrait: Crop) -> None:
    confidences = [lesion.confidence for lesion in find_acne(with_spots(portrait, cheeks(portrait, 12))).lesions]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= chance <= 1 for chance in confidences)


def test_without_skin_nothing_is_found(portrait: Crop) -> None:
    view = view_of(portrait)
    nothing = find_in(replace(view, skin=np.zeros_like(view.skin)))
    assert (nothing.lesions, nothing.count, nothing.severity, nothing.severity_confidence) == ([], 0, "clear", None)
    assert not nothing.acne_map.any()


def test_a_face_without_landmarks_is_measured_too(portrait: Crop) -> None:
    bare = replace(with_spots(portrait, cheeks(portrait, 8)), landmarks=None)
    assert find_in(view_of(bare, "turned_away")).count > 0


def test_the_same_crop_gives_the_same_findings(portrait: Crop) -> None:
    spotted = with_spots(portrait, cheeks(portrait, 8))
    once, again = find_acne(spotted), find_acne(spotted)
    assert (once.lesions, once.count, once.severity) == (again.lesions, again.count, again.severity)
    np.testing.assert_array_equal(once.acne_map, again.acne_map)


def test_the_map_is_high_on_a_spot_and_low_beside_it(portrait: Crop) -> None:
    (x, y), *_ = spots = cheeks(portrait, 2)
    heat = find_acne(with_spots(portrait, spots)).acne_map
    row, column = int(y * len(heat) / CROP_SIZE), int(x * len(heat) / CROP_SIZE)
    assert heat[row - 2 : row + 3, column - 2 : column + 3].max() > 100
    assert np.median(heat) < 25


@given(st.integers(0, 120), st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_severity_is_the_counts_class_or_one_beside_it(count: int, weights: list[float]) -> None:
    severity, chance = severity_beside(count, [weight / sum(weights) for weight in weights])
    assert abs(SEVERITIES.index(severity) - SEVERITIES.index(severity_of(count))) <= 1
    assert (severity == "clear") == (count == 0)
    assert (chance is None) == (count == 0)


def test_severity_follows_its_own_evidence_near_a_limit() -> None:
    assert severity_beside(6, [0.7, 0.3, 0.0, 0.0]) == ("mild", 0.7)
    assert severity_beside(24, [0.0, 0.7, 0.3, 0.0]) == ("moderate", 0.7)
    assert severity_beside(12, [0.5, 0.1, 0.4, 0.0]) == ("moderate", 0.1)  # no limit is near
    assert severity_beside(45, [0.0, 0.1, 0.3, 0.6]) == ("very_severe", 0.6)


def test_of_overlapping_boxes_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 20, 20], [5, 0, 20, 20], [60, 60, 20, 20]], np.float32)
    assert nms(boxes, np.array([0.2, 0.9, 0.5], np.float32), blemishes.OVERLAP).tolist() == [1, 2]


def test_a_box_is_placed_around_the_shifted_middle() -> None:
    shifts = np.array([[0.4, -0.2, np.log(20.0)], [0, 0, 99]], np.float32)
    boxes = blemishes.place(np.array([[100, 100], [50, 50]], np.float32), shifts)
    np.testing.assert_allclose(boxes[0], [94, 88, 20, 20], atol=1e-4)
    assert boxes[1, 2] == pytest.approx(blemishes.SIDE_MAX)
