"""The container runtime cannot start the container: its program, its user or a volume is missing."""

import re

from deploy.diagnose.cause import Cause, CauseMatch, Weight, match_words, matched
from deploy.diagnose.causes.container import ends
from deploy.diagnose.containers import capital, container_of, the_container
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import VOLUME, Quote, log_lines, matching, safe, start_failures

NO_PROGRAM = re.compile(
    r"exec:? (?:\\*\"(?P<quoted>[^\"\\]+)\\*\"|(?P<program>[^\s\"\\:]+)): (?:stat [^\"]+?(?:: |\.\.\.))?"
    r"(?P<why>(?:executable file )?not found|"
    r"no such file or direc\w*|permission denied)|"
    r"(?:^|sh: )(?:\d+: |line \d+: )?(?P<shell>[\w./-]+): (?:command )?not found"
)
NOT_STARTED = re.compile(
    r"CannotStartContainerError|CannotCreateContainerError|ContainerRuntimeError|runc create failed"
)
START_TIMEOUT = re.compile(r"(?:ContainerRuntime|Docker)TimeoutError|Could not transition to \w+; timed out")
NO_USER = re.compile(r"unable to find (?:user|group) (?P<user>[^\s:]+)|no matching entries in (?:passwd|group) file")
# Why a volume cannot be mounted, in words of the mount helper; what that means; what to do.
VOLUME_REASONS = (
    (
        re.compile(r"(?i)failed to resolve|no such host|mount target"),
        "the name of the file system cannot be resolved",
        "Correct the file system's id, create a mount target in each zone of the tasks' subnets, and enable DNS "
        "resolution and DNS host names in the VPC.",
    ),
    (
        re.compile(r"(?i)access denied|AccessDenied|not authorized|permission denied|operation not permitted"),
        "access is denied",
        "Allow the task role elasticfilesystem:ClientMount and ClientWrite on the file system, in its policy and in "
        "the file system's, and turn on iam and transitEncryption in the volume; or correct the access point's user. "
        "An EBS volume needs the ECS infrastructure role.",
    ),
    (
        re.compile(r"(?i)no such file or directory|not a directory|does not exist"),
        "the folder to mount does not exist",
        "Create the folder in the file system, or use an access point that creates it; correct rootDirectory or the "
        "source path.",
    ),
    (
        re.compile(r"(?i)tim(?:ed|e) ?out|deadline exceeded|reset by peer|refused"),
        "its server does not answer",
        "Allow TCP 2049 (NFS) from the tasks' security group in the security group of the mount targets, and let the "
        "tasks' group reach it; a mount target that was just created needs about 90 s.",
    ),
)


def start_errors(evidence: Evidence) -> list[Quote]:
    """Why containers could not be started; with exit code 126 or 127 the shell says it in the log."""
    reasons = [quote for quote in start_failures(evidence) if NOT_STARTED.search(quote.text) or "exec:" in quote.text]
    return [*reasons, *log_lines(evidence, [task for task, _ in ends(evidence, (126, 127))])]


def entry_point(evidence: Evidence) -> CauseMatch | None:
    """The program to start does not exist, or may not be executed; a command with arguments may be one word."""
    matches = matching(start_errors(evidence), NO_PROGRAM)
    if not matches:
        return None
    quote, match = matches[0]
    program = match["quoted"] or match["program"] or match["shell"]
    why = "may not be executed" if match["why"] == "permission denied" else "is not in the image"
    repair, words = None, program.split()
    if match["quoted"] and len(words) > 1:
        why += ", because the whole command is one word"
        listed = ", ".join(f'"{safe(word, 40)}"' for word in words[:3]) + (", …" if len(words) > 3 else "")
        repair = f"Write the program and each argument as an element of its own in entryPoint or command: [{listed}]."
    name = the_container(container_of(evidence, quote))
    sentence = f"{capital(name)} cannot start: {safe(program, 120)} {why}."
    return matched(sentence, [quote for quote, _ in matches], repair=repair)


def _user(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    user = f" {safe(match['user'], 60)}" if match["user"] else ", or the group,"
    return f"{capital(the_container(container_of(evidence, quote)))} cannot start: the user{user} is not in the image."


def volume(evidence: Evidence) -> CauseMatch | None:
    """A volume cannot be mounted; the words of the mount helper say why."""
    matches = matching([quote for quote in start_failures(evidence) if "CannotPull" not in quote.text], VOLUME)
    if not matches:
        return None
    quote = matches[0][0]
    means, repair = next(((why, do) for words, why, do in VOLUME_REASONS if words.search(quote.text)), ("", None))
    name = the_container(container_of(evidence, quote))
    sentence = f"A volume of {name} cannot be mounted{f': {means}' if means else ''}."
    return matched(sentence, [quote for quote, _ in matches], repair=repair)


CAUSES = (
    Cause(
        "ENTRY_POINT_MISSING",
        "The program to start is not in the image",
        looks='`CannotStartContainerError: … exec: "…": executable file not found`, `no such file or directory`.',
        repair="Correct command or entryPoint in the task definition (a rendered one sets neither), or the image's "
        "ENTRYPOINT; `docker run --rm IMAGE` fails in the same way.",
        weight=Weight.STATED,
        deterministic=True,
        match=entry_point,
    ),
    Cause(
        "USER_MISSING",
        "The user that the container runs as is not in the image",
        looks="`unable to find user …: no matching entries in passwd file`.",
        repair="Correct user in the task definition (a rendered one sets none), or use a number: uid:gid.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(start_failures, NO_USER, _user),
    ),
    Cause(
        "START_TIMEOUT",
        "The container runtime gave up waiting for the container to start",
        looks="`ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting …`.",
        repair="Try again; if it persists, the image or its volume is very large: read the log of the start.",
        weight=Weight.TWO_FACTS,
        match=match_words(
            start_failures,
            START_TIMEOUT,
            lambda evidence, quote, _: (
                f"The container runtime gave up waiting for {the_container(container_of(evidence, quote))} to start."
            ),
        ),
    ),
    Cause(
        "VOLUME_FAILED",
        "A volume of the task cannot be mounted",
        looks="`failed to invoke EFS utils commands to set up EFS volumes`, `CannotCreateVolumeError`, `EBS volume …`.",
        repair="Check the volume in the task definition. A rendered one has only an empty volume of the task's own.",
        weight=Weight.STATED,
        match=volume,
    ),
    Cause(
        "CONTAINER_NOT_STARTED",
        "The container runtime cannot start the container",
        looks="`CannotStartContainerError` or `CannotCreateContainerError` with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence; start the image by hand with the same user, volumes and command.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(
            start_failures,
            NOT_STARTED,
            lambda evidence, quote, _: (
                f"The container runtime cannot start {the_container(container_of(evidence, quote))}."
            ),
        ),
    ),
)
