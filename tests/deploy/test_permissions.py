"""The policy of those who roll out: enough, no more, and small enough for IAM."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws.iam import allowed, policy
from deploy.cli import main as cli
from tests.deploy.infra_plans import content, plan

MOST = 6144  # characters of a managed policy, white space not counted
HERE = "us-east-1:123456789012"
SERVICE = f"arn:aws:ecs:{HERE}:service/shine-ml-cluster/shine-api-gateway"


def may(action: str, resource: str, **changes: Any) -> bool | None:
    """By the reading of policies that preflight has."""
    return allowed(policy(plan(None, **changes))["Statement"], action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ecs:UpdateService", SERVICE),
        ("ecs:StopServiceDeployment", SERVICE.replace(":service/", ":service-deployment/") + "/1a2b"),
        ("s3:PutObject", "arn:aws:s3:::ours/trail/record.json"),
        ("s3:DeleteObject", "arn:aws:s3:::ours/trail/lock.json"),
        ("s3:ListBucket", "arn:aws:s3:::ours"),
    ],
)
def test_what_a_rollout_does_is_allowed(action: str, resource: str) -> None:
    assert may(action, resource, record="s3://ours/trail/") is True


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ecs:UpdateService", SERVICE + "-of-others"),
        ("ecs:DeleteService", SERVICE),
        ("s3:PutObject", "arn:aws:s3:::ours/other/record.json"),
        ("iam:CreateRole", "*"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:others-AbCdEf"),
    ],
)
def test_nothing_else_is(action: str, resource: str) -> None:
    assert may(action, resource, record="s3://ours/trail/") is False


def test_roles_are_handed_to_tasks_alone() -> None:
    expected = plan(None, record="s3://ours/trail/")
    one = next(item for item in policy(expected)["Statement"] if item["Action"] == ["iam:PassRole"])
    assert one["Resource"] == sorted({expected.roles.execution, expected.roles.task})
    assert one["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_the_command_prints_what_iam_takes(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "trail.yaml"
    path.write_text(yaml.safe_dump(content(None, record="s3://ours/trail/")))
    assert cli.main(["policy", "--plan", str(path)]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["Version"] == "2012-10-17"
    names = [item["Sid"] for item in output["Statement"]]
    assert len(set(names)) == len(names)
    assert len("".join(json.dumps(output).split())) <= MOST
    assert all(item["Resource"] and item["Action"] for item in output["Statement"])


def test_a_plan_without_a_place_for_the_record_is_a_sentence(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "trail.yaml"
    path.write_text(yaml.safe_dump({**content(None), "weights": None}))
    assert cli.main(["policy", "--plan", str(path)]) == 2
    assert "does not say where the trail record is" in capsys.readouterr().err
