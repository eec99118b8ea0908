"""The findings of a running container, from its start to its end."""

import re
import time
from collections.abc import Iterator

from deploy.config.image_contract import Contract
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.image.container import Container
from deploy.image.measure import used
from deploy.verify.container.probes import (
    StartupState,
    get_status,
    loopback,
    run_health_command,
    send_photo,
    wait_for_startup,
)
from deploy.verify.container.task import Task

TIGHT = 0.8  # of the limit, when idle
SETTLES_S = 2.0  # until the engine reports a killed container as ended
PROGRAMS = ("python", "sh", "curl", "wget")
READ_ONLY = re.compile(r"[^\n]*read-only file system[^\n]*", re.I)
RUN_BY_HAND = "Run it by hand (`docker run IMAGE`) and read its log."


def check_container(running: Container, task: Task, contract: Contract, settings: dict[str, str]) -> Iterator[Finding]:
    """All findings of a container that runs with those settings; it is stopped at the end."""
    startup = wait_for_startup(running, task, contract)
    yield from _user(running, contract)
    if startup.ended:
        yield from (finding for finding in _writes(running) if finding.level == "FAIL")
        yield _exited(running, task)
        return
    yield from _started(running, startup, task)
    if not startup.listening:
        return
    yield from _ports(startup, task, contract)
    yield from _health(running, startup, contract)
    yield from run_health_command(running, task)
    yield from _executables(running)
    yield from _writes(running)
    yield from _memory(running, task)
    if startup.status == 200:
        yield from send_photo(running, contract, settings)
        if _has_ended(running):
            yield _exited(running, task, " at its first photo")
            return
    yield from _stopped(running, task)


def _has_ended(running: Container) -> bool:
    until = time.monotonic() + SETTLES_S
    while not (ended := running.inspect()["State"]["Status"] in ("exited", "dead")) and time.monotonic() < until:
        time.sleep(0.2)
    return ended


def _exited(running: Container, task: Task, when: str = "") -> Finding:
    state, lines = running.inspect()["State"], running.logs().strip().splitlines()[-5:]
    if state["OOMKilled"]:
        return fail(
            "TRIAL_MEMORY_SHORT",
            f"The kernel killed the container{when}, at the task's limit of {task.memory_mib} MiB.",
            ("task definition: memory", task.memory_mib),
            repair="Give the task more memory.",
        )
    return fail(
        "TRIAL_EXITED",
        f"The container exited by itself{when}, with exit code {state['ExitCode']}; its last log line: "
        f"{lines[-1] if lines else '(none)'}",
        ("container: exit code", state["ExitCode"]),
        ("container: last lines of the log", lines),
        repair=RUN_BY_HAND,
    )


def _started(running: Container, startup: StartupState, task: Task) -> Iterator[Finding]:
    places = [("task definition: healthCheck.startPeriod", task.start_period)]
    if not startup.listening:
        yield fail(
            "TRIAL_START_NEVER",
            f"The container listens on no port after {startup.seconds:.0f} s; its last log line: "
            f"{''.join(running.logs().strip().splitlines()[-1:]) or '(none)'}",
            *places,
            repair=RUN_BY_HAND,
        )
    elif startup.seconds > task.start_period:
        yield fail(
            "TRIAL_START_SLOW",
            f"The container needs {startup.seconds:.0f} s to start, but the start period is {task.start_period:.0f} s.",
            *places,
            ("container: seconds to start", round(startup.seconds, 1)),
            repair=f"Set the start period to {min(300, round(2 * startup.seconds))} s, or make the start faster.",
        )
    else:
        yield ok("TRIAL_START", f"The container answers after {startup.seconds:.1f} s.", *places)


def _ports(startup: StartupState, task: Task, contract: Contract) -> Iterator[Finding]:
    outside = sorted(startup.outside)
    inside = {port for address, port in startup.listening if loopback(address)}
    places = [
        ("container: listening ports", outside),
        ("image contract: port", contract.port),
        ("task definition: portMappings[].containerPort", task.port),
    ]
    if contract.port not in outside and contract.port in inside:
        yield fail(
            "TRIAL_LOOPBACK",
            f"The container listens on 127.0.0.1:{contract.port} only: it cannot be reached from outside.",
            *places,
            repair="Let the server listen on 0.0.0.0.",
        )
    elif contract.port not in outside:
        yield fail(
            "TRIAL_PORT_OTHER",
            f"The container listens on port {', '.join(map(str, outside)) or 'none'}, its contract says "
            f"{contract.port}, the task definition {task.port}.",
            *places,
            repair=f"Let the server listen on {contract.port} (PORT), or use the image that has this contract.",
        )
    elif task.port != contract.port:
        yield fail(
            "TRIAL_PORT_MAPPED",
            f"The container listens on port {contract.port}, but the task definition maps {task.port}.",
            *places,
            repair=f"Set containerPort to {contract.port}.",
        )
    else:
        yield ok("TRIAL_PORT", f"The container listens on port {contract.port}.", *places)


def _health(running: Container, startup: StartupState, contract: Contract) -> Iterator[Finding]:
    path = contract.health.path
    if contract.port not in startup.outside:
        yield skip("TRIAL_HEALTH", f"{path} was not checked: nothing listens on port {contract.port}.")
    elif startup.status == 200:
        yield ok("TRIAL_HEALTH", f"GET {path} answers 200.", (f"container: GET {path}", 200))
    else:
        root = get_status(running.url, "/")
        hint = " (but / answers 200)" if root == 200 else ""
        yield fail(
            "TRIAL_HEALTH_STATUS",
            f"GET {path} answers {startup.status or 'nothing'}, not 200{hint}.",
            (f"container: GET {path}", startup.status),
            ("container: GET /", root),
            repair=f"Let the image answer 200 on {path}, the health path of its contract.",
        )


def _executables(running: Container) -> Iterator[Finding]:
    done = running.execute("sh", "-c", "; ".join(f"command -v {program}" for program in PROGRAMS))
    if done.returncode in (126, 127) and not done.stdout:
        yield skip("TRIAL_EXECUTABLES", "The image has no shell, so its programs were not listed.")
        return
    lines = done.stdout.split()
    installed = [program for program in PROGRAMS if any(line.endswith(f"/{program}") for line in lines)]
    missing = [program for program in PROGRAMS if program not in installed]
    sentence = f"Installed in the image: {', '.join(installed) or 'none'}; missing: {', '.join(missing) or 'none'}."
    yield ok("TRIAL_EXECUTABLES", sentence, ("container: programs", installed))


def _user(running: Container, contract: Contract) -> Iterator[Finding]:
    user = str(running.inspect()["Config"]["User"])
    expected = f"{contract.user.uid}:{contract.user.gid}"
    places = [("container: user", user), ("image contract: user", expected)]
    if user.partition(":")[0] in ("", "0", "root"):
        yield fail(
            "TRIAL_ROOT",
            f"The container runs as root, but its contract says {expected}.",
            *places,
            repair=f"Set USER {expected} in the image, or user in the task definition.",
        )
    elif user not in (expected, expected.partition(":")[0]):
        yield warn(
            "TRIAL_USER_OTHER",
            f"The container runs as {user}, but its contract says {expected}.",
            *places,
            repair="Remove user from the task definition.",
        )
    else:
        yield ok("TRIAL_USER", f"The container runs as {user}.", *places)


def _writes(running: Container) -> Iterator[Finding]:
    if refused := READ_ONLY.search(running.logs()):
        line = refused[0].strip()[-200:]
        yield fail(
            "TRIAL_WRITES",
            f"The container writes to a read-only file system: {line}",
            ("container: log", line),
            repair="Let it write only to /tmp, or mount a volume where it must write.",
        )
    else:
        yield ok("TRIAL_WRITES", "The container tried no write outside of /tmp.")


def _memory(running: Container, task: Task) -> Iterator[Finding]:
    usage = used(running)
    places = [("container: MiB used when idle", usage), ("task definition: memory", task.memory_mib)]
    sentence = f"The idle container uses {usage:.0f} MiB of {task.memory_mib} MiB."
    if usage > TIGHT * task.memory_mib:
        yield warn("TRIAL_MEMORY_TIGHT", sentence, *places, repair="Give the task more memory.")
    else:
        yield ok("TRIAL_MEMORY", sentence, *places)


def _stopped(running: Container, task: Task) -> Iterator[Finding]:
    seconds, state = running.stop(), running.inspect()["State"]
    places = [("task definition: stopTimeout", task.stop), ("container: exit code", state["ExitCode"])]
    if seconds > task.stop or state["ExitCode"] == 137:
        yield fail(
            "TRIAL_STOP_SLOW",
            f"The container did not stop within its stopTimeout of {task.stop:.0f} s and was killed.",
            *places,
            repair="Let the server be process 1 (use exec in the entry point), so that it receives SIGTERM.",
        )
    else:
        yield ok("TRIAL_STOP", f"The container stopped after {seconds:.1f} s of {task.stop:.0f} s.", *places)
