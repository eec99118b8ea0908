"""What goes between gateway and runners, with the crop in shared memory or in the message."""

import os
import pickle
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.skin.measure import find, measure
from bentos.skin.model.status import ModelAnswer, ModelNotReady
from bentos.skin.runtime import shared_crops
from bentos.skin.runtime.runner_messages import (
    FIND,
    MEASURE,
    answer_all,
    answer_from,
    answer_task,
    task_message,
    view_from,
    view_message,
)
from bentos.skin.runtime.shared_crops import CropGone, CropSlot, SharedCrops
from bentos.skin.schema import ModelInfo
from tests import drawing

VIEW = drawing.portrait_view()
PIXELS, SKIN = VIEW.crop.pixels, VIEW.skin


@pytest.fixture
def crops(monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedCrops]:
    """Two slots of this process's own."""
    monkeypatch.delenv(shared_crops.INHERITED, raising=False)
    shared_crops.shared_crops.cache_clear()
    shared_crops.share(2)
    yield shared_crops.shared_crops()
    os.close(int(os.environ[shared_crops.INHERITED].split()[0]))
    shared_crops.shared_crops.cache_clear()


class Model:
    """Counts the crops that it is asked about."""

    def __init__(self) -> None:
        self.asked: list[NDArray[np.uint8]] = []

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[ModelAnswer]:
        self.asked += crops
        return [ModelAnswer(find(VIEW), ModelInfo(name="m", version="1", sha256="0" * 64)) for _ in crops]


class NoModel:
    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[ModelAnswer]:
        raise ModelNotReady("weights_missing" if crops else "nothing was asked")


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_view_arrives_as_it_was(crops: SharedCrops, is_shared: bool) -> None:
    with crops.holding(PIXELS, SKIN) as place:
        message = view_message(VIEW, place if is_shared else None)
        view = view_from(message)
        assert (len(message) < 60_000) is is_shared
        np.testing.assert_array_equal(view.crop.pixels, PIXELS)
        np.testing.assert_array_equal(view.skin, SKIN)
        assert view.parts is not None
        assert VIEW.parts is not None
        assert view.parts.facing == VIEW.parts.facing
        assert (view.unseen, view.reasons, view.exposure) == (VIEW.unseen, VIEW.reasons, VIEW.exposure)
        measured, found = (answer_from(answer_task(task_message(task, message))) for task in (MEASURE, FIND))
    assert pickle.dumps(measured) == pickle.dumps(measure(VIEW))
    assert pickle.dumps(found) == pickle.dumps(find(VIEW))


def test_a_photo_that_is_over_is_not_worked_on(crops: SharedCrops) -> None:
    with crops.holding(PIXELS, SKIN) as place:
        late = view_message(VIEW, place)
    with crops.holding(np.zeros_like(PIXELS), SKIN) as other:
        assert other is not None
        model = Model()
        answers = answer_all(model, [late, view_message(VIEW, other), late])
        assert [crop.max() for crop in model.asked] == [0]
        assert answer_from(answers[1]).model.name == "m"
        for answer in (answers[0], answers[2], answer_task(task_message(MEASURE, late))):
            with pytest.raises(CropGone):
                answer_from(answer)


def test_a_batch_of_photos_that_are_over_does_not_reach_the_model(crops: SharedCrops) -> None:
    with crops.holding(PIXELS, SKIN) as place:
        late = view_message(VIEW, place)
    model = Model()
    answers = answer_all(model, [late])
    assert model.asked == []
    with pytest.raises(CropGone):
        answer_from(answers[0])


def test_without_a_model_the_whole_batch_is_refused(crops: SharedCrops) -> None:
    with crops.holding(PIXELS, SKIN) as place, pytest.raises(ModelNotReady, match="weights_missing"):
        answer_all(NoModel(), [view_message(VIEW, place)])


def test_without_a_free_slot_the_crop_is_sent(crops: SharedCrops) -> None:
    with crops.holding(PIXELS, SKIN), crops.holding(PIXELS, SKIN), crops.holding(PIXELS, SKIN) as place:
        assert place is None
    with crops.holding(PIXELS, SKIN) as place:
        assert place is not None


@pytest.mark.parametrize("wrong", [{"slot": 9}, {"memory": 1}, {"use": 0}])
def test_a_place_that_is_none_is_refused(crops: SharedCrops, wrong: dict[str, Any]) -> None:
    with crops.holding(PIXELS, SKIN) as place:
        assert place is not None
        fields = {"memory": place.memory, "slot": place.slot, "use": place.use, **wrong}
        with pytest.raises(CropGone):
            crops.read(CropSlot(**fields))


@pytest.mark.parametrize(
    ("inherits", "through", "read"),
    [
        pytest.param(True, "", f"2 {int(PIXELS.sum())}\n", id="a worker reads the crop"),
        pytest.param(False, "", "1 None\n", id="without the file it makes its own memory"),
        pytest.param(True, "sh -c '$0 \"$@\"; exit' ", "1 None\n", id="so does a server that a worker starts"),
    ],
)
def test_the_memory_is_shared_with_the_workers_alone(
    crops: SharedCrops, inherits: bool, through: str, read: str
) -> None:
    script = (
        "import sys, pickle; from bentos.skin.runtime.shared_crops import *; share(1);"
        "place = pickle.loads(sys.stdin.buffer.read()); crops = shared_crops();"
        "print(crops.slots, int(crops.read(place)[0].sum()) if crops.slots == 2 else None)"
    )
    command = [*shlex.split(through), sys.executable, "-c", script]
    with crops.holding(PIXELS, SKIN) as place:
        shown = subprocess.run(
            command, input=pickle.dumps(place), close_fds=not inherits, stdout=subprocess.PIPE, check=True
        )
    assert shown.stdout.decode() == read
