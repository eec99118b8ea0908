"""Calls to AWS only read and are retried, and an error in one check hides no finding of another."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from deploy.aws import iam as permits
from deploy.aws.clients import CONFIG
from deploy.aws.errors import statement
from deploy.verify.account.run import ACCOUNT_CHECKS
from tests.deploy.aws import ACCOUNT, REGION, Good
from tests.deploy.test_account_checks import bundle, findings_of, good, image_contract, problems, shared_account

__all__ = ["bundle", "good", "image_contract", "shared_account"]  # fixtures

HERE = f"{REGION}:{ACCOUNT}"
ECS, ECR, IAM = f"arn:aws:ecs:{HERE}", f"arn:aws:ecr:{HERE}:repository", f"arn:aws:iam::{ACCOUNT}:role"
READING = ("Describe", "List", "Get", "Head", "Simulate", "BatchGet", "Lookup")


class RawBody:
    """A body, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._content


def refuse(
    good: Good, service: str, operation: str, status: int, code: str, times: int = 10**6, said: str = "no"
) -> list[str]:
    """Let AWS refuse an operation so many times, at the level of HTTP; the requests that came."""
    asked: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        asked.append(request.url)
        if len(asked) > times:
            return None
        json_type = f'{{"__type": "{code}", "message": "{said}"}}'
        xml = f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
        if service in ("elbv2", "iam", "sts"):
            xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        if service == "s3":
            xml = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        body = xml if service in ("ec2", "elbv2", "iam", "sts", "s3") else json_type
        return AWSResponse(request.url, status, {"x-amzn-errortype": code}, RawBody(body.encode()))

    good.session.events.register(f"before-send.{service}.{operation}", answer)
    return asked


def test_every_call_only_reads(good: Good) -> None:
    names: set[str] = set()
    good.session.events.register("before-call", lambda model, **_: names.add(model.name))
    findings_of(good)
    assert {name for name in names if not name.startswith(READING)} == set()
    assert len(names) > 20


def test_each_question_is_asked_once(good: Good) -> None:
    asked: list[str] = []
    good.session.events.register("before-call.elbv2", lambda model, **_: asked.append(model.name))
    findings_of(good)
    assert asked.count("DescribeTargetGroups") == asked.count("DescribeLoadBalancers") == 1


@pytest.mark.parametrize(
    ("service", "operation", "code", "action", "resource"),
    [
        ("ecs", "DescribeClusters", "AccessDeniedException", "ecs:DescribeClusters", f"{ECS}:cluster/shine-ml-cluster"),
        ("elbv2", "DescribeTargetGroups", "AccessDenied", "elasticloadbalancing:DescribeTargetGroups", "*"),
        ("ec2", "DescribeSubnets", "UnauthorizedOperation", "ec2:DescribeSubnets", "*"),
        ("iam", "GetRole", "AccessDenied", "iam:GetRole", [f"{IAM}/shine-execution", f"{IAM}/shine-task"]),
        ("logs", "DescribeLogGroups", "AccessDeniedException", "logs:DescribeLogGroups", "*"),
        ("ecr", "DescribeImages", "AccessDeniedException", "ecr:DescribeImages", f"{ECR}/shine-api-gateway"),
        ("secretsmanager", "DescribeSecret", "AccessDeniedException", "secretsmanager:DescribeSecret", "the secret"),
        ("s3", "GetObject", "AccessDenied", "s3:GetObject", "arn:aws:s3:::shine-weights/face-skin/*"),
    ],
)
def test_a_missing_permission_names_action_and_policy_line_and_hides_nothing(
    good: Good, service: str, operation: str, code: str, action: str, resource: str | list[str]
) -> None:
    refuse(good, service, operation, 403, code)
    good.client("logs").delete_retention_policy(logGroupName="/ecs/shine-api-gateway")
    good.attribute(good.ids["target_group"], "deregistration_delay.timeout_seconds", "300")
    findings = findings_of(good)
    expected = {"PERMISSION_MISSING": "WARN", "LOG_RETENTION": "WARN", "DEREGISTRATION_LONG": "WARN"}
    if service == "logs":
        del expected["LOG_RETENTION"]
    if service == "elbv2":
        del expected["DEREGISTRATION_LONG"]
    assert problems(findings) == expected
    finding = next(finding for finding in findings if finding.code == "PERMISSION_MISSING")
    assert f"the credentials lack {action}" in finding.sentence
    assert finding.repair is not None
    resource = good.ids["secret"] if resource == "the secret" else resource
    assert statement(action, resource) in finding.repair


def test_the_resource_that_aws_itself_names_comes_before_the_plans(good: Good) -> None:
    output = f"User: x is not authorized to perform: ecs:DescribeClusters on resource: {ECS}:cluster/other because no"
    refuse(good, "ecs", "DescribeClusters", 400, "AccessDeniedException", said=output)
    finding = next(finding for finding in findings_of(good) if finding.code == "PERMISSION_MISSING")
    assert f"the credentials lack ecs:DescribeClusters on {ECS}:cluster/other" in finding.sentence
    assert finding.repair is not None
    assert statement("ecs:DescribeClusters", f"{ECS}:cluster/other") in finding.repair


def test_a_parameter_that_may_not_be_read_is_named_by_its_arn(good: Good) -> None:
    arn = f"arn:aws:ssm:{HERE}:parameter/shine/keys"
    good.replan(secrets={"SHINE_API_KEYS": arn})
    assert permits.resource(good.plan, "ssm:GetParameter") == arn
    assert permits.resource(good.plan, "secretsmanager:DescribeSecret") == "*"
    good.replan(weights=None)
    assert permits.resource(good.plan, "s3:GetObject") == "*"


def test_a_role_whose_policies_may_not_be_read_is_not_judged(good: Good) -> None:
    refuse(good, "iam", "ListAttachedRolePolicies", 403, "AccessDenied")
    findings = findings_of(good)
    assert problems(findings) == {}
    judged = [finding for finding in findings if finding.code in ("EXECUTION_ROLE_MAY", "TASK_ROLE_MAY")]
    assert [finding.level for finding in judged] == ["SKIP", "SKIP"]
    assert "the credentials lack iam:ListAttachedRolePolicies" in judged[0].sentence


def test_a_secret_whose_value_may_not_be_read_is_still_there(good: Good) -> None:
    refuse(good, "secretsmanager", "GetSecretValue", 400, "AccessDeniedException")
    finding = next(finding for finding in findings_of(good) if finding.code == "SECRET")
    assert finding.level == "SKIP"
    assert "the credentials lack secretsmanager:GetSecretValue" in finding.sentence


def test_throttling_is_waited_out(good: Good, retry_delays: list[float]) -> None:
    asked = refuse(good, "ecs", "DescribeClusters", 400, "ThrottlingException", times=3)
    assert problems(findings_of(good)) == {}
    assert len(asked) == 4
    assert len(retry_delays) == 3


def test_throttling_without_end_is_told_and_hides_nothing(good: Good, retry_delays: list[float]) -> None:
    asked = refuse(good, "logs", "DescribeLogGroups", 400, "ThrottlingException")
    findings = findings_of(good)
    assert problems(findings) == {"AWS_THROTTLED": "WARN"}
    attempts = CONFIG.retries["total_max_attempts"]
    assert len(asked) == attempts
    assert len(retry_delays) == attempts - 1
    assert "the log group" in next(finding.sentence for finding in findings if finding.code == "AWS_THROTTLED")


def test_an_endpoint_that_does_not_answer_is_one_sentence(
    good: Good, retry_delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    findings = findings_of(good)
    failed = [finding for finding in findings if finding.level == "FAIL"]
    assert [finding.code for finding in failed] == ["AWS_UNREACHABLE"]
    assert "http://127.0.0.1:9 does not answer" in failed[0].sentence
    assert len(retry_delays) < CONFIG.retries["total_max_attempts"]  # nobody waits for it again at each subject


def test_credentials_that_have_expired_are_one_sentence(good: Good) -> None:
    good.session.events.register_first(
        "before-send",
        lambda request, **_: AWSResponse(
            request.url,
            403,
            {"x-amzn-errortype": "ExpiredTokenException"},
            RawBody(
                b"<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
                if b"Version=20" in (request.body or b"")
                else b'{"__type": "ExpiredTokenException"}'
            ),
        ),
    )
    sentences = {finding.sentence for finding in findings_of(good) if finding.code == "CREDENTIALS"}
    assert {sentence.partition(" (")[0] for sentence in sentences} == {
        "Preflight cannot read the account: the credentials in use are wrong or have expired"
    }


def test_an_answer_that_nobody_foresaw_hides_nothing(good: Good) -> None:
    good.stand_in("logs", "DescribeLogGroups", lambda answer: answer.pop("logGroups"))
    findings = findings_of(good)
    assert problems(findings) == {"AWS_UNFORESEEN": "WARN"}
    assert len({finding.code for finding in findings}) > 15


def test_every_subject_has_a_name_of_its_own() -> None:
    names = {check.__qualname__ + check.__module__ for check in ACCOUNT_CHECKS.values()}
    assert len(names) == len(ACCOUNT_CHECKS)
