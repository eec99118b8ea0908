"""What moto never says: replacements, failures, refusals. Answers have AWS's own shapes, which the Stubber checks."""

import datetime
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.stub import ANY, Stubber

from deploy.aws import cloudformation as stack
from deploy.aws.cloudformation import Change, ChangeSet, StackError, execute, pending
from deploy.aws.errors import describe, permission

NAME = "shine-api-gateway-infra"
STACK = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{NAME}/1"
SET = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/trail-1/2"
NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
WHOLE = {"StackName": NAME, "CreationTime": NOW, "StackId": STACK}


class Cloud:
    """CloudFormation that answers what it was told to, in that order."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "cloudformation",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",  # noqa: S106
        )
        self.stub = Stubber(self.client)

    def status(self, status: str, **more: Any) -> "Cloud":
        """Give the stack a status."""
        self.stub.add_response("describe_stacks", {"Stacks": [{**WHOLE, "StackStatus": status, **more}]})
        return self

    def missing(self) -> "Cloud":
        """No such stack."""
        self.stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist", 400)
        return self

    def change_set(self, changes: list[dict[str, Any]], kind: str = "UPDATE", **answer: Any) -> "Cloud":
        """Made, and described."""
        more = {"OnStackFailure": "DELETE"} if kind == "CREATE" else {}
        expected = {"StackName": NAME, "ChangeSetName": ANY, "ChangeSetType": kind, **more}
        self.stub.add_response("create_change_set", {"Id": SET, "StackId": STACK}, expected)
        result = {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change} for change in changes], **answer}
        self.stub.add_response("describe_change_set", result, {"ChangeSetName": SET, "IncludePropertyValues": True})
        return self

    def deleted(self, *, stack_too: bool = False) -> "Cloud":
        """What was not executed."""
        self.stub.add_response("delete_change_set", {}, {"ChangeSetName": SET})
        if stack_too:
            self.stub.add_response("delete_stack", {}, {"StackName": STACK})
        return self

    def events(self, *events: tuple[str, str, str]) -> "Cloud":
        """(logical name, status, reason), newest first as AWS tells them."""
        output = [
            {
                "StackId": STACK,
                "StackName": NAME,
                "Timestamp": NOW,
                "EventId": f"{name}-{status}",
                "LogicalResourceId": name,
                "ResourceType": "AWS::S3::Bucket",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
            for name, status, reason in events
        ]
        self.stub.add_response("describe_stack_events", {"StackEvents": output})
        return self

    def executed(self) -> "Cloud":
        """The change set."""
        self.stub.add_response("execute_change_set", {}, {"ChangeSetName": SET})
        return self


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Whatever it was told to answer must have been asked."""
    monkeypatch.setattr(stack, "POLL_S", 0)
    made = Cloud()
    with made.stub:
        yield made
        made.stub.assert_no_pending_responses()


def resource(action: str, name: str, **more: Any) -> dict[str, Any]:
    """A resource of a change set."""
    return {"Action": action, "LogicalResourceId": name, "ResourceType": "AWS::ECR::Repository", **more}


def test_a_replacement_is_loud_comes_first_and_says_from_what_to_what(cloud: Cloud) -> None:
    port = {
        "Attribute": "Properties",
        "Path": "/Properties/Port",
        "RequiresRecreation": "Always",
        "BeforeValue": "8080",
        "AfterValue": "5000",
    }
    changes = [
        resource("Add", "Topic"),
        resource(
            "Modify",
            "Dashboard",
            Replacement="False",
            Details=[{"Target": {"Attribute": "Properties", "Name": "DashboardBody"}}],
        ),
        resource(
            "Modify", "TargetGroup", Replacement="True", PhysicalResourceId="arn:x", Details=[{"Target": port}] * 2
        ),
        resource("Modify", "Listener", Replacement="Conditional"),
        resource("Remove", "Repository", PhysicalResourceId="shine", PolicyAction="Retain"),
    ]
    cloud.status("UPDATE_COMPLETE").change_set(changes).deleted()
    with pending(cloud.client, NAME, {}) as waiting:
        result = waiting.changes
    assert [item.describe() for item in result] == [
        "  MAY REPLACE Listener (ECR::Repository)",
        "  REMOVE Repository (ECR::Repository) shine; what was there stays in the account, outside the stack",
        "  REPLACE TargetGroup (ECR::Repository) arn:x\n      Port: 8080 → 5000 (needs a new one)",
        "  add Topic (ECR::Repository)",
        "  modify Dashboard (ECR::Repository)\n      DashboardBody",
    ]


def test_a_change_set_of_several_pages_is_read_to_its_end(cloud: Cloud) -> None:
    cloud.status("CREATE_COMPLETE").change_set([resource("Add", "A")], NextToken="more")
    expected = {"ChangeSetName": SET, "IncludePropertyValues": True, "NextToken": "more"}
    page = {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": resource("Add", "B")}]}
    cloud.stub.add_response("describe_change_set", page, expected)
    cloud.deleted()
    with pending(cloud.client, NAME, {}) as waiting:
        assert [change.name for change in waiting.changes] == ["A", "B"]


def test_a_stack_that_was_made_for_a_diff_goes_with_it(cloud: Cloud) -> None:
    cloud.missing().change_set([resource("Add", "A")], kind="CREATE").deleted(stack_too=True)
    with pending(cloud.client, NAME, {}):
        pass


def test_a_stack_that_only_a_change_set_left_behind_is_new(cloud: Cloud) -> None:
    cloud.status("REVIEW_IN_PROGRESS").change_set([], kind="CREATE").deleted(stack_too=True)
    with pending(cloud.client, NAME, {}):
        pass


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information.",
        "No updates are to be performed.",
    ],
)
def test_a_change_set_that_fails_because_nothing_changes_is_no_failure(cloud: Cloud, reason: str) -> None:
    cloud.status("UPDATE_COMPLETE").change_set([], Status="FAILED", StatusReason=reason).deleted()
    with pending(cloud.client, NAME, {}) as waiting:
        assert waiting.changes == []


def test_a_change_set_that_aws_refuses_says_why_and_is_deleted(cloud: Cloud) -> None:
    cloud.status("UPDATE_COMPLETE").change_set(
        [], Status="FAILED", StatusReason="Rule SomebodyIsWoken failed"
    ).deleted()
    with pytest.raises(StackError, match="SomebodyIsWoken") as caught, pending(cloud.client, NAME, {}):
        pass
    assert (caught.value.failed, caught.value.code) == (False, "STACK_REFUSED")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("UPDATE_IN_PROGRESS", "another change is in progress"),
        ("ROLLBACK_COMPLETE", "delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("DELETE_FAILED", "finish that first"),
    ],
)
def test_a_stack_in_no_state_for_it_is_left_alone(cloud: Cloud, status: str, said: str) -> None:
    cloud.status(status)
    with pytest.raises(StackError, match=said), pending(cloud.client, NAME, {}):
        pass


def waiting(*, new: bool = False) -> ChangeSet:
    """A change set with a change."""
    return ChangeSet(SET, STACK, new=new, changes=[Change("add", "A", "AWS::S3::Bucket")])


def test_applying_waits_for_its_own_end_not_for_the_state_before(cloud: Cloud) -> None:
    old = ("S", "UPDATE_COMPLETE", "")
    begun, done = ("A", "CREATE_IN_PROGRESS", ""), ("A", "CREATE_COMPLETE", "")
    cloud.events(old).executed()
    cloud.events(old).status("UPDATE_COMPLETE")  # still the state before
    cloud.events(begun, old).status("UPDATE_IN_PROGRESS")
    cloud.events(done, begun, old).status("UPDATE_COMPLETE").events(done, begun, old)
    cloud.status("UPDATE_COMPLETE", Outputs=[{"OutputKey": "TaskRole", "OutputValue": "arn:role"}])
    output: list[str] = []
    pended = waiting()
    assert execute(cloud.client, pended, output.append) == {"TaskRole": "arn:role"}
    assert output == ["A (S3::Bucket): create done"]
    assert pended.executed


@pytest.mark.parametrize("refused", [False, True])
def test_a_new_stack_is_protected_against_deletion_and_stands_even_where_that_is_refused(
    cloud: Cloud, refused: bool
) -> None:
    begun = ("A", "CREATE_IN_PROGRESS", "")
    cloud.events().executed().events(begun).status("CREATE_COMPLETE").events(begun)
    if refused:
        message = (
            "User: x is not authorized to perform: cloudformation:UpdateTerminationProtection on resource: " + STACK
        )
        cloud.stub.add_client_error("update_termination_protection", "AccessDenied", message)
    else:
        expected = {"StackName": STACK, "EnableTerminationProtection": True}
        cloud.stub.add_response("update_termination_protection", {"StackId": STACK}, expected)
    cloud.status("CREATE_COMPLETE")
    output: list[str] = []
    assert execute(cloud.client, waiting(new=True), output.append) == {}
    assert any("cloudformation:UpdateTerminationProtection" in item for item in output) == refused


def test_a_failure_names_the_first_cause_and_the_permission_that_is_missing(cloud: Cloud) -> None:
    denied = (
        "User: arn:aws:sts::123456789012:assumed-role/dev/x is not authorized to perform: s3:CreateBucket on resource: "
        "arn:aws:s3:::weights because no identity-based policy allows the s3:CreateBucket action"
    )
    cloud.events().executed()
    cloud.events(("B", "CREATE_FAILED", "Resource creation cancelled"), ("A", "CREATE_FAILED", denied))
    cloud.status("DELETE_COMPLETE")
    cloud.events(("B", "CREATE_FAILED", "Resource creation cancelled"), ("A", "CREATE_FAILED", denied))
    output: list[str] = []
    with pytest.raises(StackError) as caught:
        execute(cloud.client, waiting(), output.append)
    message = str(caught.value)
    assert (caught.value.failed, caught.value.code) == (True, "STACK_FAILED")
    assert "the stack is DELETE_COMPLETE: A (S3::Bucket) failed: the credentials lack s3:CreateBucket on" in message
    assert "s3:CreateBucket on arn:aws:s3:::weights." in message
    assert '{"Effect": "Allow", "Action": "s3:CreateBucket", "Resource": "arn:aws:s3:::weights"}' in message
    assert "cancelled" not in message
    assert len(output) == 2, "but both are told"


def test_a_stack_that_takes_for_ever_is_left_to_aws(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "APPLY_S", -1)
    cloud.events().executed().events().status("UPDATE_IN_PROGRESS")
    with pytest.raises(StackError, match="AWS goes on"):
        execute(cloud.client, waiting(), lambda _: None)


def error(code: str, message: str, operation: str = "CreateChangeSet") -> ClientError:
    """As botocore raises it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            error(
                "AccessDenied",
                f"User: x is not authorized to perform: cloudformation:CreateChangeSet on resource: {STACK}",
            ),
            f'policy needs {{"Effect": "Allow", "Action": "cloudformation:CreateChangeSet", "Resource": "{STACK}"}}',
        ),
        (error("AccessDenied", "Access Denied"), "AWS refuses CreateChangeSet (AccessDenied): Access Denied."),
        (
            error("ExpiredToken", "The security token included in the request is expired"),
            "have expired (ExpiredToken).",
        ),
        (
            error("Throttling", "Rate exceeded"),
            "throttled CreateChangeSet at every attempt (Throttling). Try again",
        ),
        (error("LimitExceeded", "too many"), "AWS refuses CreateChangeSet (LimitExceeded): too many"),
        (NoCredentialsError(), "no AWS credentials"),
        (CredentialRetrievalError(provider="sso", error_msg="expired"), "could not be read"),
    ],
)
def test_an_error_of_aws_is_a_sentence_that_says_what_to_do(raised: Any, said: str) -> None:
    assert said in describe(raised)


def test_a_denial_without_a_resource_asks_for_all_of_them() -> None:
    assert permission("You are not authorized to perform: ec2:CreateVpc") is not None
    assert '"Resource": "*"' in str(permission("You are not authorized to perform: ec2:CreateVpc"))
    assert permission("You are not authorized to perform this operation.") is None


def test_an_encoded_failure_message_is_not_shown() -> None:
    raised = error(
        "UnauthorizedOperation", "You may not. Encoded authorization failure message: " + "x" * 500, "CreateVpc"
    )
    assert describe(raised) == "AWS refuses CreateVpc (UnauthorizedOperation): You may not."
