"""What ECS fetches before the container starts: secrets, roles, the log."""

import re

from deploy.diagnose.causes.image import NO_WAY
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import PREAMBLE, Match, Quote, action, events, reasons, shown
from deploy.diagnose.registry import SAID, SEEN, SYMPTOM, CauseMatch, by_words, cause

SECRET = re.compile(
    r"(?:retrieve|get|fetch|pull)\w* (?:the )?secrets?\b|secrets? manager|\bssm\b|parameter store|"
    r"GetSecretValue|GetParameters",
    re.IGNORECASE,
)
NAME = re.compile(r"arn:aws[\w-]*:(?:secretsmanager|ssm):[\w-]*:\d*:(?:secret:|parameter)[\w/+=.@-]+")
SECRET_MISSING = re.compile(
    r"ResourceNotFoundException|can't find the specified secret|invalid ssm parameters|ParameterNotFound|"
    r"secret[^\n]*(?:can't|cannot|could not) be found|Check that the secret exists",
    re.IGNORECASE,
)
KEY_MISSING = re.compile(
    r"did not contain json key[: ]*'?(?P<key>[\w./-]+)?|json key[^\n]*not found|"
    r"invalid character '[^\n]*looking for beginning",
    re.IGNORECASE,
)
REFUSED = re.compile(r"not authorized to perform|AccessDenied", re.IGNORECASE)
KMS_DENIED = re.compile(r"Access to KMS is not allowed|not authorized to perform: kms:|KMSAccessDenied")
NOT_ASSUMED = re.compile(r"unable to assume the role '?(?P<role>[^\s']+)?|not able to assume role|sts:AssumeRole")
LOG = re.compile(r"log(?:ging|ger|s)?[ :_]|log stream|CloudWatch", re.IGNORECASE)
GROUP_MISSING = re.compile(r"log group does not exist|cannot find the Amazon CloudWatch log group", re.IGNORECASE)
NO_CONNECTION = "connection issue"  # then ECS's "cannot find the log group" means that it could not ask for it
NOT_INITIALIZED = re.compile(r"ResourceInitializationError")


def of_secrets(seen: Evidence) -> list[Quote]:
    """What ECS said of secrets; where it speaks of ECR too, it is of ECR."""
    return [
        one
        for one in reasons(seen.failed)
        if SECRET.search(one.text.replace(PREAMBLE, ""))
        and "ecr registry auth" not in one.text
        and "CannotPull" not in one.text
    ]


def of_log(seen: Evidence) -> list[Quote]:
    """What ECS said of the log."""
    return [
        one
        for one in reasons(seen.failed)
        if ("ResourceInit" in one.text or "logging driver" in one.text or "log group" in one.text)
        and LOG.search(one.text)
        and not SECRET.search(one.text.replace(PREAMBLE, ""))
    ]


def secret(seen: Evidence, match: Match) -> str:
    """Which secret, and for which setting."""
    found = NAME.search(match.string)
    if found is None:
        return "the secret"
    settings = seen.definition.secrets if seen.definition else {}
    name = next((one for one, arn in settings.items() if found[0] in arn or arn.startswith(found[0])), None)
    return f"the secret {shown(found[0], 140)}{f' of {name}' if name else ''}"


@cause(
    "KMS_DENIED",
    "The secret's key may not be used",
    looks="`AccessDeniedException: Access to KMS is not allowed`.",
    repair="Let the execution role kms:Decrypt with the key that encrypts the secret, in its policy and in the key's "
    "(infra.adopt.key in the plan names a key of your own).",
    weight=SAID,
    deterministic=True,
)
def kms(seen: Evidence) -> CauseMatch | None:
    return by_words(
        reasons(seen.failed),
        KMS_DENIED,
        lambda match: f"ECS may not decrypt {secret(seen, match)}: the execution role lacks kms:Decrypt on its key.",
    )


@cause(
    "SECRET_KEY_MISSING",
    "The secret has no such JSON key",
    looks="`retrieved secret from Secrets Manager did not contain json key …`, `invalid character … looking for "
    "beginning of value`.",
    repair="Put the key into the secret, which must be a JSON object, or correct what stands after its name in the "
    "plan: secret:NAME:json-key::.",
    weight=SAID,
    deterministic=True,
)
def secret_key(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        if key := match["key"]:
            return f"There is no key {shown(key, 60)} in {secret(seen, match)}."
        return f"ECS finds no JSON object, or not the key, in {secret(seen, match)}."

    return by_words(of_secrets(seen), KEY_MISSING, sentence)


@cause(
    "SECRET_MISSING",
    "The secret is not there",
    looks="`ResourceNotFoundException: Secrets Manager can't find the specified secret`, `invalid ssm parameters`.",
    repair="Create it in the plan's region, or correct its ARN under secrets in the plan; the six letters after the "
    "name belong to it, and a secret that was deleted and made anew has others.",
    weight=SAID,
    deterministic=True,
)
def secret_missing(seen: Evidence) -> CauseMatch | None:
    sentence = "ECS cannot find {} that the task definition names."
    return by_words(of_secrets(seen), SECRET_MISSING, lambda match: sentence.format(secret(seen, match)))


@cause(
    "SECRET_DENIED",
    "The secret may not be read",
    looks="`AccessDeniedException: … is not authorized to perform: secretsmanager:GetSecretValue`.",
    repair="Let the execution role (not the task role) secretsmanager:GetSecretValue on the secret, or "
    "ssm:GetParameters on the parameter.",
    weight=SAID,
    deterministic=True,
)
def secret_denied(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        return f"The execution role lacks {action(match.string) or 'the permission'} on {secret(seen, match)}."

    quotes = [one for one in of_secrets(seen) if not KMS_DENIED.search(one.text)]
    return by_words(quotes, REFUSED, sentence)


@cause(
    "SECRET_UNREACHABLE",
    "Secrets Manager cannot be reached",
    looks="`unable to retrieve secret from asm: … context deadline exceeded`, and no refusal.",
    repair="Give the tasks a way out: a NAT gateway, a public IP in a public subnet, or the endpoint secretsmanager "
    "(ssm for parameters); and let their security group out on 443.",
    weight=SEEN,
)
def secret_unreachable(seen: Evidence) -> CauseMatch | None:
    sentence = (
        "From where the tasks stand, Secrets Manager cannot be reached: no way out of the subnet, or a closed door."
    )
    return by_words(of_secrets(seen), NO_WAY, sentence)


@cause(
    "ROLE_NOT_ASSUMED",
    "ECS cannot take a role",
    looks="event: `failed to launch a task with (error ECS was unable to assume the role '…' that was provided for "
    "this task`.",
    repair="Let ecs-tasks.amazonaws.com sts:AssumeRole in the role's trust policy, and check that the role is there. "
    "A role that was just created is known everywhere after a minute.",
    weight=SAID,
)
def role(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        name = f" {shown(match['role'], 140)}" if match.groupdict().get("role") else ""
        return f"ECS cannot assume the role{name}: it is missing, or does not trust ecs-tasks.amazonaws.com."

    return by_words([*reasons(seen.failed), *events(seen)], NOT_ASSUMED, sentence)


@cause(
    "LOG_GROUP_MISSING",
    "The log group is not there",
    looks="`failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
    "exist`.",
    repair="Create it (`trail infra apply` does, or `aws logs create-log-group`), or correct log_group in the plan.",
    weight=SAID,
    deterministic=True,
)
def log_group(seen: Evidence) -> CauseMatch | None:
    name = shown(seen.definition.log_group, 120) if seen.definition else ""
    sentence = f"The container does not start because its log group{f' {name}' if name else ''} does not exist."
    return by_words([one for one in reasons(seen.failed) if NO_CONNECTION not in one.text], GROUP_MISSING, sentence)


@cause(
    "LOG_DENIED",
    "The log may not be written",
    looks="`is not authorized to perform: logs:CreateLogStream` in the stopped reason.",
    repair="Let the execution role logs:CreateLogStream and logs:PutLogEvents on the log group (its ARN ends in :*).",
    weight=SAID,
    deterministic=True,
)
def log_denied(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        lacking = action(match.string) or "access to its log"
        return f"The container does not start because the execution role lacks {lacking}."

    return by_words(of_log(seen), REFUSED, sentence)


@cause(
    "LOG_UNREACHABLE",
    "CloudWatch Logs cannot be reached",
    looks="`failed to validate logger args: … context deadline exceeded` or `signal: killed`.",
    repair="Give the tasks a way out: a NAT gateway, a public IP in a public subnet, or the endpoint logs; and let "
    "their security group out on 443.",
    weight=SEEN,
)
def log_unreachable(seen: Evidence) -> CauseMatch | None:
    pattern = re.compile(f"{NO_WAY.pattern}|signal: killed", re.IGNORECASE)
    sentence = (
        "From where the tasks stand, CloudWatch Logs cannot be reached: no way out of the subnet, or a closed door."
    )
    return by_words(of_log(seen), pattern, sentence)


@cause(
    "NOT_INITIALIZED",
    "ECS cannot prepare the task",
    looks="`ResourceInitializationError` with a reason that no other cause knows.",
    repair="Read ECS's own words below: they name what could not be fetched or mounted.",
    weight=SYMPTOM,
    symptom=True,
)
def not_initialized(seen: Evidence) -> CauseMatch | None:
    return by_words(
        reasons(seen.failed), NOT_INITIALIZED, "ECS could not prepare what the task needs before it starts."
    )
