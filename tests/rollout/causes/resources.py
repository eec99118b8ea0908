"""What ECS prepares before the container starts: secrets, roles, the log."""

from tests.rollout.causes.evidence import (
    ACCOUNT,
    EXECUTION,
    NAME,
    PULLING,
    REGION,
    SECRET,
    Example,
    Miss,
    event,
    exited,
    log,
    make_evidence,
    unstarted,
)
from tests.rollout.causes.messages import ASM, LOGGER, NO_LOG, NO_TOKEN, OTHER

EXAMPLES = [
    Example("LOG_UNREACHABLE", make_evidence(unstarted(NO_LOG)), "reached", "connection issue", False, "newer words"),
    Example(
        "KMS_DENIED",
        make_evidence(
            unstarted(
                f"{ASM}failed to fetch secret {SECRET} from secrets manager: AccessDeniedException: Access to KMS "
                "is not allowed status code: 400, request id: a87a66d9-f839-4353-b8c2-9984b1465695"
            )
        ),
        "kms:Decrypt",
        "Access to KMS",
        True,
    ),
    Example(
        "SECRET_MISSING",
        make_evidence(
            unstarted(
                f"{ASM}failed to fetch secret {SECRET} from secrets manager: ResourceNotFoundException: Secrets "
                "Manager can't find the specified secret. status code: 400"
            )
        ),
        f"the secret {SECRET} of SHINE_API_KEYS",
        "can't find the specified secret",
        True,
    ),
    Example(
        "SECRET_MISSING",
        make_evidence(
            unstarted(
                f"{PULLING}unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid "
                "ssm parameters: /shine/keys"
            )
        ),
        "cannot find",
        "invalid ssm parameters",
        True,
        "parameter",
    ),
    Example(
        "SECRET_KEY_MISSING",
        make_evidence(unstarted(f"{ASM}retrieved secret from Secrets Manager did not contain json key api_keys")),
        "no key api_keys",
        "did not contain json key",
        True,
    ),
    Example(
        "SECRET_KEY_MISSING",
        make_evidence(unstarted(f"{ASM}invalid character '\\'' looking for beginning of value")),
        "no JSON object",
        "looking for beginning",
        True,
        "no JSON",
    ),
    Example(
        "SECRET_DENIED",
        make_evidence(
            unstarted(
                f"{ASM}failed to fetch secret {SECRET} from secrets manager: AccessDeniedException: User: {OTHER} "
                f"is not authorized to perform: secretsmanager:GetSecretValue on resource: {SECRET} because no "
                "identity-based policy allows the secretsmanager:GetSecretValue action status code: 400"
            )
        ),
        "lacks secretsmanager:GetSecretValue on the secret arn",
        "not authorized",
        True,
    ),
    Example(
        "SECRET_UNREACHABLE",
        make_evidence(
            unstarted(
                f"{PULLING}unable to retrieve secret from asm: service call has been retried 5 time(s): failed to "
                f"fetch secret {SECRET} from secrets manager: RequestCanceled: request context canceled caused by: "
                "context deadline exceeded. Please check your task network configuration."
            )
        ),
        "Secrets Manager cannot be reached",
        "context deadline exceeded",
        False,
    ),
    Example(
        "ROLE_NOT_ASSUMED",
        make_evidence(
            events=[
                event(
                    f"(service {NAME}) failed to launch a task with (error ECS was unable to assume the role "
                    f"'{EXECUTION}' that was provided for this task. Please verify that the role being passed has "
                    "the proper trust relationship and permissions and that your IAM user has permissions to pass "
                    "this role.)."
                )
            ],
            service_changes={"runningCount": 0},
        ),
        f"assume the role {EXECUTION}",
        "unable to assume the role",
        False,
    ),
    Example(
        "LOG_GROUP_MISSING",
        make_evidence(
            unstarted(f"{LOGGER}ResourceNotFoundException: The specified log group does not exist. : exit status 1")
        ),
        f"/ecs/{NAME} does not exist",
        "log group does not exist",
        True,
    ),
    Example(
        "LOG_DENIED",
        make_evidence(
            unstarted(
                f"{LOGGER}AccessDeniedException: User: {OTHER} is not authorized to perform: logs:CreateLogStream "
                f"on resource: arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/ecs/{NAME}:log-stream:a because no "
                "identity-based policy allows the logs:CreateLogStream action"
            )
        ),
        "lacks logs:CreateLogStream",
        "not authorized",
        True,
    ),
    Example(
        "LOG_UNREACHABLE",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 5 "
                "times: failed to create Cloudwatch log stream: RequestError: send request failed caused by: "
                "context deadline exceeded : exit status 1"
            )
        ),
        "CloudWatch Logs cannot be reached",
        "context deadline",
        False,
    ),
    Example(
        "LOG_UNREACHABLE",
        make_evidence(unstarted("ResourceInitializationError: failed to validate logger args: : signal: killed")),
        "CloudWatch Logs cannot be reached",
        "signal: killed",
        False,
        "killed",
    ),
    Example(
        "NOT_INITIALIZED",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to get container metadata: the task metadata service is not there"
            )
        ),
        "could not prepare",
        "container metadata",
        False,
    ),
    Example(
        "ENVIRONMENT_FILE",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to download env files: file download command: non empty error "
                "stream"
            )
        ),
        f"cannot fetch an environment file from S3 for the container {NAME}.",
        "env files",
        False,
    ),
    Example(
        "ENVIRONMENT_FILE",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to download env files: service call has been retried 1 time(s): "
                "operation error S3: HeadObject, https response error StatusCode: 403, api error Forbidden: Forbidden."
            )
        ),
        "the execution role may not read it, or it does not exist",
        "403",
        True,
        "denied",
    ),
    Example(
        "SECRET_ARN",
        make_evidence(unstarted(f"{ASM}unexpected ARN format with parameters when trying to retrieve ASM secret")),
        f"The ARN of the secret for the container {NAME} has a wrong form.",
        "unexpected ARN format",
        True,
    ),
    Example(
        "SECRET_MISSING",
        make_evidence(
            unstarted(
                f"{ASM}failed to fetch secret {SECRET} from secrets manager: ResourceNotFoundException: Secrets "
                "Manager can't find the specified secret value for staging label: AWSCURRENT"
            )
        ),
        "was never given one",
        "ResourceNotFoundException",
        True,
        "without a value",
    ),
    Example(
        "LOG_OPTIONS",
        make_evidence(
            unstarted(
                "ResourceInitializationError: failed to validate logger args: unable to get awslogs driver arguments: "
                "awslogs-region is required"
            )
        ),
        f"The container {NAME} does not start because its logConfiguration is wrong",
        "awslogs-region is required",
        True,
    ),
    Example(
        "CALL_THROTTLED",
        make_evidence(
            unstarted(
                f"{PULLING}unable to retrieve secrets from ssm: service call has been retried 5 time(s): "
                "ThrottlingException: Rate exceeded status code: 400"
            )
        ),
        f"AWS throttles a call that ECS needs to start the container {NAME}.",
        "Rate exceeded",
        False,
    ),
]

MISSES = [
    Miss("ENVIRONMENT_FILE", make_evidence(unstarted(NO_LOG)), "a log"),
    Miss("SECRET_ARN", make_evidence(unstarted(NO_TOKEN)), "the registry's own token"),
    Miss("LOG_OPTIONS", make_evidence(unstarted(NO_LOG)), "the log cannot be reached"),
    Miss(
        "CALL_THROTTLED",
        make_evidence(exited(1), logs=log(1, "ThrottlingException: Rate exceeded")),
        "the task's own call",
    ),
    Miss(
        "IMAGE_UNREACHABLE",
        make_evidence(unstarted(f"{ASM}RequestError: send request failed: dial tcp 1.2.3.4:443: i/o timeout")),
        "a secret",
    ),
    Miss("SECRET_MISSING", make_evidence(unstarted(NO_TOKEN)), "the registry's own token"),
    Miss("SECRET_DENIED", make_evidence(unstarted(NO_TOKEN)), "of the registry"),
    Miss(
        "SECRET_DENIED",
        make_evidence(unstarted(f"{ASM}AccessDeniedException: Access to KMS is not allowed")),
        "the key, not the secret",
    ),
    Miss(
        "SECRET_KEY_MISSING",
        make_evidence(unstarted(f"{ASM}ResourceNotFoundException: Secrets Manager can't find the specified secret.")),
        "no secret at all",
    ),
    Miss(
        "LOG_GROUP_MISSING",
        make_evidence(unstarted(f"{ASM}ResourceNotFoundException: Secrets Manager can't find the specified secret.")),
        "a secret",
    ),
    Miss("LOG_DENIED", make_evidence(unstarted(NO_TOKEN)), "of the registry"),
    Miss(
        "ROLE_NOT_ASSUMED",
        make_evidence(exited(1), logs=log(1, "AccessDenied: not authorized to perform: s3:GetObject")),
        "the task's own",
    ),
]
