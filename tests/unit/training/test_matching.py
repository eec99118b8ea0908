"""Predicted boxes are matched with labelled ones, and average precision follows from the matches."""

import numpy as np
import pytest

from bentos.skin.boxes import overlaps
from training.matching import average_precision, match_boxes


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
