"""What every engine does with a task: some photos in, rows of both tables out."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bentos.batch import tables
from bentos.batch.errors import BatchError, PhotoUnreadable
from bentos.batch.photos import Photo, read
from bentos.skin.errors import ModelUnavailable, ShineError
from bentos.skin.runtime.process_memory import freeze_what_stays, keep_freed_memory
from bentos.skin.settings import Settings
from bentos.skin.threads import in_order

WITHOUT_MODEL = "See `shine doctor`, or let the heuristics answer by --allow-fallback."
AHEAD = 4  # photos that are read while one is analysed: from S3 each takes as long as half an analysis


@dataclass(frozen=True, slots=True)
class Task:
    """Some photos, one after the other, that are analysed by one process.

    Attributes:
        part: number of the output file that they belong to.
        first: number of the first in that part.
        photos: in the order of the input.
    """

    part: int
    first: int
    photos: list[Photo]

    def singles(self) -> list["Task"]:
        """The same, each photo for itself."""
        return [Task(self.part, self.first + number, [photo]) for number, photo in enumerate(self.photos)]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights that a process has loaded, or why it has not.

    Attributes:
        name, version, sha256: of the weights; None where the heuristics answer.
        problem: why there are none.
    """

    name: str | None
    version: str | None
    sha256: str | None
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version} (sha256 {self.sha256})" if self.sha256 else "no weights, but the heuristics"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a task.

    Attributes:
        part, first: of the task.
        photos: how many there were.
        findings, failures: their rows.
        weights: that their process has loaded.
        stop: why the run cannot go on; the tables then say nothing.
    """

    part: int
    first: int
    photos: int
    findings: pa.Table
    failures: pa.Table
    weights: Weights
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How photos are analysed.

    Attributes:
        weights: a bundle's folder or s3://…; None: those of the package.
        allow_fallback: whether the heuristics answer where the model does not.
    """

    weights: str | None
    allow_fallback: bool


class Worker:
    """Analyses photos one after the other.

    Args:
        work: how.
    """

    def __init__(self, work: Work) -> None:
        from bentos.skin.analyzer import Analyzer  # only where photos are analysed: it takes a second and 100 MB

        self._require = None if work.allow_fallback else "model"
        self._analyzer = Analyzer(work.weights, threads=1)
        self._most = Settings().max_photo_bytes
        status = self._analyzer.status
        self.weights = Weights(None, None, None, str(status.reason))
        if status.last_error is not None:
            self.weights = Weights(None, None, None, status.last_error.message)
        if status.model is not None:
            self.weights = Weights(status.model.name, status.model.version, status.model.sha256)

    def __call__(self, task: Task) -> Done:
        """Analyse the photos of a task; nothing that one of them does ends the run."""
        findings: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        stop = None
        try:
            for photo, file in in_order(self._file, task.photos, threads=AHEAD, at_once=AHEAD):
                self._one(photo, file, findings, failures)
        except BatchError as error:
            findings, failures, stop = [], [], str(error)
        return Done(
            task.part,
            task.first,
            len(task.photos),
            tables.table(findings, tables.FINDINGS),
            tables.table(failures, tables.FAILURES),
            self.weights,
            stop,
        )

    def _file(self, photo: Photo) -> tuple[Photo, bytes | PhotoUnreadable]:
        """A photo and its file, or why there is none; raises BatchError where no photo can be had any more."""
        try:
            return photo, read(photo, self._most)
        except PhotoUnreadable as error:
            return photo, error

    def _one(
        self,
        photo: Photo,
        file: bytes | PhotoUnreadable,
        findings: list[dict[str, Any]],
        failures: list[dict[str, Any]],
    ) -> None:
        if isinstance(file, PhotoUnreadable):
            failures.append(tables.failure(photo, None, file.code, file.sentence, file.hint))
            return
        sha256 = hashlib.sha256(file).hexdigest()
        known = sha256 if len(file) <= self._most else None  # of a larger one only the beginning was read
        try:
            findings.append(tables.finding(photo, sha256, self._analyzer.analyze(file, require=self._require)))
        except ShineError as error:
            hint = WITHOUT_MODEL if isinstance(error, ModelUnavailable) else error.hint
            failures.append(tables.failure(photo, known, error.code, error.message, hint))
        except Exception as error:  # a fault of ours; the other photos have their findings all the same
            sentence = f"The analysis failed: {type(error).__name__}: {error}"
            failures.append(tables.failure(photo, known, "internal_error", sentence, "Report it with this photo."))


def worker_of_process(work: Work) -> Worker:
    """The worker of a process that does nothing else."""
    keep_freed_memory()
    logging.getLogger("shine").setLevel(logging.CRITICAL)  # what fails stands in the tables, not on each terminal
    worker = Worker(work)
    freeze_what_stays()
    return worker


def lost(task: Task, weights: Weights) -> Done:
    """What becomes of a photo whose process ends each time."""
    rows = [
        tables.failure(
            photo,
            None,
            "process_ended",
            "The process that analysed this photo was killed, again and again.",
            "See whether memory is short; analyse the photo by itself, and report it.",
        )
        for photo in task.photos
    ]
    empty = tables.table([], tables.FINDINGS)
    return Done(task.part, task.first, len(task.photos), empty, tables.table(rows, tables.FAILURES), weights)
