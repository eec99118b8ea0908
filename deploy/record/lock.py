"""The lock beside the record: at most one rollout of a service at a time.

    with take(store, attempt) as lock:
        lock.confirm()  # before each step that changes something

The owner refreshes the lock regularly. If somebody has broken it, or resumed the attempt elsewhere, the refresh notices
it: `lost` becomes true, and the owner must not change anything more.
"""

import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bentos.skin.settings import Phase
from deploy.record.s3_folder import Changed, RecordError, RecordUnreachable, StoredObject
from deploy.record.store import Store
from deploy.record.text import clock, day, duration, person, utc
from deploy.record.trail import Attempt
from deploy.text import printable

NAME = "lock.json"
MAX_BYTES = 1 << 16
REFRESH_S = 20.0
STALE_S = 120.0  # without a refresh
RELEASE_S = 10.0  # how long `release` waits for a refresh in progress
MAX_TRIES = 5


class Owner(BaseModel):
    """Who holds the lock.

    Attributes:
        token: unique, so that two locks of one process differ.
        attempt: id of the attempt.
        phase: that the attempt deploys.
        who: ARN of the caller.
        host: machine and process, machine:pid.
        since, refreshed: UTC, by the owner's clock.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # a newer version of trail may add fields

    token: str
    attempt: str
    phase: Phase
    who: str
    host: str
    since: datetime
    refreshed: datetime


class Holding(BaseModel):
    """A lock that somebody holds.

    Attributes:
        owner: None if trail did not write the object.
        age_s: seconds since it was refreshed.
    """

    model_config = ConfigDict(frozen=True)

    owner: Owner | None
    age_s: float

    @property
    def stale(self) -> bool:
        """Whether the owner has stopped refreshing it."""
        return self.age_s > STALE_S

    def __str__(self) -> str:
        """arn… on host, since 12:04 UTC (7 min), phase hybrid, refreshed 20 s ago."""
        if self.owner is None:
            return f"an object that trail did not write, {duration(self.age_s)} old"
        held = (utc(self.owner.refreshed) - utc(self.owner.since)).total_seconds() + self.age_s
        since = f"since {clock(self.owner.since)} UTC"
        if utc(self.owner.since).date() != datetime.now(UTC).date():
            since += f" on {day(self.owner.since)}"
        return (
            f"{printable(self.owner.who, 200)} on {printable(self.owner.host)}, {since} ({duration(held)}), "
            f"phase {self.owner.phase}, attempt {printable(self.owner.attempt)}, refreshed {duration(self.age_s)} ago"
        )


class Locked(RecordError):
    """Somebody else holds the lock.

    Attributes:
        holding: the lock.
    """

    def __init__(self, holding: Holding, where: str) -> None:
        self.holding = holding
        if holding.owner is None:
            advice = f"Check {where}; `--break-lock` deletes it."
        elif holding.stale:
            advice = "The lock is stale: `trail resume` continues its attempt, `--break-lock` takes the lock."
        else:
            advice = (
                "If that process is gone (Ctrl-C, a kill), `trail resume` continues its attempt; "
                "`--break-lock` takes the lock, and that rollout then stops."
            )
        super().__init__(f"The rollout is locked by {holding}. {advice}")


class LockLost(RecordError):
    """Somebody else has taken the lock; nothing more may be changed."""


class Lock:
    """A lock that this process holds. Made by `take`.

    Attributes:
        owner: as stored in S3.
        lost: somebody broke the lock or took it over; known after the next refresh, or `confirm`.
    """

    def __init__(self, store: Store, owner: Owner, etag: str, every_s: float) -> None:
        self._store, self.owner, self._etag, self._every_s = store, owner, etag, every_s
        self.lost = False
        self._taken_by = "somebody"
        self._mutex, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._refresh_regularly, name="trail-lock", daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Check the lock now, and not only at the next refresh.

        Raises:
            LockLost: somebody else has taken it.
            RecordUnreachable: S3 cannot be reached, or refuses.
        """
        self._refresh()
        if self.lost:
            raise LockLost(
                f"The lock was taken by {self._taken_by} while this rollout ran; this rollout changes nothing more. A "
                "deployment that was started goes on in AWS; `trail status` shows it."
            )

    def release(self) -> None:
        """Delete the lock, unless somebody else has taken it.

        Raises:
            RecordUnreachable: it cannot be deleted; it becomes stale.
        """
        self._ended.set()
        self._thread.join(RELEASE_S)
        with self._mutex:
            stored = self._store.objects.get(NAME, MAX_BYTES)
            if stored is not None and self._is_own(stored):
                with suppress(Changed):
                    self._store.objects.delete(NAME, stored.etag)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        # The lock becomes stale, and the next caller is warned; an exception of the block matters more.
        with suppress(RecordError):
            self.release()

    def _refresh_regularly(self) -> None:
        while not self._ended.wait(self._every_s) and not self.lost:
            with suppress(RecordError):  # the network may come back
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
                self._check_owner()

    def _check_owner(self) -> None:
        """The object has changed: by our own refresh whose response was lost, or by somebody else."""
        stored = self._store.objects.get(NAME, MAX_BYTES)
        if stored is not None and self._is_own(stored):
            self._etag = stored.etag
            return
        other = _holding(stored).owner if stored is not None else None
        if other is not None:
            self._taken_by = f"{person(other.who)} on {printable(other.host)} (attempt {printable(other.attempt)})"
        self.lost = True

    def _is_own(self, stored: StoredObject) -> bool:
        owner = _holding(stored).owner
        return owner is not None and owner.token == self.owner.token


def take(store: Store, attempt: Attempt, resume_of: str | None = None, every_s: float = REFRESH_S) -> Lock:
    """Take the lock for an attempt.

    Args:
        store: of the record.
        attempt: that begins, or is resumed.
        resume_of: id of the attempt that is resumed: its lock is taken over, and its holder stops.
        every_s: seconds between refreshes.

    Raises:
        Locked: somebody else has it.
        RecordError, RecordUnreachable: it cannot be read or written.
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
    for _ in range(MAX_TRIES):
        stored = store.objects.get(NAME, MAX_BYTES)
        holding = None if stored is None else _holding(stored)
        if stored is not None and holding is not None:
            holder = holding.owner
            if holder is not None and holder.token == owner.token:  # the response to our first write was lost
                return Lock(store, owner, stored.etag, every_s)
            if holder is None or holder.attempt != resume_of:
                raise Locked(holding, store.objects.uri(NAME))
        try:
            etag = store.objects.put(NAME, owner.model_dump_json().encode(), stored.etag if stored else None)
        except Changed:
            continue
        return Lock(store, owner, etag, every_s)
    raise RecordUnreachable(f"{store.objects.uri(NAME)} changes all the time; try again.")


def peek(store: Store) -> Holding | None:
    """Who holds the lock; None if nobody does. Raises RecordError, RecordUnreachable."""
    stored = store.objects.get(NAME, MAX_BYTES)
    return None if stored is None else _holding(stored)


def break_lock(store: Store) -> Holding | None:
    """Delete the lock, whoever holds it.

    Returns:
        The lock that was deleted; None if there was none.

    Raises:
        Locked: another owner took it in the meantime, and holds it now.
        RecordError, RecordUnreachable: it cannot be deleted.
    """
    first: Holding | None = None
    for _ in range(MAX_TRIES):
        stored = store.objects.get(NAME, MAX_BYTES)
        if stored is None:
            return first
        holding = _holding(stored)
        if first is not None and first.owner and holding.owner and first.owner.token != holding.owner.token:
            raise Locked(holding, store.objects.uri(NAME))
        first = holding
        with suppress(Changed):  # the owner refreshed it just now
            store.objects.delete(NAME, stored.etag)
            return holding
    raise RecordUnreachable(f"{store.objects.uri(NAME)} changes all the time; try again.")


def _holding(stored: StoredObject) -> Holding:
    try:
        owner = Owner.model_validate_json(stored.body)
    except ValidationError:
        return Holding(owner=None, age_s=stored.age_s or 0.0)
    own_clock = (datetime.now(UTC) - utc(owner.refreshed)).total_seconds()
    return Holding(owner=owner, age_s=max(0.0, own_clock) if stored.age_s is None else stored.age_s)
