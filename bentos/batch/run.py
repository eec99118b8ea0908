"""One run: what is there already, what is missing, who does it, and what of it is written when.

An output has these files, which appear whole or not at all:

    run.json                        input, weights and options that the run began with; `finished` with its counts
    failures/part-000000.parquet    of the first photos of the input, in its order; written before …
    findings/part-000000.parquet    … which says that this part is done
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from bentos.batch import photos, s3, tables
from bentos.batch.errors import BatchError, OutputInUse, PhotoUnreadable, WeightsUnusable
from bentos.batch.photos import Listing
from bentos.batch.storage import Storage, storage
from bentos.batch.work import Done, Task, Weights, Work
from bentos.skin import __version__
from bentos.skin.schema import SCHEMA_VERSION
from bentos.skin.threads import in_order

RUN = "run.json"
FINDINGS, FAILURES = "findings", "failures"
PART = re.compile(rf"({FINDINGS}|{FAILURES})/part-([0-9]{{6,}})\.parquet")
PART_PHOTOS = 512  # in an output file: 1.5 MB, and half a minute of two cores, which is what a kill costs at most
TASK_PHOTOS = 16  # for one process at a time: small, so that all end together, and a killed one has done little
READERS = 16  # files of a former run that are read at the same time
RECORDED = frozenset({"tables", "analysis", "shine", "input", "weights", "options", "began"})  # in run.json
RECORDED_IN = {
    "input": frozenset({"place", "photos", "sha256"}),
    "weights": frozenset({"name", "version", "sha256"}),
    "options": frozenset[str](),
}
ANEW = "name another output, or begin anew by --overwrite"
PROBED = 3  # photos of a bucket that are tried before anything begins


class Engine(Protocol):
    """Processes that analyse; leave it to end them all."""

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *_: object) -> None: ...

    def weights(self) -> Weights:
        """What its processes have loaded; raises BatchError where none starts."""
        ...

    def results(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """What becomes of each task, in any order; tasks are taken as they can be done.

        A task may come back in pieces. Raises BatchError where processes cannot be had.
        """
        ...


class Progress(Protocol):
    """Is told how far a run is."""

    def found(self, photos: int, others: int) -> None:
        """So many photos there are, beside so many other files; processes are started now."""
        ...

    def began(self, done: int, damaged: int) -> None:
        """So many photos were done before; so many parts that were are damaged, and done anew."""
        ...

    def advanced(self, photos: int, failed: int) -> None:
        """So many more are done; some of them failed."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        source: a path, or s3://bucket/prefix.
        output: the same.
        work: how photos are analysed.
        resume: do what is missing.
        overwrite: begin anew, whatever a former run has written.
        part_photos: in each output file.
    """

    source: str
    output: str
    work: Work
    resume: bool = False
    overwrite: bool = False
    part_photos: int = PART_PHOTOS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the output holds in the end.

    Attributes:
        photos: of the input.
        failed: of them.
        analysed_now: by this run; the rest was there.
    """

    photos: int
    failed: int
    analysed_now: int


@dataclass(slots=True)
class _Part:
    """A part that is not written yet."""

    photos: int
    pieces: dict[int, Done] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return sum(piece.photos for piece in self.pieces.values()) == self.photos


def run(request: Request, engine: AbstractContextManager[Engine], progress: Progress) -> Outcome:
    """Analyse all photos of an input that the output lacks.

    Args:
        request: what is asked for.
        engine: started when all that can be known before is known to be right.
        progress: is told how far it is.

    Raises:
        BatchError: it cannot begin, or cannot go on; all parts that are written stay.
    """
    refuse_nested(request.source, request.output)
    place = storage(request.output)
    with place.locked():
        there = place.names()
        former = _former(place, there, request)
        listing = photos.find(request.source)
        _probe(request.source, listing)
        record = _record(request, listing)
        if former is not None:
            _refuse_another_run(former, record, request.output)
        progress.found(listing.count, listing.others)
        with engine as started:
            return _Run(request, place, listing, started, progress).carry_out(there, former, record)


def refuse_nested(source: str, output: str) -> None:
    """Refuse an output within the input, where the next run would take its files for photos.

    Raises:
        BatchError: it is.
    """
    inner, outer = (name if name.startswith(s3.SCHEME) else os.path.realpath(name) for name in (output, source))
    if f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/"):
        raise BatchError(f"{output} lies within {source}: name an output outside of the photos.")


class _Run:
    def __init__(self, request: Request, place: Storage, listing: Listing, engine: Engine, progress: Progress) -> None:
        self._request, self._place, self._listing, self._engine = request, place, listing, engine
        self._progress = progress
        self._parts = -(-listing.count // request.part_photos)

    def carry_out(self, there: set[str], former: dict[str, Any] | None, record: dict[str, Any]) -> Outcome:
        """Do what is missing."""
        weights = self._engine.weights()
        if weights.sha256 is None and not self._request.work.allow_fallback:
            raise WeightsUnusable(
                f"The weights cannot be used: {weights.problem or 'unknown'} Repair them, or let the heuristics answer "
                "by --allow-fallback; each row says who did."
            )
        record["weights"] |= {"name": weights.name, "version": weights.version, "sha256": weights.sha256}
        if former is None:
            for name in sorted(there, reverse=True):  # run.json first: what is left cannot be taken for a run
                self._place.remove(name)
            self._place.write(RUN, _json(record))
            done, damaged = dict[int, int](), 0
        else:
            self._refuse_other_weights(former, record)
            record["began"] = former["began"]
            done, damaged = self._done(there)
        before = sum(map(self._size, done))
        self._progress.began(before, damaged)
        failed = self._analyse(record, done)
        return Outcome(self._listing.count, failed, self._listing.count - before)

    def _analyse(self, record: dict[str, Any], done: dict[int, int]) -> int:
        """Analyse the photos of all parts but those that are done; how many failed, those of the done parts too."""
        failed = sum(done.values())
        metadata = {name: str(record[name]) for name in ("shine", "tables")}
        metadata["weights_sha256"] = str(record["weights"]["sha256"])
        parts: dict[int, _Part] = {}
        for piece in self._engine.results(self._tasks(done)) if len(done) < self._parts else ():
            self._check(piece, record["weights"]["sha256"])
            part = parts.setdefault(piece.part, _Part(self._size(piece.part)))
            part.pieces[piece.first] = piece
            failed += piece.failures.num_rows
            self._progress.advanced(piece.photos, piece.failures.num_rows)
            if part.whole:
                self._write(piece.part, parts.pop(piece.part), metadata)
        counts = {"photos": self._listing.count, "findings": self._listing.count - failed, "failures": failed}
        record["finished"] = {"at": _now(), **counts}
        self._place.write(RUN, _json(record))
        return failed

    def _check(self, piece: Done, sha256: str | None) -> None:
        """Refuse to go on where a process cannot, or has loaded other weights than the others."""
        if piece.stop is not None:
            raise BatchError(piece.stop)
        if piece.weights.sha256 != sha256 and not (piece.weights.sha256 is None and self._request.work.allow_fallback):
            raise WeightsUnusable(
                f"A process that began later has {piece.weights}: {piece.weights.problem or 'others lie there now'}. "
                "What is written stays: bring the weights back, and run again with --resume."
            )

    def _failures_in(self, part: int) -> int | None:
        """Photos of a part that failed; None where one of its files is damaged."""
        tails = [self._place.tail(_name(it, part)) for it in (FINDINGS, FAILURES)]
        try:
            findings, failures = map(tables.rows_in, tails)
        except Exception:  # whatever a damaged footer does to the parser
            return None
        return failures if findings + failures == self._size(part) else None

    def _write(self, number: int, part: _Part, metadata: dict[str, str]) -> None:
        pieces = [part.pieces[first] for first in sorted(part.pieces)]
        failures, findings = [piece.failures for piece in pieces], [piece.findings for piece in pieces]
        self._place.write(_name(FAILURES, number), tables.encoded(failures, tables.FAILURES, metadata))
        self._place.write(_name(FINDINGS, number), tables.encoded(findings, tables.FINDINGS, metadata))

    def _tasks(self, done: Collection[int]) -> Iterator[Task]:
        for part in range(self._parts):
            if part in done:
                continue
            begin = part * self._request.part_photos
            for first in range(0, self._size(part), TASK_PHOTOS):
                end = begin + min(first + TASK_PHOTOS, self._size(part))
                yield Task(part, first, list(self._listing.read(begin + first, end)))

    def _size(self, part: int) -> int:
        return min(self._request.part_photos, self._listing.count - part * self._request.part_photos)

    def _done(self, there: set[str]) -> tuple[dict[int, int], int]:
        """The parts whose files are both there and whole, and how many of their photos failed; how many are damaged."""
        found: dict[str, set[int]] = {FINDINGS: set(), FAILURES: set()}
        for name in there:
            if (match := PART.fullmatch(name)) is None:
                continue
            if int(match[2]) >= self._parts:
                raise OutputInUse(f"{self._place.name}/{name} is no part of this run: remove it.")
            found[match[1]].add(int(match[2]))
        parts = sorted(found[FINDINGS] & found[FAILURES])
        failures = in_order(self._failures_in, parts, threads=READERS, at_once=4 * READERS)
        done = {part: failed for part, failed in zip(parts, failures, strict=True) if failed is not None}
        return done, len(parts) - len(done)

    def _refuse_other_weights(self, former: dict[str, Any], record: dict[str, Any]) -> None:
        if former["weights"]["sha256"] != record["weights"]["sha256"]:
            names = [Weights(it["name"], it["version"], it["sha256"]) for it in (former["weights"], record["weights"])]
            raise WeightsUnusable(
                f"{self._request.output} was begun with {names[0]}; these are {names[1]}: name the former by "
                f"--weights, or {ANEW}."
            )


def _record(request: Request, listing: Listing) -> dict[str, Any]:
    """What run.json says, but for what is known of the weights once they are loaded."""
    return {
        "tables": tables.VERSION,
        "analysis": SCHEMA_VERSION,
        "shine": __version__,
        "input": {"place": request.source, "photos": listing.count, "sha256": listing.fingerprint},
        "weights": {"place": request.work.weights},
        "options": {"allow_fallback": request.work.allow_fallback, "part_size": request.part_photos},
        "began": _now(),
        "finished": None,
    }


def _refuse_another_run(former: dict[str, Any], record: dict[str, Any], output: str) -> None:
    """Refuse to mix what one table must not mix.

    Raises:
        OutputInUse: versions, options or photos of a former run differ.
    """
    for key, what in (("tables", "tables of version"), ("analysis", "analyses of schema"), ("shine", "shine")):
        if former[key] != record[key]:
            raise OutputInUse(f"{output} was begun with {what} {former[key]}, this is {record[key]}: {ANEW}.")
    for key, value in record["options"].items():
        if former["options"].get(key) != value:
            before = _as_option(key, former["options"].get(key))
            raise OutputInUse(f"{output} was begun {before}: do the same, or {ANEW}.")
    was, now = former["input"], record["input"]
    if (was["photos"], was["sha256"]) != (now["photos"], now["sha256"]):
        raise OutputInUse(
            f"{output} was begun with {was['photos']:,} photos of {was['place']}; now there are {now['photos']:,}, "
            f"or others: {ANEW}."
        )


def _former(place: Storage, there: set[str], request: Request) -> dict[str, Any] | None:
    """What run.json of a former run says; None where the run begins anew.

    Raises:
        OutputInUse: there is something, and it is not said what to do about it.
    """
    if not there:
        return None
    others = sorted(name for name in there if name != RUN and PART.fullmatch(name) is None)
    if others:
        raise OutputInUse(f"{place.name} holds other files, such as {others[0]}: remove them, or name an empty place.")
    if request.overwrite:
        return None
    if not request.resume:
        raise OutputInUse(
            f"{place.name} holds the output of a run: add --resume to do what it lacks, --overwrite to begin anew, or "
            "name another place."
        )
    if RUN not in there:
        if any(PART.fullmatch(name) for name in there):
            raise OutputInUse(f"{place.name} has no {RUN}, which says how it was made: begin anew by --overwrite.")
        return None
    try:
        former: dict[str, Any] = json.loads(place.read(RUN))
        whole = former.keys() >= RECORDED and all(names <= former[part].keys() for part, names in RECORDED_IN.items())
        if not whole:
            raise ValueError
    except (ValueError, AttributeError):
        raise OutputInUse(f"{place.name}/{RUN} cannot be read: begin anew by --overwrite.") from None
    return former


def _probe(source: str, listing: Listing) -> None:
    """Refuse a bucket none of whose first photos may be read: each of a million would fail.

    Raises:
        BatchError: so it is.
    """
    if not source.startswith(s3.SCHEME):
        return
    refused: PhotoUnreadable | None = None
    for photo in listing.read(0, PROBED):
        try:
            photos.read(photo, 1)
        except PhotoUnreadable as error:
            refused = error
        else:
            return
    if refused is not None:
        raise BatchError(f"No photo of {source} can be read: {refused.sentence} {refused.hint}")


def _as_option(key: str, value: Any) -> str:
    option = "--" + key.replace("_", "-")
    if isinstance(value, bool):
        return f"{'with' if value else 'without'} {option}"
    return f"with {option} {value}"


def _name(table: str, part: int) -> str:
    return f"{table}/part-{part:06}.parquet"


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
