"""What ECS prepares before the container starts: secrets, roles, the log."""

import re

from deploy.diagnose.cause import Cause, CauseMatch, Sentence, Weight, match_words, matched
from deploy.diagnose.containers import container_of, serving_name, the_container
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    PREAMBLE,
    UNREACHABLE,
    Quote,
    matching,
    missing_permission,
    reasons_and_events,
    safe,
    start_failures,
)

SECRET = re.compile(
    r"(?i)(?:retrieve|get|fetch|pull)\w* (?:the )?secrets?\b|secrets? manager|\bssm\b|parameter store|"
    r"GetSecretValue|GetParameters"
)
SECRET_ARN = re.compile(r"arn:aws[\w-]*:(?:secretsmanager|ssm):[\w-]*:\d*:(?:secret:|parameter)[\w/+=.@-]+")
SECRET_MISSING = re.compile(
    r"(?i)marked for deletion|ResourceNotFoundException|"
    r"can['’]t find the specified secret|invalid (?:ssm )?parameters|ParameterNotFound|"
    r"secret[^\n]*(?:can['’]t|cannot|could not) be found|Check that the secret exists"
)
SECRET_ARN_WRONG = re.compile(
    r"(?i)unexpected ARN format|(?:invalid|malformed) (?:resource )?ARN|ValidationException|"
    r"ARN[^\n]{0,40} (?:is )?(?:invalid|malformed|not valid)|"
    r"arn: (?:invalid prefix|not enough sections)|valid name containing alphanumeric|parameter name: can['’]t be"
)
JSON_KEY_MISSING = re.compile(
    r"(?i)did not contain json key[: ]*'?(?P<key>[\w./-]+)?|json key[^\n]*not found|"
    r"invalid character '[^\n]*looking for beginning"
)
DENIED = re.compile(r"(?i)not authorized to perform|AccessDenied")
KMS_DENIED = re.compile(
    r"Access to KMS is not allowed|not authorized to perform: kms:|KMSAccessDenied|"
    r"(?P<unusable>(?:KMS|customer master) key[^\n]*(?:does not exist|is not available|disabled|pending deletion)|"
    r"DecryptionFailure|can['’]t decrypt|KMS[^\n]*(?:InvalidState|Disabled|NotFound))"
)
NOT_ASSUMED = re.compile(
    r"unable to assume the role '?(?P<role>[^\s']+)?|not able to assume role|sts:AssumeRole|"
    r"IAM trust relationship has been misconfigured"
)
LOG = re.compile(r"(?i)\blog(?:ging|ger|s)?[ :_]|log stream|CloudWatch|awslogs")
LOG_GROUP_MISSING = re.compile(r"(?i)log group does not exist|cannot find the Amazon CloudWatch log group")
NO_CONNECTION = re.compile("connection issue")  # then "cannot find the log group" means that ECS could not reach it
LOG_UNREACHABLE = re.compile(f"{UNREACHABLE.pattern}|signal: killed", re.IGNORECASE)
LOG_OPTIONS = re.compile(
    r"(?i)awslogs-\S+ is required|unknown log opt|no log driver named|log driver[^\n]{0,60}(?:not supported|unknown)|"
    r"invalid (?:value for )?log[- ]opt|unable to get awslogs driver arg"
)
OTHER_LOG_SERVER = re.compile(r"logging driver: (?:dial|lookup)|(?:gelf|fluentd|splunk|syslog)", re.IGNORECASE)
ENVIRONMENT_FILE = re.compile(r"(?i)\benv(?:ironment)?[ -]?files?\b")
FILE_MISSING = re.compile(r"(?i)NoSuchKey|NoSuchBucket|NotFound|status code:? 404|does not exist|not found")
FILE_DENIED = re.compile(r"(?i)AccessDenied|access denied|Forbidden|status code:? 403|not authorized")
CALL_THROTTLED = re.compile(r"ThrottlingException|Rate exceeded|RequestLimitExceeded|TooManyRequestsException|SlowDown")
REGISTRY_LIMITED = re.compile(r"toomanyrequests:|pull rate limit")
NOT_MISSING = re.compile(f"{KMS_DENIED.pattern}|{SECRET_ARN_WRONG.pattern.removeprefix('(?i)')}", re.IGNORECASE)
NOT_INITIALIZED = re.compile(r"ResourceInitializationError")


def secret_errors(evidence: Evidence) -> list[Quote]:
    """ECS's reasons that are about secrets; those that name ECR are about the image."""
    return [
        quote
        for quote in start_failures(evidence)
        if SECRET.search(quote.text.replace(PREAMBLE, ""))
        and "ecr registry auth" not in quote.text
        and "CannotPull" not in quote.text
    ]


def log_errors(evidence: Evidence) -> list[Quote]:
    """ECS's reasons that are about the log."""
    return [
        quote
        for quote in start_failures(evidence)
        if ("ResourceInit" in quote.text or "logging driver" in quote.text or "log group" in quote.text)
        and not ENVIRONMENT_FILE.search(quote.text)
        and LOG.search(quote.text)
        and not SECRET.search(quote.text.replace(PREAMBLE, ""))
    ]


def secret_name(evidence: Evidence, quote: Quote) -> str:
    """Which secret a quote names, for which setting and container."""
    name = container_of(evidence, quote)
    where = f" for {the_container(name)}"
    arn = SECRET_ARN.search(quote.text)
    if arn is None:
        return f"the secret{where}"
    secrets = evidence.definition.secrets if evidence.definition else {}
    setting = next((name for name, value in secrets.items() if arn[0] in value or value.startswith(arn[0])), None)
    if setting and not name:
        where = f" for {the_container(serving_name(evidence))}"
    return f"the secret {safe(arn[0], 140)}{f' of {setting}' if setting else ''}{where}"


def about_secret(template: str) -> Sentence:
    """A sentence in which {secret} and {permission} are those of the quote."""

    def sentence(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
        return template.format(
            secret=secret_name(evidence, quote), permission=missing_permission(quote.text) or "the permission"
        )

    return sentence


def _secret_missing(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    secret = secret_name(evidence, quote)
    if "for staging label" in quote.text:
        return f"ECS finds no value in {secret}: it exists, but was never given one."
    if "marked for deletion" in quote.text:
        return f"ECS cannot read {secret}: it is marked for deletion."
    return f"ECS cannot find {secret} that the task definition names."


def _kms(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    secret = secret_name(evidence, quote)
    if match["unusable"]:
        return f"ECS cannot decrypt {secret}: its key is disabled, deleted, or another one."
    return f"ECS may not decrypt {secret}: the execution role lacks kms:Decrypt on its key."


def _json_key(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    if key := match["key"]:
        return f"There is no key {safe(key.rstrip('.'), 60)} in {secret_name(evidence, quote)}."
    return f"ECS finds no JSON object in {secret_name(evidence, quote)}, or the object lacks the key."


def _role(_: Evidence, __: Quote, match: re.Match[str]) -> str:
    role = f" {safe(match['role'], 140)}" if match["role"] else ""
    return f"ECS cannot assume the role{role}: it does not exist, or does not trust ecs-tasks.amazonaws.com."


def environment_file(evidence: Evidence) -> CauseMatch | None:
    """ECS cannot fetch a file with environment variables from S3."""
    matches = matching(start_failures(evidence), ENVIRONMENT_FILE)
    if not matches:
        return None
    quote = matches[0][0]
    permanent, why = True, ""
    if FILE_DENIED.search(quote.text):
        why = ": the execution role may not read it, or it does not exist"
    elif FILE_MISSING.search(quote.text):
        why = ": it does not exist"
    else:
        permanent = False
        why = ": S3 cannot be reached from the tasks' subnets" if UNREACHABLE.search(quote.text) else ""
    sentence = f"ECS cannot fetch an environment file from S3 for {the_container(container_of(evidence, quote))}{why}."
    return matched(sentence, [quote for quote, _ in matches], deterministic=permanent)


def _not_started(evidence: Evidence, quote: Quote) -> str:
    name = the_container(container_of(evidence, quote))
    return f"{name[:1].upper()}{name[1:]} does not start because"


def _log_group(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    own = container_of(evidence, quote) == serving_name(evidence)
    group = safe(evidence.definition.log_group, 120) if evidence.definition and own else ""
    return f"{_not_started(evidence, quote)} its log group{f' {group}' if group else ''} does not exist."


def _log_denied(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    permission = missing_permission(quote.text) or "permission to write its log"
    return f"{_not_started(evidence, quote)} the execution role lacks {permission}."


def _log_unreachable(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    own = "CloudWatch" not in quote.text and OTHER_LOG_SERVER.search(quote.text) is not None
    server = "the server of its log driver" if own else "CloudWatch Logs"
    return f"{_not_started(evidence, quote)} {server} cannot be reached from the tasks' subnets."


def _log_options(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    return f"{_not_started(evidence, quote)} its logConfiguration is wrong: {safe(match[0], 120)}."


CAUSES = (
    Cause(
        "KMS_DENIED",
        "The execution role may not use the secret's key",
        looks="`AccessDeniedException: Access to KMS is not allowed`.",
        repair="Allow the execution role kms:Decrypt with the key that encrypts the secret, in the role's policy and "
        "in the key's (infra.adopt.key in the plan names a key of your own).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(start_failures, KMS_DENIED, _kms),
    ),
    Cause(
        "SECRET_ARN",
        "The ARN of a secret has a wrong form",
        looks="`unexpected ARN format with parameters when trying to retrieve ASM secret`, `Invalid name`.",
        repair="Write the whole ARN under secrets in the plan, with the three fields after the name where a JSON key "
        "is meant: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-AbCdEf:json-key::; `trail preflight` checks it.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(secret_errors, SECRET_ARN_WRONG, about_secret("The ARN of {secret} has a wrong form.")),
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
        match=match_words(secret_errors, SECRET_MISSING, _secret_missing, excluding=NOT_MISSING),
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
        match=match_words(
            secret_errors,
            UNREACHABLE,
            about_secret("Secrets Manager cannot be reached from the tasks' subnets, to read {secret}."),
        ),
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
        match=match_words(start_failures, LOG_GROUP_MISSING, _log_group, excluding=NO_CONNECTION),
    ),
    Cause(
        "LOG_DENIED",
        "The execution role may not write the log",
        looks="`is not authorized to perform: logs:CreateLogStream` in the stopped reason.",
        repair="Allow the execution role logs:CreateLogStream and logs:PutLogEvents on the log group (ARN with :*).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(log_errors, DENIED, _log_denied),
    ),
    Cause(
        "LOG_UNREACHABLE",
        "CloudWatch Logs cannot be reached from the tasks' subnets",
        looks="`failed to validate logger args: … context deadline exceeded` or `signal: killed`.",
        repair="Give the tasks a route out: a NAT gateway, a public IP in a public subnet, or the VPC endpoint logs; "
        "and allow their security group egress on port 443.",
        weight=Weight.TWO_FACTS,
        match=match_words(log_errors, LOG_UNREACHABLE, _log_unreachable),
    ),
    Cause(
        "LOG_OPTIONS",
        "The log configuration of a container is wrong",
        looks="`failed to validate logger args: … awslogs-region is required`, `unknown log opt …`.",
        repair="Correct logConfiguration of the container in the task definition; `trail render` writes one.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(start_failures, LOG_OPTIONS, _log_options),
    ),
    Cause(
        "ENVIRONMENT_FILE",
        "An environment file cannot be fetched",
        looks="`ResourceInitializationError: failed to download env files: …`.",
        repair="Allow the execution role s3:GetObject on the file and s3:GetBucketLocation on the bucket, correct its "
        "ARN in environmentFiles, and give the tasks a route to S3; or use environment, as a rendered definition does.",
        weight=Weight.STATED,
        match=environment_file,
    ),
    Cause(
        "CALL_THROTTLED",
        "AWS throttles a call that ECS needs to start a task",
        looks="`ThrottlingException: Rate exceeded` in a stopped reason or an event.",
        repair="Wait: ECS tries again. If it goes on, start fewer tasks at a time.",
        weight=Weight.STATED,
        match=match_words(
            start_failures,
            CALL_THROTTLED,
            lambda evidence, quote, _: (
                f"AWS throttles a call that ECS needs to start {the_container(container_of(evidence, quote))}."
            ),
            excluding=REGISTRY_LIMITED,
        ),
    ),
    Cause(
        "NOT_INITIALIZED",
        "ECS could not prepare what the task needs before it starts",
        looks="`ResourceInitializationError` with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence: it names what could not be fetched or mounted.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(
            start_failures,
            NOT_INITIALIZED,
            lambda evidence, quote, _: (
                f"ECS could not prepare what {the_container(container_of(evidence, quote))} needs before it starts."
            ),
        ),
    ),
)
