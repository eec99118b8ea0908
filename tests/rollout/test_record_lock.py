"""The lock: one rollout at a time; a held lock is not taken, and whoever loses it notices."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.record import lock as locks
from deploy.record.lock import Lock, Locked, LockLost, Owner, break_lock, peek, take
from deploy.record.store import RecordError, RecordUnreachable
from tests.rollout.record_s3 import LOCK, AtomicClient, atomic_client, body, once, put, refusal, store
from tests.rollout.records import JANE, attempt
from tests.s3 import S3

OURS = attempt("a1", "hybrid", "running")
THEIRS = attempt("b2", "simple", "running", who="arn:aws:iam::123456789012:user/max", host="desk:99")
OFTEN = 0.05


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server."""
    running = S3()
    yield running
    running.close()


@pytest.fixture
def client(s3: S3) -> Iterator[AtomicClient]:
    """An empty bucket in it; its locks are given back."""
    yield atomic_client(s3)
    for thread in threading.enumerate():
        if thread.name == "trail-lock":
            thread.join(5)
            assert not thread.is_alive()


def soon(true: Callable[[], bool]) -> None:
    """It comes true within seconds."""
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def age(client: Any, seconds: float) -> None:
    """The lock that lies there was refreshed so long ago, by an S3 that tells no times."""
    owner = json.loads(body(client, LOCK))
    put(client, LOCK, json.dumps({**owner, "refreshed": str(datetime.now(UTC) - timedelta(seconds=seconds))}).encode())


def timeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's answers have no dates, so that the owner's clock counts."""
    monkeypatch.setattr("deploy.record.s3_folder._age", lambda _: None)


def test_a_lock_names_its_owner_and_goes_when_it_is_given_back(client: AtomicClient) -> None:
    with take(store(client), OURS) as lock:
        observed = Owner.model_validate_json(body(client, LOCK))
        assert (observed.who, observed.host, observed.attempt, observed.phase) == (JANE, "laptop:4711", "a1", "hybrid")
        assert observed == lock.owner
        lock.confirm()
    assert peek(store(client)) is None


def test_a_second_rollout_is_refused_and_told_who_is_at_it(client: AtomicClient) -> None:
    with take(store(client), OURS) as lock:
        before = body(client, LOCK)
        with pytest.raises(Locked) as refused:
            take(store(client), THEIRS)
        assert body(client, LOCK) == before
        assert refused.value.holding.owner == lock.owner
    output = str(refused.value)
    assert f"locked by {JANE} on laptop:4711, since {lock.owner.since:%H:%M} UTC (" in output
    assert "phase hybrid, attempt a1, refreshed " in output
    assert "`--break-lock` takes the lock" in output
    assert "stale" not in output


def test_of_many_who_ask_at_once_one_gets_it(client: AtomicClient) -> None:
    got: list[Lock] = []
    refused: list[Locked] = []
    together = threading.Barrier(6)

    def ask(number: int) -> None:
        together.wait()
        try:
            got.append(take(store(client), attempt(f"a{number}", "simple", "running")))
        except Locked as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    assert all(item.holding.owner == got[0].owner for item in refused)
    got[0].release()


def test_a_lock_is_refreshed_again_and_again(client: AtomicClient) -> None:
    with take(store(client), OURS, every_s=OFTEN) as lock:
        first = lock.owner
        soon(lambda: client.calls.count("put_object") > 3)
        observed = Owner.model_validate_json(body(client, LOCK))
        assert observed.refreshed > first.refreshed
        assert (observed.since, observed.token) == (first.since, first.token)
        assert not lock.lost


def test_a_stale_lock_is_called_so_and_still_not_taken(client: AtomicClient, monkeypatch: pytest.MonkeyPatch) -> None:
    timeless(monkeypatch)
    with take(store(client), OURS):
        age(client, 119)
        with pytest.raises(
            Locked, match=r"refreshed 1 min ago\. If that process is gone .* `--break-lock` takes the lock"
        ):
            take(store(client), THEIRS)
        age(client, 421)
        with pytest.raises(Locked, match=r"refreshed 7 min ago\. The lock is stale: `trail resume` continues"):
            take(store(client), THEIRS)


def test_staleness_is_told_by_s3s_clock_and_not_by_those_of_two_laptops(client: AtomicClient) -> None:
    with take(store(client), OURS):
        age(client, 3600)  # the owner's clock is an hour late; S3 has just taken the object
        holding = peek(store(client))
    assert holding is not None
    assert not holding.stale
    assert holding.age_s < 5


def test_the_same_attempt_goes_on_with_its_lock_and_its_former_holder_stops(client: AtomicClient) -> None:
    former = take(store(client), OURS, every_s=60)
    elsewhere = attempt("a1", "hybrid", "running", host="desk:12")
    with take(store(client), elsewhere, resume_of="a1") as lock:
        assert not former.lost
        with pytest.raises(LockLost, match=r"taken by user/jane on desk:12 \(attempt a1\).*changes nothing more"):
            former.confirm()
        assert former.lost
        former.release()
        lock.confirm()  # which left it alone
        assert Owner.model_validate_json(body(client, LOCK)).host == "desk:12"


def test_another_attempt_does_not_go_on_with_it(client: AtomicClient) -> None:
    with take(store(client), OURS), pytest.raises(Locked):
        take(store(client), THEIRS, resume_of="b2")


def test_going_on_where_there_is_no_lock_any_more_takes_a_new_one(client: AtomicClient) -> None:
    with take(store(client), OURS, resume_of="a1") as lock:
        lock.confirm()


def test_a_broken_lock_is_told_to_the_breaker_and_noticed_by_its_holder(client: AtomicClient) -> None:
    lock = take(store(client), OURS, every_s=OFTEN)
    broken = break_lock(store(client))
    assert broken is not None
    assert broken.owner is not None
    assert broken.owner.token == lock.owner.token
    soon(lambda: lock.lost)
    with pytest.raises(LockLost, match="taken by somebody"):
        lock.confirm()
    with take(store(client), THEIRS) as theirs:
        lock.release()
        theirs.confirm()


def test_where_there_is_no_lock_none_is_broken(client: AtomicClient) -> None:
    assert break_lock(store(client)) is None


def test_breaking_takes_a_lock_that_is_refreshed_in_that_moment(client: AtomicClient) -> None:
    lock = take(store(client), OURS, every_s=60)
    refreshed = iter([lock.confirm])
    client.before["delete_object"] = lambda _: next(refreshed, lambda: None)()
    assert break_lock(store(client)) is not None
    assert peek(store(client)) is None
    lock.release()


def test_breaking_does_not_hit_somebody_who_took_the_lock_meanwhile(client: AtomicClient) -> None:
    lock = take(store(client), OURS, every_s=60)
    theirs: list[Lock] = []

    def change_hands(_: Any) -> None:
        client.before.clear()
        lock.release()
        theirs.append(take(store(client), THEIRS, every_s=60))

    client.before["delete_object"] = change_hands
    with pytest.raises(Locked, match="user/max"):
        break_lock(store(client))
    theirs[0].confirm()
    theirs[0].release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"token": "1"}', b"9" * 5000])
def test_what_is_no_lock_keeps_everybody_out_until_it_is_broken(client: AtomicClient, content: bytes) -> None:
    put(client, LOCK, content)
    with pytest.raises(Locked, match=r"an object that trail did not write.*`--break-lock` deletes it"):
        take(store(client), OURS)
    assert body(client, LOCK) == content
    break_lock(store(client))
    take(store(client), OURS).release()


def test_what_a_newer_trail_adds_to_a_lock_does_not_open_it(client: AtomicClient) -> None:
    with take(store(client), OURS):
        put(client, LOCK, json.dumps({**json.loads(body(client, LOCK)), "shoes": 7}).encode())
        with pytest.raises(Locked, match="user/jane"):
            take(store(client), THEIRS)


def test_a_hostile_owner_does_not_reach_the_terminal(client: AtomicClient) -> None:
    with (
        take(store(client), attempt("a1", "simple", "running", who="\x1b[2Jarn", host="\u202ehost")),
        pytest.raises(Locked) as refused,
    ):
        take(store(client), THEIRS)
    assert str(refused.value).isprintable()


def test_a_lock_whose_answer_was_lost_is_ones_own(client: AtomicClient) -> None:
    """botocore asks again by itself, and is then told that there is one."""
    client.after["put_object"] = once(refusal(412, "PreconditionFailed", "PutObject"))
    with take(store(client), OURS) as lock:
        lock.confirm()
        assert not lock.lost


def test_a_refresh_whose_answer_was_lost_loses_no_lock(client: AtomicClient) -> None:
    with take(store(client), OURS, every_s=60) as lock:
        client.after["put_object"] = once(refusal(409, "ConditionalRequestConflict", "PutObject"))
        lock.confirm()
        lock.confirm()
        assert not lock.lost
    assert peek(store(client)) is None


def test_while_s3_cannot_be_reached_a_lock_is_neither_lost_nor_given_up(client: AtomicClient) -> None:
    down = threading.Event()

    def fail(_: Any) -> None:
        if down.is_set():
            raise refusal(503, "SlowDown", "PutObject")

    client.before["put_object"] = fail
    with take(store(client), OURS, every_s=OFTEN) as lock:
        down.set()
        observed = client.calls.count("put_object")
        soon(lambda: client.calls.count("put_object") > observed + 2)
        with pytest.raises(RecordUnreachable, match="SlowDown"):
            lock.confirm()
        assert not lock.lost
        down.clear()
        lock.confirm()


@pytest.mark.parametrize("code", ["NotImplemented", "InvalidRequest"])
def test_a_store_without_conditional_deletes_gives_its_lock_back_too(client: AtomicClient, code: str) -> None:
    def refuse(wanted: dict[str, Any]) -> None:
        if "IfMatch" in wanted:
            raise refusal(501 if code == "NotImplemented" else 400, code, "DeleteObject")

    client.before["delete_object"] = refuse
    take(store(client), OURS).release()
    assert peek(store(client)) is None


def test_a_lock_that_cannot_be_deleted_says_so_but_hides_no_other_failure(client: AtomicClient) -> None:
    def refuse(_: Any) -> None:
        raise refusal(403, "AccessDenied", "DeleteObject")

    client.before["delete_object"] = refuse
    lock = take(store(client), OURS)
    with pytest.raises(RecordUnreachable, match=r"lock.json cannot be deleted"):
        lock.release()
    client.before.clear()
    break_lock(store(client))
    lock = take(store(client), OURS)
    client.before["delete_object"] = refuse
    with pytest.raises(KeyError), lock:
        raise KeyError


def test_a_lock_that_changes_all_the_time_is_given_up_with_a_sentence(client: AtomicClient) -> None:
    def conflict(_: Any) -> None:
        raise refusal(409, "ConditionalRequestConflict", "PutObject")

    client.before["put_object"] = conflict
    with pytest.raises(RecordError, match="changes all the time; try again"):
        take(store(client), OURS)
    assert client.calls.count("put_object") == locks.MAX_TRIES
