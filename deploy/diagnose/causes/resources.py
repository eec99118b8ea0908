"""What ECS prepares before the container starts: secrets, roles, the log."""

import re
from collections.abc import Callable

from deploy.diagnose.cause import Cause, Weight, match_words
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    PREAMBLE,
    UNREACHABLE,
    Quote,
    failed_reasons,
    missing_permission,
    reasons_and_events,
    safe,
)

SECRET = re.compile(
    r"(?i)(?:retrieve|get|fetch|pull)\w* (?:the )?secrets?\b|secrets? manager|\bssm\b|parameter store|"
    r"GetSecretValue|GetParameters"
)
SECRET_ARN = re.compile(r"arn:aws[\w-]*:(?:secretsmanager|ssm):[\w-]*:\d*:(?:secret:|parameter)[\w/+=.@-]+")
SECRET_MISSING = re.compile(
    r"(?i)ResourceNotFoundException|can't find the specified secret|invalid ssm parameters|ParameterNotFound|"
    r"secret[^\n]*(?:can't|cannot|could not) be found|Check that the secret exists"
)
JSON_KEY_MISSING = re.compile(
    r"(?i)did not contain json key[: ]*'?(?P<key>[\w./-]+)?|json key[^\n]*not found|"
    r"invalid character '[^\n]*looking for beginning"
)
DENIED = re.compile(r"(?i)not authorized to perform|AccessDenied")
KMS_DENIED = re.compile(r"Access to KMS is not allowed|not authorized to perform: kms:|KMSAccessDenied")
NOT_ASSUMED = re.compile(r"unable to assume the role '?(?P<role>[^\s']+)?|not able to assume role|sts:AssumeRole")
LOG = re.compile(r"(?i)log(?:ging|ger|s)?[ :_]|log stream|CloudWatch")
LOG_GROUP_MISSING = re.compile(r"(?i)log group does not exist|cannot find the Amazon CloudWatch log group")
NO_CONNECTION = re.compile("connection issue")  # then "cannot find the log group" means that ECS could not reach it
LOG_UNREACHABLE = re.compile(f"{UNREACHABLE.pattern}|signal: killed", re.IGNORECASE)
NOT_INITIALIZED = re.compile(r"ResourceInitializationError")


def secret_errors(evidence: Evidence) -> list[Quote]:
    """ECS's reasons that are about secrets; those that name ECR are about the image."""
    return [
        quote
        for quote in failed_reasons(evidence)
        if SECRET.search(quote.text.replace(PREAMBLE, ""))
        and "ecr registry auth" not in quote.text
        and "CannotPull" not in quote.text
    ]


def log_errors(evidence: Evidence) -> list[Quote]:
    """ECS's reasons that are about the log."""
    return [
        quote
        for quote in failed_reasons(evidence)
        if ("ResourceInit" in quote.text or "logging driver" in quote.text or "log group" in quote.text)
        and LOG.search(quote.text)
        and not SECRET.search(quote.text.replace(PREAMBLE, ""))
    ]


def secret_name(evidence: Evidence, match: re.Match[str]) -> str:
    """Which secret a quote names, and for which setting."""
    arn = SECRET_ARN.search(match.string)
    if arn is None:
        return "the secret"
    secrets = evidence.definition.secrets if evidence.definition else {}
    setting = next((name for name, value in secrets.items() if arn[0] in value or value.startswith(arn[0])), None)
    return f"the secret {safe(arn[0], 140)}{f' of {setting}' if setting else ''}"


def about_secret(template: str) -> Callable[[Evidence, re.Match[str]], str]:
    """A sentence in which {secret} and {permission} are those of the quote."""

    def sentence(evidence: Evidence, match: re.Match[str]) -> str:
        return template.format(
            secret=secret_name(evidence, match), permission=missing_permission(match.string) or "the permission"
        )

    return sentence


def _json_key(evidence: Evidence, match: re.Match[str]) -> str:
    if key := match["key"]:
        return f"There is no key {safe(key, 60)} in {secret_name(evidence, match)}."
    return f"ECS finds no JSON object in {secret_name(evidence, match)}, or the object lacks the key."


def _role(_: Evidence, match: re.Match[str]) -> str:
    role = f" {safe(match['role'], 140)}" if match["role"] else ""
    return f"ECS cannot assume the role{role}: it does not exist, or does not trust ecs-tasks.amazonaws.com."


def _log_group(evidence: Evidence, _: re.Match[str]) -> str:
    group = safe(evidence.definition.log_group, 120) if evidence.definition else ""
    return f"The container does not start because its log group{f' {group}' if group else ''} does not exist."


CAUSES = (
    Cause(
        "KMS_DENIED",
        "The execution role may not use the secret's key",
        looks="`AccessDeniedException: Access to KMS is not allowed`.",
        repair="Allow the execution role kms:Decrypt with the key that encrypts the secret, in the role's policy and "
        "in the key's (infra.adopt.key in the plan names a key of your own).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(
            failed_reasons,
            KMS_DENIED,
            about_secret("ECS may not decrypt {secret}: the execution role lacks kms:Decrypt on its key."),
        ),
    ),
    Cause(
        "SECRET_KEY_MISSING",
        "The secret has no such JSON key",
        looks="`… did not contain json key …`, `invalid character … looking for beginning of value`.",
        repair="Add the key to the secret (a JSON object), or correct the plan: secret:NAME:json-key::.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(secret_errors, JSON_KEY_MISSING, _json_key),
    ),
    Cause(
        "SECRET_MISSING",
        "The secret does not exist",
        looks="`ResourceNotFoundException: Secrets Manager can't find the specified secret`, `invalid ssm parameters`.",
        repair="Create it in the plan's region, or correct its ARN under secrets in the plan; the six letters after "
        "the name are part of the ARN, and a secret that was deleted and created again has others.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(
            secret_errors, SECRET_MISSING, about_secret("ECS cannot find {secret} that the task definition names.")
        ),
    ),
    Cause(
        "SECRET_DENIED",
        "The execution role may not read the secret",
        looks="`AccessDeniedException: … is not authorized to perform: secretsmanager:GetSecretValue`.",
        repair="Allow the execution role secretsmanager:GetSecretValue on the secret (a parameter: ssm:GetParameters).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(
            secret_errors,
            DENIED,
            about_secret("The execution role lacks {permission} on {secret}."),
            excluding=KMS_DENIED,
        ),
    ),
    Cause(
        "SECRET_UNREACHABLE",
        "Secrets Manager cannot be reached from the tasks' subnets",
        looks="`unable to retrieve secret from asm: … context deadline exceeded`, and permission is not denied.",
        repair="Give the tasks a route out: a NAT gateway, a public IP in a public subnet, or the VPC endpoint "
        "secretsmanager (ssm for parameters); and allow their security group egress on port 443.",
        weight=Weight.TWO_FACTS,
        match=match_words(secret_errors, UNREACHABLE),
    ),
    Cause(
        "ROLE_NOT_ASSUMED",
        "ECS cannot assume a role",
        looks="event: `failed to launch a task with (error ECS was unable to assume the role '…'`.",
        repair="Allow ecs-tasks.amazonaws.com sts:AssumeRole in the role's trust policy, and check that the role "
        "exists. A new role is known everywhere after about a minute.",
        weight=Weight.STATED,
        match=match_words(reasons_and_events, NOT_ASSUMED, _role),
    ),
    Cause(
        "LOG_GROUP_MISSING",
        "The log group does not exist",
        looks="`failed to create Cloudwatch log stream: … The specified log group does not exist`.",
        repair="Create it (`trail infra apply` or `aws logs create-log-group` does), or correct log_group in the plan.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(failed_reasons, LOG_GROUP_MISSING, _log_group, excluding=NO_CONNECTION),
    ),
    Cause(
        "LOG_DENIED",
        "The execution role may not write the log",
        looks="`is not authorized to perform: logs:CreateLogStream` in the stopped reason.",
        repair="Allow the execution role logs:CreateLogStream and logs:PutLogEvents on the log group (ARN with :*).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(
            log_errors,
            DENIED,
            lambda _, match: (
                "The container does not start because the execution role lacks "
                f"{missing_permission(match.string) or 'permission to write its log'}."
            ),
        ),
    ),
    Cause(
        "LOG_UNREACHABLE",
        "CloudWatch Logs cannot be reached from the tasks' subnets",
        looks="`failed to validate logger args: … context deadline exceeded` or `signal: killed`.",
        repair="Give the tasks a route out: a NAT gateway, a public IP in a public subnet, or the VPC endpoint logs; "
        "and allow their security group egress on port 443.",
        weight=Weight.TWO_FACTS,
        match=match_words(log_errors, LOG_UNREACHABLE),
    ),
    Cause(
        "NOT_INITIALIZED",
        "ECS could not prepare what the task needs before it starts",
        looks="`ResourceInitializationError` with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence: it names what could not be fetched or mounted.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(failed_reasons, NOT_INITIALIZED),
    ),
)
