"""Stores the trail record: one object in S3, which is written only if nobody else has changed it in the meantime.

store = open_store(plan, Clients(plan.region))
store.change(lambda record: with_attempt(record, attempt))
"""

import json
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from deploy.aws.clients import Clients
from deploy.config.plan import Plan
from deploy.record.s3_folder import Changed, RecordError, RecordUnreachable, S3Folder, StoredObject
from deploy.record.trail import RECORD_VERSION, Attempt, Note, Record
from deploy.text import printable

__all__ = [
    "RecordError",
    "RecordUnreachable",
    "ServiceName",
    "Store",
    "open_store",
    "with_attempt",
    "with_note",
]

NAME = "record.json"
TRIM_BYTES = 5 << 20  # a larger record loses the details of old failures
UNTRIMMED = 200  # newest attempts that keep their details
MAX_BYTES = 64 << 20  # a larger object is not read
MAX_TRIES = 12  # of a change, while others write too
PAUSE_S, LONGEST_S = 0.05, 2.0


class ServiceName(NamedTuple):
    """The service that a record belongs to."""

    account: str
    region: str
    cluster: str
    service: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The service of a plan."""
        return cls(plan.account, plan.region, plan.cluster, plan.service)

    def __str__(self) -> str:
        return f"{self.service} in {self.cluster}, account {self.account}, {self.region}"


class Store:
    """The record of one service.

    Args:
        s3: boto3's client.
        uri: of the folder.
        service: that the record must belong to.
    """

    def __init__(self, s3: Any, uri: str, service: ServiceName) -> None:
        self.objects, self.service = S3Folder(s3, uri), service

    def read(self) -> Record:
        """The record; an empty one if there is none yet.

        Raises:
            RecordError: the object is not a record, has a newer format, or belongs to another service.
            RecordUnreachable: S3 cannot be reached, or refuses.
        """
        return self._parsed(self.objects.get(NAME, MAX_BYTES))

    def change(self, function: Callable[[Record], Record]) -> Record:
        """Read, change and write the record; repeat this if somebody else wrote in between.

        Args:
            function: returns the new record for the current one. It may be called several times, also on a record that
                has the change already, if the response to a write was lost: it must not add the same thing twice.

        Returns:
            The record as it is now.

        Raises:
            RecordError: as in `read`; or others write all the time. The object is then unchanged.
            RecordUnreachable: S3 cannot be reached, or refuses.
        """
        for attempt in range(MAX_TRIES):
            if attempt:
                pause = min(LONGEST_S, PAUSE_S * 2**attempt)
                time.sleep(random.uniform(0, pause))  # noqa: S311  not for security
            stored = self.objects.get(NAME, MAX_BYTES)
            before = self._parsed(stored)
            after = function(before)
            if after == before:
                return before
            body = encoded(after)
            if len(body) > TRIM_BYTES:
                body = encoded(trimmed(after))
            written = self._parsed(StoredObject(body, "", None))  # raises if it could not be read again
            try:
                self.objects.put(NAME, body, stored.etag if stored else None)
            except Changed:
                continue
            return written
        raise RecordError(f"{self.objects.uri(NAME)} is changed by others all the time; try again.")

    def _parsed(self, stored: StoredObject | None) -> Record:
        uri = self.objects.uri(NAME)
        if stored is None:
            return Record(**self.service._asdict())
        try:
            content = json.loads(stored.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise RecordError(f"{uri} is not a trail record: it has no JSON object. {UNCHANGED}")
        version = content.get("version")
        if isinstance(version, int) and version > RECORD_VERSION:
            raise RecordError(
                f"{uri} was written by a newer trail (format {version}, this one reads {RECORD_VERSION}); use that one."
            )
        try:
            record = Record.model_validate_json(stored.body)
        except ValidationError as error:
            first = error.errors()[0]
            at = printable(".".join(str(part) for part in first["loc"]))
            raise RecordError(f"{uri} is not a trail record ({at}: {first['msg']}). {UNCHANGED}") from None
        owner = ServiceName(record.account, record.region, record.cluster, record.service)
        if owner != self.service:
            raise RecordError(
                f"{uri} is the record of {printable(str(owner), 300)}, not of {self.service}; "
                "name another location in trail.yaml (`record: s3://…`)."
            )
        return record


UNCHANGED = "It was not changed; restore an earlier version of it, or move it away to begin with a new record."


def open_store(plan: Plan, clients: Clients) -> Store:
    """The store of a plan; raises PlanError as `location`."""
    return Store(clients["s3"], plan.record_location(), ServiceName.of(plan))


def encoded(record: Record) -> bytes:
    """A record as JSON.

    Raises:
        RecordError: a value cannot be written as JSON.
    """
    try:
        content = record.model_dump(mode="json", fallback=str, warnings=False)
        # Half a surrogate pair, which logs may contain, becomes a question mark.
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"The trail record cannot be written: {printable(str(error), 200)}.") from None


def trimmed(record: Record) -> Record:
    """Without the details of old failures; proven attempts stay complete, since rollbacks and markers need them."""
    bound = len(record.attempts) - UNTRIMMED
    attempts = [
        attempt.model_copy(update={"evidence": [], "gates": [], "trimmed": True})
        if index < bound and attempt.outcome not in ("proven", "running") and (attempt.evidence or attempt.gates)
        else attempt
        for index, attempt in enumerate(record.attempts)
    ]
    return record.model_copy(update={"attempts": attempts})


def with_attempt(record: Record, attempt: Attempt) -> Record:
    """The record with an attempt, which replaces an earlier version of itself."""
    known = any(item.id == attempt.id for item in record.attempts)
    attempts = [attempt if item.id == attempt.id else item for item in record.attempts]
    return record.model_copy(update={"attempts": attempts if known else [*attempts, attempt]})


def with_note(record: Record, note: Note) -> Record:
    """The record with a note, which is added once."""
    return record if note in record.notes else record.model_copy(update={"notes": [*record.notes, note]})
