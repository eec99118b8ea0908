"""Before the image runs: is it here, and is it made for the task's architecture."""

import subprocess
from collections.abc import Iterator

from deploy.findings.finding import Finding, fail, ok, skip
from deploy.verify.container.task import Task

ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}  # ECS's name → the image's
PULL_S = 300.0
NOT_THERE = 127  # what a shell answers for a program that it does not find


def docker(env: dict[str, str], *words: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """A docker command, however it ends; raises subprocess.TimeoutExpired."""
    command = ["docker", *words]
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=timeout_s)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, NOT_THERE, "", "docker is not installed here.")


def present(image: str, env: dict[str, str]) -> Iterator[Finding]:
    """The image is here, or can be pulled."""
    shown = ("image", "inspect", "--format", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", image)
    known, pulled = docker(env, *shown), None
    if known.returncode != 0:
        try:
            pulled = docker(env, "pull", "--quiet", image, timeout_s=PULL_S)
            known = docker(env, *shown)
        except subprocess.TimeoutExpired:
            pulled = None
    if known.returncode != 0:
        why = pulled.stderr.strip().splitlines()[-1:] if pulled else [f"no end within {PULL_S:.0f} s"]
        yield fail(
            "TRIAL_IMAGE_MISSING",
            f"The image {image} is not here and cannot be pulled: {''.join(why)}",
            ("image", image),
            repair="Push the image, log in to its registry, or name one that is there.",
        )
        return
    digests = known.stdout.split()
    yield ok(
        "TRIAL_IMAGE",
        f"The image {image} {'was pulled' if pulled else 'is here'}.",
        ("image: id and digests", digests),
    )


def architecture(image: str, wanted: Task, env: dict[str, str]) -> Iterator[Finding]:
    """It is made for the task's architecture, and for this machine's."""
    system, own = docker(env, "image", "inspect", "--format", "{{.Os}} {{.Architecture}}", image).stdout.split()
    expected = ARCHITECTURES.get(wanted.architecture, wanted.architecture)
    places = [("task definition: runtimePlatform.cpuArchitecture", wanted.architecture), ("image: architecture", own)]
    here = docker(env, "version", "--format", "{{.Server.Arch}}").stdout.strip()
    if (system, own) != ("linux", expected):
        yield fail(
            "TRIAL_ARCHITECTURE",
            f"The image is made for {system}/{own}, the task definition runs it on {wanted.architecture} "
            f"(linux/{expected}).",
            *places,
            repair=f"Build the image for linux/{expected}, or set runtimePlatform to the image's architecture.",
        )
    elif own != here:
        yield skip("TRIAL_SKIPPED", f"The image is made for {own}, this machine is {here}: it was not run.", *places)
    else:
        yield ok("TRIAL_ARCHITECTURE", f"The image is made for linux/{own}, as the task is.", *places)
