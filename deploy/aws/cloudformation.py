"""Changes a CloudFormation stack by change set, so that every change is known before it is made."""

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
CHANGE_SET_S = 300  # longest wait until AWS has made a change set
APPLY_S = 3600  # a certificate waits for DNS, NAT gateways and load balancers take minutes
MOST_SHOWN = 200  # characters of a value; policies and dashboards are long
LONGEST = 2000  # characters of a line with a message of CloudFormation
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
STUCK = {
    "ROLLBACK_COMPLETE": "its creation failed; delete it (aws cloudformation delete-stack), then apply again",
    "ROLLBACK_FAILED": "its creation failed, and so did its rollback; delete it by hand",
    "CREATE_FAILED": "its creation failed; delete it, then apply again",
    "DELETE_FAILED": "its deletion failed; finish that first",
    "UPDATE_ROLLBACK_FAILED": "AWS could not roll back; run aws cloudformation continue-update-rollback first",
}
VERBS = {"Add": "add", "Modify": "modify", "Remove": "remove", "Import": "import", "SyncWithActual": "modify"}

Say = Callable[[str], None]

REFUSED = declare(
    "STACK_REFUSED",
    "The stack can be changed",
    "The stack is in a state in which AWS changes nothing, the credentials are of another account, or AWS refuses the "
    "template. Nothing was changed.",
)
FAILED = declare(
    "STACK_FAILED",
    "A change of the stack succeeds",
    "CloudFormation began, and failed or has not ended; it rolls its changes back by itself. The sentence names the "
    "first resource that failed, and the reason.",
)


class StackError(Exception):
    """The stack cannot be changed, or changing it failed; the message says why.

    Attributes:
        failed: the change was begun, and failed.
        code: of the finding for it.
    """

    def __init__(self, message: str, *, failed: bool = False) -> None:
        super().__init__(message)
        self.failed = failed
        self.code = (FAILED if failed else REFUSED).code


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one resource.

    Attributes:
        verb: add, modify, replace, may replace, remove, import, or a word of AWS that is not known here.
        name: logical name, in the template.
        kind: resource type, such as AWS::S3::Bucket.
        physical: name or ARN of the existing resource.
        details: what differs, one property each.
        kept: the resource leaves the stack, and stays in the account.
    """

    verb: str
    name: str
    kind: str
    physical: str | None = None
    details: tuple[str, ...] = ()
    kept: bool = False

    @property
    def breaks(self) -> bool:
        """Whether the existing resource is deleted, or may be."""
        return self.verb in ("replace", "may replace", "remove")

    def words(self) -> str:
        """A line for an operator, and one for each property."""
        verb = self.verb.upper() if self.breaks else self.verb
        physical = f" {self.physical}" if self.physical and self.breaks else ""
        kept = "; the resource stays in the account, outside the stack" if self.kept else ""
        lines = [f"  {verb} {self.name} ({self.kind.removeprefix('AWS::')}){physical}{kept}"]
        return "\n".join(printable(line, LONGEST) for line in [*lines, *(f"      {detail}" for detail in self.details)])

    def as_json(self) -> dict[str, Any]:
        """The change as plain data."""
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
    """A change set that was not executed yet.

    Attributes:
        stack: ID of the stack, by which it can be described after it is deleted.
        change_set: its ID.
        new: the stack exists only for this change set.
        changes: what it would change.
        executed: it was executed.
    """

    stack: str
    change_set: str
    new: bool
    changes: list[Change] = field(default_factory=list)
    executed: bool = False


@contextmanager
def pending(cloud: Any, name: str, request: Mapping[str, Any]) -> Iterator[Pending]:
    """Make a change set; unless it was executed, it is deleted at the end, with the empty stack made for it.

    Raises:
        StackError: the stack is in a state that allows no change, or AWS refuses the template.
    """
    new = _is_new(cloud, name)
    # AWS deletes a new stack whose creation fails, so that the next attempt starts from nothing.
    kind = {"ChangeSetType": "CREATE", "OnStackFailure": "DELETE"} if new else {"ChangeSetType": "UPDATE"}
    created = cloud.create_change_set(
        StackName=name, ChangeSetName=f"trail-{int(time.time())}-{secrets.token_hex(4)}", **kind, **request
    )
    waiting = Pending(created["StackId"], created["Id"], new)
    try:
        waiting.changes = _changes(cloud, waiting)
        yield waiting
    finally:
        if not waiting.executed:
            with suppress(*ERRORS):  # it costs nothing, and must not hide the error that led here
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
        raise StackError(f"Stack {name} is {status}: another change is in progress; wait until it has ended.")
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
    """What a change set would change, once AWS has made it."""
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
            raise StackError(f"AWS has not made the change set within {CHANGE_SET_S} s; try again.")
        time.sleep(POLL_S)
    entries = list(page.get("Changes", []))
    while page.get("NextToken"):
        page = cloud.describe_change_set(
            ChangeSetName=waiting.change_set, IncludePropertyValues=True, NextToken=page["NextToken"]
        )
        entries += page.get("Changes", [])
    changes = [_change(entry["ResourceChange"]) for entry in entries if "ResourceChange" in entry]
    return sorted(changes, key=lambda change: (not change.breaks, change.verb, change.name))


def _change(raw: Mapping[str, Any]) -> Change:
    verb = VERBS.get(raw["Action"], str(raw["Action"]).lower())
    if verb == "modify":
        verb = {"True": "replace", "Conditional": "may replace"}.get(raw.get("Replacement", "False"), verb)
    return Change(
        verb=verb,
        name=raw["LogicalResourceId"],
        kind=raw["ResourceType"],
        physical=raw.get("PhysicalResourceId"),
        details=tuple(dict.fromkeys(_detail(detail.get("Target", {})) for detail in raw.get("Details", []))),
        kept="Retain" in raw.get("PolicyAction", ""),
    )


def _detail(target: Mapping[str, Any]) -> str:
    """One property, with old and new value where AWS names them."""
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
    """Execute a change set and wait; failures are reported as they happen.

    Returns:
        Outputs of the stack.

    Raises:
        StackError: it failed and was rolled back; names what failed, and the reason.
    """
    if not waiting.changes:
        return _outputs(cloud, waiting.stack)
    reported = {event["EventId"] for event in _events(cloud, waiting.stack)}
    cloud.execute_change_set(ChangeSetName=waiting.change_set)
    waiting.executed = True
    failures: list[str] = []
    deadline = time.monotonic() + APPLY_S

    def report_events() -> None:
        for event in _events(cloud, waiting.stack):
            if event["EventId"] not in reported:
                reported.add(event["EventId"])
                _report(event, say, failures)

    before = len(reported)
    while True:
        report_events()
        status = _status(cloud, waiting.stack)
        # Right after the call an update may still show the state before it; only a new event says that it began.
        if len(reported) > before and (status is None or not status.endswith("_IN_PROGRESS")):
            report_events()
            break
        if time.monotonic() > deadline:
            minutes = APPLY_S // 60
            raise StackError(
                f"The stack is still {status} after {minutes} minutes; AWS goes on; see `trail infra diff`.",
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
    """Protect the stack against deletion; a failure is reported, and the stack stays as it is."""
    try:
        cloud.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        say(f"The stack was made, but is not protected against deletion: {permission(message) or message}")


def _events(cloud: Any, stack: str) -> list[dict[str, Any]]:
    """The latest events, about a hundred, the oldest first."""
    return list(reversed(cloud.describe_stack_events(StackName=stack)["StackEvents"]))


def _report(event: Mapping[str, Any], say: Say, failures: list[str]) -> None:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    name = f"{event['LogicalResourceId']} ({event.get('ResourceType', '').removeprefix('AWS::')})"
    if status.endswith("_FAILED"):
        line = f"{name} failed: {permission(reason) or reason.rstrip('.')}"
        if "cancelled" not in reason:  # which the first failure caused
            failures.append(line)
        say(line)
    elif status.endswith("_COMPLETE"):
        say(f"{name}: {status.removesuffix('_COMPLETE').lower().replace('_', ' ')} done")


def _outputs(cloud: Any, stack: str) -> dict[str, str]:
    outputs = cloud.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}
