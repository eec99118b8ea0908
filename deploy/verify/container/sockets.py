"""Where a container listens and what it answers, waited for as long as ECS would."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from deploy.config.image_contract import Contract
from deploy.image.container import Container, loopback_client
from deploy.verify.container.task import Task

SETTLE_S = 5.0  # another port is listened on for so long, and the right one is not
LISTENING = "0A"  # a socket's state in /proc/net/tcp


@dataclass(slots=True)
class StartupState:
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


def waited(running: Container, wanted: Task, contract: Contract) -> StartupState:
    """Wait until the health path answers for good, or until waiting makes no sense any more."""
    seen, first = StartupState(), None
    while (seconds := time.monotonic() - running.started_at) < wanted.patience:
        if running.inspect()["State"]["Status"] in ("exited", "dead"):
            return StartupState(seconds, ended=True)
        seen = StartupState(seconds, listening(running))
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
    """Status of a GET; redirects are not followed, as by a load balancer. 0 where there is no response."""
    try:
        with loopback_client().stream("GET", url + path, timeout=5) as response:  # the body may never end
            return response.status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0


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
