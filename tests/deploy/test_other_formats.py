"""What is often taken for a task definition is named for what it is, in one sentence that says how to get one."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.taskdef import placeholders
from deploy.taskdef.load import TaskDefinitionError, load
from tests.deploy import good

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shine-api-gateway"
CONTAINER = {"name": "app", "image": "nginx:1.27", "portMappings": [{"containerPort": 80}]}
PASCAL = {"Family": "app", "Cpu": "256", "ContainerDefinitions": [{"Name": "app", "Image": "nginx:1.27"}]}
TASK = json.dumps(good.task(), indent=1)

# name of the file, content, words of the sentence
OTHERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "CloudFormation": (
        "t.json",
        json.dumps({"Resources": {"Web": {"Type": "AWS::ECS::TaskDefinition", "Properties": PASCAL}}}),
        ("a CloudFormation template", '"Web"', "describe-task-definition"),
    ),
    "CloudFormation in YAML": (
        "t.yaml",
        "Resources:\n  Web:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      Family: !Ref Name\n",
        ("a CloudFormation template",),
    ),
    "one resource of CloudFormation": (
        "t.json", json.dumps({"Type": "AWS::ECS::TaskDefinition", "Properties": PASCAL}), ("CloudFormation",),
    ),
    "PascalCase": ("t.json", json.dumps(PASCAL), ("PascalCase", "ContainerDefinitions", "containerDefinitions")),
    "a service definition": (
        "t.json",
        json.dumps({"serviceName": "web", "taskDefinition": "web:3", "desiredCount": 2}),
        ("a service definition", "--task-definition web:3"),
    ),
    "a service definition of ecspresso": (
        "t.json", json.dumps({"launchType": "FARGATE", "desiredCount": 1}), ("a service definition",),
    ),
    "a name in place of a task definition": ("t.json", '{"taskDefinition": "web:3"}', ("web:3", "describe")),
    "the answer of describe-services": ("t.json", '{"services": [{"serviceName": "web"}]}', ("describe-services",)),
    "Docker Compose": ("t.yml", "services:\n  web:\n    image: nginx\n", ("Docker Compose",)),
    "a list of containers": ("t.json", json.dumps([CONTAINER]), ("list of container definitions", "Terraform")),
    "one container": ("t.json", json.dumps(CONTAINER), ("one container definition", "containerDefinitions")),
    "imagedefinitions.json": ("t.json", '[{"name": "app", "imageUri": "nginx:1"}]', ("imagedefinitions.json",)),
    "Copilot": ("t.yml", "name: web\ntype: Load Balanced Web Service\n", ("AWS Copilot", "copilot svc package")),
    "Kubernetes": ("t.yml", "apiVersion: apps/v1\nkind: Deployment\n", ("Kubernetes",)),
    "Terraform in JSON": ("t.json", '{"resource": {"aws_ecs_task_definition": {"a": {}}}}', ("Terraform",)),
    "Terraform's own language": ("t.json", 'resource "aws_ecs_task_definition" "a" {\n}', ("Terraform",)),
    "a plan of Terraform": ("t.json", '{"terraform_version": "1.9.0", "planned_values": {}}', ("Terraform",)),
    "Elastic Beanstalk": ("t.json", '{"AWSEBDockerrunVersion": 2}', ("Elastic Beanstalk",)),
    "an appspec": ("t.yml", "version: 0.0\nResources:\n  - Web:\n      Type: AWS::ECS::Service\n", ("appspec",)),
    "several task definitions": ("t.json", '[{"family": "a", "containerDefinitions": []}]', ("1 task definitions",)),
    "an empty skeleton": ("t.json", '{"family": "", "containerDefinitions": [{"image": ""}]}', ("skeleton",)),
    "containers in PascalCase": (
        "t.json", '{"family": "a", "containerDefinitions": [{"Name": "a", "Image": "b"}]}', ("PascalCase", "image"),
    ),
    "PowerShell's answer": ("t.json", '{"TaskDefinition": {"Family": "a"}}', ("PascalCase", "taskDefinition")),
    "single quotes": ("t.json", "{\n 'family': 'x'}", ("line 2", "double quotes")),
    "a comma too many": ("t.json", '{\n "family": "x",\n}\n', ("line 2", "remove the comma")),
    "a comma too many in a list": ("t.json", '{"containerDefinitions": [1, 2,\n]}', ("remove the comma",)),
    "a comment": ("t.json", '{\n // the family\n "family": "x"\n}', ("line 2", "comment")),
    "a comment behind a value": ("t.json", '{\n "family": "x", // ours\n "cpu": "256"\n}', ("line 2", "comment")),
    "a comment in a block": ("t.json", '/* ours */\n{"family": "x"}', ("line 1", "comment")),
    "a number of a template": ("t.json", '{\n "cpu": ${cpu}\n}', ("a template", "${cpu}", "render it first")),
    "a loop of a template": ("t.json", '{\n {% for c in containers %}\n}', ("a template", "render it first")),
    "an object of a template": ("t.json", '{"containerDefinitions": [{{ containers }}]}', ("a template",)),
    "a variable of envsubst": ("t.json", '{"cpu": $CPU}', ("a template", "$CPU")),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_another_file_is_named_in_one_sentence(kind: str, tmp_path: Path) -> None:
    name, content, says = OTHERS[kind]
    (tmp_path / name).write_text(content)
    with pytest.raises(TaskDefinitionError) as refused:
        load(tmp_path / name)
    sentence = str(refused.value)
    assert sentence.startswith(f"{tmp_path / name} ")
    assert "\n" not in sentence
    for words in says:
        assert words in sentence


TEMPLATES: dict[str, dict[str, Any]] = {
    "ecspresso": {"family": "{{ must_env `FAMILY` }}"},
    "ecspresso, in a variable": {"env.SHINE_PHASE": "{{ must_env `PHASE` }}"},
    "ecspresso, with Terraform's state": {"executionRoleArn": "{{ tfstate `aws_iam_role.x.arn` }}"},
    "Jinja": {"c.image": "{{ image }}"},
    "ERB": {"family": "<%= family %>"},
    "Terraform": {"executionRoleArn": "${aws_iam_role.ecs.arn}"},
    "Terraform, in a variable": {"env.BUCKET": "s3://${var.bucket}/x"},
    "envsubst": {"c.image": f"{ECR}:$TAG"},
    "a shell": {"c.image": "${IMAGE}"},
    "CodePipeline": {"c.image": "<IMAGE1_NAME>"},
    "a word for the image": {"c.image": "IMAGE_URI"},
    "a word for a part of the image": {"c.image": "YOUR_REPOSITORY/shine:1.0.0"},
    "a word for the tag": {"c.image": f"{ECR}:IMAGE_TAG"},
    "a word for a role": {"executionRoleArn": "EXECUTION_ROLE_ARN"},
    "a word for a secret": {"secret.A": "YOUR_SECRET_ARN"},
    "a word that asks for a value": {"family": "REPLACE_ME"},
    "a file system of the letter x": {"volumes.1": {"efsVolumeConfiguration": {"fileSystemId": "fs-xxxxxx"}}},
    "a word for the account": {"taskRoleArn": "arn:aws:iam::ACCOUNT_ID:role/x"},
    "a word for the account of the registry": {"c.image": "ACCOUNT_ID.dkr.ecr.us-east-1.amazonaws.com/shine:1.0.0"},
    "a name in brackets": {"taskRoleArn": "arn:aws:iam::<account-id>:role/x"},
    "a hidden account": {"executionRoleArn": "arn:aws:iam::xxxxxxxxxxxx:role/x"},
    "a region": {"c.logConfiguration.options.awslogs-region": "REGION"},
    "a region of the registry": {"c.image": "123456789012.dkr.ecr.YOUR_REGION.amazonaws.com/shine:1.0.0"},
    "a region of a secret": {"secret.A": "arn:aws:secretsmanager:REGION:123456789012:secret:a-AbCdEf"},
    "one brace": {"c.image": "{account}.dkr.ecr.us-east-1.amazonaws.com/shine:1.0.0"},
    "underlines": {"c.image": f"{ECR}:__TAG__"},
    "percent signs": {"family": "%FAMILY%"},
    "Azure DevOps": {"c.image": f"{ECR}:#{{tag}}#"},
    "a log group": {"c.logConfiguration.options.awslogs-group": "/ecs/${ENV}/shine"},
    "a size": {"cpu": "${cpu}"},
}  # fmt: skip


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_one_sentence_with_its_placeholder(kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(good.changed(good.task(), TEMPLATES[kind])))
    with pytest.raises(TaskDefinitionError, match=r"is a template; render it first, .* is a placeholder"):
        load(tmp_path / "t.json")


NO_TEMPLATES: dict[str, dict[str, Any]] = {
    "a shell in a health command": {"c.healthCheck.command": ["CMD-SHELL", "curl localhost:${PORT:-80} || exit 1"]},
    "a shell in a command": {"c.command": ["sh", "-c", "exec serve --port $PORT --host $(hostname)"]},
    "a pattern of an application": {"env.LOG": "%d{HH:mm} [%thread] ${level} <b> {{name}}"},
    "a time format of a log": {"c.logConfiguration.options.awslogs-datetime-format": "[%Y-%m-%d %H:%M:%S]"},
    "a tag of a log driver": {"c.logConfiguration": {"logDriver": "fluentd", "options": {"tag": "{{.Name}}/{{.ID}}"}}},
    "a label of Datadog": {"c.dockerLabels": {"com.datadoghq.ad.instances": '[{"host": "%%host%%"}]'}},
    "names with account in them": {"family": "my-account-api", "c.name": "account_id_service"},
    "a role of AWS's own": {"taskRoleArn": "arn:aws:iam::123456789012:role/aws-service-role/x.amazonaws.com/y"},
    "the bucket of an environment file": {"c.environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/x.env"}]},
    "a managed secret": {"secret.A": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1-AbCdEf:user::"},
    "a family in capital letters": {"family": "TODO", "c.name": "CHANGELOG"},
    "a parameter in capital letters": {"secret.A": "DATABASE_URL"},
    "a tag in capital letters": {"c.image": f"{ECR}:RELEASE-1"},
    "a role in capital letters": {"taskRoleArn": "arn:aws:iam::123456789012:role/SHINE_ARN"},
    "a folder of Windows": {"c.mountPoints.0.containerPath": "C:\\data"},
    "a mark in a tag": {"tags": [{"key": "owner", "value": "<team>"}]},
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_TEMPLATES)
def test_what_others_expand_is_no_placeholder(kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(good.changed(good.task(), NO_TEMPLATES[kind])))
    assert load(tmp_path / "t.json").task["containerDefinitions"]


def test_no_placeholder_is_found_in_what_is_rendered() -> None:
    for phase in ("simple", "hybrid", "foundation", "full"):
        assert placeholders.first(good.task(phase)) is None


@pytest.mark.parametrize("place", range(0, len(TASK), 97))
def test_wherever_a_file_breaks_off_one_sentence_says_so(place: int, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(TASK[:place] + "\n")
    with pytest.raises(TaskDefinitionError, match=r"is not JSON|is empty") as refused:
        load(tmp_path / "t.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["x" + "\n" * 900_000, '{"family": "' + "a" * 900_000 + '"}', '{"image": "' + "<a" * 400_000]
)
def test_a_large_file_is_judged_at_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(text)
    begun = time.perf_counter()
    with contextlib.suppress(TaskDefinitionError):
        load(tmp_path / "t.json")
    assert time.perf_counter() - begun < 5
