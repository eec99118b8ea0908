"""The lock beside the record: one rollout of a service at a time.

    with take(store, attempt) as lock:
        lock.confirm()  # before each step that changes something

The owner says again and again that it is there. Whoever broke the lock, or went on with the attempt elsewhere, is
noticed by that: then `lost` is set, and the owner must change nothing more.
"""

import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bentos.skin.settings import Phase
from deploy.record.objects import Changed, Found, RecordError, RecordUnreachable
from deploy.record.store import Store
from deploy.record.text import clock, day, duration, person, utc
from deploy.record.trail import Attempt
from deploy.text import printable

NAME = "lock.json"
MOST = 1 << 16  # bytes
REFRESH_S = 20.0
STALE_S = 120.0  # without a refresh
ENDING_S = 10.0  # that a refresh under way may take when the lock is given back
TURNS = 5


class Owner(BaseModel):
    """Who holds the lock.

    Attributes:
        token: tells two locks apart, even of one process.
        attempt: its id.
        phase: that it is to reach.
        who: ARN.
        host: machine and process, machine:pid.
        since, refreshed: UTC, by the owner's clock.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # what a newer trail adds is no reason to pass it by

    token: str
    attempt: str
    phase: Phase
    who: str
    host: str
    since: datetime
    refreshed: datetime


class Holding(BaseModel):
    """A lock as another sees it.

    Attributes:
        owner: None where what lies there is no lock that trail wrote.
        age_s: seconds since it was refreshed.
    """

    model_config = ConfigDict(frozen=True)

    owner: Owner | None
    age_s: float

    @property
    def stale(self) -> bool:
        """Nobody refreshes it any more, as far as one can see."""
        return self.age_s > STALE_S

    def told(self) -> str:
        """arn… on host, since 12:04 UTC (7 min), phase hybrid, refreshed 20 s ago."""
        if self.owner is None:
            return f"something that is no lock of trail's, written {duration(self.age_s)} ago"
        held = (utc(self.owner.refreshed) - utc(self.owner.since)).total_seconds() + self.age_s
        since = f"since {clock(self.owner.since)} UTC"
        if utc(self.owner.since).date() != datetime.now(UTC).date():
            since += f" on {day(self.owner.since)}"
        return (
            f"{printable(self.owner.who, 200)} on {printable(self.owner.host)}, {since} ({duration(held)}), "
            f"phase {self.owner.phase}, attempt {printable(self.owner.attempt)}, refreshed {duration(self.age_s)} ago"
        )


class Locked(RecordError):
    """Somebody else rolls out.

    Attributes:
        holding: the lock as it was seen.
    """

    def __init__(self, holding: Holding, where: str) -> None:
        self.holding = holding
        if holding.owner is None:
            way = f"Look at {where}; `--break-lock` takes it away."
        elif holding.stale:
            way = "That is stale: `trail resume` goes on with its attempt, `--break-lock` takes the lock."
        else:
            way = (
                "If that process is gone (Ctrl-C, a kill), `trail resume` goes on with its attempt; "
                "`--break-lock` takes the lock, and that rollout then stops where it is."
            )
        super().__init__(f"The rollout is locked by {holding.told()}. {way}")


class LockLost(RecordError):
    """The lock is no longer one's own; nothing more may be changed."""


class Lock:
    """A lock of one's own. Made by `take`.

    Attributes:
        owner: as it lies there.
        lost: somebody broke it or took it over; seen at the next refresh, or at `confirm`.
    """

    def __init__(self, store: Store, owner: Owner, etag: str, every_s: float) -> None:
        self._store, self.owner, self._etag, self._every_s = store, owner, etag, every_s
        self.lost = False
        self._by = "somebody"
        self._mutex, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="trail-lock", daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Ask now, and not only at the next refresh.

        Raises:
            LockLost: it is no longer one's own.
            RecordUnreachable: it cannot be asked.
        """
        self._refresh()
        if self.lost:
            raise LockLost(
                f"The lock was taken by {self._by} while this rollout ran; it changes nothing more. What was begun at "
                "AWS goes on there; `trail status` tells how it stands."
            )

    def release(self) -> None:
        """Give it back; one that is somebody else's by now stays.

        Raises:
            RecordUnreachable: it cannot be deleted, and will be stale in a while.
        """
        self._ended.set()
        self._thread.join(ENDING_S)
        with self._mutex:
            found = self._store.objects.get(NAME, MOST)
            if found is not None and self._own(found):
                with suppress(Changed):
                    self._store.objects.delete(NAME, found.etag)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        # It goes stale by itself, and the next one is told so; what ended the block matters more.
        with suppress(RecordError):
            self.release()

    def _keep(self) -> None:
        while not self._ended.wait(self._every_s) and not self.lost:
            with suppress(RecordError):  # the network may come back; the lock waits for it
                self._refresh()

    def _refresh(self) -> None:
        with self._mutex:
            if self.lost or self._ended.is_set():
                return
            owner = self.owner.model_copy(update={"refreshed": datetime.now(UTC)})
            try:
                self._etag = self._store.objects.put(NAME, owner.model_dump_json().encode(), self._etag)
                self.owner = owner
            except Changed:
                self._look()

    def _look(self) -> None:
        """It is not what it was: by a refresh of one's own whose answer was lost, or by somebody else."""
        found = self._store.objects.get(NAME, MOST)
        if found is not None and self._own(found):
            self._etag = found.etag
            return
        other = _holding(found).owner if found is not None else None
        if other is not None:
            self._by = f"{person(other.who)} on {printable(other.host)} (attempt {printable(other.attempt)})"
        self.lost = True

    def _own(self, found: Found) -> bool:
        owner = _holding(found).owner
        return owner is not None and owner.token == self.owner.token


def take(store: Store, attempt: Attempt, resume_of: str | None = None, every_s: float = REFRESH_S) -> Lock:
    """The lock for an attempt.

    Args:
        store: beside whose record it lies.
        attempt: that begins, or goes on.
        resume_of: id of the attempt that is gone on with: its lock is taken over, and whoever held it stops.
        every_s: seconds between refreshes.

    Raises:
        Locked: somebody else has it.
        RecordError, RecordUnreachable: it cannot be asked for.
    """
    now = datetime.now(UTC)
    owner = Owner(
        token=secrets.token_hex(8),
        attempt=attempt.id,
        phase=attempt.phase,
        who=attempt.who,
        host=attempt.host,
        since=now,
        refreshed=now,
    )
    for _ in range(TURNS):
        found = store.objects.get(NAME, MOST)
        holding = None if found is None else _holding(found)
        if found is not None and holding is not None:
            there = holding.owner
            if there is not None and there.token == owner.token:  # the answer to the first attempt was lost
                return Lock(store, owner, found.etag, every_s)
            if there is None or there.attempt != resume_of:
                raise Locked(holding, store.objects.uri(NAME))
        try:
            etag = store.objects.put(NAME, owner.model_dump_json().encode(), found.etag if found else None)
        except Changed:
            continue
        return Lock(store, owner, etag, every_s)
    raise RecordUnreachable(f"{store.objects.uri(NAME)} changes all the time; try again.")


def peek(store: Store) -> Holding | None:
    """Who rolls out at this moment; None: nobody. Raises RecordError, RecordUnreachable."""
    found = store.objects.get(NAME, MOST)
    return None if found is None else _holding(found)


def break_lock(store: Store) -> Holding | None:
    """Take the lock away, whosever it is.

    Returns:
        What was broken; None where there was no lock.

    Raises:
        Locked: it went from one owner to another in the meantime, and is the other's now.
        RecordError, RecordUnreachable: it cannot be deleted.
    """
    first: Holding | None = None
    for _ in range(TURNS):
        found = store.objects.get(NAME, MOST)
        if found is None:
            return first
        seen = _holding(found)
        if first is not None and first.owner and seen.owner and first.owner.token != seen.owner.token:
            raise Locked(seen, store.objects.uri(NAME))
        first = seen
        with suppress(Changed):  # refreshed in that moment
            store.objects.delete(NAME, found.etag)
            return seen
    raise RecordUnreachable(f"{store.objects.uri(NAME)} changes all the time; try again.")


def _holding(found: Found) -> Holding:
    try:
        owner = Owner.model_validate_json(found.body)
    except ValidationError:
        return Holding(owner=None, age_s=found.age_s or 0.0)
    own_clock = (datetime.now(UTC) - utc(owner.refreshed)).total_seconds()
    return Holding(owner=owner, age_s=max(0.0, own_clock) if found.age_s is None else found.age_s)
