"""The image cannot be pulled, or does not fit the task's architecture or disk."""

from tests.rollout.causes.evidence import (
    EXECUTION,
    REPOSITORY,
    Example,
    Miss,
    exited,
    log,
    make_evidence,
    task,
    unstarted,
)
from tests.rollout.causes.messages import (
    ASM,
    FORBIDDEN,
    IO_TIMEOUT,
    LOGGER,
    NO_AUTH_WAY,
    NO_CONNECTION,
    NO_PERMISSION,
    NO_TOKEN,
    NOT_FOUND,
    OCI,
    PULL,
)

EXAMPLES = [
    Example("IMAGE_MISSING", make_evidence(unstarted(NOT_FOUND)), "there is no such image", "not found", True),
    Example(
        "IMAGE_MISSING",
        make_evidence(unstarted(f"CannotPullContainerError: API error (404): repository {REPOSITORY} not found")),
        "no such image",
        "API error (404)",
        True,
        "repository",
    ),
    Example(
        "IMAGE_MISSING",
        make_evidence(
            unstarted(
                f"{PULL}failed to resolve ref docker.io/shine:simple: docker.io/library/shine:simple: manifest unknown"
            )
        ),
        "no such image",
        "manifest unknown",
        True,
        "tag",
    ),
    Example("IMAGE_DENIED", make_evidence(unstarted(FORBIDDEN)), EXECUTION, "403 Forbidden", True),
    Example(
        "IMAGE_DENIED",
        make_evidence(unstarted(NO_TOKEN)),
        "it lacks ecr:GetAuthorizationToken",
        "ecr:Get",
        True,
        "token",
    ),
    Example(
        "IMAGE_DENIED",
        make_evidence(
            unstarted(
                "CannotPullContainerError: Error response from daemon: pull access denied for "
                f"{REPOSITORY}, repository does not exist or may require 'docker login'"
            )
        ),
        "may not pull",
        "pull access denied",
        True,
        "login",
    ),
    Example(
        "IMAGE_UNREACHABLE",
        make_evidence(unstarted(IO_TIMEOUT), subnets="nat"),
        "cannot be reached",
        "i/o timeout",
        False,
    ),
    Example(
        "IMAGE_DENIED",
        make_evidence(unstarted(NO_PERMISSION)),
        "may not pull",
        "has the permissions",
        True,
        "newer words",
    ),
    Example(
        "IMAGE_UNREACHABLE",
        make_evidence(unstarted(NO_CONNECTION)),
        "reached",
        "connection issue",
        False,
        "newer words",
    ),
    Example(
        "IMAGE_UNREACHABLE", make_evidence(unstarted(NO_AUTH_WAY)), "cannot be reached", "RequestError", False, "token"
    ),
    Example(
        "IMAGE_ARCHITECTURE",
        make_evidence(exited(1), logs=log(1, "exec /app/entrypoint: exec format error")),
        "runs on X86_64",
        "exec format error",
        True,
    ),
    Example(
        "IMAGE_ARCHITECTURE",
        make_evidence(
            unstarted(
                "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'."
            )
        ),
        "built for another architecture",
        "descriptor matching platform",
        True,
        "manifest",
    ),
    Example(
        "IMAGE_ARCHITECTURE",
        make_evidence(
            task(
                container=f"{OCI}exec /app/entrypoint: exec format error: unknown",
                code="TaskFailedToStart",
                started=None,
            )
        ),
        "built for another architecture",
        "exec format error",
        True,
        "runtime",
    ),
    Example(
        "REGISTRY_LIMIT",
        make_evidence(
            unstarted(
                f"{PULL}httpReadSeeker: failed open: failed to do request: 429 Too Many Requests - Server message: "
                "toomanyrequests: You have reached your pull rate limit."
            )
        ),
        "rate limit is reached",
        "toomanyrequests",
        False,
    ),
    Example(
        "DISK_FULL",
        make_evidence(
            unstarted("CannotPullContainerError: write /var/lib/containerd/io/ingest/9/data: no space left on device")
        ),
        "No space is left on the task's disk",
        "no space left",
        False,
    ),
    Example(
        "IMAGE_PULL",
        make_evidence(unstarted("CannotPullContainerError: failed to register layer: layer does not verify")),
        "cannot pull",
        "failed to register layer",
        False,
    ),
]

MISSES = [
    Miss("IMAGE_MISSING", make_evidence(unstarted(IO_TIMEOUT)), "no answer does not mean that it is missing"),
    Miss(
        "IMAGE_MISSING",
        make_evidence(unstarted(f"{LOGGER}ResourceNotFoundException: The specified log group does not exist.")),
        "log",
    ),
    Miss(
        "IMAGE_DENIED",
        make_evidence(
            unstarted(
                f"{ASM}AccessDeniedException: User: x is not authorized to perform: secretsmanager:GetSecretValue"
            )
        ),
        "a secret",
    ),
    Miss("IMAGE_UNREACHABLE", make_evidence(unstarted(NOT_FOUND)), "it was reached"),
    Miss("IMAGE_PULL", make_evidence(unstarted(NOT_FOUND)), "it is known why"),
]
