"""Observes the running container: its listening sockets, its answers to GET, its health command, a photo."""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.config.image_contract import Contract
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.image.container import Container, loopback_client
from deploy.image.load import PROBE_PHOTO, send
from deploy.verify.container.task import Task

SETTLE_S = 5.0  # a container that listens on a wrong port for so long will not open the right one
LISTENING = "0A"  # a socket's state in /proc/net/tcp
NOT_FOUND_EXIT = 127  # a shell's exit code for a program that it does not find
NOT_FOUND = re.compile(r"executable file not found|no such file or directory", re.I)
SHELL_NOT_FOUND = re.compile(r"([\w./-]+): (?:command )?not found", re.I)  # `curl … || exit 1` hides the shell's 127
ANALYZE = "/analyze"
KEYS = "SHINE_API_KEYS"
NEEDS_KEY = (401, 403)
NO_MODEL_YET = "model_unavailable"  # where the plan requires a model: its weights cannot be reached from here
USE_OWN_COMMAND = "Use the health command of the image's contract."


def docker(env: dict[str, str], *words: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """Run a docker command, whatever its exit code; raises subprocess.TimeoutExpired."""
    command = ["docker", *words]
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=timeout_s)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, NOT_FOUND_EXIT, "", "docker is not installed here.")


@dataclass(slots=True)
class StartupState:
    """What was observed while the container started.

    Attributes:
        seconds: from `docker run` until it listened, and until it answered where it does.
        listening: (address, port) of listening sockets.
        status: of the health path; 0 where nothing answers.
        ended: the container has exited.
    """

    seconds: float = 0.0
    listening: frozenset[tuple[str, int]] = frozenset()
    status: int = 0
    ended: bool = False

    @property
    def outside(self) -> set[int]:
        """Ports that can be reached from outside the container."""
        return {port for address, port in self.listening if not loopback(address)}


def wait_for_startup(running: Container, task: Task, contract: Contract) -> StartupState:
    """Wait until the health path gives a final answer, or until waiting is useless."""
    state, first = StartupState(), None
    while (seconds := time.monotonic() - running.started_at) < task.patience:
        if running.inspect()["State"]["Status"] in ("exited", "dead"):
            return StartupState(seconds, ended=True)
        state = StartupState(seconds, listening(running))
        first = first or (seconds if state.listening else None)
        if contract.port in state.outside:
            published = running.docker("port", running.name, str(contract.port), check=False).split()
            if published:
                running.url = f"http://{published[0]}"
                state.status = get_status(running.url, contract.health.path)
            state.seconds = time.monotonic() - running.started_at
            if state.status == 200 or 400 <= state.status < 500:  # it has started: this answer will not change
                return state
        elif first is not None and seconds > first + SETTLE_S:
            state.seconds = first
            return state
        time.sleep(0.3)
    return state


def get_status(url: str, path: str) -> int:
    """Status of a GET, without following redirects, like a load balancer; 0 where there is no response."""
    try:
        with loopback_client().stream("GET", url + path, timeout=5) as response:  # the body may never end
            return response.status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0


def listening(running: Container) -> frozenset[tuple[str, int]]:
    """Listening TCP sockets inside the container; read by cat or Python, whichever the image has."""
    files = ("/proc/net/tcp", "/proc/net/tcp6")
    script = f"print(*(open(name).read() for name in {files}))"
    for command in (("cat", *files), ("python", "-c", script), ("python3", "-c", script)):
        done = running.execute(*command)
        if done.returncode == 0:
            return frozenset(sockets(done.stdout))
    return frozenset()


def sockets(table: str) -> Iterator[tuple[str, int]]:
    """(address in hexadecimal, port) of the listening sockets in /proc/net/tcp."""
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


def run_health_command(running: Container, task: Task) -> Iterator[Finding]:
    """Whether the task definition's health command passes inside the container, within its timeout."""
    if not task.command or task.command == ["NONE"]:
        yield warn("TRIAL_COMMAND_NONE", "The task definition has no health command.", repair=USE_OWN_COMMAND)
        return
    kind, *words = task.command
    words = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words if kind == "CMD" else [kind, *words]
    program = words[0]
    places = [("task definition: healthCheck.command", task.command)]
    began = time.monotonic()
    try:
        done = docker(running.env, "exec", running.name, *words, timeout_s=task.timeout + 1)
    except subprocess.TimeoutExpired:
        done = None
    seconds = time.monotonic() - began
    output = "" if done is None else (done.stdout + done.stderr).strip()
    missing = done is not None and done.returncode in (126, 127) and NOT_FOUND.search(output) is not None
    if kind == "CMD-SHELL" and done is not None and done.returncode and (match := SHELL_NOT_FOUND.search(output)):
        program, missing = match[1], True
    if done is None or (done.returncode == 0 and seconds > task.timeout):
        yield fail(
            "TRIAL_COMMAND_SLOW",
            f"The health command took {'more than ' if done is None else ''}{seconds:.1f} s, "
            f"but its timeout is {task.timeout:.0f} s.",
            *places,
            ("task definition: healthCheck.timeout", task.timeout),
            repair="Raise its timeout, or give the task more CPU.",
        )
    elif missing:
        yield fail(
            "TRIAL_COMMAND_MISSING",
            f"The health command runs {program}, which is not installed in the image.",
            *places,
            ("container: exit code", done.returncode),
            repair=USE_OWN_COMMAND,
        )
    elif done.returncode != 0:
        yield fail(
            "TRIAL_COMMAND_FAILED",
            f"The health command ended with exit code {done.returncode} after {seconds:.1f} s: "
            f"{output.splitlines()[-1] if output else '(no output)'}",
            *places,
            ("container: exit code", done.returncode),
            repair=USE_OWN_COMMAND,
        )
    else:
        yield ok("TRIAL_COMMAND", f"The health command passes in {seconds:.2f} s of {task.timeout:.0f} s.", *places)


def send_photo(running: Container, contract: Contract, settings: dict[str, str]) -> Iterator[Finding]:
    """Whether the probe photo is analyzed: a healthy image can still fail at its first photo, by memory or import.

    Args:
        running: listens on the contract's port.
        contract: of the image.
        settings: of the running container.
    """
    if not any(endpoint.path == ANALYZE for endpoint in contract.endpoints):
        yield skip("TRIAL_PHOTO", f"No photo was sent: the image's contract has no {ANALYZE}.")
        return
    keys = settings.get(KEYS, "").replace(",", " ").split()
    began = time.monotonic()
    status, body = send(running.url, PROBE_PHOTO.read_bytes(), {"x-api-key": keys[0]} if keys else {})
    seconds, code = time.monotonic() - began, _error_code(body)
    places = [(f"container: POST {ANALYZE}", status), ("container: error", code)]
    if status == 200:
        source = body.get("source")
        yield ok("TRIAL_PHOTO", f"A photo was answered after {seconds:.1f} s, source {source}.", *places[:1])
    elif status in NEEDS_KEY:
        yield skip("TRIAL_PHOTO", "A photo was sent, but the service demands a key that is not known here.", *places)
    elif status == 503 and code == NO_MODEL_YET:
        sentence = "A photo was sent, but the service waits for its model, whose weights cannot be reached from here."
        yield skip("TRIAL_PHOTO", sentence, *places)
    elif running.inspect()["State"]["Status"] == "running":
        last = running.logs().strip().splitlines()[-1:]
        yield fail(
            "TRIAL_PHOTO_FAILED",
            f"A photo was answered with {status or 'nothing'}{f' ({code})' if code else ''}; the container's last log "
            f"line: {''.join(last)[-300:] or '(none)'}",
            *places,
            repair=f"Run the image by hand and send it a photo: curl -F image=@photo.jpg localhost:5000{ANALYZE}",
        )


def _error_code(body: dict[str, Any]) -> str | None:
    error = body.get("error")
    return str(error.get("code") if isinstance(error, dict) else error)[:200] if error else None
