"""Runs one image from start to end and collects the findings."""

import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.config.image_contract import STAND_IN, Contract
from deploy.findings.finding import Finding, fail, ok, skip
from deploy.image.container import Container
from deploy.taskdef.model import not_determined
from deploy.verify.container.checks import check_container
from deploy.verify.container.probes import docker
from deploy.verify.container.task import Task, task

ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}  # ECS's name → the image's
PULL_S = 300.0


def try_image(
    image: str, task_definition: dict[str, Any], contract: Contract, env: dict[str, str], names: Sequence[str] = ()
) -> list[Finding]:
    """Run the image and check it; a good image takes about 15 s.

    Args:
        image: its name, best with @sha256:….
        task_definition: as it would be registered.
        contract: of the image.
        env: the environment for the docker command.
        names: of the serving container, where they are known.
    """
    expected = task(task_definition, contract, names)
    if (engine := docker(env, "version", "--format", "{{.Server.Version}}")).returncode != 0:
        return [_no_engine(engine.stderr)]
    if not expected.container:
        reason = not_determined(task_definition, names, contract.port)
        return [skip("TRIAL_SKIPPED", f"The image was not run, since {reason}.")]
    findings = list(_present(image, env))
    if findings[-1].level == "FAIL":
        return findings
    findings += _architecture(image, expected, env)
    if findings[-1].level != "OK":
        return findings
    settings = environment(expected.container, contract)
    try:
        container = _container(image, expected, contract, env, settings)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        findings.append(
            fail(
                "TRIAL_REFUSED",
                f"The Docker engine cannot start {image}: {''.join(last)}",
                ("image", image),
                repair="Check entryPoint and command of the task definition and of the image.",
            )
        )
        return findings
    with container as running:
        try:
            for finding in check_container(running, expected, contract, settings):
                findings.append(finding)
        except (subprocess.SubprocessError, LookupError, ValueError) as error:
            findings.append(_no_engine(str(error)))
    return findings


def _container(image: str, task: Task, contract: Contract, env: dict[str, str], settings: dict[str, str]) -> Container:
    """Start the image; raises subprocess.CalledProcessError where the engine refuses."""
    options = ["--stop-timeout", f"{task.stop:.0f}"]
    for port in sorted({contract.port, task.port or contract.port} - {5000}):
        options += ["--publish", f"127.0.0.1::{port}"]
    if user := task.container.get("user"):
        options += ["--user", user]
    entry: list[str] = task.container.get("entryPoint") or []
    options += ["--entrypoint", entry[0]] if entry else []
    return Container(
        image,
        env,
        memory_mib=task.memory_mib,
        cpus=task.cpus,
        settings=settings,
        options=tuple(options),
        command=(*entry[1:], *(task.container.get("command") or [])),
        wait_for_port=False,
    )


def environment(container: dict[str, Any], contract: Contract) -> dict[str, str]:
    """Variables of a container; a secret setting gets a stand-in, since other settings may depend on it."""
    secret = {setting.name for setting in contract.settings if setting.secret}
    stand_ins = {entry["name"]: STAND_IN for entry in container.get("secrets", []) if entry["name"] in secret}
    return stand_ins | {entry["name"]: entry["value"] for entry in container.get("environment", [])}


def _present(image: str, env: dict[str, str]) -> Iterator[Finding]:
    inspect = ("image", "inspect", "--format", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", image)
    inspected, pulled = docker(env, *inspect), None
    if inspected.returncode != 0:
        try:
            pulled = docker(env, "pull", "--quiet", image, timeout_s=PULL_S)
            inspected = docker(env, *inspect)
        except subprocess.TimeoutExpired:
            pulled = None
    if inspected.returncode != 0:
        reason = pulled.stderr.strip().splitlines()[-1:] if pulled else [f"not complete after {PULL_S:.0f} s"]
        yield fail(
            "TRIAL_IMAGE_MISSING",
            f"The image {image} is not on this machine and cannot be pulled: {''.join(reason)}",
            ("image", image),
            repair="Push the image, log in to its registry, or name an existing image.",
        )
        return
    yield ok(
        "TRIAL_IMAGE",
        f"The image {image} {'was pulled' if pulled else 'is on this machine'}.",
        ("image: id and digests", inspected.stdout.split()),
    )


def _architecture(image: str, task: Task, env: dict[str, str]) -> Iterator[Finding]:
    system, own = docker(env, "image", "inspect", "--format", "{{.Os}} {{.Architecture}}", image).stdout.split()
    expected = ARCHITECTURES.get(task.architecture, task.architecture)
    places = [("task definition: runtimePlatform.cpuArchitecture", task.architecture), ("image: architecture", own)]
    here = docker(env, "version", "--format", "{{.Server.Arch}}").stdout.strip()
    if (system, own) != ("linux", expected):
        yield fail(
            "TRIAL_ARCHITECTURE",
            f"The image is built for {system}/{own}, but the task definition runs it on {task.architecture} "
            f"(linux/{expected}).",
            *places,
            repair=f"Build the image for linux/{expected}, or set runtimePlatform to the image's architecture.",
        )
    elif own != here:
        yield skip(
            "TRIAL_SKIPPED", f"The image was not run: it is built for {own}, and this machine is {here}.", *places
        )
    else:
        yield ok("TRIAL_ARCHITECTURE", f"The image is built for linux/{own}, like the task.", *places)


def _no_engine(reason: str) -> Finding:
    return skip("TRIAL_ENGINE", f"The image was not run to the end: {' '.join(reason.split())[:200]}")
