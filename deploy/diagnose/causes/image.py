"""The image cannot be pulled, or does not fit the task's architecture or disk."""

import re

from deploy.diagnose.cause import Cause, Weight, match_words
from deploy.diagnose.containers import container_of, serving_name, the_container
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import PREAMBLE, UNREACHABLE, Quote, log_lines, missing_permission, safe, start_failures

PULL = re.compile(r"CannotPull|registry auth(?! from asm)|pull command failed")
MISSING = re.compile(
    r"(?i)(?:image|manifest|ref|tag|repository|API error \(404\))[^\n]*?"
    r"(?:not found|manifest unknown|does not exist(?! or may require)|can['’]t be found|cannot find)|"
    r"(?P<malformed>invalid reference format|failed to parse (?:image )?ref)"
)
DENIED = re.compile(
    r"(?i)403 Forbidden|status code:? 403|not authorized to perform: ecr:|AccessDenied|pull access denied|"
    r"no basic auth credentials|401 Unauthorized|status code:? 401|has the permissions to pull|requested access to the "
    r"resource is denied|insufficient_scope|authorization token has expired"
)
LIMITED = re.compile(r"(?i)toomanyrequests|pull rate limit|429 Too Many Requests")
OTHER_ARCHITECTURE = re.compile(
    r"exec format error|descriptor (?:matching|for) platform|no match(?:ing manifest)? for (?:platform|linux)",
    re.IGNORECASE,
)
NOT_MISSING = re.compile(f"{OTHER_ARCHITECTURE.pattern}|{UNREACHABLE.pattern}", re.IGNORECASE)
# The last ones are what ECS says where the layers, which lie in S3, cannot be fetched.
NOT_REACHED = re.compile(
    f"{UNREACHABLE.pattern}|panic: runtime error|signal: killed|error pulling image conf", re.IGNORECASE
)
NAMED = re.compile(
    r"(?:failed to resolve ref(?:erence)?|cannot pull|access denied for|\bimage|\brepository) [\"'‘]?"
    r"(?P<image>[\w.-]+(?::\d+)?(?:/[\w.-]+)+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?)"
)
LONG_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
FULL = re.compile("no space left on device|devmapper: Thin Pool|free data blocks", re.IGNORECASE)
CANNOT_BE_NETWORK = re.compile(f"{FULL.pattern}|{OTHER_ARCHITECTURE.pattern}", re.IGNORECASE)


def reasons_and_logs(evidence: Evidence) -> list[Quote]:
    """Why tasks could not start or stopped, and the logs of those that failed."""
    return [*start_failures(evidence), *log_lines(evidence, evidence.failed)]


def pull_errors(evidence: Evidence) -> list[Quote]:
    """ECS's words about pulling an image."""
    return [quote for quote in start_failures(evidence) if PULL.search(quote.text.replace(PREAMBLE, ""))]


def image_name(evidence: Evidence, quote: Quote) -> str:
    """The image that a quote is about, and its container: as the quote or the task definition names them."""
    named, container = NAMED.search(quote.text), container_of(evidence, quote)
    reference = evidence.definition.image if evidence.definition and container == serving_name(evidence) else ""
    if named is not None:
        same = bool(reference) and _repository(named["image"]) == _repository(reference)
        container = container if same or quote.container else ""
        reference = named["image"]
    image = safe(LONG_DIGEST.sub(r"\1…", reference), 160) if reference else "the image"
    return f"{image} for {the_container(container)}"


def _repository(image: str) -> str:
    return re.split(r"@|:[^/]*$", image)[0]


def _missing(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    why = "that is no valid name of an image" if match["malformed"] else "there is no such image in the registry"
    return f"ECS cannot pull {image_name(evidence, quote)}: {why}."


def _denied(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    role = safe(evidence.definition.execution_role, 120) if evidence.definition else ""
    permission = missing_permission(quote.text)
    lacks = f": it lacks {permission}" if permission else ""
    return f"The execution role{f' {role}' if role else ''} may not pull {image_name(evidence, quote)}{lacks}."


def _other_architecture(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    architecture = (evidence.definition.architecture if evidence.definition else "") or "X86_64"
    return f"The task runs on {architecture}, and {image_name(evidence, quote)} is built for another architecture."


CAUSES = (
    Cause(
        "IMAGE_ARCHITECTURE",
        "The image is built for another architecture",
        looks="`exec format error` in the log or the stopped reason; `does not contain descriptor matching platform`.",
        repair="Build the image for the task's architecture (`docker buildx build --platform linux/amd64`), or set "
        "size.architecture in the plan to the image's own.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(reasons_and_logs, OTHER_ARCHITECTURE, _other_architecture),
    ),
    Cause(
        "IMAGE_MISSING",
        "The image is not in the registry",
        looks="`CannotPullContainerError: … not found`, `manifest unknown`, `repository … does not exist`.",
        repair="Push the image to that repository (check region and account), or roll out a digest that exists: `aws "
        "ecr describe-images --repository-name …` lists them.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(pull_errors, MISSING, _missing, excluding=NOT_MISSING),
    ),
    Cause(
        "IMAGE_DENIED",
        "The execution role may not pull the image",
        looks="`CannotPullContainerError: … 403 Forbidden`, `not authorized to perform: ecr:…`, `pull access denied`.",
        repair="Allow the execution role (not the task role) ecr:GetAuthorizationToken on *, and ecr:BatchGetImage and "
        "ecr:GetDownloadUrlForLayer on the repository; a repository of another account must allow them too.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(pull_errors, DENIED, _denied),
    ),
    Cause(
        "REGISTRY_LIMIT",
        "The registry's rate limit is reached",
        looks="`toomanyrequests: You have reached your pull rate limit`.",
        repair="Push the image to ECR and pull it from there; Docker Hub limits pulls by address and account.",
        weight=Weight.STATED,
        match=match_words(
            pull_errors,
            LIMITED,
            lambda evidence, quote, _: (
                f"The registry's rate limit is reached: {image_name(evidence, quote)} cannot be pulled now."
            ),
        ),
    ),
    Cause(
        "IMAGE_UNREACHABLE",
        "The registry cannot be reached from the tasks' subnets",
        looks="`CannotPullContainerError: … dial tcp …: i/o timeout`, `… ecr registry auth: … RequestError`.",
        repair="Give the tasks a route out: a NAT gateway, or network.assign_public_ip in a public subnet, or the VPC "
        "endpoints ecr.api, ecr.dkr and s3; and allow their security group egress on port 443.",
        weight=Weight.TWO_FACTS,
        match=match_words(
            pull_errors,
            NOT_REACHED,
            lambda evidence, quote, _: (
                f"The registry of {image_name(evidence, quote)} cannot be reached from the tasks' subnets."
            ),
            excluding=CANNOT_BE_NETWORK,
        ),
    ),
    Cause(
        "DISK_FULL",
        "No space is left on the task's disk",
        looks="`no space left on device`, in the pull's error or in the log.",
        repair="Raise ephemeralStorage (default 20 GiB, at most 200), or write less; the weights' cache is there too.",
        weight=Weight.STATED,
        match=match_words(
            reasons_and_logs,
            FULL,
            lambda evidence, quote, _: (
                f"No space is left on the task's disk for {the_container(container_of(evidence, quote))}."
            ),
        ),
    ),
    Cause(
        "IMAGE_PULL",
        "The image cannot be pulled",
        looks="`CannotPullContainerError` with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence, and pull the image by hand with the execution role's permissions.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(
            pull_errors,
            re.compile("CannotPull"),
            lambda evidence, quote, _: f"ECS cannot pull {image_name(evidence, quote)}.",
        ),
    ),
)
