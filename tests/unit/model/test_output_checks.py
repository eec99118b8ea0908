"""Invalid model output is rejected; unusual but valid output is not."""

import numpy as np
import pytest

from bentos.skin.model.output_checks import OUTPUT_SHAPES, SAME_MAX, ConstantOutputDetector, InvalidModelOutput, check
from bentos.skin.model.postprocess import Outputs
from tests.unit.model import bundles


def outputs(batch: int = 2) -> Outputs:
    return {name: np.stack([value] * batch) for name, value in bundles.answers().items()}


def different_crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 512, 512, 3), dtype=np.uint8)


def test_valid_outputs_pass() -> None:
    check(outputs(), 2)


@pytest.mark.parametrize("name", OUTPUT_SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_rejected(name: str, value: float) -> None:
    bad = outputs()
    bad[name].flat[-1] = value
    with pytest.raises(InvalidModelOutput, match=f"{name} is not finite"):
        check(bad, 2)


@pytest.mark.parametrize(
    ("name", "value"), [("heat", 1.1), ("severity", -0.1), ("wrinkles", 2.0), ("density", 1e5), ("density", -3.0)]
)
def test_a_number_out_of_its_range_is_rejected(name: str, value: float) -> None:
    bad = outputs()
    bad[name].flat[0] = value
    with pytest.raises(InvalidModelOutput, match=f"{name} reaches"):
        check(bad, 2)


def test_outputs_for_fewer_crops_than_were_sent_are_rejected() -> None:
    with pytest.raises(InvalidModelOutput, match="shape"):
        check(outputs(1), 2)


def test_the_same_outputs_for_many_different_crops_are_rejected() -> None:
    detector, crops, same = ConstantOutputDetector(), different_crops(SAME_MAX + 2), outputs(SAME_MAX + 2)
    detector.check(crops[:-1], {name: value[:-1] for name, value in same.items()})
    with pytest.raises(InvalidModelOutput, match="same answer"):
        detector.check(crops[-1:], {name: value[-1:] for name, value in same.items()})


def test_the_same_outputs_for_one_photo_sent_often_are_valid() -> None:
    detector = ConstantOutputDetector()
    crops = np.repeat(different_crops(1), 40, axis=0)
    detector.check(crops, outputs(40))


def test_the_smallest_difference_between_answers_is_enough() -> None:
    detector, answers = ConstantOutputDetector(), outputs(40)
    answers["density"] += np.arange(40, dtype=np.float32) * 1e-4
    detector.check(different_crops(40), answers)
