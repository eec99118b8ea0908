"""Where the team keeps its trail record: one object in S3, changed by whoever rolls out, never overwritten blindly.

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
from deploy.config.plan import Plan, PlanError
from deploy.record.objects import Changed, Found, Objects, RecordError, RecordUnreachable
from deploy.record.trail import RECORD_VERSION, Attempt, Note, Record
from deploy.text import printable

__all__ = ["RecordError", "RecordUnreachable", "Store", "Whose", "open_store", "place", "with_attempt", "with_note"]

NAME = "record.json"
FULL = 5 << 20  # bytes from which old failures lose their details
WHOLE = 200  # newest attempts, that never do
MOST = 64 << 20  # bytes that are read at all
TURNS = 12  # writes by others that one waits for
PAUSE_S, LONGEST_S = 0.05, 2.0


class Whose(NamedTuple):
    """The service that a record belongs to."""

    account: str
    region: str
    cluster: str
    service: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The plan's."""
        return cls(plan.account, plan.region, plan.cluster, plan.service)

    def __str__(self) -> str:
        return f"{self.service} in {self.cluster}, account {self.account}, {self.region}"


def place(plan: Plan) -> str:
    """Where the record lies: as the plan says, else beside the weights.

    Raises:
        PlanError: it says neither.
    """
    if plan.record is not None:
        return plan.record.rstrip("/") + "/"
    if plan.weights is None:
        raise PlanError(
            "The plan names no place for the trail record; write `record: s3://YOUR-BUCKET/trail/` in trail.yaml."
        )
    bucket = plan.weights.uri.removeprefix("s3://").partition("/")[0]
    return f"s3://{bucket}/trail/{plan.cluster}/{plan.service}/"


class Store:
    """One service's record.

    Args:
        s3: boto3's client.
        uri: of the place.
        whose: it must be.
    """

    def __init__(self, s3: Any, uri: str, whose: Whose) -> None:
        self.objects, self.whose = Objects(s3, uri), whose

    def read(self) -> Record:
        """The record; an empty one where there is none yet.

        Raises:
            RecordError: what lies there is no record, a newer one, or another service's.
            RecordUnreachable: S3 cannot be asked.
        """
        return self._parsed(self.objects.get(NAME, MOST))

    def change(self, function: Callable[[Record], Record]) -> Record:
        """Read, change, write; anew each time that somebody else wrote in between.

        Args:
            function: makes the new record of the one that is there. It may be called several times, and on a record
                that has its change already, where the answer to a write was lost: what it adds, it adds once.

        Returns:
            The record as it is now.

        Raises:
            RecordError: as `read`; or others write all the time. What lies there is left as it was.
            RecordUnreachable: S3 cannot be asked.
        """
        for turn in range(TURNS):
            if turn:
                time.sleep(random.uniform(0, min(LONGEST_S, PAUSE_S * 2**turn)))  # noqa: S311  parts those who race
            found = self.objects.get(NAME, MOST)
            before = self._parsed(found)
            after = function(before)
            if after == before:
                return before
            body = encoded(after)
            if len(body) > FULL:
                body = encoded(trimmed(after))
            written = self._parsed(Found(body, "", None))  # what could not be read again is not written
            try:
                self.objects.put(NAME, body, found.etag if found else None)
            except Changed:
                continue
            return written
        raise RecordError(f"{self.objects.uri(NAME)} is written by others all the time; try again.")

    def _parsed(self, found: Found | None) -> Record:
        where = self.objects.uri(NAME)
        if found is None:
            return Record(**self.whose._asdict())
        try:
            content = json.loads(found.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise RecordError(f"{where} is no trail record: it holds no JSON object. {KEPT}")
        version = content.get("version")
        if isinstance(version, int) and version > RECORD_VERSION:
            raise RecordError(
                f"{where} was written by a newer trail (form {version}, this one reads {RECORD_VERSION}); use that one."
            )
        try:
            record = Record.model_validate_json(found.body)
        except ValidationError as error:
            first = error.errors()[0]
            at = printable(".".join(str(part) for part in first["loc"]))
            raise RecordError(f"{where} is no trail record ({at}: {first['msg']}). {KEPT}") from None
        owner = Whose(record.account, record.region, record.cluster, record.service)
        if owner != self.whose:
            raise RecordError(
                f"{where} is the record of {printable(str(owner), 300)}, not of {self.whose}; "
                "name another place in trail.yaml (`record: s3://…`)."
            )
        return record


KEPT = "It stays as it is; bring back an earlier version of it, or move it away to begin anew."


def open_store(plan: Plan, clients: Clients) -> Store:
    """The plan's; raises PlanError as `place`."""
    return Store(clients["s3"], place(plan), Whose.of(plan))


def encoded(record: Record) -> bytes:
    """A record as it lies in S3.

    Raises:
        RecordError: it holds what JSON has no form for.
    """
    try:
        content = record.model_dump(mode="json", fallback=str, warnings=False)
        # Half a character, as logs may hold, becomes a question mark.
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"The trail record cannot be written: {printable(str(error), 200)}.") from None


def trimmed(record: Record) -> Record:
    """Without the details of old failures; what was proven stays whole, since rollbacks and markers rest on it."""
    bound = len(record.attempts) - WHOLE
    attempts = [
        one.model_copy(update={"evidence": [], "gates": [], "trimmed": True})
        if number < bound and one.outcome not in ("proven", "running") and (one.evidence or one.gates)
        else one
        for number, one in enumerate(record.attempts)
    ]
    return record.model_copy(update={"attempts": attempts})


def with_attempt(record: Record, attempt: Attempt) -> Record:
    """An attempt added, or put in the place of its earlier self."""
    kept = [attempt if one.id == attempt.id else one for one in record.attempts]
    known = any(one.id == attempt.id for one in record.attempts)
    return record.model_copy(update={"attempts": kept if known else [*kept, attempt]})


def with_note(record: Record, note: Note) -> Record:
    """A decision added, once."""
    return record if note in record.notes else record.model_copy(update={"notes": [*record.notes, note]})
