"""Predicted boxes are matched with labelled ones, and average precision follows from the matches."""

import numpy as np
import pytest

from bentos.skin.boxes import overlaps
from training.matching import average_precision, best_threshold, clear_threshold, match_boxes


def test_overlap_is_intersection_over_union() -> None:
    ious = overlaps([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5]])
    np.testing.assert_allclose(ious, [[1, 1 / 3, 0]])


def test_a_labelled_box_is_taken_once_by_the_better_of_two() -> None:
    predicted = [[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 10, 10]]
    assert match_boxes(predicted, [[0, 0, 10, 10]], 0.5).tolist() == [True, False, False]


def test_no_predicted_box_and_no_labelled_box_are_no_errors() -> None:
    assert match_boxes(np.empty((0, 4)), [[0, 0, 1, 1]], 0.3).tolist() == []
    assert match_boxes([[0, 0, 1, 1]], np.empty((0, 4)), 0.3).tolist() == [False]
    assert average_precision([], [], 3) == 0.0


def test_average_precision_equals_a_value_computed_by_hand() -> None:
    # precision 1, 1/2, 2/3 at recalls 1/4, 1/4, 2/4; made monotone 1, 2/3, 2/3
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert average_precision([0.7, 0.9], [False, True], 1) == 1.0


def test_the_best_threshold_has_the_best_f1() -> None:
    confidence = [0.9, 0.8, 0.7, 0.6, 0.2, 0.1]
    assert 0.6 < best_threshold(confidence, [True, True, True, False, False, False], 3) <= 0.7
    assert best_threshold([], [], 3) == 0.0


def test_of_thresholds_with_nearly_the_best_f1_the_highest_is_taken() -> None:
    confidence = [0.9] * 500 + [0.3] * 3 + [0.2] * 500
    correct = [True] * 500 + [True, False, True] + [False] * 500
    assert best_threshold(confidence, correct, 505) == 0.9  # .3 would find two more of 505, with one that is wrong


def test_the_threshold_of_clear_faces_lies_between_clear_and_spotted_ones() -> None:
    clear, spotted = [(0.4, 0, 1), (0.6, 0, 0), (0.8, 0, 1)], [(1.6, 1, 3), (2.5, 2, 5)]
    assert 0.8 < clear_threshold(clear + spotted) < 1.6


def test_a_threshold_that_calls_spotted_faces_clear_is_not_taken() -> None:
    clear, spotted = [(1.9, 0, 1)] * 20, [(0.9, 1, 3)] * 2
    assert clear_threshold(clear + spotted) <= 0.9
