"""A CloudFormation stack changed by change set: what would change is known before anything does."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from deploy.aws.errors import ERRORS, permission
from deploy.findings.catalog import declare
from deploy.text import printable

POLL_S = 3.0
CHANGE_SET_S = 300  # most that AWS may think about a change set
APPLY_S = 3600  # a certificate waits for DNS, NAT gateways and load balancers take minutes
MOST_SHOWN = 200  # characters of a value; policies and dashboards are long
LONGEST = 2000  # characters of a line with CloudFormation's own words
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
STUCK = {
    "ROLLBACK_COMPLETE": "its creation failed; delete it (aws cloudformation delete-stack), then apply again",
    "ROLLBACK_FAILED": "its creation failed, and so did the clearing up; delete it by hand",
    "CREATE_FAILED": "its creation failed; delete it, then apply again",
    "DELETE_FAILED": "its deletion failed; finish that first",
    "UPDATE_ROLLBACK_FAILED": "AWS could not take an update back; aws cloudformation continue-update-rollback first",
}
VERBS = {"Add": "add", "Modify": "modify", "Remove": "remove", "Import": "import", "SyncWithActual": "modify"}

Say = Callable[[str], None]

REFUSED = declare(
    "STACK_REFUSED",
    "The stack can be changed",
    "The stack is in a state from which AWS changes nothing, the credentials are another account's, or AWS refuses the "
    "template. Nothing was changed.",
)
FAILED = declare(
    "STACK_FAILED",
    "A change of the stack succeeds",
    "CloudFormation began, and failed or has not ended; what it had changed it takes back itself. The sentence names "
    "the first resource that failed, and why.",
)


class StackError(Exception):
    """The stack cannot be changed, or changing it failed; the message says why.

    Attributes:
        failed: it was begun, and failed.
        code: of the finding that it makes.
    """

    def __init__(self, message: str, *, failed: bool = False) -> None:
        super().__init__(message)
        self.failed = failed
        self.code = (FAILED if failed else REFUSED).code


@dataclass(frozen=True, slots=True)
class Change:
    """Of one resource.

    Attributes:
        verb: add, modify, replace, may replace, remove, import, or AWS's own word where it has a new one.
        name: logical one, in the template.
        kind: e.g. AWS::S3::Bucket.
        physical: name or ARN of what is there.
        details: what differs, a property each.
        kept: leaves the stack, and stays in the account.
    """

    verb: str
    name: str
    kind: str
    physical: str | None = None
    details: tuple[str, ...] = ()
    kept: bool = False

    @property
    def breaks(self) -> bool:
        """Whether what is there goes, or may go."""
        return self.verb in ("replace", "may replace", "remove")

    def words(self) -> str:
        """A line for an operator, and one for each property."""
        loud = self.verb.upper() if self.breaks else self.verb
        there = f" {self.physical}" if self.physical and self.breaks else ""
        kept = "; what was there stays in the account, outside the stack" if self.kept else ""
        lines = [f"  {loud} {self.name} ({self.kind.removeprefix('AWS::')}){there}{kept}"]
        return "\n".join(printable(line, LONGEST) for line in [*lines, *(f"      {one}" for one in self.details)])

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "verb": self.verb,
            "name": self.name,
            "kind": self.kind,
            "physical": self.physical,
            "details": list(self.details),
            "kept": self.kept,
        }


@dataclass(slots=True)
class Pending:
    """A change set that waits.

    Attributes:
        stack: its ID, by which it can be asked for after it is gone.
        change_set: its ID.
        new: the stack exists only for this change set.
        changes: what it would do.
        executed: it no longer waits.
    """

    stack: str
    change_set: str
    new: bool
    changes: list[Change] = field(default_factory=list)
    executed: bool = False


@contextmanager
def pending(cloud: Any, name: str, request: Mapping[str, Any]) -> Iterator[Pending]:
    """Make a change set; it is deleted at the end unless it was executed, with the empty stack made for it.

    Raises:
        StackError: the stack is in no state for it, or AWS refuses the template.
    """
    new = _is_new(cloud, name)
    # An unknown first creation is cleared away by AWS when it fails, so that the next attempt starts from nothing.
    kind = {"ChangeSetType": "CREATE", "OnStackFailure": "DELETE"} if new else {"ChangeSetType": "UPDATE"}
    made = cloud.create_change_set(
        StackName=name, ChangeSetName=f"trail-{int(time.time())}-{secrets.token_hex(4)}", **kind, **request
    )
    waiting = Pending(made["StackId"], made["Id"], new)
    try:
        waiting.changes = _changes(cloud, waiting)
        yield waiting
    finally:
        if not waiting.executed:
            with suppress(*ERRORS):  # it costs nothing, and the error that led here is worth more
                cloud.delete_change_set(ChangeSetName=waiting.change_set)
                if waiting.new:
                    cloud.delete_stack(StackName=waiting.stack)


def _is_new(cloud: Any, name: str) -> bool:
    """Whether there is no stack yet, or an empty one left by a change set."""
    status = _status(cloud, name)
    if status in STUCK:
        raise StackError(f"Stack {name} is {status}: {STUCK[status]}.")
    if status == "REVIEW_IN_PROGRESS":
        return True
    if status is not None and status.endswith("_IN_PROGRESS"):
        raise StackError(f"Stack {name} is {status}: somebody is changing it right now; wait until that has ended.")
    return status is None


def _status(cloud: Any, name: str) -> str | None:
    try:
        return str(cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if (
            error.response["Error"]["Code"] == "ValidationError"
            and "does not exist" in error.response["Error"]["Message"]
        ):
            return None
        raise


def _changes(cloud: Any, waiting: Pending) -> list[Change]:
    """What a change set would do, once AWS knows."""
    deadline = time.monotonic() + CHANGE_SET_S
    while True:
        page = cloud.describe_change_set(ChangeSetName=waiting.change_set, IncludePropertyValues=True)
        if page["Status"] == "CREATE_COMPLETE":
            break
        if page["Status"] == "FAILED":
            reason = page.get("StatusReason", "no reason was given")
            if any(known in reason for known in NO_CHANGES):
                return []
            raise StackError(f"AWS refuses the change: {permission(reason) or reason}")
        if time.monotonic() > deadline:
            raise StackError(f"AWS has not said within {CHANGE_SET_S} s what would change; try again.")
        time.sleep(POLL_S)
    found = list(page.get("Changes", []))
    while page.get("NextToken"):
        page = cloud.describe_change_set(
            ChangeSetName=waiting.change_set, IncludePropertyValues=True, NextToken=page["NextToken"]
        )
        found += page.get("Changes", [])
    changes = [_change(one["ResourceChange"]) for one in found if "ResourceChange" in one]
    return sorted(changes, key=lambda one: (not one.breaks, one.verb, one.name))


def _change(raw: Mapping[str, Any]) -> Change:
    verb = VERBS.get(raw["Action"], str(raw["Action"]).lower())
    if verb == "modify":
        verb = {"True": "replace", "Conditional": "may replace"}.get(raw.get("Replacement", "False"), verb)
    return Change(
        verb=verb,
        name=raw["LogicalResourceId"],
        kind=raw["ResourceType"],
        physical=raw.get("PhysicalResourceId"),
        details=tuple(dict.fromkeys(_detail(one.get("Target", {})) for one in raw.get("Details", []))),
        kept="Retain" in raw.get("PolicyAction", ""),
    )


def _detail(target: Mapping[str, Any]) -> str:
    """One property: old and new value, where AWS tells them."""
    place = str(
        target.get("Path", "").strip("/").replace("/", ".") or target.get("Name") or target.get("Attribute", "")
    )
    place = place.removeprefix("Properties.")
    if "BeforeValue" in target or "AfterValue" in target:
        place += f": {_shown(target, 'BeforeValue')} → {_shown(target, 'AfterValue')}"
    recreation = {"Always": " (needs a new one)", "Conditionally": " (may need a new one)"}
    return place + recreation.get(target.get("RequiresRecreation", ""), "")


def _shown(target: Mapping[str, Any], key: str) -> str:
    value = str(target.get(key, "nothing"))
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…"


def execute(cloud: Any, waiting: Pending, say: Say) -> dict[str, str]:
    """Execute a change set and wait; failures are told as they happen.

    Returns:
        Outputs of the stack.

    Raises:
        StackError: it failed and was rolled back; with what failed and why.
    """
    if not waiting.changes:
        return _outputs(cloud, waiting.stack)
    seen = {one["EventId"] for one in _events(cloud, waiting.stack)}
    cloud.execute_change_set(ChangeSetName=waiting.change_set)
    waiting.executed = True
    failures: list[str] = []
    deadline = time.monotonic() + APPLY_S

    def listen() -> None:
        for event in _events(cloud, waiting.stack):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                _tell(event, say, failures)

    known = len(seen)
    while True:
        listen()
        status = _status(cloud, waiting.stack)
        # Right after the call an update may still show the state before it; only a new event says that it began.
        if len(seen) > known and (status is None or not status.endswith("_IN_PROGRESS")):
            listen()
            break
        if time.monotonic() > deadline:
            minutes = APPLY_S // 60
            raise StackError(
                f"The stack is still {status} after {minutes} minutes; AWS goes on, `trail infra diff` tells how.",
                failed=True,
            )
        time.sleep(POLL_S)
    if status in DONE:
        if waiting.new:
            _protect(cloud, waiting.stack, say)
        return _outputs(cloud, waiting.stack)
    reasons = "; ".join(failures) or "AWS gives no reason"
    raise StackError(f"Applying failed, the stack is {status or 'gone'}: {reasons}.", failed=True)


def _protect(cloud: Any, stack: str, say: Say) -> None:
    """Let nobody delete the stack by mistake; that it stands is worth more than that this worked."""
    try:
        cloud.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    except ClientError as error:
        said = error.response["Error"]["Message"]
        say(f"The stack stands, but is not protected against deletion: {permission(said) or said}")


def _events(cloud: Any, stack: str) -> list[dict[str, Any]]:
    """The latest hundred or so, oldest first."""
    return list(reversed(cloud.describe_stack_events(StackName=stack)["StackEvents"]))


def _tell(event: Mapping[str, Any], say: Say, failures: list[str]) -> None:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    name = f"{event['LogicalResourceId']} ({event.get('ResourceType', '').removeprefix('AWS::')})"
    if status.endswith("_FAILED"):
        line = f"{name} failed: {permission(reason) or reason.rstrip('.')}"
        if "cancelled" not in reason:  # the others, which were stopped because of the first
            failures.append(line)
        say(line)
    elif status.endswith("_COMPLETE"):
        say(f"{name}: {status.removesuffix('_COMPLETE').lower().replace('_', ' ')} done")


def _outputs(cloud: Any, stack: str) -> dict[str, str]:
    found = cloud.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {one["OutputKey"]: one["OutputValue"] for one in found}
