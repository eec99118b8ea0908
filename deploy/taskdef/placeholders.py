"""Finds the placeholders of template engines in a task definition that was not rendered.

A shell expands `${PORT}` in a command, and an application may expand it in a variable. So where ECS passes a text on
as it stands, a placeholder counts only if its form belongs to one template engine.
"""

import re
from typing import Any

# Go templates of ecspresso, Jinja, ERB, Terraform, CloudFormation.
OF_AN_ENGINE = re.compile(
    r"\{\{-?\s*(?:must_\w+|env|tfstate\w*|cfn_\w+|ssm|secretsmanager\w*|json_escape)\b[^{}]*\}\}"
    r"|\{%[^%]*%\}"
    r"|<%[^%]*%>"
    r"|\$\{(?:(?:var|local|data|module|each|self|path|terraform|aws_\w+)\.[^{}]*|AWS::\w+)\}"
)
OF_ANY = re.compile(
    rf"{OF_AN_ENGINE.pattern}"
    r"|\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$\(\w+\)|\$[A-Za-z_]\w*|#\{[^{}]*\}#?"
    r"|(?<![{\w])\{[A-Za-z_][\w.-]*\}"
    r"|<[A-Za-z][\w .:/-]*>|\[[A-Z][A-Z0-9_ -]*\]"
    r"|%[A-Z][A-Z0-9_]*%|@@\w+@@|(?<!\w)__[A-Z][A-Z0-9_]*__(?!\w)"
)
# A word in place of an account or a region, in the address of a registry or in an ARN: ACCOUNT_ID, xxxxxxxxxxxx.
ACCOUNT = re.compile(r"(?:^|(?<=//))[^./:]{0,64}[A-Za-z][^./:]{0,64}(?=\.dkr\.ecr\.)")
ARN = re.compile(r"arn:[^:]*:[^:]*:(?P<region>[^:]*):(?P<account>[^:]*):")
REGION = re.compile(r"(?<=\.dkr\.ecr\.)(?:[A-Z_]+|[\w-]{0,64}region[\w-]*)(?=\.)|^(?:AWS_)?REGION$|^your[-_]region$")
# Words that stand for a value: an image has no capital letters but in its tag; and of any text, these.
IMAGE_WORD = re.compile(
    r"(?:^|/)[A-Z][A-Z0-9_-]{2,}(?=[:@/]|$)|:(?:IMAGE_)?(?:TAG|VERSION|COMMIT_SHA|GIT_SHA|BUILD_\w+)$"
)
ARN_WORD = re.compile(r"[A-Z][A-Z0-9_]*_ARN")
ANY_WORD = re.compile(
    r"(?:REPLACE|CHANGE|INSERT|FILL)_?(?:ME|THIS|HERE|IN)(?:_[A-Z0-9_]+)?|YOUR_[A-Z0-9_]+|PLACEHOLDER|FIXME"
    r"|(?:fs|fsap)-x{4,}"
)
VARIABLE = re.compile(r"\$\{[^{}]+\}|\{\{[^{}]+\}\}|<[A-Za-z][\w .-]{2,}>|__[A-Z][A-Z0-9_]*__")  # the whole value
IN_ADDRESS = re.compile(r"<[A-Za-z][\w.-]*>|(?<![A-Za-z0-9_])(?:AWS_)?ACCOUNT_ID(?![A-Za-z0-9_])")  # of a URL, an ARN
IN_TEXT = re.compile(
    r"\{\{[^{}]*\}\}|\$\{[^{}\n]*\}|\{%[^%\n]*%\}|<%[^%\n]*%>|(?<=:)[ \t]*(?:\$[A-Za-z_]\w*|<[A-Za-z_][\w-]*>)"
)
PASSED_ON = {"command", "entryPoint", "dockerLabels", "tags", "environment", "options", "extraHosts", "systemControls"}
READ_OPTION = re.compile(r"awslogs-(?:group|region)")  # ECS itself needs these log options


def first(content: Any) -> str | None:
    """The first placeholder in the plain data of a task definition; None where it has none."""
    return _first(content, "", passed_on=False)


def first_in_line(line: str) -> str | None:
    """The first placeholder of a line that cannot be parsed; None where it has none."""
    match = IN_TEXT.search(line)
    return None if match is None else match[0].strip()


def is_placeholder(value: str) -> bool:
    """Whether the whole value of a variable is a placeholder, or a part of an address."""
    value = value.strip()
    address = "://" in value or value.startswith("arn:")
    return VARIABLE.fullmatch(value) is not None or (address and IN_ADDRESS.search(value) is not None)


def _first(value: Any, key: str, *, passed_on: bool) -> str | None:
    if isinstance(value, str):
        return _of_string(value, key, passed_on=passed_on)
    pairs = value.items() if isinstance(value, dict) else ((key, item) for item in value)
    for name, inner in pairs:
        if isinstance(inner, str | dict | list):
            freely = (passed_on or name in PASSED_ON) and READ_OPTION.fullmatch(str(name)) is None
            if (placeholder := _first(inner, str(name), passed_on=freely)) is not None:
                return placeholder
    return None


def _of_string(value: str, key: str, *, passed_on: bool) -> str | None:
    if passed_on:
        match = OF_AN_ENGINE.search(value)
        return None if match is None else match[0]
    if key == "image" and (word := IMAGE_WORD.search(value)) is not None:
        return word[0].strip(":/")
    if ARN_WORD.fullmatch(value) or ANY_WORD.fullmatch(value):
        return value
    if (match := OF_ANY.search(value) or ACCOUNT.search(value) or REGION.search(value)) is not None:
        return match[0]
    arn = ARN.match(value)
    if arn is not None and arn["account"] != "aws" and re.search("[A-Za-z]", arn["account"]):
        return arn["account"]
    return arn["region"] if arn is not None and re.search("[A-Z_]|region", arn["region"]) else None
