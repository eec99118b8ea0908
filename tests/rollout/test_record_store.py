"""The record in S3: changes of several people all survive, and an object that is not our record stays unchanged."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from botocore.parsers import ResponseParserError

from deploy.config.plan import PlanError
from deploy.record import store as stores
from deploy.record.store import RecordError, RecordUnreachable, ServiceName, Store, with_attempt, with_note
from deploy.record.trail import Attempt, Note, Record
from tests.deploy.infra_plans import plan
from tests.rollout.record_s3 import BUCKET, RECORD, URI, AtomicClient, atomic_client, body, once, put, refusal, store
from tests.rollout.records import JANE, SERVICE, at, attempt, gates, record
from tests.s3 import S3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server."""
    running = S3()
    yield running
    running.close()


@pytest.fixture
def client(s3: S3) -> AtomicClient:
    """An empty bucket in it."""
    return atomic_client(s3)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "LONGEST_S", 0.01)


def add(client: Any, one: Attempt) -> Record:
    """An attempt to the record."""
    return store(client).change(lambda before: with_attempt(before, one))


def test_where_nothing_is_yet_the_record_is_empty_and_reading_writes_nothing(client: AtomicClient) -> None:
    assert store(client).read() == record()
    assert client.calls == ["get_object"]


def test_a_change_is_read_again_as_it_was_written(client: AtomicClient) -> None:
    one = attempt("a1", "simple", sentence="Grün ✓ – and a half character is no trouble: \ud83d")
    written = add(client, one)
    assert store(client).read() == written
    assert written.attempts[0].sentence == "Grün ✓ – and a half character is no trouble: ?"
    assert written.attempts[0].gates == one.gates


def test_an_attempt_takes_the_place_of_its_earlier_self(client: AtomicClient) -> None:
    for value in (attempt("a1", "simple", "running"), attempt("a2", "hybrid", "running"), attempt("a1", "simple")):
        add(client, value)
    assert [(item.id, item.outcome) for item in store(client).read().attempts] == [("a1", "proven"), ("a2", "running")]


def test_what_changes_nothing_is_not_written(client: AtomicClient) -> None:
    store(client).change(lambda before: before)
    assert "put_object" not in client.calls


def test_of_people_who_write_at_once_none_loses_anything(client: AtomicClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_TRIES", 100)
    together = threading.Barrier(4)

    def person(name: int) -> None:
        together.wait()
        for number in range(5):
            add(client, attempt(f"{name}-{number}", "simple"))

    threads = [threading.Thread(target=person, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = {item.id for item in store(client).read().attempts}
    assert result == {f"{name}-{number}" for name in range(4) for number in range(5)}
    assert client.calls.count("put_object") > 20  # they did meet


def test_two_first_writers_are_both_in_the_record(client: AtomicClient) -> None:
    other = attempt("other", "simple")

    def meanwhile(before: Record) -> Record:
        if not before.attempts:
            store(client).change(lambda empty: with_attempt(empty, other))
        return with_attempt(before, attempt("own", "simple"))

    assert [item.id for item in store(client).change(meanwhile).attempts] == ["other", "own"]


@pytest.mark.parametrize(
    "conflict",
    [refusal(409, "ConditionalRequestConflict", "PutObject"), refusal(412, "PreconditionFailed", "PutObject")],
    ids=["409", "412"],
)
def test_a_conflict_is_tried_again_with_a_fresh_read(client: AtomicClient, conflict: Exception) -> None:
    client.before["put_object"] = once(conflict)
    add(client, attempt("a1", "simple"))
    assert client.calls == ["get_object", "put_object"] * 2


def test_a_record_that_was_deleted_in_between_is_begun_anew(client: AtomicClient) -> None:
    add(client, attempt("a1", "simple"))
    client.before["put_object"] = lambda wanted: (
        client.delete_object(Bucket=BUCKET, Key=RECORD) and None if "IfMatch" in wanted else None
    )
    after = add(client, attempt("a2", "hybrid"))
    assert [item.id for item in after.attempts] == ["a2"]


def test_a_write_whose_answer_was_lost_is_not_made_twice(client: AtomicClient) -> None:
    """botocore sends it again by itself, and is then told that the record changed."""
    note = Note(who=JANE, at=at(1), text="Twice is once too often.")
    client.after["put_object"] = once(refusal(412, "PreconditionFailed", "PutObject"))
    assert store(client).change(lambda before: with_note(before, note)).notes == [note]


def test_after_conflicts_without_end_it_gives_up_and_says_so(client: AtomicClient) -> None:
    def always(_: Any) -> None:
        raise refusal(412, "PreconditionFailed", "PutObject")

    client.before["put_object"] = always
    with pytest.raises(RecordError, match="changed by others all the time; try again"):
        add(client, attempt("a1", "simple"))
    assert client.calls.count("put_object") == stores.MAX_TRIES


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it has no JSON object"),
        (b"\xff\xfe\x00", "it has no JSON object"),
        (b"[" * 100_000, "it has no JSON object"),
        (b"[]", "it has no JSON object"),
        (b"{}", "account: Field required"),
        (b'{"version": 1, "account": "1"', "it has no JSON object"),
        (record().model_dump_json().replace("attempts", "atempts").encode(), "atempts: Extra inputs"),
        (record([attempt("a", "simple")]).model_dump_json().replace("proven", "fine").encode(), "attempts.0.outcome"),
    ],
)
def test_what_is_no_record_is_refused_by_a_sentence_and_kept(client: AtomicClient, content: bytes, told: str) -> None:
    put(client, RECORD, content)
    for act in (store(client).read, lambda: store(client).change(lambda before: before)):
        with pytest.raises(RecordError) as refused:
            act()
        assert str(refused.value).startswith(f"{URI}record.json is not a trail record")
        assert told in str(refused.value)
        assert "It was not changed" in str(refused.value)
    assert body(client, RECORD) == content
    assert client.calls.count("put_object") == 1  # the test's own


def test_a_newer_record_is_left_to_a_newer_trail(client: AtomicClient) -> None:
    content = json.dumps({**record().model_dump(mode="json"), "version": 2, "shoes": []}).encode()
    put(client, RECORD, content)
    with pytest.raises(RecordError, match=r"newer trail \(format 2, this one reads 1\); use that one"):
        add(client, attempt("a1", "simple"))
    assert body(client, RECORD) == content


@pytest.mark.parametrize("field", ServiceName._fields)
def test_the_record_of_another_service_is_not_touched(client: AtomicClient, field: str) -> None:
    content = record().model_copy(update={field: "another"}).model_dump_json().encode()
    put(client, RECORD, content)
    with pytest.raises(RecordError, match=r"is the record of .*another.*; name another location") as refused:
        add(client, attempt("a1", "simple"))
    assert str(SERVICE) in str(refused.value)
    assert body(client, RECORD) == content


def test_what_could_not_be_read_again_is_not_written(client: AtomicClient) -> None:
    with pytest.raises(RecordError):
        store(client).change(lambda before: before.model_copy(update={"account": 5}))
    odd = attempt("a1", "simple", gates=gates("simple", value=b"\xff"))
    with pytest.raises(RecordError, match="cannot be written"):
        add(client, odd)
    assert "put_object" not in client.calls


def test_an_oversized_object_is_not_read_into_memory(client: AtomicClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_BYTES", 100)
    put(client, RECORD, b" " * 101)
    with pytest.raises(RecordError, match="more than 100 bytes"):
        store(client).read()


def test_a_record_that_grew_too_large_loses_the_details_of_old_failures_only(
    client: AtomicClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "TRIM_BYTES", 4000)
    monkeypatch.setattr(stores, "UNTRIMMED", 1)
    evidence = ["a line out of the log"] * 100
    old = attempt("old", "simple", "gate_failed", gates=gates("simple", 3), evidence=evidence, sentence="It failed.")
    proven = attempt("proven", "simple", evidence=["kept"])
    new = attempt("new", "hybrid", "gate_failed", gates=gates("hybrid", 2), evidence=["kept"])
    for value in (old, proven, new):
        add(client, value)
    first, second, third = store(client).read().attempts
    assert (first.evidence, first.gates, first.trimmed, first.sentence) == ([], [], True, "It failed.")
    assert (second, third) == (proven, new)


def test_without_its_bucket_the_record_says_what_to_do(s3: S3) -> None:
    s3.remove(BUCKET)
    client = s3.client()
    for act in (store(client).read, lambda: add(client, attempt("a1", "simple"))):
        with pytest.raises(RecordError, match=f"no bucket {BUCKET} for .*create it, or name another location"):
            act()


def test_what_cannot_be_reached_is_a_sentence(client: AtomicClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused
        gone = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  nobody asks for it
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(RecordUnreachable, match=rf"{URI}record.json cannot be read: AWS cannot be asked"):
            store(gone).read()
    client.before["get_object"] = once(refusal(403, "AccessDenied", "GetObject"))
    with pytest.raises(RecordUnreachable, match=r"the credentials lack s3:GetObject.*s3:ListBucket"):
        store(client).read()
    client.before["put_object"] = once(ReadTimeoutError(endpoint_url="s3"))
    with pytest.raises(RecordUnreachable, match="cannot be written"):
        add(client, attempt("a1", "simple"))


def test_a_proxy_that_answers_in_s3s_place_is_told_as_one(client: AtomicClient) -> None:
    client.before["get_object"] = once(ResponseParserError("invalid XML"))
    with pytest.raises(RecordUnreachable, match="does not answer as S3 does; it may be a proxy"):
        store(client).read()


def test_the_record_lies_where_the_plan_says_else_beside_the_weights() -> None:
    own = plan(None)
    assert own.weights is None
    with pytest.raises(PlanError, match="write `record: s3://"):
        own.record_location()
    output = own.model_copy(update={"record": "s3://ours/here"})
    assert output.record_location() == "s3://ours/here/"
    weights = {"uri": "s3://our-models/face-skin/1.0.0", "sha256": "0" * 64}
    beside = type(own).model_validate({**own.model_dump(), "weights": weights})
    assert beside.record_location() == "s3://our-models/trail/shine-ml-cluster/shine-api-gateway/"
    assert beside.model_copy(update={"record": "s3://ours"}).record_location() == "s3://ours/"


def test_a_place_without_prefix_is_the_bucket_itself(client: AtomicClient) -> None:
    Store(client, f"s3://{BUCKET}/", SERVICE).change(lambda before: with_attempt(before, attempt("a1", "simple")))
    assert json.loads(body(client, "record.json"))["attempts"][0]["id"] == "a1"


def test_a_permanent_failure_of_a_gate_keeps_its_key_in_the_record(client: AtomicClient) -> None:
    failure = gates("simple", 0, permanent=True)[0]
    store(client).change(lambda before: with_attempt(before, attempt("a1", "simple", "gate_failed", gates=[failure])))
    assert json.loads(body(client, RECORD))["attempts"][0]["gates"][0]["hopeless"] is True
    assert store(client).read().attempts[0].gates == [failure]
