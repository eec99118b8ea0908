"""The image cannot be had, or is not for this machine."""

import re

from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import PREAMBLE, Match, Quote, action, lines, reasons, shown
from deploy.diagnose.registry import SAID, SEEN, SYMPTOM, CauseMatch, by_words, cause

PULL = re.compile(r"CannotPull|registry auth")
NO_WAY = re.compile(
    r"i/o timeout|dial tcp|context deadline exceeded|request canceled|connection (?:refused|reset|issue|timed out)|"
    r"RequestCanceled|RequestError|no such host|TLS handshake timeout|network configuration",
    re.IGNORECASE,
)
MISSING = re.compile(
    r"(?:image|manifest|ref|tag|repository|API error \(404\))[^\n]*?"
    r"(?:not found|manifest unknown|does not exist(?! or may require)|can't be found|cannot find)",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"403 Forbidden|status code:? 403|not authorized to perform: ecr:|AccessDenied|pull access denied|"
    r"no basic auth credentials|401 Unauthorized|has the permissions to pull",
    re.IGNORECASE,
)
LIMITED = re.compile(r"toomanyrequests|pull rate limit|429 Too Many Requests", re.IGNORECASE)
OTHER_MACHINE = re.compile(
    r"exec format error|descriptor (?:matching|for) platform|no match(?:ing manifest)? for (?:platform|linux)",
    re.IGNORECASE,
)
LONG_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
FULL = re.compile(r"no space left on device", re.IGNORECASE)


def named(seen: Evidence) -> str:
    """The image, as the task definition names it."""
    reference = LONG_DIGEST.sub(r"\1…", seen.definition.image) if seen.definition else ""
    return shown(reference, 160) if reference else "the image"


def of(seen: Evidence) -> list[Quote]:
    """What ECS said of pulling the image, for tasks that failed."""
    return [one for one in reasons(seen.failed) if PULL.search(one.text.replace(PREAMBLE, ""))]


@cause(
    "IMAGE_ARCHITECTURE",
    "The image is built for another architecture",
    looks="`exec format error` in the log or the stopped reason; `does not contain descriptor matching platform`.",
    repair="Build the image for the task's architecture (`docker buildx build --platform linux/amd64`), or set "
    "size.architecture in the plan to the image's own.",
    weight=SAID,
    deterministic=True,
)
def architecture(seen: Evidence) -> CauseMatch | None:
    wanted = (seen.definition.architecture if seen.definition else "") or "X86_64"
    quotes = [*reasons(seen.failed), *lines(seen, seen.failed)]
    return by_words(
        quotes, OTHER_MACHINE, f"The task runs on {wanted}, and {named(seen)} is built for another machine."
    )


@cause(
    "IMAGE_MISSING",
    "The image is not in the registry",
    looks="`CannotPullContainerError: … not found`, `manifest unknown`, `repository … does not exist`.",
    repair="Push the image to that repository (region and account count), or roll out a digest that is there: `aws "
    "ecr describe-images --repository-name …` lists them.",
    weight=SAID,
    deterministic=True,
)
def missing(seen: Evidence) -> CauseMatch | None:
    quotes = [one for one in of(seen) if not OTHER_MACHINE.search(one.text) and not NO_WAY.search(one.text)]
    return by_words(quotes, MISSING, f"ECS cannot pull {named(seen)}: there is no such image in the registry.")


@cause(
    "IMAGE_DENIED",
    "The image may not be pulled",
    looks="`CannotPullContainerError: … 403 Forbidden`, `not authorized to perform: ecr:…`, `pull access denied`.",
    repair="Let the execution role (not the task role) ecr:GetAuthorizationToken on *, and ecr:BatchGetImage and "
    "ecr:GetDownloadUrlForLayer on the repository; a repository of another account must allow it too.",
    weight=SAID,
    deterministic=True,
)
def denied(seen: Evidence) -> CauseMatch | None:
    role = shown(seen.definition.execution_role, 120) if seen.definition else ""

    def sentence(match: Match) -> str:
        lacking = f" {found} is not allowed." if (found := action(match.string)) else ""
        return f"The registry refuses {named(seen)} to the execution role{f' {role}' if role else ''}.{lacking}"

    return by_words(of(seen), DENIED, sentence)


@cause(
    "REGISTRY_LIMIT",
    "The registry's rate limit is reached",
    looks="`toomanyrequests: You have reached your pull rate limit`.",
    repair="Push the image to ECR and pull it from there; Docker Hub limits pulls by address and account.",
    weight=SAID,
)
def limited(seen: Evidence) -> CauseMatch | None:
    return by_words(of(seen), LIMITED, f"The registry of {named(seen)} gives out no more images for now.")


@cause(
    "IMAGE_UNREACHABLE",
    "The registry cannot be reached",
    looks="`CannotPullContainerError: … dial tcp …: i/o timeout`, `unable to retrieve ecr registry auth: … "
    "RequestError`.",
    repair="Give the tasks a way out: a NAT gateway, or network.assign_public_ip in a public subnet, or the endpoints "
    "ecr.api, ecr.dkr and s3; and let their security group out on 443.",
    weight=SEEN,
)
def unreachable(seen: Evidence) -> CauseMatch | None:
    sentence = "From where the tasks stand, the registry cannot be reached: no way out of the subnet, or a closed door."
    return by_words(of(seen), NO_WAY, sentence)


@cause(
    "DISK_FULL",
    "The task's disk is full",
    looks="`no space left on device`, at the pull or in the log.",
    repair="Raise ephemeralStorage (20 GiB are the default, up to 200), or write less; the weights' cache lies there "
    "too.",
    weight=SAID,
)
def full(seen: Evidence) -> CauseMatch | None:
    return by_words(
        [*reasons(seen.failed), *lines(seen, seen.failed)], FULL, "There is no space left on the task's disk."
    )


@cause(
    "IMAGE_PULL",
    "The image cannot be pulled",
    looks="`CannotPullContainerError` with a reason that no other cause knows.",
    repair="Read ECS's own words below, and pull the image by hand with the execution role's permissions.",
    weight=SYMPTOM,
    symptom=True,
)
def other(seen: Evidence) -> CauseMatch | None:
    return by_words(of(seen), re.compile("CannotPull"), f"ECS cannot pull {named(seen)}.")
