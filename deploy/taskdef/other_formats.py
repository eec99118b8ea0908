"""Names the files that are often taken for a task definition: templates, service definitions, parts of one.

Each sentence says what the file is and how to get the task definition.
"""

import json
import re
from typing import Any

from deploy.text import printable, shown

DESCRIBE = "`aws ecs describe-task-definition --task-definition {}`"
DEPLOYED = f"deploy it, and check what {DESCRIBE.format('FAMILY')} prints"
CLOUDFORMATION = re.compile(
    r"AWSTemplateFormatVersion|AWS::ECS::TaskDefinition|:\s*!(?:Sub|Ref|GetAtt|Join|If|ImportValue|FindInMap)\b"
)
TERRAFORM = re.compile(r"^[ \t]*(?:resource|data|module)\s+\"[\w-]+\"", re.MULTILINE)
COMMENT = re.compile(r"\s*(?://|/\*|#)")
COPILOT = re.compile(r"(?:Load Balanced Web|Backend|Worker|Request-Driven Web|Static Site)(?: Service)?|Scheduled Job")


def of_content(content: Any) -> str | None:
    """What plain data are, in words that follow the file's name; None for what may be a task definition."""
    if isinstance(content, list):
        return _of_list(content)
    if not isinstance(content, dict):
        return None
    resources = content.get("Resources")
    if isinstance(resources, dict):
        names = [name for name, resource in resources.items() if _get(resource, "Type") == "AWS::ECS::TaskDefinition"]
        which = f", whose resource {shown(names[0])} is the task definition" if names else ""
        return f"is a CloudFormation template{which}; {DEPLOYED}."
    if "AWSTemplateFormatVersion" in content or content.get("Type") == "AWS::ECS::TaskDefinition":
        return f"is a part of a CloudFormation template; {DEPLOYED}."
    if isinstance(resources, list) and "version" in content:
        return f"is an appspec of CodeDeploy, not a task definition; check what {DESCRIBE.format('FAMILY')} prints."
    if pascal := _pascal(content):
        return (
            f"has keys in PascalCase, such as {pascal}, as CloudFormation and the SDKs for .NET and Go write them; the "
            f"API's begin with a small letter, such as {pascal[0].lower()}{pascal[1:]}: {DEPLOYED}."
        )
    if content.get("family") == "" and _images(content) == [""]:
        return "is the skeleton that `--generate-cli-skeleton` prints; write its values, and remove the other keys."
    return None if "containerDefinitions" in content else _of_object(content)


def _pascal(content: dict[str, Any]) -> str:
    """A key in PascalCase of a task definition whose keys are written so; empty where they are not."""
    if "containerDefinitions" not in content:
        keys = ("ContainerDefinitions", "Family", "RequiresCompatibilities", "TaskDefinition")
        return next((key for key in keys if key in content), "")
    containers = [item for item in _objects(content) if "image" not in item and "name" not in item]
    return next((key for key in ("Image", "Name") for container in containers if key in container), "")


def _images(content: dict[str, Any]) -> list[Any]:
    return [item.get("image") for item in _objects(content)]


def _objects(content: dict[str, Any]) -> list[dict[str, Any]]:
    containers = content.get("containerDefinitions")
    return (
        [container for container in containers if isinstance(container, dict)] if isinstance(containers, list) else []
    )


def _of_object(content: dict[str, Any]) -> str | None:
    service = content.get("taskDefinition")
    if {"serviceName", "cluster", "desiredCount", "launchType", "deploymentConfiguration"} & set(content) and (
        service is None or isinstance(service, str)
    ):
        name = printable(service, 120) if service else "FAMILY"
        return f"is a service definition, not a task definition; check what {DESCRIBE.format(name)} prints."
    if isinstance(service, str):
        command = DESCRIBE.format(printable(service, 120))
        return f"has {shown(service)} as taskDefinition, which must be an object; check what {command} prints."
    for key, what in (
        ("services", "a Docker Compose file or the answer of describe-services"),
        ("taskDefinitionArns", "the answer of list-task-definitions"),
        ("tasks", "the answer of describe-tasks"),
    ):
        if isinstance(content.get(key), dict | list):
            return f"is {what}, not a task definition; check what {DESCRIBE.format('FAMILY')} prints."
    if "apiVersion" in content and "kind" in content:
        return f"is a Kubernetes manifest, not a task definition; {DEPLOYED}."
    if isinstance(kind := content.get("type"), str) and COPILOT.fullmatch(kind):
        return (
            "is a manifest of AWS Copilot, not a task definition; `copilot svc package` prints the template, and "
            f"{DESCRIBE.format('FAMILY')} what was deployed."
        )
    if isinstance(resource := content.get("resource"), dict) and "aws_ecs_task_definition" in resource:
        return f"is a Terraform configuration, not a task definition; {DEPLOYED}."
    if "container_definitions" in content or "planned_values" in content or "terraform_version" in content:
        return f"is of Terraform (a resource, a plan or a state), not a task definition; {DEPLOYED}."
    if "AWSEBDockerrunVersion" in content:
        return f"is a Dockerrun.aws.json of Elastic Beanstalk, not a task definition; {DEPLOYED}."
    if "name" in content and "image" in content:
        return _part("one container definition", "[…]")
    return None


def _of_list(content: list[Any]) -> str | None:
    if content and all(isinstance(item, dict) and "containerDefinitions" in item for item in content):
        return f"is a list of {len(content)} task definitions; check each in a file of its own."
    if content and all(isinstance(item, dict) and "imageUri" in item for item in content):
        return (
            "is an imagedefinitions.json of CodePipeline, which names images only; check what "
            f"{DESCRIBE.format('FAMILY')} prints."
        )
    if content and all(isinstance(item, dict) and {"image", "Image", "name", "Name"} & set(item) for item in content):
        return _part("a list of container definitions, as Terraform's container_definitions takes it", "this list")
    return None


def _part(what: str, inner: str) -> str:
    return (
        f'is {what}; a task definition is an object around it: {{"family": …, "containerDefinitions": {inner}}}. '
        f"{DESCRIBE.format('FAMILY')} prints a whole one."
    )


def of_text(text: str) -> str | None:
    """What a text is that cannot be parsed, in words that follow the file's name; None where it is not known."""
    if CLOUDFORMATION.search(text):
        return f"is a CloudFormation template; {DEPLOYED}."
    if TERRAFORM.search(text):
        return f"is a Terraform configuration, not a task definition; {DEPLOYED}."
    return None


def fault_of_json(error: json.JSONDecodeError) -> str | None:
    """A usual fault of JSON and its repair, in words that follow the file's name; None where it is another one."""
    text, place = error.doc, error.pos
    before = text[:place].rstrip()
    after = text[place:].lstrip()
    comma = len(before) - 1 if before.endswith(",") else place if text[place : place + 1] == "," else -1
    closes = after.removeprefix(",").lstrip()[:1] in ("}", "]")
    if comma >= 0 and closes:
        line = text.count("\n", 0, comma) + 1
        return f"is not JSON: at line {line} a comma stands before a closing bracket; remove the comma."
    if text[place : place + 1] == "'":
        return f"is not JSON: line {error.lineno} has a text in single quotes; JSON has double quotes."
    if (commented := _line_of_comment(text, place)) is not None:
        return f"is not JSON: line {commented} has a comment, and JSON has none; remove it."
    return None


def _line_of_comment(text: str, place: int) -> int | None:
    """The line of a comment at which, or in which, a text stops to be JSON; None where there is none."""
    comment = COMMENT.match(text, place)
    if comment is None and COMMENT.match(text[text.rfind("\n", 0, place) + 1 : place]) is None:
        return None
    return text.count("\n", 0, comment.end() if comment else place) + 1


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
