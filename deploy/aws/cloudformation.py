"""Changes a CloudFormation stack by change set, so that the changes are known before any is made."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from deploy.aws.errors import ERRORS, permission
from deploy.findings.catalog import CODES
from deploy.text import printable

POLL_S = 3.0
CHANGE_SET_S = 300  # how long AWS may work out a change set
APPLY_S = 3600  # a certificate waits for DNS; NAT gateways and load balancers take minutes
MAX_SHOWN = 200  # characters of a value; policies and dashboards are long
LONGEST = 2000  # characters of a line with CloudFormation's own words
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
STUCK = {
    "ROLLBACK_COMPLETE": "its creation failed; delete it (aws cloudformation delete-stack), then apply again",
    "ROLLBACK_FAILED": "its creation failed, and so did its rollback; delete it by hand",
    "CREATE_FAILED": "its creation failed; delete it, then apply again",
    "DELETE_FAILED": "its deletion failed; finish that first",
    "UPDATE_ROLLBACK_FAILED": "AWS could not roll an update back; aws cloudformation continue-update-rollback first",
}
VERBS = {"Add": "add", "Modify": "modify", "Remove": "remove", "Import": "import", "SyncWithActual": "modify"}

Say = Callable[[str], None]

REFUSED = CODES["STACK_REFUSED"]
FAILED = CODES["STACK_FAILED"]


class StackError(Exception):
    """The stack cannot be changed, or the change failed; the message says why.

    Attributes:
        failed: the change was started, and failed.
        code: of the finding.
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
        name: its logical ID in the template.
        kind: its type, e.g. AWS::S3::Bucket.
        physical: name or ARN of the present resource.
        details: the differences, one for each property.
        kept: the resource leaves the stack and stays in the account.
    """

    verb: str
    name: str
    kind: str
    physical: str | None = None
    details: tuple[str, ...] = ()
    kept: bool = False

    @property
    def is_destructive(self) -> bool:
        """Whether the present resource is, or may be, removed."""
        return self.verb in ("replace", "may replace", "remove")

    def describe(self) -> str:
        """A line for an operator, and one for each property."""
        verb = self.verb.upper() if self.is_destructive else self.verb
        present = f" {self.physical}" if self.physical and self.is_destructive else ""
        kept = "; what was there stays in the account, outside the stack" if self.kept else ""
        lines = [f"  {verb} {self.name} ({self.kind.removeprefix('AWS::')}){present}{kept}"]
        return "\n".join(printable(line, LONGEST) for line in [*lines, *(f"      {detail}" for detail in self.details)])

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "verb": self.verb,
            "name": self.name,
            "kind": self.kind,
            "physical": self.physical,
            "details": list(self.details),
            "kept": self.kept,
        }


@dataclass(slots=True)
class ChangeSet:
    """A change set of a stack.

    Attributes:
        id: its own ID.
        stack: ID of the stack; AWS describes a deleted stack by its ID only.
        new: the stack exists only for this change set.
        changes: what it would do.
        executed: it was executed.
    """

    id: str
    stack: str
    new: bool
    changes: list[Change] = field(default_factory=list)
    executed: bool = False


@contextmanager
def pending(cloudformation: Any, name: str, request: Mapping[str, Any]) -> Iterator[ChangeSet]:
    """Create a change set; unless it is executed, delete it at the end, with the empty stack that it needed.

    Args:
        cloudformation: boto3's client.
        name: of the stack.
        request: more arguments of create_change_set.

    Raises:
        StackError: the stack's state does not allow it, or AWS refuses the template.
    """
    new = _is_new(cloudformation, name)
    # When the first creation fails, AWS deletes everything again, so that the next attempt starts from nothing.
    kind = {"ChangeSetType": "CREATE", "OnStackFailure": "DELETE"} if new else {"ChangeSetType": "UPDATE"}
    answer = cloudformation.create_change_set(
        StackName=name, ChangeSetName=f"trail-{int(time.time())}-{secrets.token_hex(4)}", **kind, **request
    )
    change_set = ChangeSet(answer["Id"], answer["StackId"], new)
    try:
        change_set.changes = _changes(cloudformation, change_set)
        yield change_set
    finally:
        if not change_set.executed:
            with suppress(*ERRORS):  # a leftover costs nothing, and must not hide the error that led here
                cloudformation.delete_change_set(ChangeSetName=change_set.id)
                if change_set.new:
                    cloudformation.delete_stack(StackName=change_set.stack)


def _is_new(cloudformation: Any, name: str) -> bool:
    """Whether there is no stack yet, or only an empty one from a change set."""
    status = _status(cloudformation, name)
    if status in STUCK:
        raise StackError(f"Stack {name} is {status}: {STUCK[status]}.")
    if status == "REVIEW_IN_PROGRESS":
        return True
    if status is not None and status.endswith("_IN_PROGRESS"):
        raise StackError(f"Stack {name} is {status}: another change is in progress; wait until it has ended.")
    return status is None


def _status(cloudformation: Any, name: str) -> str | None:
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if (
            error.response["Error"]["Code"] == "ValidationError"
            and "does not exist" in error.response["Error"]["Message"]
        ):
            return None
        raise


def _changes(cloudformation: Any, change_set: ChangeSet) -> list[Change]:
    """Wait until AWS has worked the change set out, and read it."""
    deadline = time.monotonic() + CHANGE_SET_S
    while True:
        page = cloudformation.describe_change_set(ChangeSetName=change_set.id, IncludePropertyValues=True)
        if page["Status"] == "CREATE_COMPLETE":
            break
        if page["Status"] == "FAILED":
            reason = page.get("StatusReason", "no reason was given")
            if any(known in reason for known in NO_CHANGES):
                return []
            raise StackError(f"AWS refuses the change: {permission(reason) or reason}")
        if time.monotonic() > deadline:
            raise StackError(f"AWS did not work out the changes within {CHANGE_SET_S} s; try again.")
        time.sleep(POLL_S)
    entries = list(page.get("Changes", []))
    while page.get("NextToken"):
        page = cloudformation.describe_change_set(
            ChangeSetName=change_set.id, IncludePropertyValues=True, NextToken=page["NextToken"]
        )
        entries += page.get("Changes", [])
    changes = [_change(entry["ResourceChange"]) for entry in entries if "ResourceChange" in entry]
    return sorted(changes, key=lambda change: (not change.is_destructive, change.verb, change.name))


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
    """One property, with its old and new value where AWS shows them."""
    path = str(target.get("Path", "").strip("/").replace("/", ".") or target.get("Name") or target.get("Attribute", ""))
    path = path.removeprefix("Properties.")
    if "BeforeValue" in target or "AfterValue" in target:
        path += f": {_shown(target, 'BeforeValue')} → {_shown(target, 'AfterValue')}"
    recreation = {"Always": " (needs a new one)", "Conditionally": " (may need a new one)"}
    return path + recreation.get(target.get("RequiresRecreation", ""), "")


def _shown(target: Mapping[str, Any], key: str) -> str:
    value = str(target.get(key, "nothing"))
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def execute(cloudformation: Any, change_set: ChangeSet, say: Say) -> dict[str, str]:
    """Execute a change set and wait for its end.

    Args:
        cloudformation: boto3's client.
        change_set: of `pending`.
        say: takes a line for each resource that is done or failed.

    Returns:
        Outputs of the stack.

    Raises:
        StackError: it failed and was rolled back; with what failed and why.
    """
    stack = change_set.stack
    if not change_set.changes:
        return _outputs(cloudformation, stack)
    known = {event["EventId"] for event in _events(cloudformation, stack)}
    cloudformation.execute_change_set(ChangeSetName=change_set.id)
    change_set.executed = True
    failures: list[str] = []
    deadline = time.monotonic() + APPLY_S

    def report_new_events() -> None:
        for event in _events(cloudformation, stack):
            if event["EventId"] not in known:
                known.add(event["EventId"])
                _report(event, say, failures)

    before = len(known)
    while True:
        report_new_events()
        status = _status(cloudformation, stack)
        # Right after the call the stack may still have its old status; only a new event shows that the update started.
        if len(known) > before and (status is None or not status.endswith("_IN_PROGRESS")):
            report_new_events()
            break
        if time.monotonic() > deadline:
            minutes = APPLY_S // 60
            raise StackError(
                f"The stack is still {status} after {minutes} minutes; AWS goes on; see `trail infra diff`.",
                failed=True,
            )
        time.sleep(POLL_S)
    if status in DONE:
        if change_set.new:
            _protect(cloudformation, stack, say)
        return _outputs(cloudformation, stack)
    reasons = "; ".join(failures) or "AWS gives no reason"
    raise StackError(f"Applying failed, the stack is {status or 'gone'}: {reasons}.", failed=True)


def _protect(cloudformation: Any, stack: str, say: Say) -> None:
    """Protect the stack against deletion by mistake; a failure is only reported, since the stack is complete."""
    try:
        cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        say(f"The stack is complete, but not protected against deletion: {permission(message) or message}")


def _events(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    """The latest hundred or so events, oldest first."""
    return list(reversed(cloudformation.describe_stack_events(StackName=stack)["StackEvents"]))


def _report(event: Mapping[str, Any], say: Say, failures: list[str]) -> None:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    name = f"{event['LogicalResourceId']} ({event.get('ResourceType', '').removeprefix('AWS::')})"
    if status.endswith("_FAILED"):
        line = f"{name} failed: {permission(reason) or reason.rstrip('.')}"
        if "cancelled" not in reason:  # AWS cancels the others because of the first
            failures.append(line)
        say(line)
    elif status.endswith("_COMPLETE"):
        say(f"{name}: {status.removesuffix('_COMPLETE').lower().replace('_', ' ')} done")


def _outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}
