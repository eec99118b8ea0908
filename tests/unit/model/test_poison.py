"""What no sound network answers is noticed; what a sound one may answer is not."""

import numpy as np
import pytest

from bentos.skin.model.peaks import Outputs
from bentos.skin.model.poison import MAPS, SAME_MOST, Poisoned, Watch, check
from tests.unit.model import bundles


def outputs(batch: int = 2) -> Outputs:
    return {name: np.stack([value] * batch) for name, value in bundles.answers().items()}


def different_crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 512, 512, 3), dtype=np.uint8)


def test_sound_outputs_pass() -> None:
    check(outputs(), 2)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_poison(name: str, value: float) -> None:
    bad = outputs()
    bad[name].flat[-1] = value
    with pytest.raises(Poisoned, match=f"{name} is not finite"):
        check(bad, 2)


@pytest.mark.parametrize(
    ("name", "value"), [("heat", 1.1), ("severity", -0.1), ("wrinkles", 2.0), ("density", 1e5), ("density", -3.0)]
)
def test_a_number_out_of_its_range_is_poison(name: str, value: float) -> None:
    bad = outputs()
    bad[name].flat[0] = value
    with pytest.raises(Poisoned, match=f"{name} reaches"):
        check(bad, 2)


def test_answers_for_fewer_crops_than_were_asked_are_poison() -> None:
    with pytest.raises(Poisoned, match="shape"):
        check(outputs(1), 2)


def test_the_same_answer_to_many_different_crops_is_poison() -> None:
    watch, crops, same = Watch(), different_crops(SAME_MOST + 2), outputs(SAME_MOST + 2)
    watch.see(crops[:-1], {name: value[:-1] for name, value in same.items()})
    with pytest.raises(Poisoned, match="same answer"):
        watch.see(crops[-1:], {name: value[-1:] for name, value in same.items()})


def test_one_photo_sent_often_is_no_poison() -> None:
    watch = Watch()
    crops = np.repeat(different_crops(1), 40, axis=0)
    watch.see(crops, outputs(40))


def test_the_smallest_difference_between_answers_is_enough() -> None:
    watch, answers = Watch(), outputs(40)
    answers["density"] += np.arange(40, dtype=np.float32) * 1e-4
    watch.see(different_crops(40), answers)
