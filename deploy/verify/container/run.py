"""One trial from its beginning to its end."""

import subprocess
from collections.abc import Sequence
from typing import Any

from deploy.config.image_contract import STAND_IN, Contract
from deploy.findings.finding import Finding, fail, skip
from deploy.image.container import Container
from deploy.taskdef.model import not_determined
from deploy.verify.container.checks import judged
from deploy.verify.container.image import architecture, docker, present
from deploy.verify.container.task import task


def try_image(
    image: str, task_definition: dict[str, Any], contract: Contract, env: dict[str, str], names: Sequence[str] = ()
) -> list[Finding]:
    """Run the image and judge it; a good one takes some 15 s.

    Args:
        image: its name, best with @sha256:….
        task_definition: as it would be registered.
        contract: of the image.
        env: in which docker answers.
        names: of the container that serves, where they are known.
    """
    wanted = task(task_definition, contract, names)
    if (engine := docker(env, "version", "--format", "{{.Server.Version}}")).returncode != 0:
        return [_no_engine(engine.stderr)]
    if not wanted.container:
        reason = not_determined(task_definition, names, contract.port)
        return [skip("TRIAL_SKIPPED", f"The image was not run, since {reason}.")]
    found = list(present(image, env))
    if found[-1].level == "FAIL":
        return found
    found += architecture(image, wanted, env)
    if found[-1].level != "OK":
        return found
    options = ["--stop-timeout", f"{wanted.stop:.0f}"]
    for port in sorted({contract.port, wanted.port or contract.port} - {5000}):
        options += ["--publish", f"127.0.0.1::{port}"]
    if user := wanted.container.get("user"):
        options += ["--user", user]
    entry: list[str] = wanted.container.get("entryPoint") or []
    options += ["--entrypoint", entry[0]] if entry else []
    settings = environment(wanted.container, contract)
    try:
        container = Container(
            image,
            env,
            memory_mib=wanted.memory_mib,
            cpus=wanted.cpus,
            settings=settings,
            options=tuple(options),
            command=(*entry[1:], *(wanted.container.get("command") or [])),
            wait_for_port=False,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        found.append(
            fail(
                "TRIAL_REFUSED",
                f"The engine cannot start {image}: {''.join(last)}",
                ("image", image),
                repair="Look at entryPoint and command of the task definition, and at the image's own.",
            )
        )
        return found
    with container as running:
        try:
            for one in judged(running, wanted, contract, settings):
                found.append(one)
        except (subprocess.SubprocessError, LookupError, ValueError) as error:
            found.append(_no_engine(str(error)))
    return found


def environment(container: dict[str, Any], contract: Contract) -> dict[str, str]:
    """Variables of a container; a secret setting of the image gets a stand-in, since others may depend on it."""
    secret = {one.name for one in contract.settings if one.secret}
    hidden = {one["name"]: STAND_IN for one in container.get("secrets", []) if one["name"] in secret}
    return hidden | {one["name"]: one["value"] for one in container.get("environment", [])}


def _no_engine(why: str) -> Finding:
    return skip("TRIAL_ENGINE", f"The image was not run to the end: {' '.join(why.split())[:200]}")
