"""What goes between gateway and runners: pickles, in which a crop is named by its place in shared memory.

BentoML pickles what runners are sent anyway, on sockets that are open to this service alone; what it is not told the
type of, it takes apart before. Bytes it leaves as they are.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import LesionsAndWrinkles, Measured
from bentos.skin.measure import find, measure
from bentos.skin.model.status import ModelAnswer
from bentos.skin.photo.view import FaceView
from bentos.skin.runtime.shared_crops import CropGone, CropSlot, shared_crops

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """What the heuristic runner can be asked for.

    Attributes:
        name: in messages.
        function: that answers it.
    """

    name: str
    function: Callable[[FaceView], T]


MEASURE: Task[Measured] = Task("measure", measure)
FIND: Task[LesionsAndWrinkles] = Task("find", find)
TASKS: dict[str, Task[Any]] = {task.name: task for task in (MEASURE, FIND)}


class Model(Protocol):
    """The method of `Lifecycle` that answers."""

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[ModelAnswer]: ...


_NO_PIXELS = np.empty((0, 0, 3), dtype=np.uint8)
_NO_SKIN = np.empty((0, 0), dtype=np.bool_)


def view_message(view: FaceView, place: CropSlot | None) -> bytes:
    """A view for a runner.

    Args:
        view: of the photo.
        place: of its pixels and skin; None sends them as they are.
    """
    if place is not None:
        view = replace(view, crop=replace(view.crop, pixels=_NO_PIXELS), skin=_NO_SKIN)
    return pickle.dumps((view, place), pickle.HIGHEST_PROTOCOL)


def view_from(message: bytes) -> FaceView:
    """The view that the gateway sent.

    Raises:
        CropGone: its photo was answered or given up before.
    """
    view: FaceView
    view, place = pickle.loads(message)  # noqa: S301  of the gateway
    if place is None:
        return view
    pixels, skin = shared_crops().read(place)
    return replace(view, crop=replace(view.crop, pixels=pixels), skin=skin)


def task_message(task: Task[Any], message: bytes) -> bytes:
    """A task for the heuristic runner.

    Args:
        task: one of TASKS.
        message: of the view.
    """
    return pickle.dumps((task.name, message), pickle.HIGHEST_PROTOCOL)


def answer_task(message: bytes) -> bytes:
    """The message of a task's answer, or of the CropGone that kept it from that."""
    name, view = pickle.loads(message)  # noqa: S301  of the gateway
    try:
        return _packed(TASKS[name].function(view_from(view)))
    except CropGone as gone:
        return _packed(gone)


def answer_all(model: Model, messages: list[bytes]) -> list[bytes]:
    """The messages of what the model finds in a batch of views; the others are answered where one has gone.

    Raises:
        ModelNotReady: there is no model.
    """
    views: list[FaceView | CropGone] = []
    for message in messages:
        try:
            views.append(view_from(message))
        except CropGone as gone:
            views.append(gone)
    crops = [view.crop.pixels for view in views if isinstance(view, FaceView)]
    answers = iter(model.predict(crops) if crops else ())
    return [_packed(next(answers) if isinstance(view, FaceView) else view) for view in views]


def _packed(answer: object) -> bytes:
    return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)


def answer_from(message: bytes) -> Any:
    """What a runner answered.

    Raises:
        CropGone: the photo was answered or given up before.
    """
    answer = pickle.loads(message)  # noqa: S301  of a runner
    if isinstance(answer, CropGone):
        raise answer
    return answer
