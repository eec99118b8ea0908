"""The task definition's health command, executed inside."""

import re
import subprocess
import time
from collections.abc import Iterator

from deploy.findings.finding import Finding, fail, ok, warn
from deploy.image.container import Container
from deploy.verify.container.image import docker
from deploy.verify.container.task import Task

NOT_FOUND = re.compile(r"executable file not found|no such file or directory", re.I)
SHELL_NOT_FOUND = re.compile(
    r"([\w./-]+): (?:command )?not found", re.I
)  # `curl … || exit 1` hides the shell's own 127


def command(running: Container, wanted: Task) -> Iterator[Finding]:
    """It passes, within its timeout."""
    if not wanted.command or wanted.command == ["NONE"]:
        yield warn(
            "TRIAL_COMMAND_NONE",
            "The task definition has no health command.",
            repair="Take the health command of the image's contract.",
        )
        return
    kind, *words = wanted.command
    words = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words if kind == "CMD" else [kind, *words]
    program = words[0]
    places = [("task definition: healthCheck.command", wanted.command)]
    began = time.monotonic()
    try:
        done = docker(running.env, "exec", running.name, *words, timeout_s=wanted.timeout + 1)
    except subprocess.TimeoutExpired:
        done = None
    seconds = time.monotonic() - began
    output = "" if done is None else (done.stdout + done.stderr).strip()
    last = output.splitlines()[-1] if output else "it said nothing"
    lacking = done is not None and done.returncode in (126, 127) and NOT_FOUND.search(output) is not None
    if kind == "CMD-SHELL" and done is not None and done.returncode and (named := SHELL_NOT_FOUND.search(output)):
        program, lacking = named[1], True
    if done is None or (done.returncode == 0 and seconds > wanted.timeout):
        yield fail(
            "TRIAL_COMMAND_SLOW",
            f"The health command took {'more than ' if done is None else ''}{seconds:.1f} s, "
            f"its timeout is {wanted.timeout:.0f} s.",
            *places,
            ("task definition: healthCheck.timeout", wanted.timeout),
            repair="Lengthen its timeout, or give the task more CPU.",
        )
    elif lacking:
        yield fail(
            "TRIAL_COMMAND_MISSING",
            f"The health command starts {program}, which is not in the image.",
            *places,
            ("container: exit code", done.returncode),
            repair="Take the health command of the image's contract.",
        )
    elif done.returncode != 0:
        yield fail(
            "TRIAL_COMMAND_FAILED",
            f"The health command ended with {done.returncode} after {seconds:.1f} s: {last}",
            *places,
            ("container: exit code", done.returncode),
            repair="Take the health command of the image's contract.",
        )
    else:
        yield ok("TRIAL_COMMAND", f"The health command passes in {seconds:.2f} s of {wanted.timeout:.0f} s.", *places)
