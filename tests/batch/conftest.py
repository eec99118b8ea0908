"""Photos, and an engine that analyses in the process of the tests."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs `make setup-batch`")

from bentos.batch.run import Outcome, Request, run
from bentos.batch.work import Done, Task, Weights, Work, Worker
from tests.batch import drawn

WORK = Work(None, allow_fallback=False)


class InProcess:
    """The engine with one worker, which is this process's.

    Args:
        worker: that analyses.
        fails: is called with each task before it is done, and may raise.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.tasks: list[Task] = []

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *_: object) -> None: ...

    def weights(self) -> Weights:
        return self._worker.weights

    def results(self, tasks: Iterable[Task]) -> Iterator[Done]:
        for task in tasks:
            self.tasks.append(task)
            yield self._worker(task)


class Told:
    """What a run tells of its progress."""

    def __init__(self) -> None:
        self.photos = self.others = self.before = self.damaged = self.done = self.failed = 0

    def found(self, photos: int, others: int) -> None:
        self.photos, self.others = photos, others

    def began(self, done: int, damaged: int) -> None:
        self.before, self.damaged = done, damaged

    def advanced(self, photos: int, failed: int) -> None:
        self.done += photos
        self.failed += failed


@pytest.fixture(scope="session")
def worker() -> Worker:
    return Worker(WORK)


@pytest.fixture
def engine(worker: Worker) -> InProcess:
    return InProcess(worker)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven photos in folders, a text among them, one that is cut off, and a link that names nothing."""
    place = tmp_path_factory.mktemp("photos")
    for number in range(7):
        path = place / "abc"[number % 3] / f"photo {number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(drawn.photo(drawn.BASES * number, side=480))
    (place / "a" / "notes.jpg").write_text("no photo\n")
    (place / "b" / "cut.jpg").write_bytes((place / "b" / "photo 1.jpg").read_bytes()[:9000])
    (place / "c" / "gone.jpg").symlink_to("nowhere.jpg")
    return place


@pytest.fixture(scope="session")
def undisturbed(folder: Path, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over `folder`, four photos in a part."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    request = Request(str(folder), str(output), WORK, part_photos=4)
    assert run(request, InProcess(worker), Told()) == Outcome(photos=10, failed=3, analysed_now=10)
    return output
