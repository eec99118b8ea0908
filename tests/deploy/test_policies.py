"""What a role may do, by its policies, without asking IAM to simulate."""

from typing import Any

import pytest

from deploy.aws.iam import allowed, trusts_tasks
from deploy.verify.account.load_balancer import includes
from deploy.verify.account.security_groups import admits


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


DENY = {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::secret/*"}
HERE = "arn:aws:s3:::weights/face-skin/manifest.json"


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        ([], False),
        ([allow("s3:GetObject")], True),
        ([allow("S3:getobject")], True),
        ([allow(["s3:Get*", "s3:List*"], ["arn:aws:s3:::weights/*"])], True),
        ([allow("s3:GetObject", "arn:aws:s3:::other/*")], False),
        ([allow("s3:PutObject")], False),
        ([allow("*"), DENY], True),
        ([allow("*"), {**DENY, "Resource": "*"}], False),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::weights/*"}], False),
        ([allow("s3:GetObject", Condition={"Bool": {"aws:SecureTransport": "true"}})], None),
        ([allow("*"), {**DENY, "Resource": "*", "Condition": {"Bool": {}}}], None),
        ([allow("s3:GetObject", "arn:aws:s3:::weight[s]/*")], False),
    ],
)
def test_policies_are_read_as_iam_reads_them(statements: list[dict[str, Any]], verdict: bool | None) -> None:
    assert allowed(statements, "s3:GetObject", HERE) is verdict


def test_only_tasks_count_as_trusted() -> None:
    service = {"Effect": "Allow", "Principal": {"Service": ["ecs-tasks.amazonaws.com"]}, "Action": ["sts:AssumeRole"]}
    assert trusts_tasks([service])
    assert not trusts_tasks([{**service, "Effect": "Deny"}])
    assert not trusts_tasks([{**service, "Principal": "*"}])
    assert not trusts_tasks([{**service, "Action": "sts:TagSession"}])


@pytest.mark.parametrize(
    ("matcher", "verdict"),
    [("200", True), ("200-299", True), ("204,200", True), ("201-299", False), ("301,302", False), ("2000", False)],
)
def test_a_matcher_is_read_as_ranges_and_lists(matcher: str, verdict: bool) -> None:
    assert includes(matcher, 200) is verdict


def rule(first: int, last: int, protocol: str = "tcp", **whom: Any) -> dict[str, Any]:
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **whom}


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ([], False),
        ([rule(5000, 5000, UserIdGroupPairs=[{"GroupId": "sg-front"}])], True),
        ([rule(1024, 65535, UserIdGroupPairs=[{"GroupId": "sg-front"}])], True),
        ([rule(5000, 5000, UserIdGroupPairs=[{"GroupId": "sg-other"}])], False),
        ([rule(5000, 5000, "udp", UserIdGroupPairs=[{"GroupId": "sg-front"}])], False),
        ([rule(8080, 8080, IpRanges=[{"CidrIp": "0.0.0.0/0"}])], False),
        ([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}], True),
        ([rule(5000, 5000, IpRanges=[{"CidrIp": "10.0.0.0/24"}])], False),  # one of the two subnets only
        ([rule(5000, 5000, IpRanges=[{"CidrIp": "10.0.0.0/24"}, {"CidrIp": "10.0.1.0/24"}])], True),
    ],
)
def test_a_rule_lets_in_a_group_or_all_of_the_networks(rules: list[dict[str, Any]], verdict: bool) -> None:
    assert admits(rules, 5000, ["sg-front"], ["10.0.0.0/24", "10.0.1.0/24"]) is verdict
