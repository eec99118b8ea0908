"""The image, really run as the task definition says, and judged before anything is rolled out.

It runs as in production: the task's memory and CPU, its user, a read-only root with /tmp alone writable, no
capabilities; it is published on loopback only and always removed. Secrets are not given to it.
"""

import http.client
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bentos.skin.contract import Contract
from deploy.cloud.account import fail, finding, ok, skip, warn
from deploy.finding import Finding
from deploy.image.container import Container
from deploy.image.measure import used

CODES: dict[str, str] = {
    "TRIAL_ENGINE": "No Docker engine answers, or it went away: the image was not run, or not to the end.",
    "TRIAL_IMAGE": "The image is here, or could be pulled, under the digest that the task definition names.",
    "TRIAL_IMAGE_MISSING": "The image is neither here nor to be pulled; ECS would not get it either.",
    "TRIAL_ARCHITECTURE": "An image for another architecture ends at once with 'exec format error'.",
    "TRIAL_SKIPPED": "The image cannot be run on this machine.",
    "TRIAL_REFUSED": "The engine could not start the container: an entry point that is not there, for instance.",
    "TRIAL_EXITED": "The container ends by itself; ECS would start it again and again.",
    "TRIAL_MEMORY_SHORT": "The kernel killed the container at the task's memory limit.",
    "TRIAL_START": "The container answers within its start period.",
    "TRIAL_START_SLOW": "ECS counts failing health checks once the start period is over, and then kills the task.",
    "TRIAL_START_NEVER": "Nothing listens, however long one waits.",
    "TRIAL_PORT": "The port that is listened on is the one that contract and task definition tell of.",
    "TRIAL_PORT_OTHER": "Load balancer and health check would ask a port on which nobody listens.",
    "TRIAL_PORT_MAPPED": "The task definition publishes another port than the one that is listened on.",
    "TRIAL_LOOPBACK": "What listens on 127.0.0.1 is reached from inside the container only.",
    "TRIAL_HEALTH": "The health path answers 200.",
    "TRIAL_HEALTH_STATUS": "The load balancer would take every task for unhealthy, and ECS would kill it.",
    "TRIAL_COMMAND": "The task definition's health command passes inside the container.",
    "TRIAL_COMMAND_NONE": "An image's own HEALTHCHECK is ignored by ECS; without one in the task definition, only the "
    "load balancer looks.",
    "TRIAL_COMMAND_MISSING": "A health command whose program is not in the image can never pass.",
    "TRIAL_COMMAND_FAILED": "ECS kills a task whose health command fails.",
    "TRIAL_COMMAND_SLOW": "A health command that takes longer than its timeout counts as failed.",
    "TRIAL_EXECUTABLES": "Which of the programs that health commands like to use are in the image.",
    "TRIAL_USER": "The container runs as the contract's user.",
    "TRIAL_USER_OTHER": "Files and limits are made for the contract's user.",
    "TRIAL_ROOT": "A process that is broken out of as root is root.",
    "TRIAL_WRITES": "The root is read-only; only the contract's writable paths may be written.",
    "TRIAL_MEMORY": "Memory that is used when idle, against the task's limit.",
    "TRIAL_MEMORY_TIGHT": "Photos need memory too: a task that is nearly full when idle is killed under load.",
    "TRIAL_STOP": "The container ends by itself when told to.",
    "TRIAL_STOP_SLOW": "After stopTimeout ECS kills the task, with the requests that are in flight.",
}

ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}  # ECS's name → the image's
CPU_UNITS = 1024
PULL_S = 300.0
WAIT_MOST_S = 150.0
SETTLE_S = 5.0  # another port is listened on for so long, and the right one is not
TIGHT = 0.8  # of the limit, when idle
PROGRAMS = ("python", "sh", "curl", "wget")
LISTENING = "0A"  # a socket's state in /proc/net/tcp
NOT_FOUND = re.compile(r"executable file not found|no such file or directory", re.I)
SHELL_NOT_FOUND = re.compile(
    r"([\w./-]+): (?:command )?not found", re.I
)  # `curl … || exit 1` hides the shell's own 127
READ_ONLY = re.compile(r"[^\n]*read-only file system[^\n]*", re.I)


@dataclass(frozen=True, slots=True)
class Task:
    """What the task definition says of the container, with ECS's defaults, seconds and MiB."""

    memory_mib: int
    cpus: float
    architecture: str
    port: int | None
    command: list[str]
    timeout: float
    start_period: float
    patience: float
    stop: float
    container: dict[str, Any]


def task(task_definition: dict[str, Any], contract: Contract) -> Task:
    """Read a task definition; the container is the one with the contract's port, else the first."""
    containers: list[dict[str, Any]] = task_definition.get("containerDefinitions") or [{}]
    ports = {id(one): [port.get("containerPort") for port in one.get("portMappings", [])] for one in containers}
    container = next((one for one in containers if contract.port in ports[id(one)]), containers[0])
    check = container.get("healthCheck", {})
    start = float(check.get("startPeriod", 0))
    return Task(
        memory_mib=int(container.get("memory") or task_definition.get("memory") or 2048),
        cpus=int(task_definition.get("cpu") or container.get("cpu") or CPU_UNITS) / CPU_UNITS,
        architecture=task_definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64"),
        port=next(iter(ports[id(container)]), None),
        command=list(check.get("command", [])),
        timeout=float(check.get("timeout", 5)),
        start_period=start,
        patience=min(WAIT_MOST_S, start + float(check.get("interval", 30)) * int(check.get("retries", 3))),
        stop=float(container.get("stopTimeout", 30)),
        container=container,
    )


def try_image(image: str, task_definition: dict[str, Any], contract: Contract, env: dict[str, str]) -> list[Finding]:
    """Run the image and judge it; a good one takes some 15 s.

    Args:
        image: its name, best with @sha256:….
        task_definition: as it would be registered.
        contract: of the image.
        env: in which docker answers.
    """
    wanted = task(task_definition, contract)
    if (engine := _docker(env, "version", "--format", "{{.Server.Version}}")).returncode != 0:
        return [_no_engine(engine.stderr)]
    found = list(_present(image, env))
    if found[-1].level == "FAIL":
        return found
    found += _architecture(image, wanted, env)
    if found[-1].level != "OK":
        return found
    options = ["--stop-timeout", f"{wanted.stop:.0f}"]
    for port in sorted({contract.port, wanted.port or contract.port} - {5000}):
        options += ["--publish", f"127.0.0.1::{port}"]
    if user := wanted.container.get("user"):
        options += ["--user", user]
    entry: list[str] = wanted.container.get("entryPoint") or []
    options += ["--entrypoint", entry[0]] if entry else []
    settings = {one["name"]: one["value"] for one in wanted.container.get("environment", [])}
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
            for one in _judged(running, wanted, contract):
                found.append(one)
        except (subprocess.SubprocessError, LookupError, ValueError) as error:
            found.append(_no_engine(str(error)))
    return found


def _no_engine(why: str) -> Finding:
    return skip("TRIAL_ENGINE", f"The image was not run to the end: {' '.join(why.split())[:200]}")


# --- before it runs ------------------------------------------------------------------------------------------------


def _docker(env: dict[str, str], *words: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *words], env=env, capture_output=True, text=True, check=False, timeout=timeout_s)


def _present(image: str, env: dict[str, str]) -> Iterator[Finding]:
    shown = ("image", "inspect", "--format", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", image)
    known, pulled = _docker(env, *shown), None
    if known.returncode != 0:
        try:
            pulled = _docker(env, "pull", "--quiet", image, timeout_s=PULL_S)
            known = _docker(env, *shown)
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


def _architecture(image: str, wanted: Task, env: dict[str, str]) -> Iterator[Finding]:
    system, own = _docker(env, "image", "inspect", "--format", "{{.Os}} {{.Architecture}}", image).stdout.split()
    expected = ARCHITECTURES.get(wanted.architecture, wanted.architecture)
    places = [("task definition: runtimePlatform.cpuArchitecture", wanted.architecture), ("image: architecture", own)]
    here = _docker(env, "version", "--format", "{{.Server.Arch}}").stdout.strip()
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
        yield finding("TRIAL_ARCHITECTURE", "OK", f"The image is made for linux/{own}, as the task is.", *places)


# --- while it runs -------------------------------------------------------------------------------------------------


def _judged(running: Container, wanted: Task, contract: Contract) -> Iterator[Finding]:
    seen = _waited(running, wanted, contract)
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
    yield from _command(running, wanted)
    yield from _executables(running)
    yield from _writes(running)
    yield from _memory(running, wanted)
    yield from _stopped(running, wanted)


@dataclass(slots=True)
class Seen:
    """What was seen while it started.

    Attributes:
        seconds: since `docker run`, until it listened, and answered where it does.
        listening: (address, port) of listening sockets.
        status: of the health path; 0 where nobody answers.
        ended: the container is gone.
    """

    seconds: float = 0.0
    listening: frozenset[tuple[str, int]] = frozenset()
    status: int = 0
    ended: bool = False


def _waited(running: Container, wanted: Task, contract: Contract) -> Seen:
    """Wait until the health path answers for good, or until waiting makes no sense any more."""
    seen, first = Seen(), None
    while (seconds := time.monotonic() - running.started_at) < wanted.patience:
        if running.inspect()["State"]["Status"] in ("exited", "dead"):
            return Seen(seconds, ended=True)
        seen = Seen(seconds, listening(running))
        first = first or (seconds if seen.listening else None)
        if contract.port in {port for address, port in seen.listening if not loopback(address)}:
            published = running.docker("port", running.name, str(contract.port), check=False).split()
            if published:
                running.url = f"http://{published[0]}"
                seen.status = answer(running.url, contract.health.path)
            seen.seconds = time.monotonic() - running.started_at
            if seen.status == 200 or 400 <= seen.status < 500:  # it starts no more: that is its answer
                return seen
        elif first is not None and seconds > first + SETTLE_S:
            seen.seconds = first
            return seen
        time.sleep(0.3)
    return seen


def answer(url: str, path: str) -> int:
    """Status of a GET, redirects not followed, as a load balancer asks; 0 where nobody answers."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def listening(running: Container) -> frozenset[tuple[str, int]]:
    """Listening TCP sockets inside; asked by cat or Python, whichever the image has."""
    files = ("/proc/net/tcp", "/proc/net/tcp6")
    script = f"print(*(open(name).read() for name in {files}))"
    for command in (("cat", *files), ("python", "-c", script), ("python3", "-c", script)):
        told = running.execute(*command)
        if told.returncode == 0:
            return frozenset(sockets(told.stdout))
    return frozenset()


def sockets(table: str) -> Iterator[tuple[str, int]]:
    """(address in hexadecimal, port) of what listens, of /proc/net/tcp."""
    for line in table.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == LISTENING:
            address, _, port = words[1].rpartition(":")
            yield address, int(port, 16)


def loopback(address: str) -> bool:
    """Whether an address of /proc/net/tcp is 127.x.x.x, ::1, or 127.x.x.x in IPv6."""
    last = address[-8:]
    if len(address) == 8:
        return last.endswith("7F")
    return address == "0" * 24 + "01000000" or (address[16:24] == "FFFF0000" and last.endswith("7F"))


def _ended(running: Container, wanted: Task) -> Finding:
    state, lines = running.inspect()["State"], running.logs().strip().splitlines()[-5:]
    if state["OOMKilled"]:
        return fail(
            "TRIAL_MEMORY_SHORT",
            f"The kernel killed the container at the task's limit of {wanted.memory_mib} MiB.",
            ("task definition: memory", wanted.memory_mib),
            repair="Give the task more memory.",
        )
    return fail(
        "TRIAL_EXITED",
        f"The container ended by itself with exit code {state['ExitCode']}; its last words: "
        f"{lines[-1] if lines else '(none)'}",
        ("container: exit code", state["ExitCode"]),
        ("container: last lines of the log", lines),
        repair="Run it by hand (`docker run IMAGE`) and read its log.",
    )


def _started(running: Container, seen: Seen, wanted: Task) -> Iterator[Finding]:
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


def _ports(seen: Seen, wanted: Task, contract: Contract) -> Iterator[Finding]:
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


def _health(running: Container, seen: Seen, contract: Contract) -> Iterator[Finding]:
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


def _command(running: Container, wanted: Task) -> Iterator[Finding]:
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
        done = _docker(running.env, "exec", running.name, *words, timeout_s=wanted.timeout + 1)
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
    expected = f"{contract.user['uid']}:{contract.user['gid']}"
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
