"""What is judged while the container runs, and of how it starts and ends."""

import re
import time
from collections.abc import Iterator

from deploy.config.image_contract import Contract
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.image.container import Container
from deploy.image.measure import used
from deploy.verify.container.health_command import command
from deploy.verify.container.photo import photo
from deploy.verify.container.sockets import StartupState, answer, loopback, waited
from deploy.verify.container.task import Task

TIGHT = 0.8  # of the limit, when idle
SETTLES_S = 2.0  # until a container that was killed is known to be over
PROGRAMS = ("python", "sh", "curl", "wget")
READ_ONLY = re.compile(r"[^\n]*read-only file system[^\n]*", re.I)


def judged(running: Container, wanted: Task, contract: Contract, settings: dict[str, str]) -> Iterator[Finding]:
    """Everything that a container, running with those settings, shows; it is stopped at the end."""
    seen = waited(running, wanted, contract)
    yield from _user(running, contract)
    if seen.ended:
        yield from (one for one in _writes(running) if one.level == "FAIL")
        yield _ended(running, wanted)
        return
    yield from _started(running, seen, wanted)
    if not seen.listening:
        return
    yield from _ports(seen, wanted, contract)
    yield from _health(running, seen, contract)
    yield from command(running, wanted)
    yield from _executables(running)
    yield from _writes(running)
    yield from _memory(running, wanted)
    if seen.status == 200:
        yield from photo(running, contract, settings)
        if _over(running):
            yield _ended(running, wanted, " at its first photo")
            return
    yield from _stopped(running, wanted)


def _over(running: Container) -> bool:
    until = time.monotonic() + SETTLES_S  # the kernel's victim is counted a moment later
    while not (over := running.inspect()["State"]["Status"] in ("exited", "dead")) and time.monotonic() < until:
        time.sleep(0.2)
    return over


def _ended(running: Container, wanted: Task, when: str = "") -> Finding:
    state, lines = running.inspect()["State"], running.logs().strip().splitlines()[-5:]
    if state["OOMKilled"]:
        return fail(
            "TRIAL_MEMORY_SHORT",
            f"The kernel killed the container{when}, at the task's limit of {wanted.memory_mib} MiB.",
            ("task definition: memory", wanted.memory_mib),
            repair="Give the task more memory.",
        )
    return fail(
        "TRIAL_EXITED",
        f"The container ended by itself{when}, with exit code {state['ExitCode']}; its last words: "
        f"{lines[-1] if lines else '(none)'}",
        ("container: exit code", state["ExitCode"]),
        ("container: last lines of the log", lines),
        repair="Run it by hand (`docker run IMAGE`) and read its log.",
    )


def _started(running: Container, seen: StartupState, wanted: Task) -> Iterator[Finding]:
    places = [("task definition: healthCheck.startPeriod", wanted.start_period)]
    if not seen.listening:
        yield fail(
            "TRIAL_START_NEVER",
            f"Nothing listens in the container after {seen.seconds:.0f} s; its last words: "
            f"{''.join(running.logs().strip().splitlines()[-1:]) or '(none)'}",
            *places,
            repair="Run it by hand (`docker run IMAGE`) and see what it waits for.",
        )
    elif seen.seconds > wanted.start_period:
        yield fail(
            "TRIAL_START_SLOW",
            f"The container needs {seen.seconds:.0f} s to start, the start period is {wanted.start_period:.0f} s.",
            *places,
            ("container: seconds to start", round(seen.seconds, 1)),
            repair=f"Set the start period to {min(300, round(2 * seen.seconds))} s, or make the start faster.",
        )
    else:
        yield ok("TRIAL_START", f"The container answers after {seen.seconds:.1f} s.", *places)


def _ports(seen: StartupState, wanted: Task, contract: Contract) -> Iterator[Finding]:
    outside = sorted({port for address, port in seen.listening if not loopback(address)})
    inside = sorted({port for address, port in seen.listening if loopback(address)} - set(outside))
    places = [
        ("container: ports that are listened on", outside),
        ("image contract: port", contract.port),
        ("task definition: portMappings[].containerPort", wanted.port),
    ]
    told = ", ".join(map(str, outside)) or "none"
    if contract.port not in outside and contract.port in inside:
        yield fail(
            "TRIAL_LOOPBACK",
            f"The container listens on 127.0.0.1:{contract.port} only: nobody outside reaches it.",
            *places,
            repair="Let the server listen on 0.0.0.0.",
        )
    elif contract.port not in outside:
        yield fail(
            "TRIAL_PORT_OTHER",
            f"The container listens on port {told}, its contract says {contract.port}, "
            f"the task definition {wanted.port}.",
            *places,
            repair=f"Let the server listen on {contract.port} (PORT), or build the image whose contract this is.",
        )
    elif wanted.port != contract.port:
        yield fail(
            "TRIAL_PORT_MAPPED",
            f"The container listens on port {contract.port}, the task definition publishes {wanted.port}.",
            *places,
            repair=f"Set containerPort to {contract.port}.",
        )
    else:
        yield ok("TRIAL_PORT", f"The container listens on port {contract.port}.", *places)


def _health(running: Container, seen: StartupState, contract: Contract) -> Iterator[Finding]:
    path = contract.health.path
    if contract.port not in {port for address, port in seen.listening if not loopback(address)}:
        yield skip("TRIAL_HEALTH", f"{path} could not be asked: nobody listens on port {contract.port}.")
    elif seen.status == 200:
        yield ok("TRIAL_HEALTH", f"GET {path} answers 200.", (f"container: GET {path}", 200))
    else:
        root = answer(running.url, "/")
        yield fail(
            "TRIAL_HEALTH_STATUS",
            f"GET {path} answers {seen.status or 'nothing'}, not 200{' (but / answers 200)' if root == 200 else ''}.",
            (f"container: GET {path}", seen.status),
            ("container: GET /", root),
            repair=f"Let the image answer 200 on {path}, the path that its contract names.",
        )


def _executables(running: Container) -> Iterator[Finding]:
    told = running.execute("sh", "-c", "; ".join(f"command -v {one}" for one in PROGRAMS))
    if told.returncode in (126, 127) and not told.stdout:
        yield skip("TRIAL_EXECUTABLES", "There is no shell in the image to ask for others.")
        return
    there = [one for one in PROGRAMS if any(line.endswith(f"/{one}") for line in told.stdout.split())]
    lacking = [one for one in PROGRAMS if one not in there]
    sentence = f"In the image are {', '.join(there) or 'none of them'}; not there: {', '.join(lacking) or 'none'}."
    yield ok("TRIAL_EXECUTABLES", sentence, ("container: programs", there))


def _user(running: Container, contract: Contract) -> Iterator[Finding]:
    told = str(running.inspect()["Config"]["User"])
    expected = f"{contract.user.uid}:{contract.user.gid}"
    places = [("container: user", told), ("image contract: user", expected)]
    if told.partition(":")[0] in ("", "0", "root"):
        yield fail(
            "TRIAL_ROOT",
            f"The container runs as root, its contract says {expected}.",
            *places,
            repair=f"Set USER {expected} in the image, or user in the task definition.",
        )
    elif told not in (expected, expected.partition(":")[0]):
        yield warn(
            "TRIAL_USER_OTHER",
            f"The container runs as {told}, its contract says {expected}.",
            *places,
            repair="Leave user out of the task definition.",
        )
    else:
        yield ok("TRIAL_USER", f"The container runs as {told}.", *places)


def _writes(running: Container) -> Iterator[Finding]:
    if refused := READ_ONLY.search(running.logs()):
        yield fail(
            "TRIAL_WRITES",
            f"The container writes where nothing may be written: {refused[0].strip()[-200:]}",
            ("container: log", refused[0].strip()[-200:]),
            repair="Let it write under /tmp only, or mount a volume where it must write.",
        )
    else:
        yield ok("TRIAL_WRITES", "Nothing was written outside of /tmp, nor tried.")


def _memory(running: Container, wanted: Task) -> Iterator[Finding]:
    usage = used(running)
    places = [("container: MiB used when idle", usage), ("task definition: memory", wanted.memory_mib)]
    sentence = f"The container uses {usage:.0f} MiB when idle, of {wanted.memory_mib} MiB."
    if usage > TIGHT * wanted.memory_mib:
        yield warn("TRIAL_MEMORY_TIGHT", sentence, *places, repair="Give the task more memory.")
    else:
        yield ok("TRIAL_MEMORY", sentence, *places)


def _stopped(running: Container, wanted: Task) -> Iterator[Finding]:
    seconds, state = running.stop(), running.inspect()["State"]
    places = [("task definition: stopTimeout", wanted.stop), ("container: exit code", state["ExitCode"])]
    if seconds > wanted.stop or state["ExitCode"] == 137:
        yield fail(
            "TRIAL_STOP_SLOW",
            f"The container did not stop within its stopTimeout of {wanted.stop:.0f} s and was killed.",
            *places,
            repair="Let the server be process 1 (exec in the entry point), so that it hears SIGTERM.",
        )
    else:
        yield ok("TRIAL_STOP", f"The container stopped after {seconds:.1f} s of {wanted.stop:.0f} s.", *places)
